//! The pricing page, and its form in development.

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use quittance_domain::CustomerId;
use quittance_domain::catalog::Interval;
use quittance_engine::checkout::NewCheckout;
use quittance_engine::{Problem, ProblemCode};
use serde::Deserialize;

use super::cards::{Owned, cards};
use super::frame::{address, frame, query_of};
use crate::http::guard::own_form;
use crate::http::problem::Fail;
use crate::http::state::AppState;
use crate::pages::{Choice, Locale, PricingNotice, PricingView, pricing_page};
use quittance_domain::Currency;

/// What an address may ask of the page. Whatever is none of it is passed over: people follow old links.
#[derive(Debug, Default)]
struct Asked {
    interval: Option<Interval>,
    currency: Option<Currency>,
    customer: Option<String>,
    notice: Option<PricingNotice>,
}

fn asked(uri: &Uri) -> Asked {
    let mut asked = Asked::default();
    for (name, value) in query_of(uri) {
        match name.as_str() {
            "interval" => asked.interval = Interval::parse(&value).filter(|i| *i != Interval::Once),
            "currency" => asked.currency = Currency::parse(&value).ok(),
            "customer" => asked.customer = CustomerId::parse(&value).ok().map(|id| id.to_string()),
            "notice" => {
                asked.notice = match value.as_str() {
                    "cancelled" => Some(PricingNotice::CheckoutCancelled),
                    "failed" => Some(PricingNotice::CheckoutFailed),
                    "subscribed" => Some(PricingNotice::AlreadySubscribed),
                    _ => None,
                };
            }
            _ => {}
        }
    }
    asked
}

/// `GET /pricing?interval=&currency=&lang=&customer=`; the customer counts in development only.
pub async fn show(State(app): State<AppState>, uri: Uri, headers: HeaderMap) -> Result<Response, Fail> {
    let frame = frame(&app, &uri, &headers);
    let asked = asked(&uri);
    let customer =
        app.dev.as_ref().map(|dev| asked.customer.clone().unwrap_or_else(|| dev.demo_customer.clone()));
    let owned = Owned::load(&app, customer.as_deref()).await?;
    let catalog = app.engine.catalog();
    let prices = || catalog.plans().iter().flat_map(|plan| &plan.prices);
    let mut intervals: Vec<Interval> =
        prices().map(|p| p.interval).filter(|i| *i != Interval::Once).collect();
    intervals.sort_unstable();
    intervals.dedup();
    let mut currencies: Vec<Currency> = Vec::new();
    for price in prices() {
        if !currencies.contains(&price.amount.currency) {
            currencies.push(price.amount.currency);
        }
    }
    let month = intervals.iter().find(|i| **i == Interval::Month).or_else(|| intervals.first()).copied();
    let interval = asked.interval.filter(|i| intervals.contains(i)).or(month).unwrap_or(Interval::Month);
    let currency = asked.currency.filter(|c| currencies.contains(c)).or_else(|| currencies.first().copied());
    let (plans, purchases) = cards(catalog, frame.locale, interval, currency, &owned);
    let view = PricingView {
        intervals: choices((&uri, app.dev.is_some()), "interval", &intervals, Some(interval), |i| {
            i.as_str().to_owned()
        }),
        currencies: choices((&uri, app.dev.is_some()), "currency", &currencies, currency, |c| {
            c.code().to_owned()
        }),
        plans,
        purchases,
        customer_form: customer.is_some().then(|| "/pricing".to_owned()),
        customer,
        sign_in_url: None,
        checkout_action: "/pricing/checkout".to_owned(),
        hidden: vec![("lang".to_owned(), frame.locale.tag().to_owned())],
        notice: asked.notice,
        frame,
    };
    Ok(pricing_page(&view).into_response())
}

fn choices<T: Copy + PartialEq>(
    (uri, dev): (&Uri, bool),
    name: &str,
    values: &[T],
    selected: Option<T>,
    word: impl Fn(&T) -> String,
) -> Vec<Choice<T>> {
    let mut query = query_of(uri);
    query.retain(|(key, _)| {
        key != name && ["interval", "currency", "lang"].contains(&key.as_str()) || key == "customer" && dev
    });
    let href = |value: &T| {
        let word = word(value);
        let mut pairs: Vec<(&str, &str)> = query.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        pairs.push((name, &word));
        address("/pricing", &pairs)
    };
    values
        .iter()
        .map(|value| Choice { value: *value, href: href(value), selected: Some(*value) == selected })
        .collect()
}

/// The form of a plan's button. It names no price.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Buy {
    customer: String,
    plan: String,
    interval: String,
    currency: String,
    lang: Option<String>,
}

/// Only `quittance dev` may take a customer from a form.
///
/// # Errors
/// `forbidden` in production.
pub fn only_in_dev(app: &AppState) -> Result<(), Problem> {
    if app.dev.is_some() {
        return Ok(());
    }
    Err(Problem::new(
        ProblemCode::Forbidden,
        "Here the app says who is buying, not a form.",
        "The app's server calls POST /v1/checkouts and sends the buyer to the `url` that it gets.",
    ))
}

/// `POST /pricing/checkout`: opens a checkout and sends the buyer to the provider's page.
pub async fn buy(
    State(app): State<AppState>,
    headers: HeaderMap,
    form: Result<Form<Buy>, FormRejection>,
) -> Result<Response, Fail> {
    only_in_dev(&app)?;
    own_form(&headers)?;
    let Form(form) = form.map_err(|rejection| {
        Problem::invalid(format!("The form cannot be used: {}", rejection.body_text()))
    })?;
    let customer = CustomerId::parse(&form.customer).map_err(|error| Problem::invalid(error.to_string()))?;
    let lang = form.lang.as_deref().and_then(Locale::from_tags).unwrap_or(Locale::En).tag();
    let public = &app.engine.settings().public_url;
    let back = [("customer", customer.as_str()), ("lang", lang)];
    let cancel = [("notice", "cancelled"), ("customer", customer.as_str()), ("lang", lang)];
    let new = NewCheckout {
        plan: form.plan,
        interval: Some(form.interval),
        quantity: None,
        currency: Some(form.currency),
        promotion_code: None,
        success_url: Some(format!("{public}/checkout/return?lang={lang}&session_id={{CHECKOUT_SESSION_ID}}")),
        cancel_url: Some(format!("{public}{}", address("/pricing", &cancel))),
        customer: customer.clone(),
        idempotency: None,
    };
    match app.engine.open_checkout(&new).await {
        Ok(row) => {
            let url = row.url.unwrap_or_else(|| address("/billing", &back));
            Ok(Redirect::to(&url).into_response())
        }
        Err(problem) if problem.code == ProblemCode::AlreadySubscribed => {
            let query = [("notice", "subscribed"), ("customer", customer.as_str()), ("lang", lang)];
            Ok(Redirect::to(&address("/pricing", &query)).into_response())
        }
        Err(problem) => Err(problem.into()),
    }
}
