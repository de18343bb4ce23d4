//! The page that a buyer comes back to. It grants nothing: it says what is known, and looks again until more is.

use maud::{Markup, html};
use quittance_domain::catalog::Interval;
use quittance_domain::{Money, Timestamp};

use super::format::{format_date, format_money, price_per};
use super::layout::{
    Audience, Frame, Tone, big_mark, copyable, developer_id, join, link_out, may_link, page,
};
use super::text::{Text, say, t};

/// The checkout's return page.
#[derive(Clone, Debug)]
pub struct ReturnView {
    /// The frame.
    pub frame: Frame,
    /// The checkout's or the provider's session id, shown small; `None` when the address has none.
    pub session: Option<String>,
    /// What is known.
    pub state: ReturnState,
}

/// What is known of a checkout.
#[derive(Clone, Debug)]
pub enum ReturnState {
    /// Paid at the provider as far as we know, not confirmed yet. The page looks again by itself.
    Processing {
        /// GET, JSON with a field `status`: anything but `processing` makes the page load itself again.
        status_url: String,
        /// It takes longer than usual (say over 30 seconds): the words change.
        slow: bool,
    },
    /// Done.
    Active(ActiveView),
    /// The buyer has not paid yet; the checkout is still open.
    Open {
        /// The provider's page to go on with.
        checkout_url: Option<String>,
    },
    /// The payment failed; nothing was charged.
    Failed,
    /// The checkout ran out of time; nothing was charged.
    Expired,
    /// No such checkout here.
    Unknown,
    /// A second payment for the same plan: one plan goes on, this money went back.
    DuplicateRefunded {
        /// What was given back.
        amount: Money,
    },
}

/// A checkout that is done: the access is granted. While it is not, the page is still processing.
#[derive(Clone, Debug)]
pub struct ActiveView {
    /// The plan's name.
    pub plan: String,
    /// What was charged now; zero for a trial, `None` when not known.
    pub paid: Option<Money>,
    /// The next charge, or the end of the trial, with the price per interval; `None` for what is bought once.
    pub next_charge: Option<(Timestamp, Money, Interval)>,
    /// It is a trial.
    pub trialing: bool,
    /// Names of the features that are now unlocked.
    pub unlocked: Vec<String>,
    /// A command line that asks for the entitlement; shown to developers in the demo.
    pub curl: Option<String>,
}

/// Processing, done, or why not: each says whether money moved.
#[must_use]
pub fn return_page(view: &ReturnView) -> Markup {
    let frame = &view.frame;
    let locale = frame.locale;
    let (title, head, body) = match &view.state {
        ReturnState::Processing { status_url, slow } => {
            (Text::ReturnProcessing, Some(refresh_without_script()), processing(frame, status_url, *slow))
        }
        ReturnState::Active(active) => (Text::ReturnActive, None, done(frame, active)),
        ReturnState::Open { checkout_url } => {
            let link = checkout_url.clone().map(|url| (url, t(locale, Text::GoOnPaying).to_owned()));
            (
                Text::ReturnOpen,
                None,
                result(frame, Tone::Quiet, Text::ReturnOpen, t(locale, Text::ReturnOpenBody), link),
            )
        }
        ReturnState::Failed => {
            (Text::ReturnFailed, None, to_pricing(frame, Text::ReturnFailed, Text::ReturnFailedBody))
        }
        ReturnState::Expired => {
            (Text::ReturnExpired, None, to_pricing(frame, Text::ReturnExpired, Text::ReturnExpiredBody))
        }
        ReturnState::Unknown => {
            (Text::ReturnUnknown, None, to_pricing(frame, Text::ReturnUnknown, Text::ReturnUnknownBody))
        }
        ReturnState::DuplicateRefunded { amount } => {
            let sentence =
                say(locale, Text::ReturnDuplicateBody, &[("amount", &format_money(locale, *amount))]);
            let billing = frame.billing_url.clone().map(|url| (url, t(locale, Text::SeeBilling).to_owned()));
            let link = billing.or_else(|| frame.app_url.clone().map(|url| (url, back_to_site(frame))));
            (Text::ReturnDuplicate, None, result(frame, Tone::Warn, Text::ReturnDuplicate, &sentence, link))
        }
    };
    // The demo's lines for developers have a heading of their own, and the id stands below them.
    let headed = matches!(&view.state, ReturnState::Active(active) if active.curl.is_some());
    let body = html! {
        (body)
        @match &view.session {
            Some(session) if headed => p class="fine" { code { (session) } },
            Some(session) => (developer_id(locale, session)),
            None => {}
        }
    };
    page(frame, Audience::Customer, t(locale, title), "narrow", head, &body)
}

