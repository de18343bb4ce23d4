//! What a mail can say: typed facts, and the variables that templates see.

use std::collections::BTreeMap;

use minijinja::Value;
use quittance_domain::{Money, Timestamp};

use crate::format::{self, Language};
use crate::settings::MailSettings;

/// What is known about a notice when its mail is written. What is not known is `None`, and templates leave it out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// The customer's name.
    pub name: Option<String>,
    /// The zone of the customer's dates, an IANA name.
    pub zone: Option<String>,
    /// The plan, in the reader's language; before a change the old one.
    pub plan: Option<String>,
    /// The plan after a change.
    pub new_plan: Option<String>,
    /// The amount that the notice is about; before a change the old price.
    pub amount: Option<Money>,
    /// The price after a change.
    pub new_amount: Option<Money>,
    /// What is charged first, after discounts, tax and credit, where that is not the amount or price that is told.
    pub first_charge: Option<Money>,
    /// What each later period costs, before discounts, tax and credit, where that is not the amount that is told.
    pub afterwards: Option<Money>,
    /// When the trial ends that a receipt is about.
    pub trial_end: Option<Timestamp>,
    /// Why a subscription was ended by somebody else than its customer, a word of [`ended_by`].
    pub ended_by: Option<String>,
    /// The plan is paused, and not over.
    pub paused: bool,
    /// When the pause ends by itself.
    pub resumes_at: Option<Timestamp>,
    /// How often it is charged: `day`, `week`, `month` or `year`.
    pub interval: Option<String>,
    /// Units after a change, where they changed or are more than one.
    pub quantity: Option<i64>,
    /// Units before a change, where they changed.
    pub from_quantity: Option<i64>,
    /// How often it was charged before a change, where that changed.
    pub from_interval: Option<String>,
    /// When what the notice is about happens or happened.
    pub at: Option<Timestamp>,
    /// When the provider tries to take the payment again.
    pub next_try: Option<Timestamp>,
    /// Until when the customer can use what was bought.
    pub access_until: Option<Timestamp>,
    /// The payment method as its holder knows it: `Visa 4242`.
    pub card: Option<String>,
    /// When the card expires, as printed on it: `11/2027`.
    pub card_expires: Option<String>,
    /// Why a payment failed, a word of [`reason`].
    pub reason: Option<String>,
    /// The number of the invoice or receipt.
    pub number: Option<String>,
    /// Where things can be done and read.
    pub urls: Urls,
}

/// Addresses for this reader.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Urls {
    /// Pays what is open.
    pub pay: Option<String>,
    /// Changes the payment method.
    pub card: Option<String>,
    /// Cancels the subscription.
    pub cancel: Option<String>,
    /// Shows what the customer has.
    pub billing: Option<String>,
    /// The new terms, where these are what is told.
    pub terms: Option<String>,
    /// The invoice or receipt.
    pub document: Option<String>,
    /// Chooses which mails to get; only in mails that can be declined.
    pub preferences: Option<String>,
}

/// Every variable of templates, and what it holds. Each may be absent, except `site`.
pub const VARIABLES: [(&str, &str); 35] = [
    ("site", "what is sold, as customers know it (`site`)"),
    ("name", "the customer's name"),
    ("plan", "the plan; before a change the old one"),
    ("new_plan", "the plan after a change"),
    ("amount", "the amount; before a change the old price"),
    ("new_amount", "the price after a change"),
    (
        "first_charge",
        "what is charged first, after discounts, tax and credit; only where it is another amount than the one that is told",
    ),
    (
        "afterwards",
        "what each later period costs, before discounts, tax and credit; only where it is another amount than the one that is told",
    ),
    ("trial_end", "the day on which a trial ends; only in the receipt that it begins with"),
    ("ended_by", "why a plan was ended, in plain words; only where its customer did not end it"),
    ("paused", "`yes` where the plan is paused and not over"),
    ("resumes", "the day on which a pause ends by itself"),
    ("interval", "how often it is charged: every month"),
    ("quantity", "units after a change, where they changed or are more than one"),
    ("from_quantity", "units before a change, where they changed"),
    ("from_interval", "how often it was charged before a change, where that changed"),
    ("date", "the day on which it happens or happened"),
    ("time", "the same with the time of day and its zone"),
    ("next_try", "the day of the next try to take the payment"),
    ("access_until", "until when what was bought can be used"),
    ("card", "the payment method: Visa 4242"),
    ("card_expires", "when the card expires: 11/2027"),
    ("reason", "why a payment failed, in plain words"),
    ("number", "the number of the invoice or receipt"),
    ("pay_url", "pays what is open, with one click"),
    ("card_url", "changes the payment method"),
    ("cancel_url", "cancels the subscription"),
    ("billing_url", "shows what the customer has"),
    ("document_url", "the invoice or receipt"),
    ("preferences_url", "chooses which mails to get; only in mails that can be declined"),
    ("terms_url", "the terms (`mail.terms_url`)"),
    ("support", "where customers get help (`mail.support`)"),
    ("support_url", "the same as an address that opens it"),
    ("company", "who does business (`mail.company`)"),
    ("address", "its postal address (`mail.address`)"),
];

