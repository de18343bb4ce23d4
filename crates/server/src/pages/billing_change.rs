//! What a customer can do with a subscription on our own page: change it after a look at the cost, take a plan back,
//! cancel with a reason, resume.

use maud::{Markup, html};
use quittance_domain::catalog::Interval;
use quittance_domain::{Money, Timestamp};

use super::format::{format_date, format_money, price_per};
use super::layout::{Audience, Frame, Tone, message, page};
use super::text::{Text, say, t};

/// What is planned for a subscription, or waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AheadLine {
    /// It becomes something else at a known moment.
    Planned {
        /// What, in words.
        what: String,
        /// When.
        at: Timestamp,
    },
    /// A change waits until its payment is confirmed.
    Waits {
        /// What, in words.
        what: String,
        /// Until when.
        until: Timestamp,
        /// Where the customer confirms.
        pay_url: Option<String>,
    },
}

/// A plan and interval that a subscription can be changed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanChoice {
    /// `plan|interval`.
    pub value: String,
    /// The plan's name.
    pub name: String,
    /// Price of one unit, and how often.
    pub price: (Money, Interval),
    /// It is what the customer has.
    pub current: bool,
}

/// What can be done with a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actions {
    /// The provider's id.
    pub subscription: String,
    /// What it can be changed to; empty when it cannot be changed now.
    pub choices: Vec<PlanChoice>,
    /// How many the customer has.
    pub quantity: i64,
    /// Whether there is a plan to take back.
    pub undo: bool,
    /// Whether it can be cancelled, and when it would end.
    pub cancel: Option<Option<Timestamp>>,
    /// Whether its visitor has come to cancel it.
    pub cancelling: bool,
    /// Whether an end or a pause can be taken back.
    pub resume: bool,
}

/// What a change would do, before it is confirmed.
#[derive(Clone, Debug)]
pub struct ConfirmView {
    /// The frame.
    pub frame: Frame,
    /// The quote.
    pub quote: String,
    /// The subscription.
    pub subscription: String,
    /// What it becomes, in words.
    pub what: String,
    /// When, if not at once.
    pub at: Option<Timestamp>,
    /// Due at once.
    pub due: Money,
    /// What it is made of.
    pub lines: Vec<(String, Money)>,
    /// What each interval costs from then on.
    pub afterwards: (Money, Interval),
    /// Who it is, and in which language.
    pub hidden: Vec<(String, String)>,
    /// Back to the billing page.
    pub back: String,
}

fn hidden_fields(fields: &[(String, String)], subscription: &str) -> Markup {
    html! {
        @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
        input type="hidden" name="subscription" value=(subscription);
    }
}

/// What is planned or waits, with the way to take it back or to confirm it.
pub(super) fn ahead(frame: &Frame, lines: &[AheadLine]) -> Markup {
    let locale = frame.locale;
    let dated = |text: Text, what: &str, at: Timestamp| {
        say(locale, text, &[("plan", what), ("date", &format_date(locale, &frame.zone, at))])
    };
    html! {
        @for line in lines {
            @match line {
                AheadLine::Planned { what, at } => p { (dated(Text::AheadPlanned, what, *at)) },
                AheadLine::Waits { what, until, pay_url } => {
                    (message(Tone::Warn, Some(t(locale, Text::AheadWaitsTitle)), &html! {
                        p { (dated(Text::AheadWaits, what, *until)) }
                        @if let Some(url) = pay_url {
                            p { a class="second-action" href=(url) { (t(locale, Text::ConfirmPayment)) } }
                        }
                    }))
                }
            }
        }
    }
}

/// The forms of one subscription.
pub(super) fn actions(frame: &Frame, actions: &Actions, fields: &[(String, String)]) -> Markup {
    let locale = frame.locale;
    let busy = t(locale, Text::Working);
    let own = || hidden_fields(fields, &actions.subscription);
    html! {
        @if actions.undo {
            form method="post" action="/billing/undo" data-once=(busy) {
                (own()) button class="second-action" { (t(locale, Text::KeepPlan)) }
            }
        }
        @if actions.resume {
            form method="post" action="/billing/resume" data-once=(busy) {
                (own()) button class="second-action" { (t(locale, Text::ResumePlan)) }
            }
        }
        @if !actions.choices.is_empty() { (change_form(frame, actions, fields)) }
        @if let Some(end) = actions.cancel { (cancel_form(frame, actions, fields, end)) }
    }
}

