//! The forms of the billing page: a look at what a change costs, the change itself, undo, cancel, resume.
//!
//! Each is for one subscription of the visitor's own; another's is not there.

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use quittance_domain::catalog::Interval;
use quittance_domain::subscription::{Planned, Subscription};
use quittance_engine::commands::request::{CancelAt, Feedback};
use quittance_engine::subscriptions::{Change, Ending};
use quittance_engine::{Engine, Problem, ProblemCode};
use quittance_store::mirror::SubscriptionRow;
use serde::Deserialize;

use super::frame::{address, frame, words};
use super::visitor::{Visitor, stranger, visitor};
use crate::http::guard::own_form;
use crate::http::problem::Fail;
use crate::http::state::AppState;
use crate::http::subscription_view::main_item;
use crate::pages::{Actions, AheadLine, ConfirmView, Locale, PlanChoice, confirm_page};

/// The fields of all these forms; each uses its own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    link: Option<String>,
    customer: Option<String>,
    lang: Option<String>,
    subscription: String,
    to: Option<String>,
    quantity: Option<i64>,
    quote: Option<String>,
    reason: Option<String>,
}

type AskedForm = Result<Form<Asked>, FormRejection>;

/// A form that was checked: who asks, and for which subscription of theirs.
struct Checked {
    form: Asked,
    visitor: Visitor,
    locale: Locale,
}

impl Checked {
    async fn of(app: &AppState, headers: &HeaderMap, form: AskedForm) -> Result<Self, Fail> {
        own_form(headers)?;
        let Form(form) = form.map_err(|rejection| {
            Problem::invalid(format!("The form cannot be used: {}", rejection.body_text()))
        })?;
        let visitor = visitor(app, form.link.as_deref(), form.customer.as_deref())?.ok_or_else(stranger)?;
        let locale = form.lang.as_deref().and_then(Locale::from_tags).unwrap_or(Locale::En);
        let row = app.engine.subscription(&form.subscription).await?;
        if row.subscription.customer.as_ref() != Some(&visitor.customer) {
            return Err(Problem::not_found("subscription").into());
        }
        Ok(Self { form, visitor, locale })
    }

    fn back(&self, notice: Option<&str>) -> String {
        let mut query: Vec<(&str, &str)> = notice.map(|notice| ("notice", notice)).into_iter().collect();
        query.extend([self.visitor.pair(), ("lang", self.locale.tag())]);
        address("/billing", &query)
    }

    /// Back to the page, with what came of it.
    fn settled(&self, done: Result<SubscriptionRow, Problem>) -> Result<Response, Fail> {
        let told = [
            (ProblemCode::PaymentDeclined, "declined"),
            (ProblemCode::PaymentOwed, "owed"),
            (ProblemCode::QuoteStale, "stale"),
            (ProblemCode::WrongState, "pending"),
            (ProblemCode::OutcomePending, "pending"),
        ];
        let notice = match done {
            Ok(_) => "changed",
            Err(problem) => match told.iter().find(|(code, _)| *code == problem.code) {
                Some((_, notice)) => notice,
                None => return Err(problem.into()),
            },
        };
        Ok(Redirect::to(&self.back(Some(notice))).into_response())
    }
}

/// `POST /billing/preview`: what a change would cost, before it is made.
pub async fn preview(
    State(app): State<AppState>,
    uri: Uri,
    headers: HeaderMap,
    form: AskedForm,
) -> Result<Response, Fail> {
    let asked = Checked::of(&app, &headers, form).await?;
    let (plan, interval) = asked
        .form
        .to
        .as_deref()
        .and_then(|to| to.split_once('|'))
        .ok_or_else(|| Problem::invalid("The form names no plan."))?;
    let change = Change {
        plan: Some(plan.to_owned()),
        interval: Some(interval.to_owned()),
        quantity: asked.form.quantity,
        ..Change::default()
    };
    let preview = match app.engine.preview_change(&asked.form.subscription, &change).await {
        Err(problem) if problem.code == ProblemCode::PaymentOwed => {
            return Ok(Redirect::to(&asked.back(Some("owed"))).into_response());
        }
        other => other?,
    };
    let interval = Interval::parse(interval).unwrap_or(Interval::Month);
    let mut frame = frame(&app, &uri, &headers);
    frame.locale = asked.locale;
    frame.billing_url = Some(asked.back(None));
    frame.plans_url = address("/pricing", &[asked.visitor.pair(), ("lang", asked.locale.tag())]);
    frame.other_language = None;
    let name = app.engine.catalog().plan(plan).map(|plan| words(asked.locale, &plan.name));
    let view = ConfirmView {
        frame,
        quote: preview.quote.to_string(),
        subscription: asked.form.subscription.clone(),
        what: counted(name.unwrap_or_else(|| plan.to_owned()), asked.form.quantity.unwrap_or(1)),
        at: preview.at,
        due: preview.due,
        lines: preview.lines,
        afterwards: (preview.afterwards, interval),
        hidden: vec![
            ("lang".to_owned(), asked.locale.tag().to_owned()),
            (asked.visitor.pair.0.to_owned(), asked.visitor.pair.1.clone()),
        ],
        back: asked.back(None),
    };
    Ok(confirm_page(&view).into_response())
}