impl Facts {
    /// The variables for a reader. All of [`VARIABLES`] are there; those that are not known hold nothing.
    #[must_use]
    pub fn variables(&self, settings: &MailSettings, language: Language) -> BTreeMap<&'static str, Value> {
        let named = self.zone.as_deref().and_then(|zone| jiff::tz::TimeZone::get(zone).ok());
        let zone = named.unwrap_or_else(|| settings.zone.clone());
        let money = |amount: Option<Money>| amount.map(|amount| format::money(language, amount));
        let often = |word: Option<&str>| Some(format::interval(language, word?)?.to_owned());
        let day = |at: Option<Timestamp>| at.map(|at| format::date(language, &zone, at));
        let all: [(&'static str, Option<String>); 35] = [
            ("site", Some(settings.site.clone())),
            ("name", self.name.clone().filter(|name| !name.trim().is_empty())),
            ("plan", self.plan.clone()),
            ("new_plan", self.new_plan.clone()),
            ("amount", money(self.amount)),
            ("new_amount", money(self.new_amount)),
            ("first_charge", money(self.first_charge)),
            ("afterwards", money(self.afterwards)),
            ("trial_end", day(self.trial_end)),
            (
                "ended_by",
                self.ended_by.as_deref().and_then(|word| ended_by(language, word)).map(str::to_owned),
            ),
            ("paused", self.paused.then(|| "yes".to_owned())),
            ("resumes", day(self.resumes_at)),
            ("interval", often(self.interval.as_deref())),
            ("quantity", self.quantity.map(|units| units.to_string())),
            ("from_quantity", self.from_quantity.map(|units| units.to_string())),
            ("from_interval", often(self.from_interval.as_deref())),
            ("date", day(self.at)),
            ("time", self.at.map(|at| format::time(language, &zone, at))),
            ("next_try", day(self.next_try)),
            ("access_until", self.access_until.map(|at| format::time(language, &zone, at))),
            ("card", self.card.clone()),
            ("card_expires", self.card_expires.clone()),
            ("reason", self.reason.as_deref().and_then(|word| reason(language, word)).map(str::to_owned)),
            ("number", self.number.clone()),
            ("pay_url", self.urls.pay.clone()),
            ("card_url", self.urls.card.clone()),
            ("cancel_url", self.urls.cancel.clone()),
            ("billing_url", self.urls.billing.clone()),
            ("document_url", self.urls.document.clone()),
            ("preferences_url", self.urls.preferences.clone()),
            ("terms_url", self.urls.terms.clone().or_else(|| settings.terms_url.clone())),
            ("support", settings.support.clone()),
            ("support_url", settings.support.as_deref().and_then(support_url)),
            ("company", settings.company.clone()),
            ("address", settings.address.clone()),
        ];
        all.into_iter()
            .map(|(name, value)| (name, value.map_or_else(|| Value::from(()), Value::from)))
            .collect()
    }
}

/// A page as it is, a mail address as `mailto:`, nothing for a telephone number.
fn support_url(support: &str) -> Option<String> {
    if support.starts_with("https://") || support.starts_with("http://") {
        return Some(support.to_owned());
    }
    support.contains('@').then(|| format!("mailto:{support}"))
}

/// Why a payment failed, in words that help and blame nobody; nothing for what says nothing to a customer. The words are
/// the provider's decline codes.
#[must_use]
pub fn reason(language: Language, word: &str) -> Option<&'static str> {
    let (en, ja) = match word {
        "expired_card" => ("The card has expired.", "カードの有効期限が切れています。"),
        "insufficient_funds" => {
            ("There were not enough funds on the card.", "カードの残高または利用可能額が不足しています。")
        }
        "card_velocity_exceeded" | "withdrawal_count_limit_exceeded" => {
            ("The card's limit was reached.", "カードの利用限度額に達しています。")
        }
        "incorrect_cvc"
        | "invalid_cvc"
        | "incorrect_number"
        | "invalid_number"
        | "invalid_expiry_month"
        | "invalid_expiry_year" => {
            ("The card's details were not accepted.", "カード情報が正しくない可能性があります。")
        }
        "authentication_required" => {
            ("Your bank asks you to confirm the payment.", "カード会社による本人確認が必要です。")
        }
        "processing_error" | "issuer_not_available" | "reenter_transaction" | "try_again_later" => {
            ("Your bank could not be reached.", "カード会社に接続できませんでした。")
        }
        // A bank's suspicion is not for a mail: whoever reads it may not be the holder. It reads like any refusal.
        "card_declined"
        | "generic_decline"
        | "do_not_honor"
        | "do_not_try_again"
        | "call_issuer"
        | "no_action_taken"
        | "not_permitted"
        | "transaction_not_allowed"
        | "card_not_supported"
        | "currency_not_supported"
        | "service_not_allowed"
        | "restricted_card"
        | "lost_card"
        | "stolen_card"
        | "pickup_card"
        | "fraudulent"
        | "security_violation"
        | "merchant_blacklist"
        | "revocation_of_authorization"
        | "revocation_of_all_authorizations" => {
            ("Your bank did not approve the payment.", "カード会社の承認が得られませんでした。")
        }
        _ => return None,
    };
    Some(language.choose(en, ja))
}

/// Why a subscription was ended, where its customer did not ask for it: the provider's reasons
/// (`cancellation_details.reason`) and our own ([`quittance_domain::notices::OwnEnd`]). Nothing for `cancellation_requested`, and for reasons that are not known.
#[must_use]
pub fn ended_by(language: Language, word: &str) -> Option<&'static str> {
    let (en, ja) = match word {
        "payment_failed" => ("its payment did not go through", "お支払いを確認できなかったため"),
        "trial_used" => ("a free trial had been used before", "無料期間を以前にご利用いただいているため"),
        "suspended" => ("your account is suspended", "アカウントのご利用を停止しているため"),
        "payment_disputed" => ("its payment was disputed", "お支払いに異議の申し立てがあったため"),
        _ => return None,
    };
    Some(language.choose(en, ja))
}
