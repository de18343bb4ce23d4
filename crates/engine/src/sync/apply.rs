//! The one door through which observed truth enters: project and commit once, behind the fence.

use std::sync::Arc;

use quittance_domain::catalog::Price;
use quittance_domain::checkout::CheckoutState;
use quittance_domain::command::mending_turn;
use quittance_domain::delivery::Channel;
use quittance_domain::dispute::{self, DisputePolicy};
use quittance_domain::dunning::{Case, DunningPolicy};
use quittance_domain::entitlement::SourceKind;
use quittance_domain::notices::{self, Beside, NoticeKind, NoticePolicy, RuleTable, Wanted};
use quittance_domain::past::KnownPrice;
use quittance_domain::projection::{
    Anomaly, AnomalyKind, Effect, HistoryLine, PaymentFacts, Projection, Purchase, Stored, project,
};
use quittance_domain::subscription::SubscriptionStatus;
use quittance_domain::{Access, CheckoutId, CustomerId, PlanKey, Timestamp, app_event};
use quittance_store::aggregates::{self, Claim};
use quittance_store::customers::{CustomerPatch, LinkedBy};
use quittance_store::deliveries::NewDelivery;
use quittance_store::history::NewLine;
use quittance_store::inbox::Hinted;
use quittance_store::mirror::HoldingRow;
use quittance_store::outbox::NewAlert;
use quittance_store::{
    Tx, catalogs, checkouts, commands, customers, deliveries, disputes as store_disputes, drifts, history,
    ledger, mirror, notices as store_notices, outbox, services,
};
use serde_json::json;

use super::fetch::{Context, Fetched};
use super::prices::known_price;
use super::{SyncEnd, SyncError, dunning};
use crate::commands::request::{Request, Which};
use crate::commands::{self as asking, place};
use crate::engine::Engine;
use crate::refunds;
use crate::settings::OnDuplicate;
use crate::suspensions::{self, Look};
use crate::telemetry::{self, Funnel};
use crate::trials::Place;
use crate::world::Point;

/// Everything that one apply needs, fixed before the transaction, so that the transaction can be run again.
struct Input {
    claim: Claim,
    scope: String,
    /// Which database this is: part of every command's key.
    instance: String,
    provider_customer: String,
    context: Context,
    fetched: Fetched,
    policy: quittance_domain::AccessPolicy,
    dunning: DunningPolicy,
    disputes: DisputePolicy,
    on_duplicate: OnDuplicate,
    notices: NoticePolicy,
    rules: Arc<RuleTable>,
    now: Timestamp,
}

fn wanted<'a>(input: &'a Input, beside: &'a Beside) -> Wanted<'a> {
    Wanted {
        beside,
        policy: &input.notices,
        rules: &input.rules,
        told: &input.context.told,
        announced: &input.context.announced,
        looked_at: input.context.looked_at,
        now: input.now,
    }
}

/// What a committed apply wants to be followed by.
#[derive(Debug, Clone, Default)]
struct Applied {
    customer: Option<CustomerId>,
    access: Vec<AccessChange>,
    completed: Vec<(CheckoutId, String)>,
    notified: Vec<NoticeKind>,
    alerts: Vec<String>,
    mended: Vec<drifts::Ended>,
    /// Failing payments that are new or changed their outcome.
    cases: Vec<Case>,
    commands: bool,
}

/// One subscription or purchase gives something else now.
#[derive(Debug, Clone)]
struct AccessChange {
    object: String,
    from: Option<Access>,
    to: Access,
    plan: Option<String>,
    /// The provider's word for a subscription's state.
    status: Option<String>,
    /// The newest event that led to the look, if one did.
    event: Option<String>,
}

impl AccessChange {
    /// Whether something that could be used cannot be used any more; what was never given is not taken away.
    fn takes_away(&self) -> bool {
        self.to == Access::Revoked && matches!(self.from, Some(Access::Granted | Access::Grace))
    }
}

