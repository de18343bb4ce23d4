//! Error pages: what happened, whether money moved, what to do.

use maud::{Markup, html};

use super::layout::{Audience, Frame, Tone, big_mark, link_out, page};
use super::text::{Text, say, t};

/// An error page.
#[derive(Clone, Debug)]
pub struct ProblemView {
    /// The frame.
    pub frame: Frame,
    /// What happened.
    pub problem: Problem,
    /// Whether money moved.
    pub money: MoneyMoved,
    /// The stable code, as in the API's problem documents.
    pub code: String,
    /// Id of the request, for support and logs.
    pub request_id: Option<String>,
    /// More for the developer, in English; may be empty. Shown only where the caller puts it.
    pub detail: String,
}

/// What happened, as far as it is the reader's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// No such page or object.
    NotFound,
    /// The form or address could not be read.
    BadRequest,
    /// Not signed in, or not theirs.
    Forbidden,
    /// Only for those who run the site.
    Operators,
    /// It collides with something that is already so.
    Conflict,
    /// Too many requests, or overload.
    Busy,
    /// The payment provider does not answer.
    ProviderUnavailable,
    /// Our fault.
    Internal,
}

/// Whether money moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoneyMoved {
    /// It did not.
    No,
    /// It did.
    Yes,
    /// Not known yet.
    Unknown,
}

/// What happened, whether money moved and what to do.
#[must_use]
pub fn problem_page(view: &ProblemView) -> Markup {
    let locale = view.frame.locale;
    let (title, advice) = match view.problem {
        Problem::NotFound => (Text::ProblemNotFound, Text::AdviceNotFound),
        Problem::BadRequest => (Text::ProblemBadRequest, Text::AdviceBadRequest),
        Problem::Forbidden => (Text::ProblemForbidden, Text::AdviceForbidden),
        Problem::Operators => (Text::ProblemOperators, Text::AdviceOperators),
        Problem::Conflict => (Text::ProblemConflict, Text::AdviceConflict),
        Problem::Busy => (Text::ProblemBusy, Text::AdviceBusy),
        Problem::ProviderUnavailable => (Text::ProblemProvider, Text::AdviceProvider),
        Problem::Internal => (Text::ProblemInternal, Text::AdviceInternal),
    };
    let money = match view.money {
        MoneyMoved::No => Text::MoneyNotMoved,
        MoneyMoved::Yes => Text::MoneyMoved,
        MoneyMoved::Unknown => Text::MoneyUnknown,
    };
    let site = [("site", view.frame.site.as_str())];
    let back = match (view.problem, &view.frame.app_url) {
        // Who is not known here is known there.
        (Problem::Forbidden, Some(app)) => (Some(app), say(locale, Text::BackToSite, &site)),
        (_, _) => (Some(&view.frame.plans_url), t(locale, Text::BackToPlans).to_owned()),
    };
    let body = html! {
        (big_mark(Tone::Bad))
        h1 { (t(locale, title)) }
        p class="lead" { (t(locale, money)) }
        p { (say(locale, advice, &site)) }
        p { (link_out(back.0, "main-action", &back.1)) }
        div class="fine" {
            p {
                (t(locale, Text::ForDevelopers)) " " code { (view.code) }
                @if let Some(id) = &view.request_id { " · " code { (id) } }
            }
            @if !view.detail.is_empty() { p lang="en" { (view.detail) } }
        }
    };
    page(&view.frame, Audience::Customer, t(locale, title), "narrow", None, &body)
}
