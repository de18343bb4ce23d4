//! The hosted checkout page.

use maud::{Markup, html};

use super::card::{Field, card_fields, field, problem_message, test_cards};
use super::details::details_fields;
use super::format::{date, day_count, format_money, price_per};
use super::layout::{Tone, back_to, developer_id, join, message, page};
use super::text::{Text, say, t};
use super::views::{
    CheckoutLine, CheckoutMode, CheckoutView, FormProblem, Frame, Money, OtherWay, StepField, SubmitWord,
};

/// The page on which a buyer pays.
///
/// Posted fields: `email` (only when the view has none), `number`, `expiry`, `cvc`, `name`: see
/// [`super::parse_card_fields`].
#[must_use]
pub fn checkout_page(view: &CheckoutView) -> Markup {
    let locale = view.frame.locale;
    let title = match (view.mode, view.trial_days) {
        (CheckoutMode::Payment, _) => Text::PayTitle,
        (CheckoutMode::Subscription, Some(_)) => Text::TrialTitle,
        (CheckoutMode::Subscription, None) => Text::SubscribeTitle,
        (CheckoutMode::Setup, _) => Text::SetupTitle,
    };
    let title = say(locale, title, &[("merchant", &view.merchant)]);
    let body = html! {
        (summary(view, &title))
        (payment_form(view))
        @if view.needs_card { (test_cards(locale, "card")) }
    };
    page(&view.frame, &title, "checkout", &body)
}

/// In a frame of the seller's page: what comes next takes the whole window. Without the script, a link does.
#[must_use]
pub fn leave_page(frame: &Frame, to: &str) -> Markup {
    let title = t(frame.locale, Text::LeaveFrame);
    let body = html! {
        h1 { (title) }
        p data-leave=(to) {
            @if super::assets::origin_of(to).is_some() {
                a class="main-action" href=(to) target="_top" { (t(frame.locale, Text::LeaveFrameGo)) }
            }
        }
    };
    page(frame, title, "narrow", &body)
}

fn summary(view: &CheckoutView, title: &str) -> Markup {
    let locale = view.frame.locale;
    html! {
        section class="summary" aria-labelledby="title" {
            (back_to(&view.frame, &view.merchant, view.cancel_url.as_ref()))
            h1 id="title" { (title) }
            @if let Some(total) = &view.total {
                p class="due" {
                    span class="due-label" { (t(locale, Text::DueToday)) }
                    span class="due-amount" { (format_money(locale, total)) }
                }
            } @else {
                p { (t(locale, Text::SetupLead)) }
            }
            (trial(view))
            @if !view.lines.is_empty() {
                h2 class="quiet-head" { (t(locale, Text::OrderHeading)) }
                ul class="lines" { @for line in &view.lines { (order_line(view, line)) } }
                (sums(view))
                (optional(view))
                @if let Some(state) = &view.code { (step_form(view, &CODE, state)) }
                @if let Some(state) = &view.country { (step_form(view, &COUNTRY, state)) }
            }
        }
    }
}

fn trial(view: &CheckoutView) -> Markup {
    let locale = view.frame.locale;
    let Some(days) = view.trial_days else {
        return html! {
            @if view.mode == CheckoutMode::Subscription { p class="muted" { (t(locale, Text::RenewsUntilCancelled)) } }
        };
    };
    let free = say(locale, Text::TrialFree, &[("days", &day_count(locale, days))]);
    let then = view.after_trial.as_ref().zip(view.trial_end).map(|(money, end)| {
        let interval = view.lines.iter().find_map(|line| line.interval);
        let price =
            interval.map_or_else(|| format_money(locale, money), |every| price_per(locale, money, every));
        say(locale, Text::AfterTrial, &[("price", &price), ("date", &date(locale, &view.frame.zone, end))])
    });
    let rest = join(locale, &[&then.unwrap_or_default(), t(locale, Text::AfterTrialCancel)]);
    html! { p { strong { (free) } br; (rest) } }
}