impl Engine {
    #[crate::boxed]
    pub(super) async fn apply(
        &self,
        claim: &Claim,
        provider_customer: &str,
        context: Context,
        fetched: Fetched,
    ) -> Result<SyncEnd, SyncError> {
        let input = Arc::new(Input {
            claim: claim.clone(),
            scope: self.scope().to_string(),
            instance: self.instance().to_owned(),
            provider_customer: provider_customer.to_owned(),
            context,
            fetched,
            policy: self.settings().access.clone(),
            dunning: self.settings().dunning.clone(),
            disputes: self.settings().disputes.clone(),
            on_duplicate: self.settings().on_duplicate,
            notices: self.settings().notices.clone(),
            rules: self.settings().notice_rules.clone(),
            now: self.now(),
        });
        let catalog = self.catalog_handle();
        self.world().point(Point::ApplyBeforeCommit).await;
        let engine = self.clone();
        let written = self.db().write("sync.apply", move |tx| apply(tx, &input, &catalog, &engine)).await;
        // What was outdated for a commit that did not come must not stay so.
        let applied = written.inspect_err(|_| self.entitlements().forget_all())?;
        self.world().point(Point::ApplyAfterCommit).await;
        let Some(applied) = applied else { return Ok(SyncEnd::Fenced) };
        self.follow_up(claim, applied).await;
        Ok(SyncEnd::Done)
    }

    /// Brings memory up to date and tells logs and metrics; nothing here is needed for correctness.
    async fn follow_up(&self, claim: &Claim, applied: Applied) {
        if let Some(customer) = &applied.customer
            && let Err(problem) = self.reload(customer.as_str()).await
        {
            tracing::warn!(customer = customer.as_str(), error = %problem, "not reloaded; the next question loads it");
        }
        let customer = applied.customer.as_ref();
        for change in &applied.access {
            telemetry::access_changed(change.to.as_str());
            tracing::info!(
                customer = customer.map(CustomerId::as_str),
                subscription = change.object,
                plan = change.plan,
                status = change.status,
                access = change.to.as_str(),
                before = change.from.map(Access::as_str),
                event = change.event,
                aggregate = claim.key,
                "access changed"
            );
            if change.takes_away() {
                let plan = change.plan.as_deref();
                telemetry::funnel(Funnel::EntitlementRevoked, customer, &change.object, plan);
            }
        }
        for (checkout, plan) in &applied.completed {
            telemetry::funnel(Funnel::CheckoutCompleted, customer, checkout.as_str(), Some(plan));
        }
        for kind in &applied.notified {
            telemetry::notice(kind.as_str());
        }
        for kind in &applied.alerts {
            telemetry::alert(kind);
        }
        for ended in &applied.mended {
            telemetry::drift_mended(ended.kind.as_str(), ended.wrong, ended.wrong_ms);
        }
        for case in &applied.cases {
            telemetry::dunning(case);
        }
        if applied.commands {
            self.wake();
        }
    }
}

