//! The pricing page, and the form of its buttons.

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use quittance_domain::catalog::Interval;
use quittance_engine::checkout::NewCheckout;
use quittance_engine::{Problem, ProblemCode};
use serde::Deserialize;

use super::cards::{Owned, cards};
use super::frame::{address, frame, query_of};
use super::visitor::{Visitor, of_address, stranger, visitor};
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
    notice: Option<PricingNotice>,
}

fn asked(uri: &Uri) -> Asked {
    let mut asked = Asked::default();
    for (name, value) in query_of(uri) {
        match name.as_str() {
            "interval" => asked.interval = Interval::parse(&value).filter(|i| *i != Interval::Once),
            "currency" => asked.currency = Currency::parse(&value).ok(),
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

/// `GET /pricing?interval=&currency=&lang=`, with a link, or in development with a customer.
pub async fn show(State(app): State<AppState>, uri: Uri, headers: HeaderMap) -> Result<Response, Fail> {
    let frame = frame(&app, &uri, &headers);
    let asked = asked(&uri);
    let visitor = of_address(&app, &uri)?;
    let owned = Owned::load(&app, visitor.as_ref().map(|visitor| visitor.customer.as_str())).await?;
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
    let mut carried = query_of(&uri);
    carried.retain(|(name, _)| ["interval", "currency", "lang"].contains(&name.as_str()));
    let mut hidden = vec![("lang".to_owned(), frame.locale.tag().to_owned())];
    if let Some((name, value)) = visitor.as_ref().map(Visitor::pair) {
        carried.push((name.to_owned(), value.to_owned()));
        hidden.push((name.to_owned(), value.to_owned()));
    }
    let (plans, purchases) = cards(catalog, frame.locale, interval, currency, &owned);
    let view = PricingView {
        intervals: choices(&carried, "interval", &intervals, Some(interval), |i| i.as_str().to_owned()),
        currencies: choices(&carried, "currency", &currencies, currency, |c| c.code().to_owned()),
        plans,
        purchases,
        customer_form: app.dev.is_some().then(|| "/pricing".to_owned()),
        customer: visitor.map(|visitor| visitor.customer.to_string()),
        for_operators: app.tells_operators(),
        checkout_action: "/pricing/checkout".to_owned(),
        hidden,
        notice: asked.notice,
        frame,
    };
    Ok(pricing_page(&view).into_response())
}

fn choices<T: Copy + PartialEq>(
    carried: &[(String, String)],
    name: &str,
    values: &[T],
    selected: Option<T>,
    word: impl Fn(&T) -> String,
) -> Vec<Choice<T>> {
    let href = |value: &T| {
        let word = word(value);
        let others = carried.iter().filter(|(key, _)| key != name);
        let mut pairs: Vec<(&str, &str)> = others.map(|(k, v)| (k.as_str(), v.as_str())).collect();
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
    link: Option<String>,
    customer: Option<String>,
    plan: String,
    interval: String,
    currency: String,
    lang: Option<String>,
}

/// `POST /pricing/checkout`: opens a checkout and sends the buyer to the provider's page.
pub async fn buy(
    State(app): State<AppState>,
    headers: HeaderMap,
    form: Result<Form<Buy>, FormRejection>,
) -> Result<Response, Fail> {
    own_form(&headers)?;
    let Form(form) = form.map_err(|rejection| {
        Problem::invalid(format!("The form cannot be used: {}", rejection.body_text()))
    })?;
    let buyer = visitor(&app, form.link.as_deref(), form.customer.as_deref())?.ok_or_else(stranger)?;
    let customer = &buyer.customer;
    let lang = form.lang.as_deref().and_then(Locale::from_tags).unwrap_or(Locale::En).tag();
    let public = &app.engine.settings().public_url;
    let back = [buyer.pair(), ("lang", lang)];
    let mut cancel = vec![("notice", "cancelled"), ("lang", lang)];
    if app.dev.is_some() {
        // A link stays out: the address is stored, here and at the provider, and is part of what makes two wishes the same.
        cancel.push(("customer", customer.as_str()));
    }
    let new = NewCheckout {
        plan: form.plan,
        interval: Some(form.interval),
        quantity: None,
        currency: Some(form.currency),
        promotion_code: None,
        channel: None,
        success_url: Some(format!("{public}/checkout/return?lang={lang}&session_id={{CHECKOUT_SESSION_ID}}")),
        cancel_url: Some(format!("{public}{}", address("/pricing", &cancel))),
        customer: customer.clone(),
        starts_after: None,
        client_ip: None,
        idempotency: None,
    };
    match app.engine.open_checkout(&new).await {
        Ok(row) => {
            let url = row.url.unwrap_or_else(|| address("/billing", &back));
            Ok(Redirect::to(&url).into_response())
        }
        Err(problem) if problem.code == ProblemCode::AlreadySubscribed => {
            let query = [("notice", "subscribed"), buyer.pair(), ("lang", lang)];
            Ok(Redirect::to(&address("/pricing", &query)).into_response())
        }
        Err(problem) => Err(problem.into()),
    }
}
