//! The mail to operators about alerts: what was found, since when, and what mends each. In English, as the command line.
//!
//! Refuses to know: when and to whom it goes.

use quittance_store::outbox::{AlertRow, told_when_over};

use crate::format::Language;
use crate::layout;
use crate::markdown::{self, escape, one_line};
use crate::message::Content;
use crate::settings::MailSettings;

/// Alerts that one mail shows; of the others it gives the number.
const MOST_SHOWN: usize = 25;
/// The longest text of one part of an alert, in characters.
const MOST_TEXT: usize = 600;

/// Writes the mail. What ended meanwhile is left out, unless it is to be known all the same.
#[must_use]
pub fn content(alerts: &[AlertRow], settings: &MailSettings) -> Option<Content> {
    let told: Vec<&AlertRow> =
        alerts.iter().filter(|alert| alert.resolved_at.is_none() || told_when_over(&alert.kind)).collect();
    let first = told.first()?;
    let subject = match told.len() {
        1 => format!("Alert: {} {}", words(&first.kind), first.object),
        several => format!("{several} alerts: {} and others", words(&first.kind)),
    };
    let subject: String = one_line(&subject).chars().take(150).collect();
    let mut source = String::new();
    for alert in told.iter().take(MOST_SHOWN) {
        let customer = alert.customer.as_deref().map(|id| format!(", customer {}", short(id)));
        let over = alert.resolved_at.map(|at| format!(" until {}", escape(&at.to_string())));
        source.push_str(&format!(
            "# {}: {}\n\n{}\n\nSince {}{}{}.\n\n**To mend it:** {}\n\n",
            short(&words(&alert.kind)),
            short(&alert.object),
            short(&alert.detail),
            escape(&alert.created_at.to_string()),
            over.unwrap_or_default(),
            customer.unwrap_or_default(),
            short(&alert.mend),
        ));
    }
    let more = told.len().saturating_sub(MOST_SHOWN);
    if more > 0 {
        source.push_str(&format!("{more} more: GET /v1/alerts shows all of them\\.\n\n"));
    }
    let foot = format!(
        "You get this because alerts\\.mail names you in the configuration of {}\\.\n",
        escape(&settings.site)
    );
    let (blocks, foot) = (markdown::parse(&source).ok()?, markdown::parse(&foot).ok()?);
    let html = layout::document(
        Language::En,
        &settings.site,
        &subject,
        &first.detail,
        &markdown::to_html(&blocks, false),
        &markdown::to_html(&foot, true),
    );
    let text = format!("{}\n-- \n{}", markdown::to_text(&blocks), markdown::to_text(&foot));
    Some(Content { language: Language::En, subject, text, html })
}

fn words(kind: &str) -> String {
    kind.replace('_', " ")
}

fn short(text: &str) -> String {
    let cut: String = text.chars().take(MOST_TEXT).collect();
    escape(&cut)
}

#[cfg(test)]
mod tests {
    use quittance_domain::Timestamp;

    use super::*;
    use crate::samples;

    fn alert(seq: i64, detail: &str, over: bool) -> AlertRow {
        let at = Timestamp::from_seconds(1_796_029_200);
        AlertRow {
            seq,
            kind: "unknown_price".to_owned(),
            object: format!("sub_{seq}"),
            customer: Some("ada".to_owned()),
            detail: detail.to_owned(),
            mend: "add the price to the catalog, then: quittance events replay evt_1".to_owned(),
            created_at: at,
            last_seen_at: at,
            resolved_at: over.then_some(at),
            announced_at: None,
        }
    }

    #[test]
    fn each_alert_is_shown_with_what_mends_it() {
        let mail = content(&[alert(1, "its price is in no plan", false)], &samples::settings()).unwrap();
        assert_eq!(mail.subject, "Alert: unknown price sub_1");
        for part in [
            "unknown price: sub_1",
            "its price is in no plan",
            "customer ada",
            "quittance events replay evt_1",
            "alerts.mail",
        ] {
            assert!(mail.text.contains(part), "{part}: {}", mail.text);
        }
    }

    #[test]
    fn what_ended_is_left_out_and_with_nothing_left_there_is_no_mail() {
        let settings = samples::settings();
        let mail = content(&[alert(1, "a", true), alert(2, "b", false)], &settings).unwrap();
        assert!(!mail.text.contains("sub_1") && mail.text.contains("sub_2"), "{}", mail.text);
        assert_eq!(content(&[alert(1, "a", true)], &settings), None);
    }

    #[test]
    fn that_access_was_wrong_is_told_when_it_is_over_too() {
        let wrong = AlertRow { kind: "wrong_access".to_owned(), ..alert(1, "access is too little", true) };
        let mail = content(&[wrong], &samples::settings()).unwrap();
        assert_eq!(mail.subject, "Alert: wrong access sub_1");
        assert!(mail.text.contains("until 2026-"), "{}", mail.text);
    }

    #[test]
    fn many_are_counted_and_text_is_never_structure() {
        let all: Vec<AlertRow> =
            (0..30).map(|n| alert(n, "<b>x</b> [click](https://evil.example)\n# big", false)).collect();
        let mail = content(&all, &samples::settings()).unwrap();
        assert_eq!(mail.subject, "30 alerts: unknown price and others");
        assert!(mail.text.contains("5 more"), "{}", mail.text);
        assert!(!mail.html.contains("<b>x") && !mail.html.contains("href=\"https://evil"), "{}", mail.html);
        assert_eq!(mail.html.matches("<h1").count(), MOST_SHOWN);
    }
}
