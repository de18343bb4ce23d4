//! Pages for sessions that are no longer open, and for links that lead nowhere.

use maud::{Markup, html};

use super::format::format_money;
use super::layout::{Tone, developer_id, link_out, page};
use super::text::{Text, say, t};
use super::views::{Frame, Money};

/// Why the checkout page cannot be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionOutcome {
    /// Completed just now: this much was paid (`None`: nothing was due, as in a trial or set-up).
    Complete {
        /// What was paid.
        paid: Option<Money>,
    },
    /// Was completed before; somebody came back to the page or posted its form again.
    AlreadyComplete {
        /// What was paid then.
        paid: Option<Money>,
    },
    /// Ran out of time or was expired by the seller; nothing was charged.
    Expired,
    /// Payment is under way at the bank.
    Processing,
}

/// A session that is no longer open.
#[derive(Clone, Debug)]
pub struct OutcomeView {
    /// The frame.
    pub frame: Frame,
    /// Seller as the buyer knows it.
    pub merchant: String,
    /// What became of the session.
    pub outcome: SessionOutcome,
    /// `cs_…`, shown small.
    pub session_id: String,
    /// Where to go on: the success URL when complete, the cancel URL when expired.
    pub continue_url: Option<String>,
}

/// Complete, expired or processing: says whether money moved.
#[must_use]
pub fn outcome_page(view: &OutcomeView) -> Markup {
    let frame = &view.frame;
    let locale = frame.locale;
    let paid = |money: &Option<Money>, text: Text| {
        money.as_ref().map_or_else(
            || t(locale, Text::CompleteFree).to_owned(),
            |money| {
                say(locale, text, &[("amount", &format_money(locale, money)), ("merchant", &view.merchant)])
            },
        )
    };
    let (tone, title, sentence) = match &view.outcome {
        SessionOutcome::Complete { paid: money } => {
            (Tone::Good, Text::CompleteTitle, paid(money, Text::CompletePaid))
        }
        SessionOutcome::AlreadyComplete { paid: money } => {
            (Tone::Good, Text::AlreadyTitle, paid(money, Text::AlreadyPaid))
        }
        SessionOutcome::Expired => {
            (Tone::Quiet, Text::ExpiredTitle, say(locale, Text::ExpiredBody, &[("merchant", &view.merchant)]))
        }
        SessionOutcome::Processing => {
            (Tone::Quiet, Text::ProcessingTitle, t(locale, Text::ProcessingBody).to_owned())
        }
    };
    let onward = say(locale, Text::ContinueTo, &[("merchant", &view.merchant)]);
    let body = html! {
        p class="merchant" { (view.merchant) }
        (big_mark(tone))
        h1 { (t(locale, title)) }
        p class="lead" { (sentence) }
        p { (link_out(view.continue_url.as_ref(), "main-action", &onward)) }
        (developer_id(frame, &view.session_id))
    };
    page(frame, t(locale, title), "narrow", &body)
}

/// A link that leads nowhere (unknown session, closed portal), a form that could not be read or a failure: what
/// happened and what to do; no money moved. `status` is the HTTP status that goes with it; `detail` is in English, for
/// the developer, and may be empty.
#[must_use]
pub fn problem_page(frame: &Frame, status: u16, detail: &str) -> Markup {
    let locale = frame.locale;
    let (title, sentence) = match status {
        404 | 410 => (Text::NotFoundTitle, Text::NotFoundBody),
        500.. => (Text::FailedTitle, Text::FailedBody),
        _ => (Text::RefusedTitle, Text::RefusedBody),
    };
    let body = html! {
        (big_mark(Tone::Bad))
        h1 { (t(locale, title)) }
        p class="lead" { (t(locale, sentence)) }
        p class="fine" {
            (t(locale, Text::ForDevelopers)) " " code { (status) }
            @if !detail.is_empty() { " " span lang="en" { (detail) } }
        }
    };
    page(frame, t(locale, title), "narrow", &body)
}

/// A customer portal whose time is over, with the way back to the seller.
#[must_use]
pub fn portal_closed_page(frame: &Frame, merchant: &str, return_url: Option<&String>) -> Markup {
    let locale = frame.locale;
    let title = t(locale, Text::PortalClosedTitle);
    let names = [("merchant", merchant)];
    let body = html! {
        p class="merchant" { (merchant) }
        (big_mark(Tone::Quiet))
        h1 { (title) }
        p class="lead" { (say(locale, Text::PortalClosedBody, &names)) }
        p { (link_out(return_url, "main-action", &say(locale, Text::BackTo, &names))) }
    };
    page(frame, title, "narrow", &body)
}

/// The mark that stands over a result; the words below say the same.
fn big_mark(tone: Tone) -> Markup {
    let (class, mark) = match tone {
        Tone::Good => ("big-mark good", "✓"),
        Tone::Warn => ("big-mark warn", "▲"),
        Tone::Bad => ("big-mark bad", "✕"),
        Tone::Quiet => ("big-mark quiet", "○"),
    };
    html! { p class=(class) aria-hidden="true" { (mark) } }
}
