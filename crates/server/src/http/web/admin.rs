//! The operators' overview: with an API key of scope `admin` (as a bearer, or as the password that the browser asks
//! for), or without one under `quittance dev`.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use quittance_domain::Money;
use quittance_domain::delivery::{Channel, DeliveryState};
use quittance_domain::dunning::Outcome;
use quittance_domain::projection::AnomalyKind;
use quittance_engine::api_keys::KeyScope;
use quittance_engine::{Problem, ProblemCode};
use quittance_store::deliveries::{DeliveryRow, Filter};
use quittance_store::{checkouts, outbox, overview, webhook_endpoints};

use super::frame::frame;
use super::problem::page;
use crate::http::auth::{authorize, authorize_key};
use crate::http::problem::Fail;
use crate::http::state::AppState;
use crate::pages::{
    AdminView, AlertRow, AnomalyRow, CheckoutRow, ChurnRow, EndpointRow, EventRow, GivenUpRow, InboxCounts,
    ParkedRow, admin_page,
};
use quittance_domain::checkout::CheckoutState;

/// Rows of each table.
const ROWS: i64 = 50;
/// Months of failing payments.
const MONTHS: i32 = 3;
/// How far anything is counted: the page must open quickly, however much is stored.
const MOST: i64 = 10_000;

/// `GET /admin`
pub async fn show(State(app): State<AppState>, uri: Uri, headers: HeaderMap) -> Result<Response, Fail> {
    if let Err(refusal) = admit(&app, &headers, &uri).await {
        return Ok(*refusal);
    }
    let engine = &app.engine;
    let (backlog, parked) = (engine.backlog().await?, engine.parked(ROWS).await?);
    let (alerts, events) =
        (engine.alerts(false, i64::MAX, ROWS).await?, engine.events(i64::MAX, None, ROWS).await?);
    let recent =
        engine.db().read("admin.checkouts", |tx| checkouts::recent(tx, ROWS)).await.map_err(Problem::from)?;
    let counts =
        engine.db().read("admin.counts", |tx| overview::counts(tx, MOST)).await.map_err(Problem::from)?;
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    let oldest = backlog.oldest.map(|since| count(app.now().since(since)) / 1_000);
    let (anomalies, alerts): (Vec<_>, Vec<_>) = alerts.into_iter().partition(|alert| is_anomaly(&alert.kind));
    let view = AdminView {
        frame: frame(&app, &uri, &headers),
        counts: InboxCounts {
            events: count(counts.events),
            duplicates: count(counts.duplicates),
            waiting: count(counts.waiting),
            oldest_waiting_seconds: oldest,
            dirty: count(backlog.dirty),
            parked: count(backlog.parked.saturating_add(backlog.parked_commands)),
            outbox: count(counts.outbox),
            customers: count(counts.customers),
            most: count(MOST),
        },
        parked: parked_rows(parked),
        anomalies: anomalies
            .into_iter()
            .map(|a| AnomalyRow { at: a.created_at, detail: words(&a), kind: a.kind, object: a.object })
            .collect(),
        alerts: alerts
            .into_iter()
            .map(|a| AlertRow { at: a.created_at, detail: words(&a), kind: a.kind })
            .collect(),
        events: events
            .into_iter()
            .map(|event| EventRow {
                id: event.event_id,
                kind: event.event_type,
                aggregate: event.aggregate,
                received_at: event.received_at,
                deliveries: count(event.deliveries),
                processed: event.processed,
            })
            .collect(),
        churn: churn_rows(&engine.dunning_report(MONTHS).await?),
        checkouts: recent.into_iter().filter(|row| unfinished(row.state)).map(checkout_row).collect(),
        endpoints: engine.endpoints().await?.into_iter().map(endpoint_row).collect(),
        given_up: engine
            .deliveries(given_up(), i64::MAX, ROWS)
            .await?
            .into_iter()
            .map(given_up_row)
            .collect(),
    };
    Ok(admin_page(&view).into_response())
}

/// Lets operators in; the answer to everybody else, for which a browser asks for a key.
pub(super) async fn admit(app: &AppState, headers: &HeaderMap, uri: &Uri) -> Result<(), Box<Response>> {
    let Err(problem) = may_look(app, headers).await else { return Ok(()) };
    let mut response = page(app, &problem, &axum::http::Method::GET, "/admin", headers, uri);
    if problem.code == ProblemCode::Unauthenticated {
        let ask = HeaderValue::from_static(
            "Basic realm=\"Quittance: an admin API key as password\", charset=\"UTF-8\"",
        );
        response.headers_mut().insert(header::WWW_AUTHENTICATE, ask);
    }
    Err(Box::new(response))
}

async fn may_look(app: &AppState, headers: &HeaderMap) -> Result<(), Problem> {
    if app.dev.is_some() {
        return Ok(());
    }
    match basic_password(headers) {
        Some(key) => authorize_key(app, &key, KeyScope::Admin).await.map(drop),
        None => authorize(app, headers, KeyScope::Admin).await.map(drop),
    }
}

/// The password of HTTP Basic; the name before it may be anything.
fn basic_password(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, code) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(base64(code.trim())?).ok()?;
    text.split_once(':').map(|(_, password)| password.to_owned())
}