/// `None`: the fence was closed, and nothing was written.
fn apply(
    tx: &mut dyn Tx,
    input: &Input,
    catalog: &quittance_domain::Catalog,
    engine: &Engine,
) -> quittance_store::Result<Option<Applied>> {
    // The fence first: it also locks the row, so that nothing can slip in between check and commit.
    if !super::complete(tx, &input.claim, input.now)? {
        return Ok(None);
    }
    let mut stored = input.context.stored.clone();
    let newly_linked = link(tx, input, &mut stored.customer)?;
    stored.known_prices = prices_of_before(tx, input, catalog)?;
    let mut projection = project(input.fetched.observed.clone(), &stored, catalog, &input.policy, input.now);
    dispute::decide(&mut projection, &input.disputes, input.now);
    duplicates_elsewhere(tx, input, stored.customer.as_ref(), &mut projection)?;
    refunds::forget_made_up_for(tx, &mut projection)?;
    refunds::resolve_mended(tx, &projection, input.now)?;
    let fraud = Look {
        engine,
        scope: &input.scope,
        instance: &input.instance,
        aggregate: &input.claim.key,
        provider_customer: &input.provider_customer,
        customer: stored.customer.as_ref(),
        attempts: &input.fetched.cards,
        invoices: &input.fetched.invoices,
        now: input.now,
    };
    let fraud_waits = fraud.judge(tx, &mut projection)?;
    let suspended = suspensions::is_suspended(tx, stored.customer.as_ref())?;
    let followed = dunning::look(
        tx,
        &input.context.cases,
        &input.fetched.invoices,
        (stored.customer.as_ref(), suspended),
        &input.dunning,
        &mut projection,
        input.now,
    )?;
    let mut applied =
        Applied { customer: stored.customer.clone(), commands: fraud_waits, ..Applied::default() };
    write_mirror(tx, input, stored.customer.as_ref(), &projection)?;
    if input.fetched.observed.customer_gone {
        // Whoever buys next is another customer there.
        customers::gone(tx, &input.scope, &input.provider_customer, input.now)?;
    }
    remember_prices(tx, input, catalog, &stored)?;
    ledger::record(tx, &input.fetched.books.records(), input.now)?;
    let noted = |invoice: &str| {
        let mut latest = stored.subscriptions.iter().filter_map(|s| s.facts.latest_invoice.as_ref());
        latest.any(|known| known.id == invoice && known.status != "draft")
    };
    for (invoice, of) in input.fetched.books.services().filter(|(invoice, _)| !noted(invoice)) {
        services::put(tx, &input.scope, invoice, of)?;
    }
    applied.mended = drifts::synced(tx, &input.claim.key, input.claim.target, input.now)?;
    let same = projection.subscriptions == stored.subscriptions && projection.purchases == stored.purchases;
    if let Some(customer) = &stored.customer {
        if newly_linked {
            history::adopt(tx, &input.claim.key, customer)?;
        }
        settle_checkouts(tx, input, &mut applied)?;
        let holdings = holdings_of(input, catalog, &projection);
        // What a sweep finds to be held otherwise than the mirror says is written anew.
        let held_otherwise = input.claim.thorough
            && !as_held(&mirror::holdings_of_aggregate(tx, &input.claim.key)?, &holdings);
        if newly_linked || !same || held_otherwise {
            mirror::replace_holdings(tx, &input.claim.key, customer, &holdings)?;
            engine.touch(tx, customer, input.now)?;
        }
    }
    write_history(tx, input, stored.customer.as_ref(), &projection, &mut applied)?;
    if let Some(customer) = &stored.customer {
        let turn = format!("{}#{}", input.claim.key, input.claim.target);
        let facts = app_event::facts(&stored, &projection, &turn, input.now);
        engine.tell_all(tx, customer, &facts, input.now)?;
    }
    let trials = Place {
        scope: &input.scope,
        aggregate: &input.claim.key,
        customer: stored.customer.as_ref(),
        cause: &cause(input, &[]),
        now: input.now,
    };
    applied.commands |= engine.judge_trials(tx, &input.fetched.trials, &trials)?;
    // Decided last, because it tells of what this commit found and asked for.
    if let Some(customer) = &stored.customer {
        let ended = newly_ended(&stored, &projection, newly_linked);
        let changed = if same { None } else { Some(catalog) };
        let beside = crate::notices::beside(tx, customer, changed, &projection, &ended, input.now)?;
        notices::decide(&stored, &mut projection, wanted(input, &beside));
    }
    write_effects(tx, input, stored.customer.as_ref(), &projection, &mut applied, engine)?;
    write_alerts(tx, input, stored.customer.as_ref(), &projection, &mut applied)?;
    let place = dunning::Place {
        scope: &input.scope,
        aggregate: &input.claim.key,
        instance: &input.instance,
        engine,
        customer: stored.customer.as_ref(),
    };
    applied.commands |= dunning::write(tx, &place, &followed, input.now)?;
    applied.cases = dunning::news(&input.context.cases, followed.cases);
    aggregates::set_look_at(tx, &input.claim.key, projection.look_again_at)?;
    Ok(Some(applied))
}

