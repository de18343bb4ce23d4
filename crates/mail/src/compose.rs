//! From what the engine knows to what a mail can say. Pure.

use quittance_domain::catalog::Text;
use quittance_domain::subscription::Subscription;
use quittance_domain::{Access, Catalog, Currency, Money, Timestamp};
use quittance_engine::customers::CustomerView;
use serde_json::{Map, Value};

use crate::facts::{Facts, Urls};
use crate::format::Language;
use crate::kind::Kind;
use crate::links::Target;
use crate::told::Told;

/// Keys of a customer's metadata that may name its time zone.
const ZONE_KEYS: [&str; 3] = ["time_zone", "timezone", "tz"];

/// The facts of a notice for its customer. `link` makes the address of a target, where there are links.
#[must_use]
pub fn facts(
    told: &Told,
    view: &CustomerView,
    catalog: &Catalog,
    language: Language,
    link: &dyn Fn(&Target) -> Option<String>,
) -> Facts {
    let data = Data(&told.data);
    let subscription = data
        .text("subscription")
        .and_then(|id| view.subscriptions.iter().map(|row| &row.subscription).find(|s| s.facts.id == id));
    let plan_name = |key: &str| catalog.plan(key).map(|plan| words(&plan.name, language));
    let plan = data
        .text("plan")
        .or_else(|| subscription.and_then(Subscription::plan).map(|held| held.plan.as_str()))
        .and_then(plan_name);
    let amount = data.money("amount");
    let regular = data.money("regular");
    let (first_charge, afterwards) = match told.kind {
        // Prices are told beside each other as they are listed; what the first bill then comes to stands by itself.
        Kind::PriceChanging | Kind::PlanChanged => (amount.filter(|_| amount != regular), None),
        Kind::TrialEnding | Kind::RenewalAhead => (None, regular.filter(|_| amount != regular)),
        Kind::Receipt => {
            let first = data.money("first_charge");
            (first, regular.filter(|_| first != regular))
        }
        Kind::PaymentFailed
        | Kind::PaymentActionRequired
        | Kind::PaymentRecovered
        | Kind::GraceEnding
        | Kind::AccessEnded
        | Kind::TermsChanging
        | Kind::SubscriptionCancelled
        | Kind::RefundMade
        | Kind::PurchaseProcessing
        | Kind::PurchaseFailed
        | Kind::RefundFailed
        | Kind::CardExpiring => (None, None),
    };
    let (plan, new_plan, amount, new_amount) = match told.kind {
        Kind::PlanChanged => (data.text("from_plan").and_then(plan_name), plan, None, regular),
        Kind::PriceChanging => (plan, None, subscription.and_then(price), regular.or(amount)),
        Kind::PaymentFailed
        | Kind::PaymentActionRequired
        | Kind::PaymentRecovered
        | Kind::GraceEnding
        | Kind::AccessEnded
        | Kind::TrialEnding
        | Kind::RenewalAhead
        | Kind::TermsChanging
        | Kind::SubscriptionCancelled
        | Kind::Receipt
        | Kind::RefundMade
        | Kind::PurchaseProcessing
        | Kind::PurchaseFailed
        | Kind::RefundFailed
        | Kind::CardExpiring => (plan, None, amount, None),
    };
    let changed = |key: &str, before: &str| {
        let (now, before) = (told.data.get(key)?, told.data.get(before)?);
        (told.kind == Kind::PlanChanged && now != before).then_some(before)
    };
    let from_quantity = changed("quantity", "from_quantity").and_then(Value::as_i64);
    let quantity = told.data.get("quantity").and_then(Value::as_i64);
    let card = told.data.get("card").and_then(Value::as_object);
    Facts {
        name: view.customer.name.clone(),
        zone: ZONE_KEYS.iter().find_map(|key| view.customer.metadata.get(*key)).cloned(),
        plan,
        new_plan,
        amount,
        new_amount,
        first_charge,
        afterwards,
        trial_end: data.time("trial_end").filter(|_| told.kind == Kind::Receipt),
        ended_by: data.text("reason").filter(|_| told.kind == Kind::SubscriptionCancelled).map(str::to_owned),
        paused: told.kind == Kind::AccessEnded && data.text("cause") == Some("paused"),
        resumes_at: data.time("resumes_at"),
        interval: data
            .text("interval")
            .or_else(|| subscription?.facts.items.first()?.interval.as_deref())
            .map(str::to_owned),
        quantity: quantity
            .filter(|units| told.kind == Kind::PlanChanged && (*units > 1 || from_quantity.is_some())),
        from_quantity,
        from_interval: changed("interval", "from_interval").and_then(Value::as_str).map(str::to_owned),
        at: moment(told, data, subscription),
        next_try: next_try(told.kind, data, subscription).filter(|at| *at > told.now),
        // A worker that was away tells it later than it was decided.
        access_until: access_until(told.kind, data, subscription).filter(|at| *at > told.now),
        card: card.and_then(card_words),
        card_expires: card.and_then(|card| card_expires(card, language)),
        reason: data.text("decline_code").map(str::to_owned),
        number: data.text("invoice_number").map(str::to_owned),
        urls: urls(told, data, subscription, link),
    }
}

