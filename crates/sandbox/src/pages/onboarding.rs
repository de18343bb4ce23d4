//! The page on which the owner of a connected account tells who they are, and what the express dashboard's link shows.

use maud::{Markup, html};

use super::card::{Field, field};
use super::format::format_money;
use super::layout::{Tone, developer_id, message, page, status};
use super::text::{Text, say, t};
use super::views::{Frame, Money};

/// The onboarding page of an account, as it stands.
#[derive(Clone, Debug)]
pub struct OnboardingView {
    /// The frame of the page.
    pub frame: Frame,
    /// What the account is called.
    pub merchant: String,
    /// `acct_…`.
    pub account_id: String,
    /// Whether a company stands behind it, and not a person.
    pub company: bool,
    /// A person's whole name, or the company's.
    pub name: String,
    /// Where the owner is reached.
    pub email: String,
    /// The web site of the business.
    pub url: String,
    /// What the provider still wants to know, as the API names it.
    pub due: Vec<String>,
    /// The name of a field that was wrong.
    pub wrong: Option<String>,
    /// Where the form goes.
    pub action: String,
}

/// The account as its owner sees it by a login link.
#[derive(Clone, Debug)]
pub struct ExpressView {
    /// The frame of the page.
    pub frame: Frame,
    /// What the account is called.
    pub merchant: String,
    /// `acct_…`.
    pub account_id: String,
    /// Whether it may take payments.
    pub charges: bool,
    /// Whether its money may leave.
    pub payouts: bool,
    /// What is there, by currency: available and on its way together.
    pub balance: Vec<Money>,
}

/// The onboarding page. Posted fields: `step` = `submit` | `later`, `business_type` = `individual` | `company`, `name`,
/// `email`, `url`.
#[must_use]
pub fn onboarding_page(view: &OnboardingView) -> Markup {
    let frame = &view.frame;
    let locale = frame.locale;
    let title = t(locale, Text::OnboardTitle);
    let wrong = |name: &str| view.wrong.as_deref() == Some(name);
    let kinds =
        [("individual", Text::OnboardPerson, !view.company), ("company", Text::OnboardCompany, view.company)];
    let body = html! {
        p class="merchant" { (view.merchant) }
        h1 { (title) }
        p class="lead" { (t(locale, Text::OnboardLead)) }
        @if view.wrong.is_some() { (message(Tone::Bad, None, t(locale, Text::OnboardWrong))) }
        form method="post" action=(view.action) data-once=(t(locale, Text::Working)) {
            fieldset class="field" {
                legend { (t(locale, Text::OnboardKind)) }
                @for (value, words, chosen) in kinds {
                    label class="choice" for=(value) {
                        input type="radio" id=(value) name="business_type" value=(value) checked[chosen] required;
                        span { (t(locale, words)) }
                    }
                }
            }
            (field(&Field {
                id: "name", name: "name", label: t(locale, Text::OnboardName), value: &view.name,
                autocomplete: "name", maxlength: 100, wrong: wrong("name"), ..Field::default()
            }))
            (field(&Field {
                id: "email", name: "email", label: t(locale, Text::Email), value: &view.email, kind: Some("email"),
                autocomplete: "email", maxlength: 254, wrong: wrong("email"), ..Field::default()
            }))
            (field(&Field {
                id: "url", name: "url", label: t(locale, Text::OnboardUrl), value: &view.url,
                autocomplete: "url", maxlength: 254, wrong: wrong("url"), ..Field::default()
            }))
            p class="hint" { (t(locale, Text::OnboardTestData)) }
            button class="main-action" name="step" value="submit" { (t(locale, Text::OnboardSubmit)) }
            button class="second-action" name="step" value="later" formnovalidate { (t(locale, Text::OnboardLater)) }
        }
        @if !view.due.is_empty() {
            h2 class="quiet-head" { (t(locale, Text::OnboardDue)) }
            ul { @for field in &view.due { li { code { (field) } } } }
        }
        (developer_id(frame, &view.account_id))
    };
    page(frame, title, "narrow", &body)
}

/// What a login link shows: how the account stands.
#[must_use]
pub fn express_page(view: &ExpressView) -> Markup {
    let frame = &view.frame;
    let locale = frame.locale;
    let title = say(locale, Text::ExpressTitle, &[("merchant", &view.merchant)]);
    let word = |on: bool| {
        if on {
            status(Tone::Good, t(locale, Text::ExpressOn))
        } else {
            status(Tone::Bad, t(locale, Text::ExpressOff))
        }
    };
    let body = html! {
        p class="merchant" { (view.merchant) }
        h1 { (title) }
        dl class="facts" {
            div { dt { (t(locale, Text::ExpressCharges)) } dd { (word(view.charges)) } }
            div { dt { (t(locale, Text::ExpressPayouts)) } dd { (word(view.payouts)) } }
            @for money in &view.balance {
                div { dt { (t(locale, Text::ExpressBalance)) } dd class="money" { (format_money(locale, money)) } }
            }
        }
        (developer_id(frame, &view.account_id))
    };
    page(frame, &title, "narrow", &body)
}
