//! The customer's billing page, for whoever comes with a link of the app; in development for anybody.

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use quittance_domain::Catalog;
use quittance_domain::catalog::Interval;
use quittance_domain::dunning::PaymentIssue;
use quittance_domain::projection::Purchase;
use quittance_domain::subscription::{Subscription, SubscriptionStatus};
use quittance_domain::{Access, Timestamp};
use quittance_engine::commands::request::PortalStart;
use quittance_engine::{Problem, ProblemCode};
use quittance_store::mirror::SubscriptionRow;
use serde::Deserialize;

use super::billing_change::{actions_of, ahead_of};
use super::frame::{address, frame, query_of, words};
use super::visitor::{Visitor, of_address, stranger, visitor};
use crate::http::entitlements::{Entitlement, every};
use crate::http::guard::own_form;
use crate::http::problem::Fail;
use crate::http::state::AppState;
use crate::http::subscription_view::main_item;
use crate::pages::{
    BillingEntitlement, BillingIssue, BillingNotice, BillingSubscription, BillingView, Locale, NextStep,
    Purchase as PurchaseLine, billing_page,
};

/// `GET /billing?link=`, or in development `?customer=`.
pub async fn show(State(app): State<AppState>, uri: Uri, headers: HeaderMap) -> Result<Response, Fail> {
    let visitor = of_address(&app, &uri)?.ok_or_else(stranger)?;
    let frame = frame(&app, &uri, &headers);
    let asked = |name: &str| query_of(&uri).into_iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let notice = asked("notice");
    let id = &visitor.customer;
    let (view, held) = match app.engine.customer(id.as_str()).await {
        Ok(view) => (Some(view), app.engine.held(id.as_str()).await?),
        Err(problem) if problem.code == ProblemCode::NotFound => (None, None),
        Err(problem) => return Err(problem.into()),
    };
    let (now, locale) = (app.now(), frame.locale);
    let catalog = app.engine.catalog();
    let mut subscriptions = Vec::new();
    let mut purchases = Vec::new();
    if let Some(view) = &view {
        let mut rows: Vec<&SubscriptionRow> = view.subscriptions.iter().collect();
        rows.sort_by_key(|row| !row.subscription.is_live());
        for row in rows {
            let mut shown = block(&app, &visitor, &row.subscription, locale, now);
            shown.ahead = ahead_of(&app.engine, row, locale).await;
            if let Some(actions) = &mut shown.actions {
                actions.cancelling = asked("cancel").as_deref() == Some(&actions.subscription);
            }
            subscriptions.push(shown);
        }
        for purchase in &view.purchases {
            purchases.push(bought(&app, purchase, locale, now).await?);
        }
    }
    let holdings = held.as_ref().map_or(&[][..], |held| &held.holdings);
    let name =
        |key: &str| catalog.features().iter().find(|f| f.key.as_str() == key).map(|f| words(locale, &f.name));
    // What renews by itself does not end for its holder; the stored time is only when we would stop without a renewal.
    let renewing: Vec<Timestamp> = view
        .iter()
        .flat_map(|view| &view.subscriptions)
        .filter(|row| {
            matches!(next(&row.subscription, now), NextStep::Renews { .. } | NextStep::TrialEnds { .. })
        })
        .filter_map(|row| row.subscription.standing.until())
        .collect();
    let known = app.engine.known_provider_customer(id).await?.is_some();
    let page = BillingView {
        customer: id.to_string(),
        notice: match notice.as_deref() {
            Some("portal") => Some(BillingNotice::BackFromPortal),
            Some("failed") => Some(BillingNotice::PortalFailed),
            Some("paid") => Some(BillingNotice::NothingToPay),
            Some("changed") => Some(BillingNotice::Changed),
            Some("declined") => Some(BillingNotice::Declined),
            Some("owed") => Some(BillingNotice::Owed),
            Some("stale") => Some(BillingNotice::Stale),
            Some("pending") => Some(BillingNotice::Pending),
            Some("method") => Some(BillingNotice::Method),
            Some(_) | None => None,
        },
        subscriptions,
        free_plan: view.as_ref().and_then(|_| catalog.free_plan()).map(|plan| words(locale, &plan.name)),
        purchases,
        entitlements: in_catalogs_order(every(holdings, now), catalog)
            .into_iter()
            .filter(|entitlement| entitlement.allowed)
            .map(|entitlement| BillingEntitlement {
                name: name(entitlement.feature).unwrap_or_else(|| entitlement.feature.to_owned()),
                limit: entitlement.limit,
                used: entitlement.used,
                expires_at: entitlement.expires_at.map(|time| time.0).filter(|time| !renewing.contains(time)),
            })
            .collect(),
        portal_action: known.then(|| "/billing/portal".to_owned()),
        hidden: vec![
            ("lang".to_owned(), locale.tag().to_owned()),
            (visitor.pair.0.to_owned(), visitor.pair.1.clone()),
        ],
        frame,
    };
    Ok(billing_page(&page).into_response())
}

