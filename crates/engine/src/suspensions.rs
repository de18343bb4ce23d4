//! Shutting customers out and letting them in again; card testing; limits on checkouts.
//!
//! A suspension is a fact; what it asks of the provider is found at each sync, so that what slips through (a checkout that is paid
//! at the same moment) is caught by the next one.

use std::net::IpAddr;

use quittance_domain::checkout::CheckoutState;
use quittance_domain::digest::short_hex;
use quittance_domain::fraud::{CardAttempt, FraudAction, FraudPolicy, Level, SuspensionStep};
use quittance_domain::fraud::{distinct_cards, suspension_steps, warned};
use quittance_domain::projection::{Anomaly, AnomalyKind, Projection};
use quittance_domain::{AggregateKey, CheckoutId, CustomerId, Timestamp};
use quittance_store::aggregates::{self, Hint, Priority as Urgency};
use quittance_store::commands::{self, CommandState};
use quittance_store::fraud::{self, SuspensionRow};
use quittance_store::history::{self, NewLine};
use quittance_store::{StoreError, Tx, checkouts, customers};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::api_keys::Caller;
use crate::commands::request::{Request, Which};
use crate::engine::Engine;
use crate::problem::{Problem, ProblemCode};

/// Checkouts of one customer that are closed with a suspension at most.
const MOST_CHECKOUTS: i64 = 50;
/// How often at most the same step of one suspension is asked for again, when what it did does not last.
const MOST_REPEATS: i64 = 20;
/// Most characters of a reason.
const MOST_REASON: usize = 500;

/// How the engine names itself where a rule shuts somebody out.
const BY_RULE: &str = "rule";

impl Engine {
    /// Shuts a customer out: of new checkouts, or of everything. Open checkouts are closed; what the subscriptions and the access
    /// become is configuration. Done again with another level it takes the place of what stood.
    ///
    /// # Errors
    /// `not_found` for a customer that we do not know.
    pub async fn suspend(
        &self,
        customer: &CustomerId,
        level: Level,
        reason: &str,
        by: &Caller,
    ) -> Result<SuspensionRow, Problem> {
        if reason.trim().is_empty() || reason.chars().count() > MOST_REASON {
            return Err(Problem::invalid(format!("`reason` must say in 1 to {MOST_REASON} characters why.")));
        }
        let row = SuspensionRow {
            customer: customer.clone(),
            level,
            reason: reason.to_owned(),
            set_by: by.key.to_string(),
            since: self.now(),
            lifted_at: None,
        };
        let (engine, written) = (self.clone(), row.clone());
        let (instance, scope) = (self.instance().to_owned(), self.scope().clone());
        let known = self
            .db()
            .write("suspensions.put", move |tx| {
                // Aggregates before customers, as every sync has it.
                for id in customers::provider_ids(tx, &written.customer, &scope.to_string())? {
                    mark(tx, &AggregateKey::customer(scope.clone(), &id).to_string(), written.since)?;
                }
                if !customers::lock(tx, &written.customer)? {
                    return Ok(false);
                }
                shut_out(tx, &engine, &instance, &scope.to_string(), &written)?;
                Ok(true)
            })
            .await?;
        if !known {
            return Err(Problem::not_found("customer"));
        }
        self.wake();
        self.reload(customer.as_str()).await?;
        Ok(row)
    }

