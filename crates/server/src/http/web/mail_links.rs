//! The links of mails, for a reader who is not signed in: paying, changing the card, cancelling, and choosing mails.
//!
//! A link does the one thing that it was signed for, or leads to the customer's own page where that does it. Opening one changes nothing, here or at the provider: programs that
//! look at mails before people do follow links, so what opens a page of the provider's for one customer, or changes
//! something, is a form or, for declining a kind of mail, the POST of RFC 8058.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use quittance_domain::CustomerId;
use quittance_engine::commands::request::PortalStart;
use quittance_engine::invoice_page::InvoicePage;
use quittance_engine::{Problem, ProblemCode};
use quittance_mail::Kind;
use quittance_mail::links::{Opened, Target};
use quittance_mail::preferences::{self, By};

use super::billing_change::actions_of;
use super::frame::{address, frame};
use crate::http::guard::own_form;
use crate::http::problem::{self, Fail};
use crate::http::state::AppState;
use crate::page_links::LIFE_MS;
use crate::pages::{
    Locale, MailLinkAsk, MailLinkState, PreferencesView, mail_ask_page, mail_link_page, preferences_page,
};

/// The longest form that is read, in bytes.
const MOST_FORM: usize = 8 * 1024;

fn read(app: &AppState, token: &str) -> Option<Opened> {
    app.mail_links.as_ref()?.read(token, app.now())
}

fn closed(app: &AppState, uri: &Uri, headers: &HeaderMap, state: MailLinkState) -> Response {
    let status = match state {
        MailLinkState::Unknown => StatusCode::NOT_FOUND,
        MailLinkState::Over => StatusCode::GONE,
        MailLinkState::Settled => StatusCode::OK,
    };
    (status, mail_link_page(&frame(app, uri, headers), state)).into_response()
}

/// The one button that goes on: a session at the provider is opened for a person, and not for a program that looks.
fn asks(app: &AppState, uri: &Uri, headers: &HeaderMap, what: MailLinkAsk) -> Response {
    mail_ask_page(&frame(app, uri, headers), uri.path(), what).into_response()
}