fn in_catalogs_order<'a>(mut all: Vec<Entitlement<'a>>, catalog: &Catalog) -> Vec<Entitlement<'a>> {
    all.sort_by_key(|one| catalog.features().iter().position(|f| f.key.as_str() == one.feature));
    all
}

fn block(
    app: &AppState,
    visitor: &Visitor,
    subscription: &Subscription,
    locale: Locale,
    now: Timestamp,
) -> BillingSubscription {
    let plan = subscription.plan().and_then(|held| app.engine.catalog().plan(held.plan.as_str()));
    let item = main_item(subscription);
    let name = plan.map(|plan| words(locale, &plan.name));
    let price =
        item.and_then(|item| Some((item.unit_price?, item.interval.as_deref().and_then(Interval::parse)?)));
    BillingSubscription {
        id: subscription.facts.id.clone(),
        plan: name.unwrap_or_else(|| subscription.facts.id.clone()),
        access: subscription.standing.at(now),
        price,
        quantity: item.map_or(1, |item| item.quantity),
        next: next(subscription, now),
        issue: PaymentIssue::of(subscription).map(|issue| BillingIssue {
            kind: issue.kind,
            amount: issue.amount,
            next_attempt_at: issue.next_attempt_at,
            pay_url: address(
                "/billing/pay",
                &[visitor.pair(), ("invoice", &issue.invoice), ("lang", locale.tag())],
            ),
        }),
        ahead: Vec::new(),
        actions: actions_of(&app.engine, subscription, locale),
    }
}

fn next(subscription: &Subscription, now: Timestamp) -> NextStep {
    let facts = &subscription.facts;
    let renews = || NextStep::Renews {
        at: facts.period_end().or_else(|| subscription.standing.until()).unwrap_or(now),
    };
    if subscription.missing {
        return NextStep::Over { since: None, unpaid: false };
    }
    match (&facts.status, facts.ends_at()) {
        (SubscriptionStatus::Canceled, _) => NextStep::Over { since: facts.ended_at, unpaid: false },
        (SubscriptionStatus::IncompleteExpired, _) => NextStep::Over { since: facts.ended_at, unpaid: true },
        (SubscriptionStatus::Unpaid, _) => NextStep::Over { since: facts.failing_since, unpaid: true },
        (SubscriptionStatus::Paused, _) => NextStep::Paused,
        (SubscriptionStatus::Incomplete, _) => NextStep::WaitingForPayment,
        (SubscriptionStatus::PastDue, _) => match subscription.standing.until() {
            Some(until) if now < until => {
                let owed = facts.latest_invoice.as_ref().map(|invoice| invoice.remaining);
                NextStep::Grace { until, owed: owed.filter(|owed| owed.minor > 0) }
            }
            since => NextStep::Over { since, unpaid: true },
        },
        (SubscriptionStatus::Trialing | SubscriptionStatus::Active, Some(at)) => NextStep::Ends { at },
        (SubscriptionStatus::Trialing | SubscriptionStatus::Active, None) if facts.is_paused() => {
            NextStep::Paused
        }
        (SubscriptionStatus::Trialing, None) => match facts.trial_end {
            Some(at) => NextStep::TrialEnds { at },
            None => renews(),
        },
        (SubscriptionStatus::Active, None) => renews(),
        (SubscriptionStatus::Unknown(_), _) if subscription.standing.at(now).allows() => renews(),
        (SubscriptionStatus::Unknown(_), _) => NextStep::WaitingForPayment,
    }
}