/// The data of a notice, read tolerantly: what is not there or of another form is not known.
#[derive(Clone, Copy)]
struct Data<'a>(&'a Map<String, Value>);

impl<'a> Data<'a> {
    fn text(self, key: &str) -> Option<&'a str> {
        self.0.get(key)?.as_str()
    }

    fn time(self, key: &str) -> Option<Timestamp> {
        let value = self.0.get(key)?;
        match value.as_i64() {
            Some(ms) => Some(Timestamp::from_ms(ms)),
            None => {
                let at: jiff::Timestamp = value.as_str()?.parse().ok()?;
                Some(Timestamp::from_ms(at.as_millisecond()))
            }
        }
    }

    fn money(self, key: &str) -> Option<Money> {
        let currency = Currency::parse(self.text("currency")?).ok()?;
        Some(Money::new(self.0.get(key)?.as_i64()?, currency))
    }
}

fn words(text: &Text, language: Language) -> String {
    match (language, &text.ja) {
        (Language::Ja, Some(ja)) => ja.clone(),
        (Language::Ja, None) | (Language::En, _) => text.en.clone(),
    }
}

/// What the first line of a subscription costs each time, as the provider has the price.
fn price(subscription: &Subscription) -> Option<Money> {
    let item = subscription.facts.items.first()?;
    item.unit_price?.checked_mul(item.quantity).ok()
}

/// The moment that a notice is about.
fn moment(told: &Told, data: Data<'_>, subscription: Option<&Subscription>) -> Option<Timestamp> {
    let period_end = || subscription.and_then(|s| s.facts.period_end());
    match told.kind {
        Kind::TrialEnding => data.time("trial_end").or_else(|| subscription?.facts.trial_end),
        Kind::RenewalAhead => data.time("renews_at").or_else(period_end),
        Kind::PriceChanging | Kind::TermsChanging => data.time("effective_at"),
        Kind::AccessEnded => data.time("ended_at").or(Some(told.created_at)),
        Kind::Receipt | Kind::PaymentRecovered => data.time("paid_at").or(Some(told.created_at)),
        Kind::PlanChanged
        | Kind::SubscriptionCancelled
        | Kind::RefundMade
        | Kind::RefundFailed
        | Kind::PurchaseProcessing
        | Kind::PurchaseFailed => Some(told.created_at),
        Kind::CardExpiring => period_end(),
        Kind::PaymentFailed | Kind::PaymentActionRequired | Kind::GraceEnding => None,
    }
}

/// When the next payment is tried or due.
fn next_try(kind: Kind, data: Data<'_>, subscription: Option<&Subscription>) -> Option<Timestamp> {
    match kind {
        Kind::PaymentFailed | Kind::PaymentActionRequired | Kind::GraceEnding => data.time("next_attempt_at"),
        Kind::PlanChanged => data.time("charge_at"),
        Kind::Receipt => {
            let facts = &subscription?.facts;
            let goes_on = facts.ends_at().is_none() && !facts.status.is_final();
            data.time("trial_end").or_else(|| facts.period_end()).filter(|_| goes_on)
        }
        Kind::PaymentRecovered
        | Kind::AccessEnded
        | Kind::TrialEnding
        | Kind::RenewalAhead
        | Kind::PriceChanging
        | Kind::TermsChanging
        | Kind::SubscriptionCancelled
        | Kind::RefundMade
        | Kind::PurchaseProcessing
        | Kind::PurchaseFailed
        | Kind::RefundFailed
        | Kind::CardExpiring => None,
    }
}

