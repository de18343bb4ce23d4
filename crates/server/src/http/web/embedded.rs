//! The demo of a checkout on a page of the app, under `quittance dev` only.

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use quittance_domain::catalog::Interval;
use quittance_domain::checkout::{CheckoutState, CheckoutUi};
use quittance_domain::{Catalog, Currency, Money};
use quittance_engine::checkout::NewCheckout;
use quittance_engine::{Problem, ProblemCode};
use serde::Deserialize;

use super::frame::{address, frame, words};
use super::visitor::{of_address, stranger, visitor};
use crate::http::guard::own_form;
use crate::http::peer::Client;
use crate::http::problem::Fail;
use crate::http::state::{AppState, DevInfo};
use crate::pages::{EmbeddedChoiceView, EmbeddedView, Locale, csp_with, embedded_choice_page, embedded_page};

/// The ways to pay on a page of the app.
const WAYS: [CheckoutUi; 3] = [CheckoutUi::Embedded, CheckoutUi::Elements, CheckoutUi::PaymentIntent];

fn dev(app: &AppState) -> Result<DevInfo, Problem> {
    app.dev.clone().ok_or_else(|| Problem::not_found("page"))
}

/// What the demo sells: the first subscription, and for a bare payment the first thing that is bought once.
fn sold(catalog: &Catalog, ui: CheckoutUi) -> Option<(String, Interval, Currency, Money)> {
    let once = match ui {
        CheckoutUi::PaymentIntent => true,
        CheckoutUi::Hosted | CheckoutUi::Embedded | CheckoutUi::Elements => false,
    };
    let mut prices =
        catalog.plans().iter().flat_map(|plan| plan.prices.iter().map(move |price| (plan, price)));
    let (plan, price) = prices.find(|(_, price)| (price.interval == Interval::Once) == once)?;
    Some((plan.key.to_string(), price.interval, price.amount.currency, price.amount))
}

/// `GET /demo/embedded`
pub async fn choose(State(app): State<AppState>, uri: Uri, headers: HeaderMap) -> Result<Response, Fail> {
    dev(&app)?;
    let frame = frame(&app, &uri, &headers);
    let buyer = of_address(&app, &uri)?.ok_or_else(stranger)?;
    let catalog = app.engine.catalog();
    let named = |key: &str| catalog.plan(key).map(|plan| words(frame.locale, &plan.name));
    let ways = WAYS
        .into_iter()
        .filter_map(|ui| {
            let (plan, _, _, price) = sold(catalog, ui)?;
            Some((ui.as_str(), named(&plan)?, Some(price)))
        })
        .collect();
    let hidden = vec![
        ("lang".to_owned(), frame.locale.tag().to_owned()),
        (buyer.pair.0.to_owned(), buyer.pair.1.clone()),
    ];
    let view = EmbeddedChoiceView { action: "/demo/embedded".to_owned(), hidden, ways, frame };
    Ok(embedded_choice_page(&view).into_response())
}

/// The form of the choice.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    ui: String,
    lang: Option<String>,
    customer: Option<String>,
}

/// `POST /demo/embedded`: opens a checkout, as the app's server would by the API.
pub async fn open(
    State(app): State<AppState>,
    Client(client_ip): Client,
    headers: HeaderMap,
    form: Result<Form<Choice>, FormRejection>,
) -> Result<Response, Fail> {
    dev(&app)?;
    own_form(&headers)?;
    let Form(form) = form.map_err(|rejection| {
        Problem::invalid(format!("The form cannot be used: {}", rejection.body_text()))
    })?;
    let buyer = visitor(&app, None, form.customer.as_deref())?.ok_or_else(stranger)?;
    let lang = form.lang.as_deref().and_then(Locale::from_tags).unwrap_or(Locale::En).tag();
    let ui = CheckoutUi::parse(&form.ui).filter(|ui| ui.is_on_our_page());
    let ui = ui.ok_or_else(|| Problem::invalid("There is no such way to pay on a page of yours."))?;
    let (plan, interval, currency, _) =
        sold(app.engine.catalog(), ui).ok_or_else(|| Problem::not_found("plan"))?;
    let public = &app.engine.settings().public_url;
    let back = match ui {
        CheckoutUi::PaymentIntent => format!("{public}/checkout/return?lang={lang}"),
        CheckoutUi::Hosted | CheckoutUi::Embedded | CheckoutUi::Elements => {
            format!("{public}/checkout/return?lang={lang}&session_id={{CHECKOUT_SESSION_ID}}")
        }
    };
    let new = NewCheckout {
        customer: buyer.customer.clone(),
        plan,
        interval: Some(interval.as_str().to_owned()),
        quantity: None,
        currency: Some(currency.code().to_owned()),
        promotion_code: None,
        channel: None,
        success_url: Some(back),
        cancel_url: None,
        starts_after: None,
        ui,
        client_ip,
        reference: None,
        idempotency: None,
    };
    let query = [("lang", lang), buyer.pair()];
    match app.engine.open_checkout(&new).await {
        Ok(row) => Ok(Redirect::to(&address(&format!("/demo/embedded/{}", row.id), &query)).into_response()),
        Err(problem) if problem.code == ProblemCode::AlreadySubscribed => {
            Ok(Redirect::to(&address("/billing", &query)).into_response())
        }
        Err(problem) => Err(problem.into()),
    }
}

/// `GET /demo/embedded/{checkout}`: the page of an app on which the buyer pays.
pub async fn show(
    State(app): State<AppState>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Fail> {
    let dev = dev(&app)?;
    let row = app.engine.checkout_row(&id).await?;
    let frame = frame(&app, &uri, &headers);
    let carried = [("lang", frame.locale.tag()), ("customer", row.wish.customer.as_str())];
    let (open, key) = (row.state == CheckoutState::Open, app.engine.settings().publishable_key.clone());
    let (Some(secret), Some(key), true) = (row.client_secret, key, open) else {
        let session = row.session.as_deref().unwrap_or_default();
        let to = address("/checkout/return", &[("session_id", session), ("lang", frame.locale.tag())]);
        return Ok(Redirect::to(&to).into_response());
    };
    let plan = app.engine.catalog().plan(row.wish.plan.as_str());
    let origin = dev.sandbox_url.trim_end_matches('/').to_owned();
    let view = EmbeddedView {
        ui: row.wish.ui.as_str(),
        plan: plan.map_or_else(|| row.wish.plan.to_string(), |plan| words(frame.locale, &plan.name)),
        library_url: format!("{origin}/js/sandbox.js"),
        publishable_key: key,
        client_secret: secret,
        return_url: row.wish.success_url,
        back: address("/demo/embedded", &carried),
        frame,
    };
    let mut response = embedded_page(&view).into_response();
    // The library and its frame are of the provider, here of the sandbox; nothing else is let in.
    if let Ok(policy) = HeaderValue::from_str(&csp_with(&[&origin], &origin)) {
        response.extensions_mut().insert(super::OwnPolicy(policy));
    }
    Ok(response)
}