    /// Lets a customer in again: what the suspension paused goes on. What ended or went back stays so.
    ///
    /// # Errors
    /// `not_found` when nothing stands.
    pub async fn unsuspend(&self, customer: &CustomerId, by: &Caller) -> Result<(), Problem> {
        let (engine, id, by, now) = (self.clone(), customer.clone(), by.key.to_string(), self.now());
        let (instance, scope) = (self.instance().to_owned(), self.scope().clone());
        let lifted = self
            .db()
            .write("suspensions.lift", move |tx| {
                for found in customers::provider_ids(tx, &id, &scope.to_string())? {
                    mark(tx, &AggregateKey::customer(scope.clone(), &found).to_string(), now)?;
                }
                if !customers::lock(tx, &id)? {
                    return Ok(false);
                }
                let Some(row) = fraud::standing(tx, id.as_str())? else { return Ok(false) };
                fraud::lift(tx, &id, now)?;
                let prefix = format!("suspension/{}/", row.since.ms());
                for done in commands::of_customer(tx, id.as_str(), 1_000)? {
                    if !done.object.starts_with(&prefix) || done.state == CommandState::Failed {
                        continue;
                    }
                    let Ok(Request::Suspension { episode, step }) = serde_json::from_str(&done.request)
                    else {
                        continue;
                    };
                    let Some(back) = step.taken_back() else { continue };
                    let request = Request::Suspension { episode, step: back };
                    let turn = commands::asked(tx, &request.object())?.count;
                    let aggregate = done.aggregate.as_deref();
                    let command = request.command(&instance, aggregate, Some(&id), Which::Turn(turn))?;
                    commands::insert(tx, &command, now)?;
                }
                history::insert(
                    tx,
                    &line(&id, "customer.unsuspended", json!({ "level": row.level }), &by, now),
                )?;
                engine.touch(tx, &id, now)?;
                Ok(true)
            })
            .await?;
        if !lifted {
            return Err(Problem::not_found("suspension of this customer"));
        }
        self.wake();
        self.reload(customer.as_str()).await?;
        Ok(())
    }

    /// Customers who are shut out, by name, after `after`.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn suspensions(&self, after: &str, limit: i64) -> Result<Vec<SuspensionRow>, Problem> {
        let after = after.to_owned();
        Ok(self.db().read("suspensions.list", move |tx| fraud::suspensions(tx, &after, limit)).await?)
    }

    /// Refuses whoever is suspended from buying and changing.
    pub(crate) async fn refuse_suspended(&self, customer: Option<&CustomerId>) -> Result<(), Problem> {
        let Some(customer) = customer else { return Ok(()) };
        self.shut_out_at(customer.as_str(), Level::All).await?.map_or(Ok(()), Err)
    }

    /// Why nothing is sent for a customer that is shut out as far as `level`, if that is so.
    pub(crate) async fn shut_out_at(&self, customer: &str, level: Level) -> Result<Option<Problem>, Problem> {
        let id = customer.to_owned();
        let row = self.db().read("suspensions.standing", move |tx| fraud::standing(tx, &id)).await?;
        Ok(row.filter(|row| row.level >= level).map(|row| shut(&row)))
    }

    /// A digest of an address under a key of ours: the same for the same address, and nothing that leads back to it.
    pub(crate) fn address_digest(&self, address: IpAddr) -> String {
        let key = self.settings().root_key.as_ref().map_or(self.instance(), |key| key.expose_secret());
        short_hex(&["address", key, &network(address)])
    }
}

/// What counts as one address: of IPv6 the network that a household gets.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// Why a customer may buy nothing, if that is so.
pub(crate) fn suspended(tx: &mut dyn Tx, customer: &CustomerId) -> Result<Option<Problem>, StoreError> {
    Ok(fraud::standing(tx, customer.as_str())?.map(|row| shut(&row)))
}

/// Whether a customer may open one more checkout, asked in the transaction that writes it down; notes where it came from.
pub(crate) fn admit(
    tx: &mut dyn Tx,
    policy: &FraudPolicy,
    checkout: &CheckoutId,
    customer: &CustomerId,
    address: Option<&str>,
    now: Timestamp,
) -> Result<Option<Problem>, StoreError> {
    let since = policy.since(now);
    let full = |count: i64, most: u32| most > 0 && count >= i64::from(most);
    let most = i64::from(policy.checkouts_per_customer.max(policy.checkouts_per_address)) + 1;
    if full(fraud::checkouts_of_customer(tx, customer, since, most)?, policy.checkouts_per_customer) {
        return Ok(Some(too_many("this customer", policy)));
    }
    if let Some(address) = address
        && full(fraud::checkouts_of_address(tx, address, since, most)?, policy.checkouts_per_address)
    {
        return Ok(Some(too_many("this address", policy)));
    }
    fraud::put_origin(tx, checkout, customer, address, now)?;
    Ok(None)
}

