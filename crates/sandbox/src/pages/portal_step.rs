//! Portal pages with one task: what a seller's deep link leads to.

use maud::{Markup, html};

use super::card::{card_fields, problem_message, test_cards};
use super::format::{date, price_per, relative};
use super::layout::{Tone, back_to, join, link_out, message, page};
use super::portal::{change_form, customer_form};
use super::text::{Text, say, t};
use super::views::{CardForm, ChangedLine, Frame, PortalStep, PortalStepView, PortalSubscription};
use super::words::decline;

/// One task. Posted fields: those of the forms on the portal's home; none to confirm a change.
#[must_use]
pub fn portal_step_page(view: &PortalStepView) -> Markup {
    let frame = &view.frame;
    let locale = frame.locale;
    let title = t(
        locale,
        match &view.step {
            PortalStep::Card { .. } => Text::ChangeCard,
            PortalStep::Customer(_) => Text::ChangeDetails,
            PortalStep::Change(_) => Text::ChangePlan,
            PortalStep::Pause { .. } => Text::PausePlan,
            PortalStep::Confirm { .. } => Text::StepConfirmTitle,
            PortalStep::Done { .. } => Text::StepDoneTitle,
        },
    );
    let body = html! {
        (back_to(frame, &view.merchant, view.return_url.as_ref()))
        p class="merchant" { (view.merchant) }
        h1 { (title) }
        @match &view.step {
            PortalStep::Card { form, action } => (card(frame, form, action)),
            PortalStep::Customer(form) => (customer_form(frame, form)),
            PortalStep::Change(subscription) => {
                p { (subscription.name) ", " (price_per(locale, &subscription.price, subscription.interval)) }
                (change_form(frame, subscription, 0))
            },
            PortalStep::Pause { subscription, ends, action } => {
                p { (subscription.name) ", " (price_per(locale, &subscription.price, subscription.interval)) }
                (pause_form(frame, subscription, ends, action))
            },
            PortalStep::Confirm { before, after, charges_at_once, declined, action } => {
                @if let Some(code) = declined {
                    (message(Tone::Bad, Some(t(locale, Text::NotPaid)), &join(locale, &[
                        t(locale, decline(code)), t(locale, Text::NotCharged), t(locale, Text::NoticeChangeDeclined),
                    ])))
                }
                (lines(frame, Text::StepNow, before))
                (lines(frame, Text::StepThen, after))
                p class="hint" {
                    (t(locale, if *charges_at_once { Text::ChangePlanNow } else { Text::ChangePlanLater }))
                }
                form class="choices" method="post" action=(action) data-once=(t(locale, Text::Working)) {
                    button class="main-action" { (t(locale, Text::StepConfirmButton)) }
                }
            },
            PortalStep::Done { message } => {
                p class="lead" { (message.as_deref().unwrap_or(t(locale, Text::StepDoneLead))) }
                p { (link_out(view.return_url.as_ref(), "main-action", &say(locale, Text::BackTo, &[("merchant", &view.merchant)]))) }
            },
        }
    };
    page(frame, title, "narrow", &body)
}

fn pause_form(frame: &Frame, subscription: &PortalSubscription, ends: &[i64], action: &str) -> Markup {
    let locale = frame.locale;
    let price = price_per(locale, &subscription.price, subscription.interval);
    html! {
        form class="choices" method="post" action=(action) data-once=(t(locale, Text::Working)) {
            @if !ends.is_empty() {
                fieldset {
                    legend { (t(locale, Text::PauseLegend)) }
                    @for (i, at) in ends.iter().enumerate() {
                        @let id = format!("length-{i}");
                        label class="choice" for=(id) {
                            input type="radio" id=(id) name="length" value=(i) checked[i == 0] required;
                            span { (date(locale, &frame.zone, *at)) }
                            span class="muted" { (relative(locale, frame.now, *at)) }
                        }
                    }
                }
            }
            p class="hint" {
                @if ends.is_empty() { (t(locale, Text::PauseOpenNote)) }
                @else { (say(locale, Text::PauseNote, &[("price", &price)])) }
            }
            button class="main-action" { (t(locale, Text::PauseButton)) }
        }
    }
}

fn card(frame: &Frame, form: &CardForm, action: &str) -> Markup {
    let locale = frame.locale;
    html! {
        @if let Some(problem) = &form.problem { (problem_message(locale, problem)) }
        form method="post" action=(action) data-once=(t(locale, Text::Working)) {
            (card_fields(locale, "card", form, false))
            button class="main-action" { (t(locale, Text::SaveCardButton)) }
        }
        (test_cards(locale, "card"))
    }
}

fn lines(frame: &Frame, heading: Text, lines: &[ChangedLine]) -> Markup {
    let locale = frame.locale;
    html! {
        h2 class="quiet-head" { (t(locale, heading)) }
        ul class="lines" {
            @for line in lines {
                li {
                    span class="line-name" {
                        (line.name)
                        @if line.quantity != 1 {
                            span class="muted" { " " (say(locale, Text::Quantity, &[("count", &line.quantity.to_string())])) }
                        }
                    }
                    span class="money" { (price_per(locale, &line.price, line.interval)) }
                }
            }
        }
    }
}