fn order_line(view: &CheckoutView, line: &CheckoutLine) -> Markup {
    let locale = view.frame.locale;
    let amount = match line.interval {
        Some(every) => price_per(locale, &line.amount, every),
        None => format_money(locale, &line.amount),
    };
    html! {
        li {
            span class="line-name" {
                (line.name)
                @if line.quantity != 1 {
                    span class="muted" { " " (say(locale, Text::Quantity, &[("count", &line.quantity.to_string())])) }
                }
            }
            span class="money" { (amount) }
        }
        @if let Some((id, least, most)) = &line.adjustable {
            li {
                form class="amend" method="post" action=(view.action) {
                    input type="hidden" name="step" value="quantity";
                    input type="hidden" name="line" value=(id);
                    label for=(id) { (say(locale, Text::HowManyOf, &[("name", &line.name)])) }
                    input id=(id) name="quantity" type="number" min=(least) max=(most) value=(line.quantity) required;
                    button class="second-action" { (t(locale, Text::ChangeQuantity)) }
                }
            }
        }
    }
}

fn sums(view: &CheckoutView) -> Markup {
    let locale = view.frame.locale;
    let negated = view
        .discount
        .as_ref()
        .map(|money| Money { amount: money.amount.saturating_neg(), currency: money.currency.clone() });
    let rows = [(Text::Subtotal, &view.subtotal), (Text::Discount, &negated), (Text::Tax, &view.tax)];
    html! {
        dl class="sums" {
            @for (label, money) in rows.iter().filter_map(|(label, money)| money.as_ref().map(|m| (*label, m))) {
                div { dt { (t(locale, label)) } dd class="money" { (format_money(locale, money)) } }
            }
            @if let Some(total) = &view.total {
                div class="total" {
                    dt { (t(locale, Text::DueToday)) }
                    dd class="money" { (format_money(locale, total)) }
                }
            }
        }
    }
}

/// The words and names of a step before the payment.
struct Step {
    id: &'static str,
    name: &'static str,
    label: Text,
    applied: Text,
    refused: Text,
}

const CODE: Step = Step {
    id: "code",
    name: "promotion_code",
    label: Text::PromotionCode,
    applied: Text::CodeApplied,
    refused: Text::CodeRefused,
};
const COUNTRY: Step = Step {
    id: "country",
    name: "country",
    label: Text::Country,
    applied: Text::CountryApplied,
    refused: Text::CountryRefused,
};

fn step_form(view: &CheckoutView, step: &Step, state: &StepField) -> Markup {
    let locale = view.frame.locale;
    html! {
        @if let Some(applied) = &state.applied {
            p { (say(locale, step.applied, &[("value", applied)])) }
        }
        @if state.refused.is_some() { (message(Tone::Bad, None, t(locale, step.refused))) }
        form method="post" action=(view.action) {
            input type="hidden" name="step" value=(step.id);
            (field(&Field {
                id: step.id, name: step.name, label: t(locale, step.label),
                value: state.refused.as_deref().unwrap_or_default(), maxlength: 100, wrong: state.refused.is_some(),
                ..Field::default()
            }))
            button class="second-action" { (t(locale, Text::ApplyStep)) }
        }
    }
}

fn payment_form(view: &CheckoutView) -> Markup {
    let locale = view.frame.locale;
    let promise = say(locale, Text::CheckoutPromise, &[("merchant", &view.merchant)]);
    html! {
        section class="pay" aria-labelledby="pay-head" {
            h2 id="pay-head" { (t(locale, Text::PaymentHeading)) }
            @if let Some(problem) = &view.form.problem { (problem_message(locale, problem)) }
            form method="post" action=(view.action) data-once=(t(locale, Text::Working)) {
                (email(view))
                (details_fields(locale, &view.details))
                @if view.needs_card { (card_fields(locale, "card", &view.form, false)) }
                (consent(view))
                @if view.needs_card || view.other_ways.is_empty() {
                    button class="main-action" { (button_words(view)) }
                }
                (other_ways(view))
                @if let Some(words) = &view.consent.after_button { p class="hint centre" { (words) } }
                p class="hint centre" {
                    @if view.total.as_ref().is_some_and(|total| total.amount > 0) {
                        (t(locale, Text::NothingChargedYet)) br;
                    }
                    (promise)
                }
            }
            (developer_id(&view.frame, &view.session_id))
        }
    }
}