fn too_many(who: &str, policy: &FraudPolicy) -> Problem {
    Problem::new(
        ProblemCode::TooManyCheckouts,
        format!("Too many checkouts were opened by {who} within {} minutes.", policy.window_minutes),
        "Wait, or use the checkout that is open. Operators: [fraud] checkouts_per_customer and checkouts_per_address.",
    )
    .retry_after(policy.window_minutes.saturating_mul(60) / 4)
}

fn shut(row: &SuspensionRow) -> Problem {
    Problem::new(
        ProblemCode::CustomerSuspended,
        "The customer is shut out and can buy and change nothing.",
        format!("Operators: quittance customers unsuspend {}", row.customer),
    )
}

fn mark(tx: &mut dyn Tx, key: &str, now: Timestamp) -> Result<(), StoreError> {
    let hint = Hint { key, priority: Urgency::Waiting, due: now, unpark: false, thorough: true };
    aggregates::mark(tx, &hint, now).map(drop)
}

fn line(customer: &CustomerId, kind: &str, data: serde_json::Value, by: &str, now: Timestamp) -> NewLine {
    NewLine {
        customer: Some(customer.clone()),
        aggregate: None,
        at: now,
        kind: kind.to_owned(),
        object: customer.to_string(),
        data: data.to_string(),
        cause: json!({ "by": by }).to_string(),
    }
}

/// Writes a suspension down and closes what is open to buy. The customer's row is locked.
fn shut_out(
    tx: &mut dyn Tx,
    engine: &Engine,
    instance: &str,
    scope: &str,
    row: &SuspensionRow,
) -> Result<(), StoreError> {
    fraud::suspend(tx, row)?;
    for open in checkouts::of_customer(tx, row.customer.as_str(), scope, MOST_CHECKOUTS)? {
        let (Some(session), CheckoutState::Open) = (&open.session, open.state) else { continue };
        let request = Request::ExpireCheckout { checkout: open.id.clone(), session: session.clone() };
        let command = request.command(instance, None, Some(&row.customer), Which::Turn(0))?;
        commands::insert(tx, &command, row.since)?;
    }
    // The reason stays with the suspension, where an erasure finds it.
    let data = json!({ "level": row.level });
    history::insert(tx, &line(&row.customer, "customer.suspended", data, &row.set_by, row.since))?;
    engine.touch(tx, &row.customer, row.since)
}

/// What one look at a customer of the provider has to do with fraud.
pub(crate) struct Look<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) scope: &'a str,
    pub(crate) instance: &'a str,
    pub(crate) aggregate: &'a str,
    pub(crate) provider_customer: &'a str,
    pub(crate) customer: Option<&'a CustomerId>,
    pub(crate) attempts: &'a [CardAttempt],
    pub(crate) now: Timestamp,
}

