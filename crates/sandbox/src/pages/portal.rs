//! The customer portal: subscriptions, card, invoices; and the page that asks before a cancellation.

use maud::{Markup, html};

use super::card::{card_fields, problem_message, test_cards};
use super::format::{date, format_money, machine_time, price_per, relative};
use super::layout::{Tone, back_to, join, message, page, status};
use super::text::{Text, say, t};
use super::views::{
    CustomerForm, Frame, InvoiceStatus, PortalCancelView, PortalInvoice, PortalNotice, PortalSubscription,
    PortalView, SubscriptionStatus,
};
use super::words::{cancel_reason, decline, invoice_status, subscription_status};

/// The portal's home.
///
/// Posted fields: to a subscription's `change_action` `price`; to `card_action` the card fields
/// (see [`super::parse_card_fields`]); to `resume_action` none.
#[must_use]
pub fn portal_page(view: &PortalView) -> Markup {
    let frame = &view.frame;
    let locale = frame.locale;
    let body = html! {
        (back_to(frame, &view.merchant, view.return_url.as_ref()))
        p class="merchant" { (view.merchant) }
        h1 { (t(locale, Text::PortalTitle)) }
        p class="muted" { (say(locale, Text::PortalFor, &[("customer", &view.customer)])) }
        @if let Some(notice) = &view.notice { (notice_message(frame, notice)) }
        section aria-labelledby="plans" {
            h2 id="plans" { (t(locale, Text::Subscriptions)) }
            @if view.subscriptions.is_empty() { p { (t(locale, Text::NoSubscriptions)) } }
            @for (i, subscription) in view.subscriptions.iter().enumerate() {
                (subscription_block(frame, subscription, i))
            }
        }
        @if let Some(form) = &view.details {
            section aria-labelledby="details-head" {
                h2 id="details-head" { (t(locale, Text::DetailsHeading)) }
                details class="fold" {
                    summary { (t(locale, Text::ChangeDetails)) }
                    div class="fold-body" { (customer_form(frame, form)) }
                }
            }
        }
        (card_section(view))
        (invoice_section(view))
    };
    page(frame, t(locale, Text::PortalTitle), "portal", &body)
}

fn notice_message(frame: &Frame, notice: &PortalNotice) -> Markup {
    let locale = frame.locale;
    let good = |sentence: String| message(Tone::Good, None, &sentence);
    match notice {
        PortalNotice::CancelScheduled(at) => {
            good(say(locale, Text::NoticeCancel, &[("date", &date(locale, &frame.zone, *at))]))
        }
        PortalNotice::Paused(Some(at)) => {
            good(say(locale, Text::NoticePausedUntil, &[("date", &date(locale, &frame.zone, *at))]))
        }
        PortalNotice::Paused(None) => good(t(locale, Text::NoticePaused).to_owned()),
        PortalNotice::PauseOver => good(t(locale, Text::NoticePauseOver).to_owned()),
        PortalNotice::Resumed => good(t(locale, Text::NoticeResumed).to_owned()),
        PortalNotice::Changed(plan) => good(say(locale, Text::NoticeChanged, &[("plan", plan)])),
        PortalNotice::CustomerChanged => good(t(locale, Text::NoticeCustomer).to_owned()),
        PortalNotice::CardChanged => good(t(locale, Text::NoticeCard).to_owned()),
        PortalNotice::CardChangedAndPaid(money) => {
            good(say(locale, Text::NoticeCardPaid, &[("amount", &format_money(locale, money))]))
        }
        PortalNotice::ChangeDeclined(code) => message(
            Tone::Bad,
            Some(t(locale, Text::NotPaid)),
            &join(
                locale,
                &[
                    t(locale, decline(code)),
                    t(locale, Text::NotCharged),
                    t(locale, Text::NoticeChangeDeclined),
                ],
            ),
        ),
    }
}

