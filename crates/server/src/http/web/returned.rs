//! The page that a buyer comes back to: layer 1. It grants nothing; it looks, waits a moment, and says what is known.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use quittance_domain::catalog::{Interval, Plan};
use quittance_domain::checkout::CheckoutState;
use quittance_domain::subscription::{Duplicate, Subscription, SubscriptionStatus};
use quittance_domain::{Access, Money};
use quittance_engine::customers::CustomerView;
use quittance_engine::redirect::Returned;
use quittance_engine::{Problem, ProblemCode};
use quittance_store::checkouts::CheckoutRow;
use serde::Serialize;

use super::frame::{address, encoded, frame, query_of, words};
use crate::http::problem::Fail;
use crate::http::reply::Json;
use crate::http::state::AppState;
use crate::http::subscription_view::main_item;
use crate::pages::{ActiveView, Locale, ReturnState, ReturnView, return_page};

/// The session that the address names, if it can be one.
fn session_of(uri: &Uri) -> Option<String> {
    // A bare payment's id is added to the address by the provider's library.
    let mut query = query_of(uri).into_iter();
    let named = query.find(|(name, _)| ["session_id", "payment_intent"].contains(&name.as_str()));
    let named = named.map(|(_, value)| value);
    named.filter(|id| !id.is_empty() && id.len() <= 255 && id.bytes().all(|b| b.is_ascii_graphic()))
}