fn refresh_without_script() -> Markup {
    html! { noscript { meta http-equiv="refresh" content="3"; } }
}

fn processing(frame: &Frame, status_url: &str, slow: bool) -> Markup {
    let locale = frame.locale;
    html! {
        div class="waiting" aria-hidden="true" { span {} span {} span {} }
        h1 { (t(locale, Text::ReturnProcessing)) }
        div role="status" data-poll=(status_url) data-slow=(t(locale, Text::ProcessingSlow)) {
            p class="lead" {
                (t(locale, if slow { Text::ProcessingSlow } else { Text::ProcessingNormal }))
            }
        }
        ol class="steps" {
            li { (t(locale, Text::StepPaid)) }
            li aria-current="step" { (t(locale, Text::StepConfirming)) }
            li { (t(locale, Text::StepUnlock)) }
        }
        p class="muted" { (t(locale, Text::ProcessingSafe)) }
    }
}

fn done(frame: &Frame, active: &ActiveView) -> Markup {
    let locale = frame.locale;
    html! {
        (big_mark(Tone::Good))
        h1 { (say(locale, Text::ActiveTitle, &[("plan", &active.plan)])) }
        p class="lead" { (charge_sentences(frame, active)) }
        @if !active.unlocked.is_empty() {
            h2 { (t(locale, Text::UnlockedHeading)) }
            ul class="features" {
                @for feature in &active.unlocked {
                    li { span class="mark good" aria-hidden="true" { "✓" } span { (feature) } }
                }
            }
        }
        div class="choices" {
            (link_out(frame.app_url.as_ref(), "main-action", &back_to_site(frame)))
            @let class = if frame.app_url.is_some() { "second-action" } else { "main-action" };
            (link_out(frame.billing_url.as_ref(), class, t(locale, Text::SeeBilling)))
        }
        @if let Some(curl) = &active.curl {
            h2 { (t(locale, Text::ForDevelopers)) }
            p class="muted" { (t(locale, Text::EntitlementCurl)) }
            (copyable(locale, curl))
        }
    }
}

/// What was paid, and what follows when.
fn charge_sentences(frame: &Frame, active: &ActiveView) -> String {
    let locale = frame.locale;
    let paid = match active.paid {
        Some(money) if money.minor == 0 => t(locale, Text::NothingCharged).to_owned(),
        Some(money) => say(locale, Text::YouPaid, &[("amount", &format_money(locale, money))]),
        None => String::new(),
    };
    let Some((at, amount, interval)) = active.next_charge else {
        return join(locale, &[&paid, t(locale, Text::NothingRenews)]);
    };
    let text = if active.trialing { Text::TrialThenRenews } else { Text::ThenRenews };
    let day = format_date(locale, &frame.zone, at);
    let price = price_per(locale, amount, interval);
    join(locale, &[&paid, &say(locale, text, &[("date", &day), ("price", &price)])])
}

fn back_to_site(frame: &Frame) -> String {
    say(frame.locale, Text::BackToSite, &[("site", &frame.site)])
}

fn to_pricing(frame: &Frame, title: Text, body: Text) -> Markup {
    let link = Some((frame.plans_url.clone(), t(frame.locale, Text::BackToPlans).to_owned()));
    result(frame, Tone::Bad, title, t(frame.locale, body), link)
}

fn result(frame: &Frame, tone: Tone, title: Text, sentence: &str, link: Option<(String, String)>) -> Markup {
    let locale = frame.locale;
    html! {
        (big_mark(tone))
        h1 { (t(locale, title)) }
        p class="lead" { (sentence) }
        @if let Some((href, words)) = link.filter(|(href, _)| may_link(href)) {
            p { a class="main-action" href=(href) { (words) } }
        }
    }
}