/// Subscriptions whose end is seen for the first time by somebody who can be told.
fn newly_ended<'a>(stored: &Stored, projection: &'a Projection, newly_linked: bool) -> Vec<&'a str> {
    let was_over =
        |id: &str| stored.subscriptions.iter().any(|s| s.facts.id == id && s.facts.status.is_final());
    let ended = projection.subscriptions.iter().filter(|s| s.facts.status.is_final());
    ended.map(|s| s.facts.id.as_str()).filter(|id| newly_linked || !was_over(id)).collect()
}

/// Whose it is: as it is linked now, since an operator may have done so after the fetch began; else linked by its
/// own metadata. An existing link always wins; what contradicts it becomes an anomaly in the projection.
fn link(tx: &mut dyn Tx, input: &Input, customer: &mut Option<CustomerId>) -> quittance_store::Result<bool> {
    *customer = customers::linked(tx, &input.scope, &input.provider_customer)?;
    if customer.is_some() {
        return Ok(false);
    }
    let mut named: Vec<&CustomerId> = input.fetched.named_customer.iter().collect();
    named.extend(input.fetched.observed.subscriptions.iter().filter_map(|s| s.named_customer.as_ref()));
    named.sort();
    named.dedup();
    // Two different names are a contradiction, never a guess.
    let [one] = named.as_slice() else { return Ok(false) };
    customers::upsert(tx, one, &CustomerPatch::default(), input.now)?;
    customers::link(tx, &input.scope, &input.provider_customer, one, LinkedBy::Metadata, input.now)?;
    *customer = Some((*one).clone());
    Ok(true)
}

/// A second live subscription of a plan group under another of the customer's provider customers: for a
/// person to decide, because two aggregates are never mended in one transaction.
fn duplicates_elsewhere(
    tx: &mut dyn Tx,
    input: &Input,
    customer: Option<&CustomerId>,
    projection: &mut Projection,
) -> quittance_store::Result<()> {
    let Some(customer) = customer else { return Ok(()) };
    let elsewhere = mirror::subscriptions_of_customer(tx, customer.as_str())?;
    for other in elsewhere.iter().filter(|row| row.aggregate != input.claim.key && row.subscription.is_live())
    {
        let groups: Vec<_> = other.subscription.plans.iter().map(|held| &held.group).collect();
        let here = projection.subscriptions.iter().find(|s| {
            s.is_live()
                && s.plans.iter().any(|held| groups.contains(&&held.group))
                && !s.follows(&other.subscription)
                && !other.subscription.follows(s)
        });
        if let Some(here) = here {
            projection.anomalies.push(Anomaly {
                kind: AnomalyKind::DuplicateSubscription,
                object: here.facts.id.clone(),
                detail: format!(
                    "a second live subscription of its plan group beside {}, under another customer of the provider",
                    other.subscription.facts.id
                ),
            });
        }
    }
    Ok(())
}

fn write_mirror(
    tx: &mut dyn Tx,
    input: &Input,
    customer: Option<&CustomerId>,
    projection: &Projection,
) -> quittance_store::Result<()> {
    let (scope, key, now) = (&input.scope, &input.claim.key, input.now);
    for subscription in &projection.subscriptions {
        let digest = input
            .fetched
            .digests
            .iter()
            .find(|(id, _)| *id == subscription.facts.id)
            .map_or("missing", |(_, digest)| digest.as_str());
        mirror::put_subscription(tx, scope, key, subscription, digest, now)?;
    }
    let known = &input.context.stored;
    for purchase in projection.purchases.iter().filter(|p| !known.purchases.contains(p)) {
        mirror::put_purchase(tx, scope, key, purchase, now)?;
    }
    for payment in projection.payments.iter().filter(|p| !known.payments.contains(p)) {
        mirror::put_payment(tx, scope, key, customer, payment, now)?;
        let place = store_disputes::Place { scope, aggregate: key, customer, payment: &payment.id };
        for dispute in &payment.disputes {
            store_disputes::put(tx, place, dispute, now)?;
        }
    }
    Ok(())
}