impl Look<'_> {
    /// Counts the cards that failed, tells of card testing, and does what the policy says. Inside the one door.
    pub(crate) fn judge(&self, tx: &mut dyn Tx, projection: &mut Projection) -> Result<bool, StoreError> {
        let policy = &self.engine.settings().fraud;
        let since = policy.since(self.now);
        let mut actions = Vec::new();
        let own = self.failed_cards(tx, since)?;
        if !own.is_empty() {
            let near = match self.address(tx, since)? {
                Some(address) => fraud::cards_of_address(tx, self.scope, &address, since)?,
                None => Vec::new(),
            };
            for (cards, most, whose) in [
                (distinct_cards(&own, since), policy.cards_per_customer, "this customer"),
                (
                    distinct_cards(&near, since),
                    policy.cards_per_address,
                    "the address that this customer came from",
                ),
            ] {
                if most > 0 && u32::try_from(cards).unwrap_or(u32::MAX) >= most {
                    projection.anomalies.push(Anomaly {
                        kind: AnomalyKind::CardTesting,
                        object: self.provider_customer.to_owned(),
                        detail: format!(
                            "{cards} different cards of {whose} failed within {} minutes",
                            policy.window_minutes
                        ),
                    });
                    actions.extend(
                        policy.on_card_testing.iter().copied().map(|action| (action, "card testing")),
                    );
                    break;
                }
            }
        }
        let payments: Vec<String> = warned(projection).map(str::to_owned).collect();
        if !payments.is_empty() {
            let on = policy.on_early_fraud_warning.iter().copied();
            actions.extend(on.map(|action| (action, "early fraud warning")));
        }
        let mut waits = false;
        for (action, why) in actions {
            match (action, self.customer) {
                (FraudAction::BlockCheckouts, Some(customer)) => {
                    self.shut_out_by_rule(tx, customer, Level::Checkouts, why)?;
                }
                (FraudAction::Suspend, Some(customer)) => {
                    self.shut_out_by_rule(tx, customer, Level::All, why)?;
                }
                (FraudAction::Refund, _) => {
                    for payment in &payments {
                        waits |= self.ask(tx, 0, &SuspensionStep::GiveBack { payment: payment.clone() })?;
                    }
                }
                (FraudAction::BlockCheckouts | FraudAction::Suspend, None) => {}
            }
        }
        Ok(waits | self.keep_out(tx, projection)?)
    }

    /// Where the customer came from last.
    fn address(&self, tx: &mut dyn Tx, since: Timestamp) -> Result<Option<String>, StoreError> {
        self.customer.map_or(Ok(None), |customer| fraud::address_of(tx, customer, since))
    }

    /// The customer's cards that failed, with those that this look found.
    fn failed_cards(&self, tx: &mut dyn Tx, since: Timestamp) -> Result<Vec<CardAttempt>, StoreError> {
        if !self.attempts.is_empty() {
            let address = self.address(tx, since)?;
            for attempt in self.attempts {
                fraud::put_attempt(tx, self.scope, self.provider_customer, address.as_deref(), attempt)?;
            }
        }
        fraud::cards_of_customer(tx, self.scope, self.provider_customer, since)
    }

    /// Whoever was let in again after what was seen stays in: a person has decided.
    fn shut_out_by_rule(
        &self,
        tx: &mut dyn Tx,
        customer: &CustomerId,
        level: Level,
        why: &str,
    ) -> Result<(), StoreError> {
        let policy = &self.engine.settings().fraud;
        customers::lock(tx, customer)?;
        if let Some(last) = fraud::suspension(tx, customer.as_str())? {
            let decided = last.lifted_at.is_some_and(|at| at >= policy.since(self.now));
            if decided || (last.lifted_at.is_none() && last.level >= level) {
                return Ok(());
            }
        }
        let row = SuspensionRow {
            customer: customer.clone(),
            level,
            reason: why.to_owned(),
            set_by: BY_RULE.to_owned(),
            since: self.now,
            lifted_at: None,
        };
        shut_out(tx, self.engine, self.instance, self.scope, &row)
    }

    /// What a suspension that stands asks for now.
    fn keep_out(&self, tx: &mut dyn Tx, projection: &Projection) -> Result<bool, StoreError> {
        let Some(customer) = self.customer else { return Ok(false) };
        let Some(row) = fraud::standing(tx, customer.as_str())?.filter(|row| row.level == Level::All) else {
            return Ok(false);
        };
        let mut waits = false;
        for step in suspension_steps(projection, row.since, &self.engine.settings().fraud) {
            waits |= self.ask(tx, row.since.ms(), &step)?;
        }
        Ok(waits)
    }

    /// Asks for a step, unless it waits already. One that was done and does not hold is asked for again: somebody has undone it.
    fn ask(&self, tx: &mut dyn Tx, episode: i64, step: &SuspensionStep) -> Result<bool, StoreError> {
        let request = Request::Suspension { episode, step: step.clone() };
        let asked = commands::asked(tx, &request.object())?;
        let waits = asked.newest.is_some_and(|row| row.state == CommandState::Pending);
        if waits || asked.count >= MOST_REPEATS {
            return Ok(false);
        }
        let command =
            request.command(self.instance, Some(self.aggregate), self.customer, Which::Turn(asked.count))?;
        commands::insert(tx, &command, self.now)
    }
}

/// Whether a customer is suspended, so that nothing may be charged.
pub(crate) fn is_suspended(tx: &mut dyn Tx, customer: Option<&CustomerId>) -> Result<bool, StoreError> {
    let Some(customer) = customer else { return Ok(false) };
    Ok(fraud::standing(tx, customer.as_str())?.is_some_and(|row| row.level == Level::All))
}
