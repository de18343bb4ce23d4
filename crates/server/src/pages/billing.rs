//! The customer's own billing page: what they have, what happens next, and what it costs.

use maud::{Markup, html};
use quittance_domain::catalog::Interval;
use quittance_domain::dunning::IssueKind;
use quittance_domain::{Access, Money, Timestamp};

use super::billing_change::{Actions, AheadLine, actions, ahead};
use super::format::{format_date, format_money, price_per, relative};
use super::layout::{Audience, Frame, Tone, join, link_out, message, page, status};
use super::text::{Text, access_word, say, t};

/// The billing page.
#[derive(Clone, Debug)]
pub struct BillingView {
    /// The frame.
    pub frame: Frame,
    /// Our id of the customer.
    pub customer: String,
    /// What happened before.
    pub notice: Option<BillingNotice>,
    /// Subscriptions, live ones first. The free plan is none.
    pub subscriptions: Vec<BillingSubscription>,
    /// The free plan's name, when the customer has it.
    pub free_plan: Option<String>,
    /// One-off purchases, newest first.
    pub purchases: Vec<Purchase>,
    /// What the customer may use, in the catalog's order.
    pub entitlements: Vec<BillingEntitlement>,
    /// POST: opens the provider's portal and redirects there; posts [`Self::hidden`]. `None` while the
    /// customer has nothing at a provider.
    pub portal_action: Option<String>,
    /// The fields of that form: who it is, and in which language.
    pub hidden: Vec<(String, String)>,
}

/// What the billing page says at its top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BillingNotice {
    /// The customer came back from the portal: changes may still be on their way.
    BackFromPortal,
    /// The portal could not be opened.
    PortalFailed,
    /// The customer followed a link to pay something that is paid.
    NothingToPay,
    /// A change was made, or planned.
    Changed,
    /// The payment of a change was declined.
    Declined,
    /// A change costs something while a renewal is not paid.
    Owed,
    /// A quote did not hold any more.
    Stale,
    /// A payment wants a method that is not there.
    Method,
    /// A change takes longer, or the subscription's state does not allow it.
    Pending,
}

/// A subscription.
#[derive(Clone, Debug)]
pub struct BillingSubscription {
    /// The provider's id.
    pub id: String,
    /// The plan's name.
    pub plan: String,
    /// Access that it gives now.
    pub access: Access,
    /// Price and interval; `None` when the provider's price is unknown to the catalog.
    pub price: Option<(Money, Interval)>,
    /// How many, when not one.
    pub quantity: i64,
    /// What happens next.
    pub next: NextStep,
    /// What is wrong with its payment.
    pub issue: Option<BillingIssue>,
    /// What is planned, or waits.
    pub ahead: Vec<AheadLine>,
    /// What the customer can do with it here; `None` once it is over.
    pub actions: Option<Actions>,
}

/// An open invoice, and the way to pay it.
#[derive(Clone, Debug)]
pub struct BillingIssue {
    /// What can be done.
    pub kind: IssueKind,
    /// What is owed.
    pub amount: Money,
    /// When it is tried again by itself.
    pub next_attempt_at: Option<Timestamp>,
    /// Leads on to the page on which it is paid.
    pub pay_url: String,
}

/// What happens next with a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// It renews.
    Renews {
        /// When.
        at: Timestamp,
    },
    /// It was cancelled and ends.
    Ends {
        /// When.
        at: Timestamp,
    },
    /// The trial ends and the first charge is made.
    TrialEnds {
        /// When.
        at: Timestamp,
    },
    /// A payment failed; access lasts until a fixed time.
    Grace {
        /// When access ends.
        until: Timestamp,
        /// What is owed.
        owed: Option<Money>,
    },
    /// The first payment is outstanding.
    WaitingForPayment,
    /// It is paused.
    Paused,
    /// It is over since a time.
    Over {
        /// Since when, if known.
        since: Option<Timestamp>,
        /// It ended because a payment failed, not because somebody cancelled.
        unpaid: bool,
    },
}

/// Something bought once.
#[derive(Clone, Debug)]
pub struct Purchase {
    /// Its name.
    pub name: String,
    /// When it was paid.
    pub at: Timestamp,
    /// What was paid.
    pub amount: Option<Money>,
    /// The money went back.
    pub refunded: bool,
}