/// What prices that the catalog does not name meant before.
fn prices_of_before(
    tx: &mut dyn Tx,
    input: &Input,
    catalog: &quittance_domain::Catalog,
) -> quittance_store::Result<Vec<KnownPrice>> {
    let mut known = Vec::new();
    for subscription in &input.fetched.observed.subscriptions {
        let ahead = &subscription.ahead;
        let next = ahead.next_phase.iter().flat_map(|next| &next.items);
        let waiting = ahead.pending.iter().flat_map(|waiting| &waiting.items);
        let now = subscription.items.iter().map(|item| (&item.price, &item.lookup_key));
        for (price, key) in now.chain(next.chain(waiting).map(|item| (&item.price, &item.lookup_key))) {
            if catalog.plan_of_price(price, key.as_deref()).is_none() {
                known.extend(catalogs::known(tx, &input.scope, price)?);
            }
        }
    }
    Ok(known)
}

/// Remembers what the prices of new lines mean, for the day on which their lookup keys move to other prices.
fn remember_prices(
    tx: &mut dyn Tx,
    input: &Input,
    catalog: &quittance_domain::Catalog,
    stored: &Stored,
) -> quittance_store::Result<()> {
    let seen = |price: &str| {
        stored.subscriptions.iter().any(|s| s.facts.items.iter().any(|item| item.price == price))
    };
    for subscription in &input.fetched.observed.subscriptions {
        for item in subscription.items.iter().filter(|item| !seen(&item.price)) {
            let named = |price: &Price| {
                price.stripe.as_deref() == Some(item.price.as_str())
                    || Some(price.lookup_key.as_str()) == item.lookup_key.as_deref()
            };
            if let Some((plan, price)) = catalog.prices().find(|(_, price)| named(price)) {
                let known = known_price(&item.price, plan, price);
                catalogs::know(tx, &input.scope, &known, input.now)?;
            }
        }
    }
    Ok(())
}

fn holdings_of(
    input: &Input,
    catalog: &quittance_domain::Catalog,
    projection: &Projection,
) -> Vec<HoldingRow> {
    let subscriptions = projection.subscriptions.iter().filter(|s| s.customer.is_some()).flat_map(|s| {
        s.plans.iter().map(|held| HoldingRow {
            kind: SourceKind::Subscription,
            source: s.facts.id.clone(),
            line: held.item.clone(),
            plan: held.plan.clone(),
            quantity: held.quantity,
            standing: s.standing,
            version: held.version.clone(),
        })
    });
    let bought_at = |purchase: &Purchase| {
        let ours = input.context.checkouts.iter().find(|c| Some(&c.id) == purchase.facts.checkout.as_ref());
        ours.map(|checkout| checkout.created_at)
    };
    let purchases = projection.purchases.iter().filter(|p| p.customer.is_some()).filter_map(|p| {
        Some(HoldingRow {
            kind: SourceKind::Purchase,
            source: p.facts.id.clone(),
            line: String::new(),
            plan: p.facts.plan.clone()?,
            quantity: p.facts.quantity,
            standing: p.standing,
            version: bought_at(p).and_then(|at| catalog.past().version_at(at)).map(str::to_owned),
        })
    });
    subscriptions.chain(purchases).collect()
}

/// Whether what is stored is what should be held, in whatever order.
fn as_held(stored: &[HoldingRow], should: &[HoldingRow]) -> bool {
    stored.len() == should.len() && should.iter().all(|held| stored.contains(held))
}

fn settle_checkouts(tx: &mut dyn Tx, input: &Input, applied: &mut Applied) -> quittance_store::Result<()> {
    for (id, state) in &input.fetched.checkouts {
        let Some(row) = input.context.checkouts.iter().find(|c| c.id == *id) else { continue };
        if row.state == *state || !checkouts::set_state(tx, id, *state, input.now)? {
            continue;
        }
        if *state == CheckoutState::Complete {
            applied.completed.push((id.clone(), row.wish.plan.to_string()));
        }
        let line = NewLine {
            customer: Some(row.wish.customer.clone()),
            aggregate: Some(input.claim.key.clone()),
            at: input.now,
            kind: format!("checkout.{}", state.as_str()),
            object: id.to_string(),
            data: json!({ "plan": row.wish.plan, "session": row.session }).to_string(),
            cause: cause(input, row.session.as_slice()),
        };
        history::insert(tx, &line)?;
    }
    Ok(())
}

