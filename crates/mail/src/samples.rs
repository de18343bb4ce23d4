//! Facts for previews and for checking templates: a customer whom nobody has.

use jiff::tz::TimeZone;
use quittance_domain::{Currency, Money, Timestamp};

use crate::facts::{Facts, Urls};
use crate::format::Language;
use crate::kind::Kind;
use crate::settings::{Keep, MailSettings};

/// 30 November 2026, 09:00 UTC.
const AT: i64 = 1_796_029_200;
const DAY: i64 = 86_400;

/// Choices for checking; previews use the operator's own.
#[must_use]
pub fn settings() -> MailSettings {
    MailSettings {
        site: "Atelier".to_owned(),
        from: "Atelier <billing@example.com>".to_owned(),
        reply_to: None,
        language: Language::En,
        zone: TimeZone::UTC,
        off: Vec::new(),
        support: Some("help@example.com".to_owned()),
        company: Some("Example Ltd".to_owned()),
        address: Some("1 Example Street, Example Town".to_owned()),
        terms_url: Some("https://app.example.com/terms".to_owned()),
        keep: Keep::Text,
        public_url: "https://billing.example.com".to_owned(),
    }
}

/// What is known in the sample of a kind: everything that the kind speaks of.
#[must_use]
pub fn facts(kind: Kind, language: Language) -> Facts {
    let jpy = |minor| Currency::parse("jpy").ok().map(|currency| Money::new(minor, currency));
    let at = |days: i64| Some(Timestamp::from_seconds(AT + days * DAY));
    let url = |name: &str| Some(format!("https://billing.example.com/mail/{name}/sample"));
    let plan = |en: &str, ja: &str| Some(language.choose(en, ja).to_owned());
    let zone = match language {
        Language::En => None,
        Language::Ja => Some("Asia/Tokyo".to_owned()),
    };
    let changes = matches!(kind, Kind::PlanChanged);
    Facts {
        name: plan("Aiko Tanaka", "田中 愛子"),
        zone,
        plan: plan("Pro", "プロ"),
        new_plan: changes.then(|| language.choose("Studio", "スタジオ").to_owned()),
        amount: jpy(1_980),
        new_amount: jpy(if changes { 9_800 } else { 2_180 }),
        first_charge: match kind {
            Kind::PriceChanging => jpy(1_090),
            Kind::PlanChanged => jpy(4_900),
            _ => None,
        },
        afterwards: match kind {
            Kind::TrialEnding | Kind::RenewalAhead => jpy(2_180),
            _ => None,
        },
        trial_end: None,
        ended_by: None,
        paused: false,
        resumes_at: None,
        interval: Some("month".to_owned()),
        quantity: changes.then_some(3),
        from_quantity: changes.then_some(1),
        from_interval: changes.then(|| "year".to_owned()),
        at: at(0),
        next_try: at(3),
        access_until: at(7),
        card: Some("Visa •••• 4242".to_owned()),
        card_expires: plan("11/2026", "2026年11月"),
        reason: Some(match kind {
            Kind::PaymentActionRequired => "authentication_required".to_owned(),
            _ => "expired_card".to_owned(),
        }),
        number: Some("ATL-0042".to_owned()),
        urls: Urls {
            pay: url("pay"),
            card: url("card"),
            cancel: url("cancel"),
            billing: url("billing"),
            document: url("document"),
            terms: None,
            preferences: kind
                .optional()
                .then(|| "https://billing.example.com/mail/preferences/sample".to_owned()),
        },
    }
}
