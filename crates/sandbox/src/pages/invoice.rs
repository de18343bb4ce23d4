//! The hosted page of an open invoice: what is owed, and ways to pay it.

use maud::{Markup, html};

use super::card::{card_fields, problem_message, test_cards};
use super::format::format_money;
use super::layout::{developer_id, page};
use super::text::{Text, say, t};
use super::views::InvoicePayView;

/// An open invoice. Posted fields: `use` = `saved`, or those of the card form.
#[must_use]
pub fn invoice_page(view: &InvoicePayView) -> Markup {
    let frame = &view.frame;
    let locale = frame.locale;
    let title = say(locale, Text::PayTitle, &[("merchant", &view.merchant)]);
    let pay = say(locale, Text::PayButton, &[("amount", &format_money(locale, &view.due))]);
    let body = html! {
        p class="merchant" { (view.merchant) }
        h1 { (title) }
        @if let Some(number) = &view.number { p class="muted" { (say(locale, Text::InvoiceNumber, &[("number", number)])) } }
        @if let Some(problem) = &view.form.problem { (problem_message(locale, problem)) }
        ul class="lines" {
            @for (name, amount) in &view.lines {
                li { span class="line-name" { (name) } span class="money" { (format_money(locale, amount)) } }
            }
        }
        dl class="sums" {
            div class="total" { dt { (t(locale, Text::InvoiceDue)) } dd class="money" { (format_money(locale, &view.due)) } }
        }
        @if let Some(last4) = &view.saved {
            form class="choices" method="post" action=(view.action) data-once=(t(locale, Text::Working)) {
                input type="hidden" name="use" value="saved";
                button class="main-action" { (say(locale, Text::PayWithSaved, &[("last4", last4)])) }
            }
            h2 class="quiet-head" { (t(locale, Text::PayWithOther)) }
        }
        form method="post" action=(view.action) data-once=(t(locale, Text::Working)) {
            (card_fields(locale, "card", &view.form, false))
            button class=(if view.saved.is_some() { "second-action" } else { "main-action" }) { (pay) }
        }
        (test_cards(locale, "card"))
        (developer_id(frame, &view.invoice_id))
    };
    page(frame, &title, "narrow", &body)
}