/// What a line tells of: its object, and the invoice that a line about a failing payment names.
fn about(line: &HistoryLine) -> Vec<String> {
    let invoice = line.data.get("invoice").and_then(serde_json::Value::as_str);
    std::iter::once(line.object.as_str()).chain(invoice).map(str::to_owned).collect()
}

/// The sync, and the events that told of `objects`.
fn cause(input: &Input, objects: &[String]) -> String {
    let events: Vec<serde_json::Value> = told_of(input, objects)
        .iter()
        .map(|hint| json!({ "event": hint.event, "type": hint.kind }))
        .collect();
    json!({ "sync": input.claim.target, "events": events }).to_string()
}

/// The events that led to the sync, as far as they are about one of `objects`; all where none is.
fn told_of<'a>(input: &'a Input, objects: &[String]) -> Vec<&'a Hinted> {
    let hints = &input.context.hints;
    let named: Vec<&Hinted> = hints
        .iter()
        .filter(|hint| hint.object.as_ref().is_some_and(|object| objects.contains(object)))
        .collect();
    if named.is_empty() { hints.iter().collect() } else { named }
}

fn write_history(
    tx: &mut dyn Tx,
    input: &Input,
    customer: Option<&CustomerId>,
    projection: &Projection,
    applied: &mut Applied,
) -> quittance_store::Result<()> {
    for change in &projection.history {
        let line = NewLine {
            customer: customer.cloned(),
            aggregate: Some(input.claim.key.clone()),
            at: input.now,
            kind: change.kind.to_owned(),
            object: change.object.clone(),
            data: change.data.to_string(),
            cause: cause(input, &about(change)),
        };
        history::insert(tx, &line)?;
        if change.kind.ends_with("access_changed") || change.kind == "access.changed" {
            applied.access.extend(access_of(input, projection, change));
        }
    }
    Ok(())
}

fn access_of(input: &Input, projection: &Projection, line: &HistoryLine) -> Option<AccessChange> {
    let from = line.data.get("from").and_then(|from| serde_json::from_value(from.clone()).ok()).flatten();
    let change = |to, plan: Option<&PlanKey>, status: Option<&SubscriptionStatus>| AccessChange {
        object: line.object.clone(),
        from,
        to,
        plan: plan.map(ToString::to_string),
        status: status.map(|status| status.as_str().to_owned()),
        event: told_of(input, &about(line)).last().map(|hint| hint.event.clone()),
    };
    let subscription = projection.subscriptions.iter().find(|s| s.facts.id == line.object);
    let purchase = projection.purchases.iter().find(|p| p.facts.id == line.object);
    subscription
        .map(|s| change(s.access, s.plan().map(|held| &held.plan), Some(&s.facts.status)))
        .or_else(|| purchase.map(|p| change(p.standing.at(input.now), p.facts.plan.as_ref(), None)))
}

