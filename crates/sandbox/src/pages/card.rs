//! The card form's fields and the published test cards.
//!
//! Knows shapes (digits, dates), not what a number does: that is the emulator's own table.

use maud::{Markup, html};

use super::layout::{Tone, join, message};
use super::text::{Text, t};
use super::views::{CardForm, FormProblem, Locale};
use super::words::{card_problem, decline, test_card};

/// Card fields as typed, checked for shape only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardFields {
    /// Digits only, 12 to 19 of them. The check digit is not looked at: that error is the provider's to give.
    pub number: String,
    /// 1 to 12.
    pub exp_month: u32,
    /// Four digits.
    pub exp_year: u32,
    /// Three or four digits.
    pub cvc: String,
    /// Name on the card, trimmed.
    pub name: String,
}

/// Which field is missing or malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardProblem {
    /// Number.
    Number,
    /// Expiry is no month and year.
    Expiry,
    /// Expiry lies in the past.
    Expired,
    /// Security code.
    Cvc,
    /// Name.
    Name,
}

/// Reads the posted fields `number`, `expiry` (`MM/YY`, also `MMYY`, `MM / YYYY`), `cvc`, `name`.
///
/// `this_year`, `this_month` are of the sandbox's clock.
///
/// # Errors
/// The first field that will not do, in the order of the form.
pub fn parse_card_fields(
    number: &str,
    expiry: &str,
    cvc: &str,
    name: &str,
    (this_year, this_month): (u32, u32),
) -> Result<CardFields, CardProblem> {
    let number = digits(number).filter(|n| (12..=19).contains(&n.len())).ok_or(CardProblem::Number)?;
    let (exp_month, exp_year) = month_and_year(expiry).ok_or(CardProblem::Expiry)?;
    if (exp_year, exp_month) < (this_year, this_month) {
        return Err(CardProblem::Expired);
    }
    let cvc = digits(cvc).filter(|c| (3..=4).contains(&c.len())).ok_or(CardProblem::Cvc)?;
    let name = name.trim();
    if name.is_empty() || name.chars().count() > 200 {
        return Err(CardProblem::Name);
    }
    Ok(CardFields { number, exp_month, exp_year, cvc, name: name.to_owned() })
}

/// The digits of a field that may also hold spaces and hyphens, full-width digits included; `None` for anything else.
fn digits(field: &str) -> Option<String> {
    field
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .map(|c| match c {
            '0'..='9' => Some(c),
            // Full-width digits, as a Japanese keyboard may leave them.
            '\u{ff10}'..='\u{ff19}' => char::from_digit(u32::from(c) - 0xff10, 10),
            _ => None,
        })
        .collect()
}

fn month_and_year(field: &str) -> Option<(u32, u32)> {
    let plain: String = field.chars().filter(|c| !matches!(c, '/' | '\u{ff0f}')).collect();
    let plain = digits(&plain)?;
    if plain.len() != 4 && plain.len() != 6 {
        return None;
    }
    let month: u32 = plain.get(..2)?.parse().ok()?;
    let year: u32 = plain.get(2..)?.parse().ok()?;
    let year = if plain.len() == 4 { 2000 + year } else { year };
    (1..=12).contains(&month).then_some((month, year))
}

/// A published test card.
#[derive(Clone, Copy, Debug)]
pub struct TestCard {
    /// Digits.
    pub number: &'static str,
    /// What it does.
    pub does: TestCardOutcome,
}

/// What a test card does, for its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestCardOutcome {
    /// Pays.
    Pays,
    /// Declined without a reason.
    Declined,
    /// Declined for lack of funds.
    InsufficientFunds,
    /// 3-D Secure needed, then pays.
    Authenticate,
    /// 3-D Secure on every payment, renewals too.
    AuthenticateAlways,
    /// 3-D Secure at set-up; renewals then pass.
    AuthenticateOnce,
    /// Attaches, every charge is declined.
    DeclinesLater,
    /// Pays and is disputed.
    Disputed,
}

/// The cards that the card form offers.
pub const TEST_CARDS: [TestCard; 8] = [
    TestCard { number: "4242424242424242", does: TestCardOutcome::Pays },
    TestCard { number: "4000000000000002", does: TestCardOutcome::Declined },
    TestCard { number: "4000000000009995", does: TestCardOutcome::InsufficientFunds },
    TestCard { number: "4000000000003220", does: TestCardOutcome::Authenticate },
    TestCard { number: "4000002760003184", does: TestCardOutcome::AuthenticateAlways },
    TestCard { number: "4000002500003155", does: TestCardOutcome::AuthenticateOnce },
    TestCard { number: "4000000000000341", does: TestCardOutcome::DeclinesLater },
    TestCard { number: "4000000000000259", does: TestCardOutcome::Disputed },
];