fn subscription_block(frame: &Frame, subscription: &PortalSubscription, index: usize) -> Markup {
    let locale = frame.locale;
    let over =
        matches!(subscription.status, SubscriptionStatus::Canceled | SubscriptionStatus::IncompleteExpired);
    html! {
        article class="plan-block" aria-label=(subscription.name) {
            div class="plan-head" {
                h3 { (subscription.name) }
                (subscription_word(frame, subscription))
            }
            p class="price" { (price_per(locale, &subscription.price, subscription.interval)) }
            p { (what_is_next(frame, subscription)) }
            @if !over { (plan_actions(frame, subscription, index)) }
        }
    }
}

fn subscription_word(frame: &Frame, subscription: &PortalSubscription) -> Markup {
    let tone = subscription_tone(subscription.status);
    let ending = subscription.cancel_at.is_some() && tone == Tone::Good;
    let text = if ending { Text::StatusEnding } else { subscription_status(subscription.status) };
    status(if ending { Tone::Warn } else { tone }, t(frame.locale, text))
}

/// The colour that goes with a status.
pub(super) fn subscription_tone(status: SubscriptionStatus) -> Tone {
    match status {
        SubscriptionStatus::Active | SubscriptionStatus::Trialing => Tone::Good,
        SubscriptionStatus::PastDue => Tone::Warn,
        SubscriptionStatus::Unpaid | SubscriptionStatus::Canceled | SubscriptionStatus::IncompleteExpired => {
            Tone::Bad
        }
        SubscriptionStatus::Incomplete | SubscriptionStatus::Paused => Tone::Quiet,
    }
}

/// One sentence: what happens next, when, and what it costs.
fn what_is_next(frame: &Frame, subscription: &PortalSubscription) -> String {
    let locale = frame.locale;
    let on = |text: Text, at: i64| {
        let day = date(locale, &frame.zone, at);
        let away = relative(locale, frame.now, at);
        let price = price_per(locale, &subscription.price, subscription.interval);
        say(locale, text, &[("date", &day), ("relative", &away), ("price", &price)])
    };
    match (subscription.status, subscription.cancel_at) {
        (SubscriptionStatus::Active | SubscriptionStatus::Trialing, Some(at)) => on(Text::EndsOn, at),
        (SubscriptionStatus::Active, None) => on(Text::RenewsOn, subscription.period_end),
        (SubscriptionStatus::Trialing, None) => on(Text::TrialEndsOn, subscription.period_end),
        (SubscriptionStatus::PastDue | SubscriptionStatus::Unpaid, _) => match &subscription.owed {
            Some(owed) => say(locale, Text::PastDueNote, &[("amount", &format_money(locale, owed))]),
            None => t(locale, Text::PastDueNoteBare).to_owned(),
        },
        (SubscriptionStatus::Incomplete, _) => t(locale, Text::IncompleteNote).to_owned(),
        (SubscriptionStatus::Paused, _) => match subscription.pause_ends {
            Some(at) => on(Text::PausedUntilNote, at),
            None => t(locale, Text::PausedNote).to_owned(),
        },
        (SubscriptionStatus::Canceled | SubscriptionStatus::IncompleteExpired, _) => {
            t(locale, Text::EndedNote).to_owned()
        }
    }
}

fn plan_actions(frame: &Frame, subscription: &PortalSubscription, index: usize) -> Markup {
    let locale = frame.locale;
    html! {
        @if subscription.cancel_at.is_some() {
            form method="post" action=(subscription.resume_action) data-once=(t(locale, Text::Working)) {
                button class="second-action" { (t(locale, Text::KeepPlan)) }
            }
        } @else {
            @if subscription.status == SubscriptionStatus::Paused {
                form method="post" action=(subscription.resume_action) data-once=(t(locale, Text::Working)) {
                    button class="second-action" { (t(locale, Text::ResumePlan)) }
                }
                p class="hint" { (t(locale, Text::ResumePlanNote)) }
            }
            @if !subscription.choices.is_empty() || subscription.quantity.is_some() {
                details class="fold" {
                    summary { (t(locale, Text::ChangePlan)) }
                    (change_form(frame, subscription, index))
                }
            }
            @if let Some(path) = &subscription.pause_path {
                p { a class="quiet" href=(path) { (t(locale, Text::PausePlan)) } }
            }
            p { a class="quiet" href=(subscription.cancel_path) { (t(locale, Text::CancelPlan)) } }
        }
    }
}

