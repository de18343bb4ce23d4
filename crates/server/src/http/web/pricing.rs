//! The pricing page, and the form of its buttons.

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use quittance_domain::catalog::Interval;
use quittance_domain::checkout::CheckoutUi;
use quittance_domain::pricing::{Applied, Priced};
use quittance_domain::{Currency, CustomerId};
use quittance_engine::checkout::NewCheckout;
use quittance_engine::pricing::PriceAsk;
use quittance_engine::{Problem, ProblemCode};
use serde::Deserialize;

use super::cards::{Owned, cards};
use super::frame::{address, frame, query_of, words};
use super::visitor::{Visitor, of_address, stranger, visitor};
use crate::http::guard::own_form;
use crate::http::peer::Client;
use crate::http::problem::Fail;
use crate::http::state::AppState;
use crate::pages::{
    Choice, CodeField, Locale, PlanCard, PlanOffer, PricingNotice, PricingView, Reduced, pricing_page, reason,
};

/// What an address may ask of the page. Whatever is none of it is passed over: people follow old links.
#[derive(Debug, Default)]
struct Asked {
    interval: Option<Interval>,
    currency: Option<Currency>,
    notice: Option<PricingNotice>,
    code: Option<String>,
}

/// The longest code that is read, in characters.
const MOST_CODE: usize = 100;

fn asked(uri: &Uri) -> Asked {
    let mut asked = Asked::default();
    for (name, value) in query_of(uri) {
        match name.as_str() {
            "interval" => asked.interval = Interval::parse(&value).filter(|i| *i != Interval::Once),
            "currency" => asked.currency = Currency::parse(&value).ok(),
            "code" => {
                let code: String = value.trim().chars().take(MOST_CODE).collect();
                asked.code = Some(code).filter(|code| !code.is_empty());
            }
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
    carried.retain(|(name, _)| ["interval", "currency", "lang", "code"].contains(&name.as_str()));
    let mut hidden = vec![("lang".to_owned(), frame.locale.tag().to_owned())];
    if let Some((name, value)) = visitor.as_ref().map(Visitor::pair) {
        carried.push((name.to_owned(), value.to_owned()));
        hidden.push((name.to_owned(), value.to_owned()));
    }
    let (mut plans, mut purchases) = cards(catalog, frame.locale, interval, currency, &owned);
    let reader = Reader {
        customer: visitor.as_ref().map(|visitor| visitor.customer.clone()),
        code: asked.code.as_deref().and_then(|code| typed(&app, code)),
        locale: frame.locale,
    };
    let mut holds = false;
    for card in plans.iter_mut().chain(&mut purchases) {
        card.reduced = reduced(&app, &reader, card).await?;
        holds |= card.reduced.as_ref().is_some_and(|reduced| reduced.code.is_some());
    }
    let others: Vec<(String, String)> = carried.iter().filter(|(name, _)| name != "code").cloned().collect();
    let pairs: Vec<(&str, &str)> = others.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let offered = catalog.promotions().iter().any(|promotion| promotion.code.is_some());
    let code = visitor.as_ref().filter(|_| offered).map(|_| CodeField {
        holds: asked.code.as_ref().map(|_| holds),
        typed: asked.code.unwrap_or_default(),
        without: address("/pricing", &pairs),
        carried: others.clone(),
    });
    let view =
        PricingView {
            intervals: choices(&carried, "interval", &intervals, Some(interval), |i| i.as_str().to_owned()),
            currencies: choices(&carried, "currency", &currencies, currency, |c| c.code().to_owned()),
            plans,
            purchases,
            customer_form: app.dev.is_some().then(|| "/pricing".to_owned()),
            embedded_url: app.dev.as_ref().zip(visitor.as_ref()).map(|(_, visitor)| {
                address("/demo/embedded", &[("lang", frame.locale.tag()), visitor.pair()])
            }),
            customer: visitor.map(|visitor| visitor.customer.to_string()),
            for_operators: app.tells_operators(),
            checkout_action: "/pricing/checkout".to_owned(),
            hidden,
            notice: asked.notice,
            code,
            frame,
        };
    Ok(pricing_page(&view).into_response())
}

/// What was typed, where it is a code that buyers may type: neither the key of a promotion, which the app names, nor an id
/// at the provider.
fn typed(app: &AppState, word: &str) -> Option<String> {
    let found = app.engine.catalog().promotion(word)?;
    found.code.as_ref().filter(|code| code.eq_ignore_ascii_case(word)).cloned()
}

/// Who reads the prices.
struct Reader {
    customer: Option<CustomerId>,
    code: Option<String>,
    locale: Locale,
}

/// What the reader pays for a card where that is not the list's price: by the same function as a checkout.
async fn reduced(app: &AppState, reader: &Reader, card: &PlanCard) -> Result<Option<Reduced>, Problem> {
    let PlanOffer::Buy(tag) = card.offer else { return Ok(None) };
    let ask = |promotion_code: Option<String>| PriceAsk {
        customer: reader.customer.clone(),
        plan: card.key.clone(),
        interval: Some(tag.interval.as_str().to_owned()),
        currency: Some(tag.amount.currency.code().to_owned()),
        quantity: None,
        promotion_code,
        channel: None,
    };
    let coded = match &reader.code {
        None => None,
        Some(code) => match app.engine.price(&ask(Some(code.clone()))).await {
            Ok(priced) => Some(priced),
            // It is not for this plan, or for nobody: then the price is what it is without.
            Err(problem) if problem.code == ProblemCode::PromotionRefused => None,
            Err(problem) => return Err(problem),
        },
    };
    let priced = match coded {
        Some(priced) => priced,
        None => app.engine.price(&ask(None)).await?,
    };
    if priced.total == priced.list {
        return Ok(None);
    }
    let by_code = matches!(priced.applied, Some(Applied::Promotion(_)));
    Ok(Some(Reduced {
        list: priced.list,
        total: priced.total,
        why: why(app, reader.locale, &priced),
        code: reader.code.clone().filter(|_| by_code),
    }))
}

/// Why a price is not the list's, and for how long.
fn why(app: &AppState, locale: Locale, priced: &Priced) -> String {
    let name = match &priced.applied {
        Some(Applied::Promotion(key)) => {
            app.engine.catalog().promotion(key.as_str()).map(|found| words(locale, &found.name))
        }
        Some(Applied::Channel(_) | Applied::Own) | None => None,
    };
    reason(locale, name.as_deref(), priced)
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
    code: Option<String>,
}

/// `POST /pricing/checkout`: opens a checkout and sends the buyer to the provider's page.
pub async fn buy(
    State(app): State<AppState>,
    Client(client_ip): Client,
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
        promotion_code: form.code.as_deref().and_then(|code| typed(&app, code)),
        channel: None,
        success_url: Some(format!("{public}/checkout/return?lang={lang}&session_id={{CHECKOUT_SESSION_ID}}")),
        cancel_url: Some(format!("{public}{}", address("/pricing", &cancel))),
        customer: customer.clone(),
        starts_after: None,
        ui: CheckoutUi::Hosted,
        reference: None,
        client_ip,
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