/// What can be added before the payment, each in a form of its own.
fn optional(view: &CheckoutView) -> Markup {
    let locale = view.frame.locale;
    html! {
        @if !view.optional.is_empty() {
            h2 class="quiet-head" { (t(locale, Text::OptionalHeading)) }
            @for (place, item) in view.optional.iter().enumerate() {
                form method="post" action=(view.action) {
                    input type="hidden" name="step" value="optional";
                    input type="hidden" name="place" value=(place);
                    p {
                        strong { (item.name) } br;
                        @match item.interval {
                            Some(every) => (price_per(locale, &item.price, every)),
                            None => (format_money(locale, &item.price)),
                        }
                    }
                    @match (item.added, item.range) {
                        (0, Some((least, most))) => {
                            @let id = format!("optional-{place}");
                            div class="field" {
                                label for=(id) { (t(locale, Text::HowMany)) }
                                input id=(id) name="quantity" type="number" min=(least.max(1)) max=(most) value=(item.quantity) required;
                            }
                        }
                        (0, None) => { input type="hidden" name="quantity" value=(item.quantity); }
                        _ => { input type="hidden" name="quantity" value="0"; }
                    }
                    button class="second-action" {
                        (say(locale, if item.added == 0 { Text::AddItem } else { Text::RemoveItem }, &[("name", &item.name)]))
                    }
                }
            }
        }
    }
}

/// What the buyer agrees to, above the button.
fn consent(view: &CheckoutView) -> Markup {
    let (locale, consent) = (view.frame.locale, &view.consent);
    let merchant = [("merchant", view.merchant.as_str())];
    html! {
        @if consent.promotions {
            label class="choice" for="promotions" {
                input type="checkbox" id="promotions" name="promotions";
                span { (say(locale, Text::NewsAccept, &merchant)) }
            }
        }
        @if consent.terms {
            label class="choice" for="terms" {
                input type="checkbox" id="terms" name="terms" required;
                span {
                    @match &consent.terms_text {
                        Some(words) => (words),
                        None => (say(locale, Text::TermsAccept, &merchant)),
                    }
                }
            }
        }
        @if let Some(words) = &consent.before_button { p class="hint" { (words) } }
    }
}

/// Buttons of the same form, which leave the card fields out.
fn other_ways(view: &CheckoutView) -> Markup {
    let locale = view.frame.locale;
    html! {
        @if !view.other_ways.is_empty() {
            details class="fold" open[!view.needs_card] {
                summary { (t(locale, Text::OtherWays)) }
                div class="fold-body choices" {
                    p class="hint" { (t(locale, Text::OtherWaysHint)) }
                    @for (method, way) in &view.other_ways {
                        button class="second-action" name="method" value=(method) formnovalidate {
                            (t(locale, way_words(*way)))
                        }
                    }
                }
            }
        }
    }
}

fn way_words(way: OtherWay) -> Text {
    match way {
        OtherWay::DebitPays => Text::WayDebitPays,
        OtherWay::DebitFails => Text::WayDebitFails,
        OtherWay::Store => Text::WayStore,
        OtherWay::Transfer => Text::WayTransfer,
    }
}

fn email(view: &CheckoutView) -> Markup {
    let label = t(view.frame.locale, Text::Email);
    html! {
        @if let Some(email) = &view.email {
            dl class="known" { div { dt { (label) } dd { (email) } } }
        } @else {
            (field(&Field {
                id: "email", name: "email", label, value: &view.email_typed, kind: Some("email"),
                autocomplete: "email", maxlength: 254, wrong: view.form.problem == Some(FormProblem::Email),
                ..Field::default()
            }))
        }
    }
}

fn button_words(view: &CheckoutView) -> String {
    let locale = view.frame.locale;
    let text = match (view.mode, view.trial_days) {
        (CheckoutMode::Setup, _) => Text::SaveCardButton,
        (CheckoutMode::Subscription, Some(_)) => Text::TrialButton,
        (CheckoutMode::Subscription, None) => Text::SubscribeButton,
        (CheckoutMode::Payment, _) if !view.needs_card => Text::FreeButton,
        (CheckoutMode::Payment, _) => match view.button {
            SubmitWord::Pay => Text::PayButton,
            SubmitWord::Book => Text::BookButton,
            SubmitWord::Donate => Text::DonateButton,
        },
    };
    let amount = view.total.as_ref().map(|total| format_money(locale, total)).unwrap_or_default();
    say(locale, text, &[("amount", &amount)])
}