fn write_effects(
    tx: &mut dyn Tx,
    input: &Input,
    customer: Option<&CustomerId>,
    projection: &Projection,
    applied: &mut Applied,
    engine: &Engine,
) -> quittance_store::Result<()> {
    for effect in &projection.effects {
        let request = match effect {
            Effect::Notice(notice) => {
                let Some(customer) = customer else { continue };
                let seq = store_notices::put(tx, notice, customer, &input.claim.key, input.now)?;
                if let Some(seq) = seq {
                    applied.notified.push(notice.kind);
                    tell(tx, engine, customer, notice.kind, seq, input.now)?;
                }
                continue;
            }
            Effect::CancelDuplicate { .. } | Effect::RefundDuplicate { .. }
                if input.on_duplicate == OnDuplicate::Alert =>
            {
                continue;
            }
            Effect::AcceptDispute { dispute, stage } => {
                Request::AcceptDispute { dispute: dispute.clone(), stage: *stage }
            }
            Effect::ContestDispute { dispute, stage } => {
                Request::ContestDispute { dispute: dispute.clone(), stage: *stage, note: None }
            }
            Effect::CancelDuplicate { subscription, kept } => {
                Request::CancelDuplicate { subscription: subscription.clone(), kept: kept.clone() }
            }
            Effect::RefundDuplicate { subscription, payment, amount } => Request::RefundDuplicate {
                subscription: subscription.clone(),
                payment: payment.clone(),
                amount: *amount,
            },
            Effect::DropPlan { subscription, schedule } => {
                Request::UndoSchedule { subscription: subscription.clone(), schedule: schedule.clone() }
            }
        };
        let turn = if matches!(effect, Effect::DropPlan { .. }) {
            // Demanded once, when the change is seen: older commands on the subscription say nothing of it.
            match place(tx, &request)? {
                asking::Place::Turn(turn) => Some(turn),
                asking::Place::Joins(_) => None,
            }
        } else {
            demanded_turn(tx, &request)?
        };
        let Some(turn) = turn else { continue };
        let command =
            request.command(&input.instance, Some(&input.claim.key), customer, Which::Turn(turn))?;
        applied.commands |= engine.write_down(tx, &command, input.now)?;
    }
    Ok(())
}

/// Which turn takes what is observed and demanded again and again; `None` when it waits, is done or was refused too often.
fn demanded_turn(tx: &mut dyn Tx, request: &Request) -> quittance_store::Result<Option<i64>> {
    let asked = commands::asked(tx, &request.object())?;
    Ok(mending_turn(asked.count, asked.newest.map(|row| row.state)))
}

/// Asks for what rules say about the disputes of a payment that has no customer; nothing else follows from one.
pub(super) fn by_rule(
    tx: &mut dyn Tx,
    engine: &Engine,
    aggregate: &str,
    effects: &[Effect],
    now: Timestamp,
) -> quittance_store::Result<()> {
    for effect in effects {
        let request = match effect {
            Effect::AcceptDispute { dispute, stage } => {
                Request::AcceptDispute { dispute: dispute.clone(), stage: *stage }
            }
            Effect::ContestDispute { dispute, stage } => {
                Request::ContestDispute { dispute: dispute.clone(), stage: *stage, note: None }
            }
            Effect::Notice(_)
            | Effect::CancelDuplicate { .. }
            | Effect::RefundDuplicate { .. }
            | Effect::DropPlan { .. } => continue,
        };
        let Some(turn) = demanded_turn(tx, &request)? else { continue };
        let command = request.command(engine.instance(), Some(aggregate), None, Which::Turn(turn))?;
        engine.write_down(tx, &command, now)?;
    }
    Ok(())
}

/// A notice goes to its customer by mail. Without a courier for it, and beside another integration, it is kept, and told to nobody.
fn tell(
    tx: &mut dyn Tx,
    engine: &Engine,
    customer: &CustomerId,
    kind: NoticeKind,
    notice: i64,
    now: Timestamp,
) -> quittance_store::Result<()> {
    if engine.in_shadow() || !engine.delivers(Channel::Mail) {
        return Ok(());
    }
    // Whoever writes into a lane holds its customer's row, so that numbers and commits have the same order.
    customers::lock(tx, customer)?;
    let delivery = NewDelivery {
        channel: Channel::Mail,
        key: crate::notices::delivery_key(notice),
        lane: customer.to_string(),
        destination: "customers".to_owned(),
        customer: Some(customer.clone()),
        payload: json!({ "notice": notice, "kind": kind }).to_string(),
        not_before: None,
    };
    deliveries::put(tx, &delivery, now)?;
    Ok(())
}

fn write_alerts(
    tx: &mut dyn Tx,
    input: &Input,
    customer: Option<&CustomerId>,
    projection: &Projection,
    applied: &mut Applied,
) -> quittance_store::Result<()> {
    let mut standing = Vec::with_capacity(projection.anomalies.len());
    for anomaly in &projection.anomalies {
        let alert = NewAlert {
            kind: anomaly.kind.as_str().to_owned(),
            object: anomaly.object.clone(),
            customer: customer.cloned(),
            aggregate: Some(input.claim.key.clone()),
            detail: anomaly.detail.clone(),
            mend: mend(anomaly, input, customer, projection),
        };
        standing.push((alert.kind.clone(), alert.object.clone()));
        if outbox::raise(tx, &alert, input.now)? {
            tracing::warn!(kind = alert.kind, object = alert.object, detail = alert.detail, "anomaly");
            applied.alerts.push(alert.kind);
        }
    }
    outbox::resolve_others(tx, &input.claim.key, &standing, input.now)
}