/// What is found for a session; `None` for one that is not ours.
fn found(result: Result<Returned, Problem>) -> Result<Option<Returned>, Problem> {
    match result {
        Ok(returned) => Ok(Some(returned)),
        Err(problem) if problem.code == ProblemCode::NotFound => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// What a buyer meets.
enum Met {
    Page(StatusCode, ReturnState),
    /// Bought, and over or in trouble since: the return page has nothing to say any more.
    GoneBy,
}

/// `GET /checkout/return?session_id=`, or `?payment_intent=` for a bare payment
pub async fn show(State(app): State<AppState>, uri: Uri, headers: HeaderMap) -> Result<Response, Fail> {
    let mut frame = frame(&app, &uri, &headers);
    let session = session_of(&uri);
    let returned = match &session {
        Some(session) => {
            let wait = app.engine.settings().redirect_wait_ms;
            found(app.engine.buyer_returned(session, wait).await)?
        }
        None => None,
    };
    if let (Some(returned), true) = (&returned, app.dev.is_some()) {
        // The address of the demo names the session only; its links go on for whoever bought.
        let buyer = [("customer", returned.row.wish.customer.as_str()), ("lang", frame.locale.tag())];
        frame.plans_url = address("/pricing", &buyer);
        frame.billing_url = Some(address("/billing", &buyer));
    }
    let met = match returned {
        Some(returned) => state(&app, &returned, frame.locale).await?,
        None => Met::Page(StatusCode::NOT_FOUND, ReturnState::Unknown),
    };
    Ok(match met {
        Met::Page(status, state) => {
            (status, return_page(&ReturnView { frame, session, state })).into_response()
        }
        Met::GoneBy => {
            let next = frame.billing_url.as_ref().or(frame.app_url.as_ref()).unwrap_or(&frame.plans_url);
            Redirect::to(next).into_response()
        }
    })
}

/// What a page that waits is told.
#[derive(Debug, Serialize)]
struct Status {
    status: &'static str,
}

/// `GET /checkout/return/status?session_id=`: one word, without asking the provider again.
pub async fn status(State(app): State<AppState>, uri: Uri) -> Result<Response, Fail> {
    let returned = match session_of(&uri) {
        Some(session) => found(app.engine.checkout_seen(&session).await)?,
        None => None,
    };
    let Some(returned) = returned else {
        return Ok((StatusCode::NOT_FOUND, Json(Status { status: "unknown" })).into_response());
    };
    let status = match state(&app, &returned, Locale::En).await? {
        Met::GoneBy => "complete",
        Met::Page(_, state) => match state {
            ReturnState::Processing { .. } => "processing",
            ReturnState::Active(_) => "complete",
            ReturnState::Open { .. } => "open",
            ReturnState::Expired => "expired",
            ReturnState::Failed => "failed",
            ReturnState::Unknown => "unknown",
            ReturnState::DuplicateRefunded { .. } => "duplicate",
        },
    };
    Ok(Json(Status { status }).into_response())
}

async fn state(app: &AppState, returned: &Returned, locale: Locale) -> Result<Met, Problem> {
    let row = &returned.row;
    let processing = || {
        let session = row.session.as_deref().unwrap_or_else(|| row.id.as_str());
        let status_url = address("/checkout/return/status", &[("session_id", session)]);
        Met::Page(StatusCode::OK, ReturnState::Processing { status_url, slow: false })
    };
    match row.state {
        CheckoutState::Processing => Ok(processing()),
        // As long as we have not looked, what is stored as open may be paid.
        CheckoutState::Creating | CheckoutState::Open if !returned.looked => Ok(processing()),
        CheckoutState::Creating | CheckoutState::Open => {
            Ok(Met::Page(StatusCode::OK, ReturnState::Open { checkout_url: row.url.clone() }))
        }
        CheckoutState::Expired => Ok(Met::Page(StatusCode::OK, ReturnState::Expired)),
        CheckoutState::Complete => {
            let view = app.engine.customer(row.wish.customer.as_str()).await?;
            Ok(complete(app, row, &view, locale).unwrap_or_else(processing))
        }
    }
}

/// What a paid checkout has become; `None` while that is not mirrored.
fn complete(app: &AppState, row: &CheckoutRow, view: &CustomerView, locale: Locale) -> Option<Met> {
    let (now, plan) = (app.now(), app.engine.catalog().plan(row.wish.plan.as_str()));
    let mut subscriptions = view.subscriptions.iter().map(|row| &row.subscription);
    let bought = subscriptions.find(|s| s.facts.checkout.as_ref() == Some(&row.id));
    let of_checkout = |p: &&quittance_domain::projection::Purchase| {
        p.facts.checkout.as_ref() == Some(&row.id) || Some(&p.facts.id) == row.session.as_ref()
    };
    let access = match bought {
        Some(subscription) => {
            if let Some(refunded) = refunded(subscription) {
                return Some(Met::Page(StatusCode::OK, ReturnState::DuplicateRefunded { amount: refunded }));
            }
            subscription.standing.at(now)
        }
        None => view.purchases.iter().find(of_checkout)?.standing.at(now),
    };
    match access {
        Access::Pending => None,
        // A later payment failed, or it is over: the billing page says what is owed.
        Access::Revoked | Access::Grace => Some(Met::GoneBy),
        Access::Granted => {
            Some(Met::Page(StatusCode::OK, ReturnState::Active(active(app, row, bought, plan, locale))))
        }
    }
}

fn paid(subscription: &Subscription) -> Option<Money> {
    let invoice = subscription.facts.latest_invoice.as_ref()?;
    let nothing = Money::new(0, invoice.remaining.currency);
    invoice.payments.iter().try_fold(nothing, |sum, payment| sum.checked_add(payment.amount)).ok()
}

/// What the checkout itself charged; `None` once a renewal or a change of plan has an invoice of its own.
fn paid_at_checkout(row: &CheckoutRow, subscription: &Subscription) -> Option<Money> {
    let item = main_item(subscription)?;
    let first = item.period_start.is_none_or(|start| start <= subscription.facts.created_at);
    let same = subscription.plan().is_some_and(|held| held.plan == row.wish.plan);
    if first && same { paid(subscription) } else { None }
}

/// What went back when this subscription was one too many.
fn refunded(subscription: &Subscription) -> Option<Money> {
    match subscription.duplicate {
        Some(Duplicate::Cancel { refund: true, .. }) => paid(subscription),
        Some(Duplicate::Cancel { refund: false, .. } | Duplicate::AskOperator { .. }) | None => None,
    }
}

fn active(
    app: &AppState,
    row: &CheckoutRow,
    bought: Option<&Subscription>,
    plan: Option<&Plan>,
    locale: Locale,
) -> ActiveView {
    let catalog = app.engine.catalog();
    let price = Interval::parse(&row.wish.interval)
        .zip(plan)
        .and_then(|(interval, plan)| plan.price(interval, row.wish.currency));
    let once = price.and_then(|price| price.amount.checked_mul(row.wish.quantity).ok());
    let next_charge = bought.and_then(|subscription| {
        let item = main_item(subscription)?;
        let each = item.unit_price?.checked_mul(item.quantity).ok()?;
        let interval = item.interval.as_deref().and_then(Interval::parse)?;
        if subscription.facts.ends_at().is_some() {
            return None;
        }
        Some((item.period_end?, each, interval))
    });
    let has = |key: &str| plan.is_some_and(|plan| plan.features.get(key).is_some());
    let features = catalog.features().iter().filter(|feature| has(feature.key.as_str()));
    let first = plan.and_then(|plan| plan.features.keys().next());
    ActiveView {
        plan: plan.map_or_else(|| row.wish.plan.to_string(), |plan| words(locale, &plan.name)),
        paid: bought.map_or(once, |subscription| paid_at_checkout(row, subscription)),
        next_charge,
        trialing: bought.is_some_and(|s| s.facts.status == SubscriptionStatus::Trialing),
        unlocked: features.map(|feature| words(locale, &feature.name)).collect(),
        curl: first.zip(app.dev.as_ref()).map(|(first, dev)| {
            // What the demo is about, where the plan has it.
            let feature = if has("article:full") { "article:full" } else { first.as_str() };
            let customer = encoded(row.wish.customer.as_str());
            format!(
                "curl {}/v1/customers/{customer}/entitlements/{feature} \\\n  -H 'authorization: Bearer {}'",
                app.engine.settings().public_url,
                dev.api_key
            )
        }),
    }
}