/// RFC 4648 base64, padded or not; `None` for anything else.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for letter in text.trim_end_matches('=').bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).ok()?);
            bits &= (1 << held) - 1;
        }
    }
    Some(bytes)
}

/// What the sync meets at the provider and cannot explain; everything else is about work of ours.
const ANOMALIES: [AnomalyKind; 15] = [
    AnomalyKind::UnknownPrice,
    AnomalyKind::UnknownStatus,
    AnomalyKind::UnlinkedCustomer,
    AnomalyKind::CustomerContradiction,
    AnomalyKind::SubscriptionMissing,
    AnomalyKind::DuplicateSubscription,
    AnomalyKind::UnreadableObject,
    AnomalyKind::ProviderRetries,
    AnomalyKind::LatePayment,
    AnomalyKind::RefundFailed,
    AnomalyKind::DisputeNeedsResponse,
    AnomalyKind::DisputeDeadline,
    AnomalyKind::EarlyFraudWarning,
    AnomalyKind::CardTesting,
    AnomalyKind::SuspensionUndone,
];

fn is_anomaly(kind: &str) -> bool {
    ANOMALIES.iter().any(|anomaly| anomaly.as_str() == kind)
}

fn words(alert: &outbox::AlertRow) -> String {
    let about =
        if alert.detail.contains(&alert.object) { String::new() } else { format!("{}: ", alert.object) };
    format!("{about}{} {}", alert.detail, alert.mend)
}

fn parked_rows(parked: quittance_engine::operator::Parked) -> Vec<ParkedRow> {
    let number = |attempts: i64| u64::try_from(attempts).unwrap_or(0);
    let aggregates = parked.aggregates.into_iter().filter_map(|row| {
        Some(ParkedRow {
            parked_at: row.parked_at?,
            attempts: number(row.attempts),
            last_error: row.last_error.unwrap_or_default(),
            key: row.key,
        })
    });
    let commands = parked.commands.into_iter().filter_map(|row| {
        Some(ParkedRow {
            parked_at: row.parked_at?,
            attempts: number(row.attempts),
            last_error: row.last_error.unwrap_or_default(),
            key: row.id.to_string(),
        })
    });
    let mut rows: Vec<ParkedRow> = aggregates.chain(commands).collect();
    rows.sort_by_key(|row| row.parked_at);
    rows
}

fn churn_rows(report: &[quittance_engine::dunning::MonthOfCases]) -> Vec<ChurnRow> {
    let row = |month: &str, line: &quittance_engine::dunning::Line| {
        let shown = |tally: quittance_engine::dunning::Tally| match tally.count {
            0 => String::new(),
            count => format!("{} ({count})", Money::new(tally.amount, line.currency)),
        };
        ChurnRow {
            month: month.to_owned(),
            cause: line.cause.as_str().to_owned(),
            at_risk: shown(line.at_risk()),
            open: shown(line.of(Outcome::Open)),
            recovered: shown(line.of(Outcome::Recovered)),
            lost: shown(line.of(Outcome::Lost)),
        }
    };
    report
        .iter()
        .flat_map(|month| month.lines().iter().map(|line| row(&month.month, line)).collect::<Vec<_>>())
        .collect()
}

const fn unfinished(state: CheckoutState) -> bool {
    match state {
        CheckoutState::Creating | CheckoutState::Open | CheckoutState::Processing => true,
        CheckoutState::Complete | CheckoutState::Expired => false,
    }
}

fn checkout_row(row: checkouts::CheckoutRow) -> CheckoutRow {
    CheckoutRow {
        id: row.id.to_string(),
        customer: row.wish.customer.to_string(),
        what: format!("{}, {}, {}", row.wish.plan, row.wish.interval, row.wish.currency.code()),
        state: row.state,
        expires_at: row.expires_at,
    }
}

fn endpoint_row(row: webhook_endpoints::EndpointRow) -> EndpointRow {
    let types: Vec<&str> = row.types.iter().map(|kind| kind.as_str()).collect();
    EndpointRow {
        id: row.id.to_string(),
        url: row.url,
        types: types.join(", "),
        off: row.disabled_why,
        failing_since: row.failing_since,
    }
}

fn given_up() -> Filter {
    Filter { channel: Some(Channel::Webhook), state: Some(DeliveryState::Failed), ..Filter::default() }
}

fn given_up_row(row: DeliveryRow) -> GivenUpRow {
    GivenUpRow {
        event: row.key.split(':').next().unwrap_or_default().to_owned(),
        endpoint: row.destination,
        at: row.finished_at,
        attempts: u64::try_from(row.attempts).unwrap_or(0),
        error: row.last_error.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_read_from_basic() {
        let headers = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("authorization", value.parse().unwrap());
            headers
        };
        assert_eq!(basic_password(&headers("Basic YWRtaW46cWtfZGV2")).as_deref(), Some("qk_dev"));
        assert_eq!(basic_password(&headers("basic OnFrOng=")).as_deref(), Some("qk:x"));
        assert_eq!(basic_password(&headers("Basic !!!")), None);
        assert_eq!(basic_password(&headers("Bearer qk_dev")), None);
    }
}