/// Until when the customer can use what was bought, where a mail says so.
fn access_until(kind: Kind, data: Data<'_>, subscription: Option<&Subscription>) -> Option<Timestamp> {
    match kind {
        Kind::PaymentFailed | Kind::PaymentActionRequired | Kind::GraceEnding => {
            data.time("until").or_else(|| subscription?.standing.until())
        }
        Kind::SubscriptionCancelled => {
            let over = data.0.get("ended").and_then(Value::as_bool).unwrap_or(false);
            let end = data.time("ends_at").or_else(|| subscription?.facts.ends_at());
            end.filter(|_| !over)
        }
        Kind::PaymentRecovered
        | Kind::AccessEnded
        | Kind::TrialEnding
        | Kind::RenewalAhead
        | Kind::PriceChanging
        | Kind::TermsChanging
        | Kind::PlanChanged
        | Kind::Receipt
        | Kind::RefundMade
        | Kind::PurchaseProcessing
        | Kind::PurchaseFailed
        | Kind::RefundFailed
        | Kind::CardExpiring => None,
    }
}

/// `Visa 4242`, as far as it is known.
fn card_words(card: &Map<String, Value>) -> Option<String> {
    let last4 = card.get("last4")?.as_str()?;
    let brand = match card.get("brand").and_then(Value::as_str) {
        Some("visa") => "Visa",
        Some("mastercard") => "Mastercard",
        Some("amex") => "American Express",
        Some("jcb") => "JCB",
        Some("diners") => "Diners Club",
        Some("discover") => "Discover",
        Some("unionpay") => "UnionPay",
        Some(_) | None => return Some(format!("•••• {last4}")),
    };
    Some(format!("{brand} •••• {last4}"))
}

/// `2026-11` as it is printed on the card, `11/2026`; in Japanese as a month of the calendar, `2026年11月`.
fn card_expires(card: &Map<String, Value>, language: Language) -> Option<String> {
    let (year, month) = card.get("expires")?.as_str()?.split_once('-')?;
    Some(match language {
        Language::En => format!("{month}/{year}"),
        Language::Ja => format!("{year}年{}月", month.trim_start_matches('0')),
    })
}

fn urls(
    told: &Told,
    data: Data<'_>,
    subscription: Option<&Subscription>,
    link: &dyn Fn(&Target) -> Option<String>,
) -> Urls {
    let open = subscription
        .and_then(|s| s.facts.latest_invoice.as_ref())
        .filter(|invoice| invoice.status == "open" && invoice.remaining.minor > 0);
    let invoice = data.text("invoice");
    let (asks, ends, card) = asks(told.kind, data);
    let pay = invoice.map(str::to_owned).or_else(|| open.map(|invoice| invoice.id.clone())).filter(|_| asks);
    let goes_on = subscription
        .filter(|s| ends && s.is_live() && s.facts.ends_at().is_none() && s.access != Access::Pending)
        .map(|s| s.facts.id.clone());
    Urls {
        pay: pay.and_then(|invoice| link(&Target::Pay(invoice))),
        card: if card { link(&Target::Card) } else { None },
        cancel: goes_on.and_then(|subscription| link(&Target::Cancel(subscription))),
        billing: link(&Target::Billing),
        terms: data.text("url").map(str::to_owned),
        document: invoice
            .filter(|_| told.has_document && !asks)
            .and_then(|invoice| link(&Target::Document(invoice.to_owned()))),
        preferences: if told.kind.optional() { link(&Target::Preferences(told.kind)) } else { None },
    }
}

/// Which links a kind has: paying, cancelling, changing the card.
fn asks(kind: Kind, data: Data<'_>) -> (bool, bool, bool) {
    match kind {
        Kind::PaymentFailed | Kind::GraceEnding => (true, true, true),
        Kind::PaymentActionRequired => (true, true, false),
        Kind::AccessEnded => {
            let cause = data.text("cause");
            (cause.is_none_or(|cause| cause == "payment"), cause == Some("paused"), false)
        }
        Kind::RenewalAhead | Kind::TrialEnding => (false, true, true),
        Kind::PriceChanging | Kind::TermsChanging | Kind::Receipt | Kind::PlanChanged => (false, true, false),
        Kind::CardExpiring => (false, false, true),
        Kind::PaymentRecovered
        | Kind::SubscriptionCancelled
        | Kind::RefundMade
        | Kind::RefundFailed
        | Kind::PurchaseProcessing
        | Kind::PurchaseFailed => (false, false, false),
    }
}