/// `POST /billing/change`: makes the change of a quote.
pub async fn change(
    State(app): State<AppState>,
    headers: HeaderMap,
    form: AskedForm,
) -> Result<Response, Fail> {
    let asked = Checked::of(&app, &headers, form).await?;
    let quote = asked.form.quote.as_deref().ok_or_else(|| Problem::invalid("The form names no quote."))?;
    let done = app.engine.change_as_quoted(&asked.form.subscription, quote).await;
    asked.settled(done)
}

/// `POST /billing/undo`: takes back what is planned.
pub async fn undo(
    State(app): State<AppState>,
    headers: HeaderMap,
    form: AskedForm,
) -> Result<Response, Fail> {
    let asked = Checked::of(&app, &headers, form).await?;
    let done = app.engine.undo_change(&asked.form.subscription, None).await;
    asked.settled(done)
}

/// `POST /billing/cancel`: ends it with its period.
pub async fn cancel(
    State(app): State<AppState>,
    headers: HeaderMap,
    form: AskedForm,
) -> Result<Response, Fail> {
    let asked = Checked::of(&app, &headers, form).await?;
    let reason = asked.form.reason.as_deref().unwrap_or_default();
    let feedback = Feedback::ALL.into_iter().find(|feedback| feedback.as_str() == reason);
    let ending = Ending { at: CancelAt::PeriodEnd, feedback, comment: None };
    let done = app.engine.cancel_subscription(&asked.form.subscription, ending, None).await;
    asked.settled(done)
}

/// `POST /billing/resume`: takes back an end or a pause.
pub async fn resume(
    State(app): State<AppState>,
    headers: HeaderMap,
    form: AskedForm,
) -> Result<Response, Fail> {
    let asked = Checked::of(&app, &headers, form).await?;
    let done = app.engine.resume_subscription(&asked.form.subscription, None).await;
    asked.settled(done)
}

fn counted(name: String, quantity: i64) -> String {
    if quantity == 1 { name } else { format!("{name} ×{quantity}") }
}

/// What is planned for a subscription or waits, in words.
pub(super) async fn ahead_of(engine: &Engine, row: &SubscriptionRow, locale: Locale) -> Vec<AheadLine> {
    let said = |planned: &Planned| {
        let plan = planned.plan.as_ref().and_then(|key| engine.catalog().plan(key.as_str()));
        let name = plan.map_or_else(|| row.subscription.facts.id.clone(), |plan| words(locale, &plan.name));
        counted(name, planned.quantity)
    };
    let mut lines = Vec::new();
    if let Some(planned) = &row.subscription.scheduled {
        lines.push(AheadLine::Planned { what: said(planned), at: planned.at });
    }
    if let Some(planned) = &row.subscription.pending {
        // Without a link the provider's portal is still there.
        let pay_url = engine.pay_page(row).await.ok().flatten();
        lines.push(AheadLine::Waits { what: said(planned), until: planned.at, pay_url });
    }
    lines
}

/// What a customer can do with a subscription now.
pub(super) fn actions_of(engine: &Engine, subscription: &Subscription, locale: Locale) -> Option<Actions> {
    if !subscription.is_live() {
        return None;
    }
    let facts = &subscription.facts;
    let ends = facts.ends_at().is_some();
    let held = subscription.plan()?;
    let item = main_item(subscription)?;
    let currency = facts.currency.or(item.unit_price.map(|price| price.currency))?;
    let plans = engine.catalog().plans().iter().filter(|plan| plan.group == held.group && !plan.free);
    let choices = plans.flat_map(|plan| {
        let prices = plan.prices.iter();
        let sold = prices.filter(move |p| p.amount.currency == currency && p.interval != Interval::Once);
        sold.map(move |price| PlanChoice {
            value: format!("{}|{}", plan.key, price.interval.as_str()),
            name: words(locale, &plan.name),
            price: (price.amount, price.interval),
            current: plan.key == held.plan && item.interval.as_deref() == Some(price.interval.as_str()),
        })
    });
    let paused = facts.is_paused();
    Some(Actions {
        subscription: facts.id.clone(),
        choices: if ends || paused { Vec::new() } else { choices.collect() },
        quantity: item.quantity,
        undo: facts.ahead.schedule.is_some() && subscription.scheduled.is_some(),
        cancel: (!ends).then(|| facts.period_end()),
        cancelling: false,
        resume: ends || paused,
    })
}