/// The card fields, with the list of test cards; `prefix` keeps ids apart where a page has two forms.
pub(super) fn card_fields(locale: Locale, prefix: &str, form: &CardForm, autofocus: bool) -> Markup {
    let wrong = match &form.problem {
        Some(FormProblem::Card(problem)) => Some(*problem),
        Some(
            FormProblem::Declined(_)
            | FormProblem::AuthenticationFailed
            | FormProblem::Email
            | FormProblem::Details,
        )
        | None => None,
    };
    let id = |name: &str| format!("{prefix}-{name}");
    let expiry_wrong = matches!(wrong, Some(CardProblem::Expiry | CardProblem::Expired));
    html! {
        (field(&Field {
            id: &id("number"), name: "number", label: t(locale, Text::CardNumber),
            hint: Some(t(locale, Text::CardNumberHint)), wrong: wrong == Some(CardProblem::Number),
            inputmode: "numeric", autocomplete: "cc-number", placeholder: "4242 4242 4242 4242", maxlength: 23,
            autofocus, ..Field::default()
        }))
        div class="pair" {
            (field(&Field {
                id: &id("expiry"), name: "expiry", label: t(locale, Text::Expiry),
                hint: Some(t(locale, Text::ExpiryHint)), wrong: expiry_wrong, inputmode: "numeric",
                autocomplete: "cc-exp", maxlength: 9, ..Field::default()
            }))
            (field(&Field {
                id: &id("cvc"), name: "cvc", label: t(locale, Text::Cvc), hint: Some(t(locale, Text::CvcHint)),
                wrong: wrong == Some(CardProblem::Cvc), inputmode: "numeric", autocomplete: "cc-csc", maxlength: 4,
                ..Field::default()
            }))
        }
        (field(&Field {
            id: &id("name"), name: "name", label: t(locale, Text::NameOnCard), value: &form.name,
            wrong: wrong == Some(CardProblem::Name), autocomplete: "cc-name", maxlength: 200, ..Field::default()
        }))
    }
}

/// The list of test cards. Numbers are text; the script makes them buttons that fill in the form named by `prefix`.
pub(super) fn test_cards(locale: Locale, prefix: &str) -> Markup {
    html! {
        details class="test-cards" open {
            summary { (t(locale, Text::TestCards)) }
            p class="hint" { (t(locale, Text::TestCardsHint)) }
            ul data-fill=(prefix) {
                @for card in TEST_CARDS {
                    li data-card=(card.number) {
                        code { (grouped(card.number)) }
                        span { (t(locale, test_card(card.does))) }
                    }
                }
            }
        }
    }
}

/// A number in groups of four, as it stands on the card.
fn grouped(number: &str) -> String {
    let digits: Vec<char> = number.chars().collect();
    digits.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}

/// What a problem says, with its title: field problems name the field, declines say that nothing was charged.
pub(super) fn problem_message(locale: Locale, problem: &FormProblem) -> Markup {
    let (title, sentence) = match problem {
        FormProblem::Card(problem) => (Text::CheckForm, card_problem(*problem)),
        FormProblem::Email => (Text::CheckForm, Text::ProblemEmail),
        FormProblem::Details => (Text::CheckForm, Text::ProblemDetails),
        FormProblem::Declined(code) => (Text::NotPaid, decline(code)),
        FormProblem::AuthenticationFailed => (Text::NotPaid, Text::AuthenticationFailed),
    };
    let sentences = join(locale, &[t(locale, sentence), t(locale, Text::NotCharged)]);
    message(Tone::Bad, Some(t(locale, title)), &sentences)
}

/// A labelled text field.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Field<'a> {
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    pub(super) label: &'a str,
    pub(super) hint: Option<&'a str>,
    pub(super) value: &'a str,
    pub(super) kind: Option<&'a str>,
    pub(super) inputmode: &'a str,
    pub(super) autocomplete: &'a str,
    pub(super) placeholder: &'a str,
    pub(super) maxlength: u32,
    pub(super) wrong: bool,
    pub(super) autofocus: bool,
}

/// Label, field and hint; a wrong field is marked for screen readers and by more than its colour.
pub(super) fn field(field: &Field<'_>) -> Markup {
    let hint_id = field.hint.map(|_| format!("{}-hint", field.id));
    html! {
        div class={ "field" @if field.wrong { " wrong" } } {
            label for=(field.id) { (field.label) }
            input id=(field.id) name=(field.name) type=(field.kind.unwrap_or("text")) value=(field.value)
                inputmode=[(!field.inputmode.is_empty()).then_some(field.inputmode)]
                autocomplete=(field.autocomplete)
                placeholder=[(!field.placeholder.is_empty()).then_some(field.placeholder)]
                maxlength=[(field.maxlength > 0).then_some(field.maxlength)]
                aria-describedby=[hint_id.as_deref()] aria-invalid=[field.wrong.then_some("true")]
                autofocus[field.autofocus || field.wrong] required;
            @if let (Some(hint), Some(id)) = (field.hint, &hint_id) { p class="hint" id=(id) { (hint) } }
        }
    }
}