/// The form of another plan or quantity.
pub(super) fn change_form(frame: &Frame, subscription: &PortalSubscription, index: usize) -> Markup {
    let locale = frame.locale;
    html! {
        form method="post" action=(subscription.change_action) data-once=(t(locale, Text::Working)) {
            @if !subscription.choices.is_empty() {
                fieldset {
                    legend { (t(locale, Text::ChangePlanLegend)) }
                    @for (i, choice) in subscription.choices.iter().enumerate() {
                        @let id = format!("choice-{index}-{i}");
                        label class="choice" for=(id) {
                            input type="radio" id=(id) name="price" value=(choice.price_id)
                                disabled[choice.current] required[subscription.quantity.is_none()];
                            span {
                                (choice.name)
                                @if choice.current { span class="muted" { " – " (t(locale, Text::CurrentPlan)) } }
                            }
                            span class="money" { (price_per(locale, &choice.price, choice.interval)) }
                        }
                    }
                }
            }
            @if let Some((now, least, most)) = subscription.quantity {
                @let id = format!("quantity-{index}");
                div class="field" {
                    label for=(id) { (t(locale, Text::QuantityLabel)) }
                    input type="number" id=(id) name="quantity" value=(now) min=(least) max=[most] required;
                }
            }
            p class="hint" {
                (join(locale, &[
                    t(locale, Text::ChangePlanNote),
                    t(locale, if subscription.charges_at_once { Text::ChangePlanNow } else { Text::ChangePlanLater }),
                ]))
            }
            button class="second-action" { (t(locale, Text::ChangePlanButton)) }
        }
    }
}

/// The form of a customer's details.
pub(super) fn customer_form(frame: &Frame, form: &CustomerForm) -> Markup {
    let locale = frame.locale;
    html! {
        form method="post" action=(form.action) data-once=(t(locale, Text::Working)) {
            @for (name, value) in &form.fields {
                @let (label, kind) = match name.as_str() {
                    "email" => (Text::Email, "email"),
                    "phone" => (Text::Phone, "tel"),
                    _ => (Text::ShipName, "text"),
                };
                div class="field" {
                    label for=(name) { (t(locale, label)) }
                    input type=(kind) id=(name) name=(name) value=(value) autocomplete="on" maxlength="254";
                }
            }
            button class="second-action" { (t(locale, Text::SaveDetails)) }
        }
    }
}

fn card_section(view: &PortalView) -> Markup {
    let locale = view.frame.locale;
    // Whoever owes something came to pay it: the form is not folded away.
    let owes = view.subscriptions.iter().any(|subscription| match subscription.status {
        SubscriptionStatus::PastDue | SubscriptionStatus::Unpaid | SubscriptionStatus::Incomplete => true,
        SubscriptionStatus::Active
        | SubscriptionStatus::Trialing
        | SubscriptionStatus::Paused
        | SubscriptionStatus::Canceled
        | SubscriptionStatus::IncompleteExpired => false,
    });
    let label = if view.card.is_some() { Text::ChangeCard } else { Text::AddCard };
    html! {
        section aria-labelledby="card-head" id="card" {
            h2 id="card-head" { (t(locale, Text::CardHeading)) }
            @match &view.card {
                Some(card) => {
                    p {
                        (say(locale, Text::CardEnding, &[("brand", &brand(&card.brand)), ("last4", &card.last4)])) br;
                        @if let Some((month, year)) = card.expiry {
                            span class="muted" {
                                (say(locale, Text::CardExpires, &[
                                    ("month", &format!("{month:02}")), ("year", &year.to_string()),
                                ]))
                            }
                        }
                    }
                }
                None => p { (t(locale, Text::NoCard)) },
            }
            details class="fold" open[owes || view.card_form.problem.is_some()] {
                summary { (t(locale, label)) }
                div class="fold-body" {
                    @if let Some(problem) = &view.card_form.problem { (problem_message(locale, problem)) }
                    form method="post" action=(view.card_action) data-once=(t(locale, Text::Working)) {
                        (card_fields(locale, "card", &view.card_form, false))
                        p class="hint" { (t(locale, Text::ChangeCardNote)) }
                        button class="second-action" { (t(locale, Text::SaveCardButton)) }
                    }
                    (test_cards(locale, "card"))
                }
            }
        }
    }
}