/// `GET /mail/open/{token}`
pub async fn open(
    State(app): State<AppState>,
    Path(token): Path<String>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Fail> {
    let (customer, target) = match opened(&app, &token) {
        Ok(found) => found,
        Err(state) => return Ok(closed(&app, &uri, &headers, state)),
    };
    // Whoever only asks whether there is something gets no page of the provider's.
    if method == Method::HEAD {
        return Ok(StatusCode::OK.into_response());
    }
    let billing = billing(&app, &customer)?;
    match target {
        Target::Pay(invoice) if app.engine.invoice_is_over(&customer, &invoice).await? => {
            Ok(closed(&app, &uri, &headers, MailLinkState::Settled))
        }
        Target::Pay(invoice) => invoice_page(&app, &invoice, true, &billing, &uri, &headers).await,
        Target::Document(invoice) => invoice_page(&app, &invoice, false, &billing, &uri, &headers).await,
        Target::Card => Ok(asks(&app, &uri, &headers, MailLinkAsk::Card)),
        Target::Cancel(subscription) => {
            Ok(match own_form_of(&app, &customer, &subscription, &billing).await {
                Some(form) => Redirect::to(&form).into_response(),
                None => asks(&app, &uri, &headers, MailLinkAsk::Cancel),
            })
        }
        Target::Billing => Ok(Redirect::to(&billing).into_response()),
        Target::Preferences(_) => Ok(Redirect::to(&target.path(&token)).into_response()),
    }
}

fn opened(app: &AppState, token: &str) -> Result<(CustomerId, Target), MailLinkState> {
    match read(app, token) {
        Some(Opened::Open(customer, target)) => Ok((customer, target)),
        Some(Opened::Expired(..)) => Err(MailLinkState::Over),
        None => Err(MailLinkState::Unknown),
    }
}

/// `POST /mail/open/{token}`: the button of the page.
pub async fn go(
    State(app): State<AppState>,
    Path(token): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Fail> {
    own_form(&headers)?;
    let (customer, target) = match opened(&app, &token) {
        Ok(found) => found,
        Err(state) => return Ok(closed(&app, &uri, &headers, state)),
    };
    let billing = billing(&app, &customer)?;
    let start = match target {
        Target::Card => PortalStart::PaymentMethod,
        Target::Cancel(subscription) => match own_form_of(&app, &customer, &subscription, &billing).await {
            Some(form) => return Ok(Redirect::to(&form).into_response()),
            None => PortalStart::Cancel(subscription),
        },
        Target::Pay(_) | Target::Document(_) | Target::Billing | Target::Preferences(_) => {
            return Ok(Redirect::to(&target.path(&token)).into_response());
        }
    };
    let back = format!("{}{billing}&notice=portal", app.engine.settings().public_url);
    match app.engine.open_portal(&customer, Some(&back), start).await {
        Ok(url) => Ok(Redirect::to(&url).into_response()),
        Err(problem) => {
            tracing::warn!(code = problem.code.as_str(), "a mail's link could not be followed");
            Ok(Redirect::to(&format!("{billing}&notice=failed")).into_response())
        }
    }
}

/// Our own form that cancels a subscription of the customer's; none for a plan that the catalog does not have. The provider's page
/// refuses what a schedule manages, whoever is suspended, and everybody where the portal does not cancel.
async fn own_form_of(
    app: &AppState,
    customer: &CustomerId,
    subscription: &str,
    billing: &str,
) -> Option<String> {
    let found = app.engine.subscription(subscription).await.ok()?.subscription;
    let theirs = found.customer.as_ref() == Some(customer);
    // What is over is shown as that.
    let shown = !found.is_live() || actions_of(&app.engine, &found, Locale::En).is_some();
    (theirs && shown).then(|| format!("{billing}&cancel={subscription}#cancel-{subscription}"))
}

/// Leads to the provider's page of an invoice; to pay it only while it is owed.
async fn invoice_page(
    app: &AppState,
    invoice: &str,
    pay: bool,
    billing: &str,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response, Fail> {
    match app.engine.invoice_page(invoice).await {
        Ok(page) if pay && !page.owed => Ok(closed(app, uri, headers, MailLinkState::Settled)),
        Ok(InvoicePage { url: Some(url), .. }) => Ok(Redirect::to(&url).into_response()),
        Ok(InvoicePage { url: None, .. }) => Ok(Redirect::to(billing).into_response()),
        Err(problem) => {
            tracing::warn!(code = problem.code.as_str(), "a mail's link could not be followed");
            Ok(Redirect::to(&format!("{billing}&notice=failed")).into_response())
        }
    }
}

/// The customer's own page, for as long as a link of the app would open it.
fn billing(app: &AppState, customer: &CustomerId) -> Result<String, Problem> {
    let until = app.now().plus_ms(LIFE_MS);
    let link =
        app.links.as_ref().and_then(|links| links.sign(customer, until)).ok_or_else(problem::internal)?;
    Ok(address("/billing", &[("link", &link)]))
}

/// `GET /mail/preferences/{token}`
pub async fn choices(
    State(app): State<AppState>,
    Path(token): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Fail> {
    let (customer, _) = match preference(&app, &token) {
        Ok(found) => found,
        Err(state) => return Ok(closed(&app, &uri, &headers, state)),
    };
    page(&app, &customer, &uri, &headers, false).await
}

fn preference(app: &AppState, token: &str) -> Result<(CustomerId, Kind), MailLinkState> {
    match read(app, token) {
        Some(Opened::Open(customer, Target::Preferences(kind))) => Ok((customer, kind)),
        Some(Opened::Expired(_, Target::Preferences(_))) => Err(MailLinkState::Over),
        Some(Opened::Open(..) | Opened::Expired(..)) | None => Err(MailLinkState::Unknown),
    }
}

async fn page(
    app: &AppState,
    customer: &CustomerId,
    uri: &Uri,
    headers: &HeaderMap,
    saved: bool,
) -> Result<Response, Fail> {
    let view = PreferencesView {
        kinds: preferences::of(&app.engine, customer).await?,
        action: uri.path().to_owned(),
        frame: frame(app, uri, headers),
        saved,
    };
    Ok(preferences_page(&view).into_response())
}

/// `POST /mail/preferences/{token}`: the page's form, or a mail program's one click.
pub async fn choose(
    State(app): State<AppState>,
    Path(token): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Fail> {
    let (customer, kind) = match preference(&app, &token) {
        Ok(found) => found,
        Err(state) => return Ok(closed(&app, &uri, &headers, state)),
    };
    if body.len() > MOST_FORM {
        return Err(Problem::new(ProblemCode::TooLarge, "The form is too long.", "Send less.").into());
    }
    let fields = fields(&body);
    let has = |name: &str, value: &str| fields.iter().any(|(key, given)| key == name && given == value);
    if has("List-Unsubscribe", "One-Click") {
        // From anywhere: the token is the only proof that RFC 8058 asks for.
        if kind.optional() {
            preferences::set(&app.engine, &customer, &[(kind, false)], By::OneClick).await?;
        }
        return Ok(StatusCode::OK.into_response());
    }
    own_form(&headers)?;
    if !has("choices", "1") {
        return Err(Problem::invalid("The form has no choices.").into());
    }
    let choices: Vec<(Kind, bool)> = Kind::ALL
        .into_iter()
        .filter(|kind| kind.optional())
        .map(|kind| (kind, has(kind.as_str(), "on")))
        .collect();
    preferences::set(&app.engine, &customer, &choices, By::Page).await?;
    let lang = fields.iter().find(|(key, _)| key == "lang").and_then(|(_, tag)| Locale::from_tags(tag));
    let shown = match lang {
        Some(locale) => format!("{}?lang={}", uri.path(), locale.tag()).parse().unwrap_or(uri),
        None => uri,
    };
    page(&app, &customer, &shown, &headers, true).await
}

/// The fields of a form; those of a `multipart/form-data` one click too, which RFC 8058 prefers.
fn fields(body: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(body);
    if text.starts_with("--") {
        return text
            .split("name=\"")
            .skip(1)
            .filter_map(|part| {
                let (name, rest) = part.split_once('"')?;
                let value = rest.split_once("\r\n\r\n")?.1.split("\r\n").next()?;
                Some((name.to_owned(), value.to_owned()))
            })
            .collect();
    }
    let uri = format!("/?{text}").parse::<Uri>();
    uri.map(|uri| super::frame::query_of(&uri)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_click_is_read_in_both_forms() {
        let wanted = vec![("List-Unsubscribe".to_owned(), "One-Click".to_owned())];
        assert_eq!(fields(b"List-Unsubscribe=One-Click"), wanted);
        let parts =
            "--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--x--\r\n";
        assert_eq!(fields(parts.as_bytes()), wanted);
        assert!(!fields(b"\xff\xfe").contains(&wanted[0]) && fields(b"").is_empty());
    }
}