fn change_form(frame: &Frame, actions: &Actions, fields: &[(String, String)]) -> Markup {
    let locale = frame.locale;
    let (choice, count) = (format!("to-{}", actions.subscription), format!("count-{}", actions.subscription));
    html! {
        details class="act" {
            summary { (t(locale, Text::ChangePlan)) }
            form method="post" action="/billing/preview" {
                (hidden_fields(fields, &actions.subscription))
                label for=(choice) { (t(locale, Text::ChangePlanTo)) }
                select id=(choice) name="to" {
                    @for one in &actions.choices {
                        option value=(one.value) selected[one.current] {
                            (one.name) " — " (price_per(locale, one.price.0, one.price.1))
                        }
                    }
                }
                label for=(count) { (t(locale, Text::HowMany)) }
                input id=(count) type="number" name="quantity" min="1" max="100000" value=(actions.quantity) required;
                button class="second-action" { (t(locale, Text::SeeCost)) }
                p class="hint" { (t(locale, Text::SeeCostHint)) }
            }
        }
    }
}

/// The reasons that a customer can choose from: the provider's word, and ours.
const REASONS: [(&str, Text); 8] = [
    ("too_expensive", Text::ReasonTooExpensive),
    ("unused", Text::ReasonUnused),
    ("missing_features", Text::ReasonMissingFeatures),
    ("switched_service", Text::ReasonSwitchedService),
    ("low_quality", Text::ReasonLowQuality),
    ("customer_service", Text::ReasonCustomerService),
    ("too_complex", Text::ReasonTooComplex),
    ("other", Text::ReasonOther),
];

fn cancel_form(
    frame: &Frame,
    actions: &Actions,
    fields: &[(String, String)],
    end: Option<Timestamp>,
) -> Markup {
    let locale = frame.locale;
    let id = format!("why-{}", actions.subscription);
    let effect = match end {
        Some(at) => say(locale, Text::CancelEffect, &[("date", &format_date(locale, &frame.zone, at))]),
        None => t(locale, Text::CancelEffectSoon).to_owned(),
    };
    html! {
        details class="act" id={ "cancel-" (actions.subscription) } open[actions.cancelling] {
            summary { (t(locale, Text::CancelPlan)) }
            form method="post" action="/billing/cancel" data-once=(t(locale, Text::Working)) {
                (hidden_fields(fields, &actions.subscription))
                p { (effect) }
                label for=(id) { (t(locale, Text::CancelWhy)) }
                select id=(id) name="reason" {
                    option value="" { (t(locale, Text::ReasonNone)) }
                    @for (word, text) in REASONS { option value=(word) { (t(locale, text)) } }
                }
                button class="second-action" { (t(locale, Text::CancelNow)) }
            }
        }
    }
}

/// The page that says what a change does before it is made.
#[must_use]
pub fn confirm_page(view: &ConfirmView) -> Markup {
    let frame = &view.frame;
    let locale = frame.locale;
    let title = t(locale, Text::ConfirmTitle);
    let afterwards = price_per(locale, view.afterwards.0, view.afterwards.1);
    let effect = match view.at {
        Some(at) => say(
            locale,
            Text::ConfirmLater,
            &[("date", &format_date(locale, &frame.zone, at)), ("price", &afterwards)],
        ),
        None => say(
            locale,
            Text::ConfirmNow,
            &[("amount", &format_money(locale, view.due)), ("price", &afterwards)],
        ),
    };
    let body = html! {
        h1 { (title) }
        p class="price" { (view.what) }
        p { (effect) }
        @if !view.lines.is_empty() {
            table {
                thead { tr {
                    th scope="col" { (t(locale, Text::ColumnWhat)) }
                    th scope="col" class="money" { (t(locale, Text::ColumnAmount)) }
                } }
                tbody {
                    @for (what, amount) in &view.lines {
                        tr { td { (what) } td class="money" { (format_money(locale, *amount)) } }
                    }
                }
            }
        }
        form method="post" action="/billing/change" data-once=(t(locale, Text::Working)) {
            (hidden_fields(&view.hidden, &view.subscription))
            input type="hidden" name="quote" value=(view.quote);
            button class="main-action" { (t(locale, Text::ConfirmChange)) }
        }
        p { a class="second-action" href=(view.back) { (t(locale, Text::KeepAsIs)) } }
    };
    page(frame, Audience::Customer, title, "billing", None, &body)
}