/// A feature that the customer may use.
#[derive(Clone, Debug)]
pub struct BillingEntitlement {
    /// Its name.
    pub name: String,
    /// How much of it; `None` without a limit.
    pub limit: Option<i64>,
    /// How much is used, where that is counted.
    pub used: Option<i64>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// What a customer has and what happens next.
#[must_use]
pub fn billing_page(view: &BillingView) -> Markup {
    let locale = view.frame.locale;
    let title = t(locale, Text::BillingTitle);
    let body = html! {
        @if let Some(notice) = &view.notice { (notice_message(&view.frame, notice)) }
        h1 { (title) }
        p class="muted" { (say(locale, Text::BillingFor, &[("customer", &view.customer)])) }
        section aria-labelledby="plans" {
            h2 id="plans" { (t(locale, Text::PlansHeading)) }
            (plans(view))
        }
        (portal_form(view))
        (purchases(view))
        (entitlements(view))
        @if view.frame.app_url.is_some() {
            p class="onward" { (link_out(view.frame.app_url.as_ref(), "second-action", &say(locale, Text::BackToSite, &[("site", &view.frame.site)]))) }
        }
    };
    page(&view.frame, Audience::Customer, title, "billing", None, &body)
}

fn notice_message(frame: &Frame, notice: &BillingNotice) -> Markup {
    let (tone, text) = match notice {
        BillingNotice::BackFromPortal => (Tone::Quiet, Text::NoticeBackFromPortal),
        BillingNotice::PortalFailed => (Tone::Bad, Text::NoticePortalFailed),
        BillingNotice::NothingToPay => (Tone::Good, Text::NoticeNothingToPay),
        BillingNotice::Changed => (Tone::Good, Text::NoticeChanged),
        BillingNotice::Declined => (Tone::Bad, Text::NoticeDeclined),
        BillingNotice::Owed => (Tone::Bad, Text::NoticeOwed),
        BillingNotice::Stale => (Tone::Warn, Text::NoticeStale),
        BillingNotice::Method => (Tone::Warn, Text::NoticeMethod),
        BillingNotice::Pending => (Tone::Warn, Text::NoticePending),
    };
    message(tone, None, &html! { p { (t(frame.locale, text)) } })
}

fn plans(view: &BillingView) -> Markup {
    let locale = view.frame.locale;
    html! {
        @for (index, subscription) in view.subscriptions.iter().enumerate() {
            (subscription_block(view, subscription, first_to_pay(view) == Some(index)))
        }
        @if view.subscriptions.is_empty() {
            @match &view.free_plan {
                Some(name) => p { (say(locale, Text::OnFreePlan, &[("plan", name)])) },
                None => p { (t(locale, Text::NoPlan)) },
            }
            p { a class=(if view.portal_action.is_some() { "second-action" } else { "main-action" }) href=(view.frame.plans_url) {
                (t(locale, Text::SeePlans))
            } }
        }
    }
}

/// The first subscription that can be paid with one click: that is what the page is for.
fn first_to_pay(view: &BillingView) -> Option<usize> {
    let payable = |issue: &BillingIssue| issue.kind != IssueKind::Processing;
    view.subscriptions.iter().position(|subscription| subscription.issue.as_ref().is_some_and(payable))
}

fn subscription_block(view: &BillingView, subscription: &BillingSubscription, main: bool) -> Markup {
    let frame = &view.frame;
    let locale = frame.locale;
    let tone = access_tone(subscription.access);
    html! {
        article class="plan-block" aria-label=(subscription.plan) {
            div class="plan-head" {
                h3 {
                    (subscription.plan)
                    @if subscription.quantity != 1 { span class="muted" { " ×" (subscription.quantity) } }
                }
                (status(tone, t(locale, access_word(subscription.access))))
            }
            @if let Some((amount, interval)) = subscription.price {
                p class="price" { (price_per(locale, amount, interval)) }
            }
            @if let Some(issue) = &subscription.issue { (issue_block(frame, issue, main)) }
            @if let NextStep::Grace { .. } = subscription.next {
                (message(Tone::Warn, Some(t(locale, Text::GraceTitle)), &html! { p { (next_sentence(frame, subscription.next)) } }))
            } @else {
                p { (next_sentence(frame, subscription.next)) }
            }
            (ahead(frame, &subscription.ahead))
            @if let Some(able) = &subscription.actions {
                (actions(frame, able, &view.hidden))
                (at_the_portal(view, subscription, able))
            }
        }
    }
}

/// What went wrong, and the one click to pay it.
fn issue_block(frame: &Frame, issue: &BillingIssue, main: bool) -> Markup {
    let locale = frame.locale;
    let amount = format_money(locale, issue.amount);
    let sentence = match issue.kind {
        IssueKind::ActionRequired => Text::IssueAction,
        IssueKind::Declined => Text::IssueDeclined,
        IssueKind::NoMethod => Text::IssueNoMethod,
        IssueKind::Processing => Text::IssueProcessing,
        IssueKind::Due => Text::IssueDue,
    };
    let words = match issue.kind {
        IssueKind::ActionRequired => Some(Text::ConfirmPayment),
        IssueKind::Declined | IssueKind::NoMethod | IssueKind::Due => Some(Text::PayAmount),
        IssueKind::Processing => None,
    };
    let sentence = say(locale, sentence, &[("amount", &amount)]);
    let again = issue.next_attempt_at.map(|at| {
        let day = format_date(locale, &frame.zone, at);
        say(locale, Text::IssueNextTry, &[("date", &day), ("relative", &relative(locale, frame.now, at))])
    });
    let body = html! {
        p { (join(locale, &[&sentence, &again.unwrap_or_default()])) }
        @if let Some(words) = words {
            p { a class=(if main { "main-action" } else { "second-action" }) href=(issue.pay_url) { (say(locale, words, &[("amount", &amount)])) } }
        }
    };
    message(Tone::Bad, Some(t(locale, Text::IssueTitle)), &body)
}

/// The colour that goes with an access word.
pub(super) const fn access_tone(access: Access) -> Tone {
    match access {
        Access::Granted => Tone::Good,
        Access::Grace => Tone::Warn,
        Access::Pending => Tone::Quiet,
        Access::Revoked => Tone::Bad,
    }
}

/// One sentence: what happens next, when, and what to do.
fn next_sentence(frame: &Frame, next: NextStep) -> String {
    let locale = frame.locale;
    let dated = |text: Text, at: Timestamp, owed: &str| {
        let day = format_date(locale, &frame.zone, at);
        let away = relative(locale, frame.now, at);
        say(locale, text, &[("date", &day), ("relative", &away), ("amount", owed)])
    };
    match next {
        NextStep::Renews { at } => dated(Text::NextRenews, at, ""),
        NextStep::Ends { at } => dated(Text::NextEnds, at, ""),
        NextStep::TrialEnds { at } => dated(Text::NextTrialEnds, at, ""),
        NextStep::Grace { until, owed: Some(owed) } => {
            dated(Text::NextGraceOwed, until, &format_money(locale, owed))
        }
        NextStep::Grace { until, owed: None } => dated(Text::NextGrace, until, ""),
        NextStep::WaitingForPayment => t(locale, Text::NextWaiting).to_owned(),
        NextStep::Paused => t(locale, Text::NextPaused).to_owned(),
        NextStep::Over { since: Some(since), unpaid: false } => dated(Text::NextOverSince, since, ""),
        NextStep::Over { since: Some(since), unpaid: true } => dated(Text::NextUnpaidSince, since, ""),
        NextStep::Over { since: None, unpaid: false } => t(locale, Text::NextOver).to_owned(),
        NextStep::Over { since: None, unpaid: true } => t(locale, Text::NextUnpaid).to_owned(),
    }
}

/// What this page cannot do with a subscription, the provider's portal can: straight to that step.
fn at_the_portal(view: &BillingView, subscription: &BillingSubscription, able: &Actions) -> Markup {
    let step = |start: &str, words: Text| {
        html! {
            @if let Some(action) = &view.portal_action {
                form method="post" action=(action) data-once=(t(view.frame.locale, Text::Working)) {
                    @for (name, value) in &view.hidden { input type="hidden" name=(name) value=(value); }
                    input type="hidden" name="start" value=(start);
                    input type="hidden" name="subscription" value=(subscription.id);
                    button class="text-action" { (t(view.frame.locale, words)) }
                }
            }
        }
    };
    html! {
        @if able.choices.is_empty() && !able.resume { (step("change", Text::PortalChange)) }
        @if able.cancel.is_none() && !able.resume { (step("cancel", Text::PortalCancel)) }
    }
}

/// The one button: everything else (card, plan, cancelling, receipts) is on the provider's portal.
fn portal_form(view: &BillingView) -> Markup {
    let locale = view.frame.locale;
    let to_pay = view.subscriptions.iter().any(|subscription| match subscription.next {
        NextStep::Grace { .. } | NextStep::WaitingForPayment | NextStep::Over { unpaid: true, .. } => true,
        NextStep::Renews { .. }
        | NextStep::Ends { .. }
        | NextStep::TrialEnds { .. }
        | NextStep::Paused
        | NextStep::Over { unpaid: false, .. } => false,
    });
    let words = if to_pay { Text::PayNow } else { Text::Manage };
    html! {
        @if let Some(action) = &view.portal_action {
            form class="manage" method="post" action=(action) data-once=(t(locale, Text::Working)) {
                @for (name, value) in &view.hidden { input type="hidden" name=(name) value=(value); }
                button class=(if first_to_pay(view).is_some() { "second-action" } else { "main-action" }) {
                    (t(locale, words))
                }
                " "
                button class="second-action" name="start" value="payment_method" { (t(locale, Text::ChangeMethod)) }
                p class="hint" { (t(locale, Text::ManageHint)) }
            }
        }
    }
}

fn purchases(view: &BillingView) -> Markup {
    let frame = &view.frame;
    let locale = frame.locale;
    html! {
        @if !view.purchases.is_empty() {
            section aria-labelledby="purchases" {
                h2 id="purchases" { (t(locale, Text::BoughtHeading)) }
                table {
                    thead {
                        tr {
                            th scope="col" { (t(locale, Text::ColumnWhat)) }
                            th scope="col" { (t(locale, Text::ColumnDate)) }
                            th scope="col" class="money" { (t(locale, Text::ColumnAmount)) }
                        }
                    }
                    tbody {
                        @for purchase in &view.purchases {
                            tr {
                                td {
                                    (purchase.name)
                                    @if purchase.refunded { br; (status(Tone::Quiet, t(locale, Text::Refunded))) }
                                }
                                td { time datetime=(purchase.at) { (format_date(locale, &frame.zone, purchase.at)) } }
                                td class="money" {
                                    @if let Some(amount) = purchase.amount { (format_money(locale, amount)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn entitlements(view: &BillingView) -> Markup {
    let locale = view.frame.locale;
    html! {
        section aria-labelledby="entitlements" {
            h2 id="entitlements" { (t(locale, Text::EntitlementsHeading)) }
            @if view.entitlements.is_empty() { p { (t(locale, Text::NoEntitlements)) } }
            ul class="features ruled" { @for entitlement in &view.entitlements { (entitlement_line(&view.frame, entitlement)) } }
        }
    }
}

fn entitlement_line(frame: &Frame, entitlement: &BillingEntitlement) -> Markup {
    let locale = frame.locale;
    let amount = match (entitlement.used, entitlement.limit) {
        (Some(used), Some(limit)) => {
            Some(say(locale, Text::UsedOf, &[("used", &used.to_string()), ("limit", &limit.to_string())]))
        }
        (None, Some(limit)) => Some(say(locale, Text::UpTo, &[("count", &limit.to_string())])),
        (Some(used), None) => Some(say(locale, Text::Used, &[("used", &used.to_string())])),
        (None, None) => None,
    };
    html! {
        li {
            span class="mark good" aria-hidden="true" { "✓" }
            span {
                (entitlement.name)
                @if let Some(amount) = amount { span class="muted" { (amount) } }
            }
            @if let Some(at) = entitlement.expires_at {
                span class="muted until" {
                    (say(locale, Text::Until, &[("date", &format_date(locale, &frame.zone, at))]))
                }
            }
        }
    }
}
