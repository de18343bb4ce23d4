//! A payment whose answer takes days, with buttons that answer for the bank or the store.

use maud::{Markup, html};

use super::format::{date, format_money};
use super::layout::{developer_id, link_out, page};
use super::text::{Text, say, t};
use super::views::{Awaited, PendingView};

/// What a buyer still has to do, and what the developer lets happen. Posted field: `outcome` = `success` | `failure`.
#[must_use]
pub fn pending_page(view: &PendingView) -> Markup {
    let frame = &view.frame;
    let locale = frame.locale;
    let (title, lead) = match &view.awaited {
        Awaited::Bank => (Text::PendingDebitTitle, t(locale, Text::PendingDebitLead).to_owned()),
        Awaited::Store { until, .. } => (
            Text::PendingStoreTitle,
            say(locale, Text::PendingStoreLead, &[("date", &date(locale, &frame.zone, *until))]),
        ),
        Awaited::Transfer(_) => (Text::PendingTransferTitle, t(locale, Text::PendingTransferLead).to_owned()),
    };
    let title = t(locale, title);
    let facts = match &view.awaited {
        Awaited::Bank => Vec::new(),
        Awaited::Store { confirmation, code, .. } => {
            vec![(Text::PendingConfirmation, confirmation), (Text::PendingCode, code)]
        }
        Awaited::Transfer(account) => vec![(Text::PendingAccount, account)],
    };
    let body = html! {
        p class="merchant" { (view.merchant) }
        h1 { (title) }
        p { (lead) }
        dl class="facts" {
            @for (label, value) in &facts {
                div { dt { (t(locale, *label)) } dd class="money" { (value) } }
            }
            div { dt { (t(locale, Text::SecureAmount)) } dd class="money" { (format_money(locale, &view.amount)) } }
        }
        form class="choices" method="post" action=(view.action) data-once=(t(locale, Text::Working)) {
            button class="main-action" name="outcome" value="success" { (t(locale, Text::PendingArrives)) }
            @if !matches!(view.awaited, Awaited::Transfer(_)) {
                button class="second-action" name="outcome" value="failure" { (t(locale, Text::PendingFails)) }
            }
        }
        p class="hint" { (t(locale, Text::PendingNote)) }
        p { (link_out(view.continue_url.as_ref(), "second-action", &say(locale, Text::ContinueTo, &[("merchant", &view.merchant)]))) }
        (developer_id(frame, &view.intent_id))
    };
    page(frame, title, "narrow", &body)
}