fn mend(anomaly: &Anomaly, input: &Input, customer: Option<&CustomerId>, projection: &Projection) -> String {
    match anomaly.kind {
        AnomalyKind::UnknownPrice => {
            "add the price to a plan in catalog.toml, then: quittance catalog check, and restart".into()
        }
        AnomalyKind::UnknownStatus => "update Quittance; until then access stays as it was".into(),
        AnomalyKind::UnlinkedCustomer => {
            format!(
                "link it: POST /v1/customers/{{id}}/links {{\"provider_customer\": \"{}\"}}; or, after a sweep, by its finding: quittance drift list, quittance drift claim NUMBER --customer ID",
                input.provider_customer
            )
        }
        AnomalyKind::CustomerContradiction => {
            format!(
                "correct the metadata of {0} at the provider, or link it to the right one: POST /v1/customers/{{id}}/links {{\"provider_customer\": \"{0}\"}}",
                input.provider_customer
            )
        }
        AnomalyKind::SubscriptionMissing => {
            "check whether the right account's key is configured: quittance doctor; if it was deleted there, nothing is to do".into()
        }
        AnomalyKind::DuplicateSubscription => {
            format!(
                "cancel the one that is too many: POST /v1/subscriptions/{}/cancel {{\"at\": \"now\"}}; and give back what it was charged: quittance refund PAYMENT",
                anomaly.object
            )
        }
        AnomalyKind::NoticeWindowMissed => {
            "the customer is told all the same; see why the worker was late, and `quittance notices show`"
                .into()
        }
        AnomalyKind::UnreadableObject => "update Quittance; until then its mirror stays as it was".into(),
        AnomalyKind::DisputeNeedsResponse | AnomalyKind::DisputeDeadline => {
            super::payment::answer_dispute(&anomaly.object)
        }
        AnomalyKind::CardTesting => {
            let who = customer.map_or("CUSTOMER", CustomerId::as_str);
            format!(
                "shut the customer out: quittance customers suspend {who} --reason \"card testing\"; or let it in again: quittance customers unsuspend {who}"
            )
        }
        AnomalyKind::SuspensionUndone => {
            let who = customer.map_or("CUSTOMER", CustomerId::as_str);
            format!(
                "find who undoes it at the provider (a person, another program), then begin anew: quittance customers unsuspend {who}, quittance customers suspend {who} --reason \"…\""
            )
        }
        AnomalyKind::EarlyFraudWarning => {
            super::payment::refund_or_answer(&anomaly.object)
        }
        AnomalyKind::RefundFailed => {
            let of = |payment: &&PaymentFacts| payment.refunds.iter().any(|refund| refund.id == anomaly.object);
            let again = projection.payments.iter().find(of).and_then(|payment| {
                let refund = payment.refunds.iter().find(|refund| refund.id == anomaly.object)?;
                Some(format!("quittance refund {} --amount {}", payment.id, refund.amount.minor))
            });
            let again = again.unwrap_or_else(|| "quittance refund PAYMENT".to_owned());
            // The credit note of the first one stands.
            format!(
                "ask for it again: {again} --no-credit-note; or give it back by bank transfer and note it: {again} --out-of-band"
            )
        }
        AnomalyKind::ProviderRetries => {
            "switch its retries off (Stripe: Billing, Revenue recovery, Retries), and let it leave subscriptions past due; or set [dunning] retries = \"provider\"".into()
        }
        AnomalyKind::LatePayment => {
            "pay it back at the provider; or let such payments give the period that they paid for: [access.money] late_payment = \"grant\"".into()
        }
    }
}