async fn bought(
    app: &AppState,
    purchase: &Purchase,
    locale: Locale,
    now: Timestamp,
) -> Result<PurchaseLine, Problem> {
    let facts = &purchase.facts;
    let plan = facts.plan.as_ref().and_then(|key| app.engine.catalog().plan(key.as_str()));
    let row = match app.engine.checkout_row(&facts.id).await {
        Ok(row) => Some(row),
        Err(problem) if problem.code == ProblemCode::NotFound => None,
        Err(problem) => return Err(problem),
    };
    let price = row.as_ref().zip(plan).and_then(|(row, plan)| plan.price(Interval::Once, row.wish.currency));
    Ok(PurchaseLine {
        name: plan.map_or_else(|| facts.id.clone(), |plan| words(locale, &plan.name)),
        at: row.as_ref().map_or(now, |row| row.created_at),
        amount: price.and_then(|price| price.amount.checked_mul(facts.quantity).ok()),
        refunded: facts.paid && purchase.standing.at(now) == Access::Revoked,
    })
}

/// The form of the one button.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manage {
    link: Option<String>,
    customer: Option<String>,
    lang: Option<String>,
    /// Where the portal opens: `home`, `payment_method`, `cancel` or `change`.
    start: Option<String>,
    /// Which subscription, for the last two.
    subscription: Option<String>,
}

impl Manage {
    fn start(&self) -> Result<PortalStart, Problem> {
        let subscription = || {
            let named = self.subscription.clone().filter(|id| !id.is_empty() && id.len() <= 255);
            named.ok_or_else(|| Problem::invalid("The form does not say which subscription."))
        };
        match self.start.as_deref() {
            None | Some("home") => Ok(PortalStart::Home),
            Some("payment_method") => Ok(PortalStart::PaymentMethod),
            Some("cancel") => Ok(PortalStart::Cancel(subscription()?)),
            Some("change") => Ok(PortalStart::Change(subscription()?)),
            Some(_) => Err(Problem::invalid("The form does not say where the portal is to open.")),
        }
    }
}

/// `POST /billing/portal`: opens the provider's portal where the customer asked, and sends the customer there.
pub async fn portal(
    State(app): State<AppState>,
    headers: HeaderMap,
    form: Result<Form<Manage>, FormRejection>,
) -> Result<Response, Fail> {
    own_form(&headers)?;
    let Form(form) = form.map_err(|rejection| {
        Problem::invalid(format!("The form cannot be used: {}", rejection.body_text()))
    })?;
    let visitor = visitor(&app, form.link.as_deref(), form.customer.as_deref())?.ok_or_else(stranger)?;
    let lang = form.lang.as_deref().and_then(Locale::from_tags).unwrap_or(Locale::En).tag();
    let back = |notice: &str| address("/billing", &[("notice", notice), visitor.pair(), ("lang", lang)]);
    let return_url = format!("{}{}", app.engine.settings().public_url, back("portal"));
    match app.engine.open_portal(&visitor.customer, Some(&return_url), form.start()?).await {
        Ok(url) => Ok(Redirect::to(&url).into_response()),
        Err(problem) => {
            tracing::warn!(code = problem.code.as_str(), "the portal could not be opened");
            Ok(Redirect::to(&back("failed")).into_response())
        }
    }
}