/// A card brand as its owner writes it; unknown ones as the provider names them.
fn brand(brand: &str) -> String {
    match brand {
        "visa" => "Visa",
        "mastercard" => "Mastercard",
        "amex" => "American Express",
        "discover" => "Discover",
        "diners" => "Diners Club",
        "jcb" => "JCB",
        "unionpay" => "UnionPay",
        other => other,
    }
    .to_owned()
}

fn invoice_section(view: &PortalView) -> Markup {
    let locale = view.frame.locale;
    html! {
        section aria-labelledby="invoices" {
            h2 id="invoices" { (t(locale, Text::Invoices)) }
            @if view.invoices.is_empty() {
                p { (t(locale, Text::NoInvoices)) }
            } @else {
                table {
                    thead {
                        tr {
                            th scope="col" { (t(locale, Text::ColumnDate)) }
                            th scope="col" { (t(locale, Text::ColumnDescription)) }
                            th scope="col" class="money" { (t(locale, Text::ColumnAmount)) }
                        }
                    }
                    tbody { @for invoice in &view.invoices { (invoice_row(&view.frame, invoice)) } }
                }
            }
        }
    }
}

fn invoice_row(frame: &Frame, invoice: &PortalInvoice) -> Markup {
    let locale = frame.locale;
    let tone = match invoice.status {
        InvoiceStatus::Paid => Tone::Good,
        InvoiceStatus::Open => Tone::Warn,
        InvoiceStatus::Uncollectible => Tone::Bad,
        InvoiceStatus::Draft | InvoiceStatus::Void => Tone::Quiet,
    };
    html! {
        tr {
            td { time datetime=(machine_time(invoice.created)) { (date(locale, &frame.zone, invoice.created)) } }
            td { (invoice.description) br; span class="muted small" { (invoice.number) } }
            td class="money" {
                (format_money(locale, &invoice.total)) br;
                (status(tone, t(locale, invoice_status(invoice.status))))
            }
        }
    }
}

/// The page that asks before a cancellation and names its effect. The form posts no fields.
#[must_use]
pub fn portal_cancel_page(view: &PortalCancelView) -> Markup {
    let frame = &view.frame;
    let locale = frame.locale;
    let day = date(locale, &frame.zone, view.ends_at);
    let values = [("plan", view.name.as_str()), ("date", day.as_str())];
    let title = say(locale, Text::CancelTitle, &values);
    let effect = if view.trialing { Text::CancelTrialEffect } else { Text::CancelEffect };
    let body = html! {
        p class="merchant" { (view.merchant) }
        h1 { (title) }
        p class="lead" { (say(locale, effect, &values)) }
        p class="muted" { (t(locale, Text::CancelUndoNote)) }
        form class="choices" method="post" action=(view.action) data-once=(t(locale, Text::Working)) {
            @if !view.reasons.is_empty() {
                div class="field" {
                    label for="feedback" { (t(locale, Text::CancelReason)) }
                    select id="feedback" name="feedback" {
                        option value="" { "–" }
                        @for reason in &view.reasons { option value=(reason) { (t(locale, cancel_reason(reason))) } }
                    }
                }
                div class="field" {
                    label for="comment" { (t(locale, Text::CancelComment)) }
                    input type="text" id="comment" name="comment" autocomplete="off" maxlength="250";
                }
            }
            button class="danger-action" { (say(locale, Text::CancelConfirm, &values)) }
            a class="second-action" href=(view.back_path) { (t(locale, Text::CancelBack)) }
        }
    };
    page(frame, &title, "narrow", &body)
}
