//! The 3-D Secure step, as the buyer's bank would show it.

use maud::{Markup, html};

use super::format::{format_money, format_timestamp, machine_time};
use super::layout::{developer_id, page};
use super::text::{Text, t};
use super::views::ThreeDSecureView;

/// The bank's confirm step. Posted field: `outcome` = `success` | `failure`.
#[must_use]
pub fn three_d_secure_page(view: &ThreeDSecureView) -> Markup {
    let frame = &view.frame;
    let locale = frame.locale;
    let title = t(locale, if view.amount.is_some() { Text::SecureTitle } else { Text::SecureTitleSetup });
    let body = html! {
        p class="merchant" { (t(locale, Text::BankName)) }
        h1 { (title) }
        p { (t(locale, Text::SecureLead)) }
        dl class="facts" {
            div { dt { (t(locale, Text::SecureMerchant)) } dd { (view.merchant) } }
            @if let Some(amount) = &view.amount {
                div { dt { (t(locale, Text::SecureAmount)) } dd class="money" { (format_money(locale, amount)) } }
            }
            div { dt { (t(locale, Text::SecureCard)) } dd class="money" { "•••• " (view.last4) } }
            div {
                dt { (t(locale, Text::ColumnDate)) }
                dd { time datetime=(machine_time(frame.now)) { (format_timestamp(locale, &frame.zone, frame.now)) } }
            }
        }
        form class="choices" method="post" action=(view.action) data-once=(t(locale, Text::Working)) {
            button class="main-action" name="outcome" value="success" { (t(locale, Text::SecureComplete)) }
            button class="second-action" name="outcome" value="failure" { (t(locale, Text::SecureFail)) }
        }
        p class="hint" { (t(locale, Text::SecureNote)) }
        (developer_id(frame, &view.intent_id))
    };
    page(frame, title, "narrow", &body)
}
