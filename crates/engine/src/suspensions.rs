//! Shutting customers out and letting them in again; card testing; limits on checkouts.
//!
//! A suspension is a fact; what it asks of the provider is found at each sync, so that what slips through (a checkout that is paid
//! at the same moment) is caught by the next one.

use std::collections::BTreeMap;
use std::net::IpAddr;

use quittance_domain::checkout::CheckoutState;
use quittance_domain::command::mending_turn;
use quittance_domain::digest::short_hex;
use quittance_domain::fraud::{CardAttempt, FraudAction, FraudPolicy, Level, SuspensionStep};
use quittance_domain::fraud::{distinct_cards, suspension_steps, warned};
use quittance_domain::projection::{Anomaly, AnomalyKind, Projection};
use quittance_domain::subscription::InvoiceFacts;
use quittance_domain::{AggregateKey, CheckoutId, CustomerId, Timestamp};
use quittance_store::aggregates::{self, Hint, Priority as Urgency};
use quittance_store::commands::{self, CommandState};
use quittance_store::fraud::{self, SuspensionRow};
use quittance_store::history::{self, NewLine};
use quittance_store::{StoreError, Tx, checkouts, customers};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::api_keys::Caller;
use crate::commands::request::{Request, SUSPENSION, Which};
use crate::engine::Engine;
use crate::problem::{Problem, ProblemCode};

/// Checkouts of one customer that are closed with a suspension at most.
const MOST_CHECKOUTS: i64 = 50;
/// How often at most the same step of one suspension is asked for again, when what it did does not last.
const MOST_REPEATS: i64 = 20;
/// Most characters of a reason.
const MOST_REASON: usize = 500;

/// The episode of what no suspension asks for, but a warning.
pub(crate) const NO_EPISODE: i64 = 0;
/// How the engine names itself where a rule shuts somebody out.
const BY_RULE: &str = "rule";

impl Engine {
    /// Shuts a customer out: of new checkouts, or of everything. Open checkouts are closed; what the subscriptions and the access
    /// become is configuration. Done again it takes the place of what stood: with the same level it stands since then, and with
    /// the lower one what was paused goes on.
    ///
    /// # Errors
    /// `not_found` for a customer that we do not know, `shadow_mode`.
    #[crate::boxed]
    pub async fn suspend(
        &self,
        customer: &CustomerId,
        level: Level,
        reason: &str,
        by: &Caller,
    ) -> Result<SuspensionRow, Problem> {
        self.refuse_in_shadow()?;
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
            let_in_at: None,
        };
        let (engine, written, scope) = (self.clone(), row, self.scope().clone());
        let stored = self
            .db()
            .write("suspensions.put", move |tx| {
                // Aggregates before customers, as every sync has it.
                for id in customers::provider_ids(tx, &written.customer, &scope.to_string())? {
                    mark(tx, &AggregateKey::customer(scope.clone(), &id).to_string(), written.since)?;
                }
                if !customers::lock(tx, &written.customer)? {
                    return Ok(None);
                }
                shut_out(tx, &engine, written.clone()).map(Some)
            })
            .await?;
        let Some(row) = stored else { return Err(Problem::not_found("customer")) };
        self.wake();
        self.reload(customer.as_str()).await?;
        Ok(row)
    }

    /// Lets a customer in again: what the suspension paused goes on. What ended or went back stays so.
    ///
    /// # Errors
    /// `not_found` when nothing stands, `shadow_mode`.
    #[crate::boxed]
    pub async fn unsuspend(&self, customer: &CustomerId, by: &Caller) -> Result<(), Problem> {
        self.refuse_in_shadow()?;
        let (engine, id, by, now) = (self.clone(), customer.clone(), by.key.to_string(), self.now());
        let scope = self.scope().clone();
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
                take_back(tx, &engine, &id, now)?;
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
    #[crate::boxed]
    pub async fn suspensions(&self, after: &str, limit: i64) -> Result<Vec<SuspensionRow>, Problem> {
        let after = after.to_owned();
        Ok(self.db().read("suspensions.list", move |tx| fraud::suspensions(tx, &after, limit)).await?)
    }

    /// Refuses whoever is suspended from buying and changing.
    #[crate::boxed]
    pub(crate) async fn refuse_suspended(&self, customer: Option<&CustomerId>) -> Result<(), Problem> {
        let Some(customer) = customer else { return Ok(()) };
        self.shut_out_at(customer.as_str(), Level::All).await?.map_or(Ok(()), Err)
    }

    /// Why nothing is sent for a customer that is shut out as far as `level`, if that is so.
    #[crate::boxed]
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
    (scope, policy): (&str, &FraudPolicy),
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
    if let Some(address) = address
        && policy.shuts_address(&fraud::cards_of_address(tx, scope, address, since)?, now)
    {
        return Ok(Some(too_many_cards(policy)));
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

fn too_many_cards(policy: &FraudPolicy) -> Problem {
    Problem::new(
        ProblemCode::TooManyCheckouts,
        format!("Too many different cards from this address failed within {} minutes.", policy.window_minutes),
        "Wait. Operators: [fraud] cards_per_address; if all visitors come through one proxy, name it in [api] trusted_proxies.",
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

/// Writes a suspension down, closes what is open to buy, and lets go what a lower level does not hold; the row as it stands then.
/// The customer's row is locked.
fn shut_out(tx: &mut dyn Tx, engine: &Engine, mut row: SuspensionRow) -> Result<SuspensionRow, StoreError> {
    let now = row.since;
    let before = fraud::suspension(tx, row.customer.as_str())?;
    row.let_in_at = before.as_ref().and_then(|before| before.let_in_at);
    if let Some(stood) = before.filter(|before| before.lifted_at.is_none() && before.level >= row.level) {
        // What came before it and what after it does not change because somebody says it again.
        row.since = stood.since;
        if stood.level > row.level {
            row.let_in_at = Some(now);
            take_back(tx, engine, &row.customer, now)?;
        }
    }
    fraud::suspend(tx, &row)?;
    let scope = engine.scope().to_string();
    for open in checkouts::of_customer(tx, row.customer.as_str(), &scope, MOST_CHECKOUTS)? {
        let (Some(session), CheckoutState::Open) = (&open.session, open.state) else { continue };
        let request = Request::ExpireCheckout { checkout: open.id.clone(), session: session.clone() };
        let command = request.command(engine.instance(), None, Some(&row.customer), Which::Turn(0))?;
        engine.write_down(tx, &command, now)?;
    }
    // The reason stays with the suspension, where an erasure finds it.
    let data = json!({ "level": row.level });
    history::insert(tx, &line(&row.customer, "customer.suspended", data, &row.set_by, now))?;
    engine.touch(tx, &row.customer, now)?;
    Ok(row)
}

/// Closes a checkout that was opened while its customer was shut out: the suspension could not see it yet.
pub(crate) fn close_if_shut_out(
    tx: &mut dyn Tx,
    engine: &Engine,
    checkout: &CheckoutId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(row) = checkouts::get(tx, checkout.as_str())? else { return Ok(()) };
    // Whoever shuts the customer out holds this too, so that one of both sees the other.
    customers::lock(tx, &row.wish.customer)?;
    let stands = fraud::standing(tx, row.wish.customer.as_str())?.is_some();
    match (&row.session, row.state) {
        (Some(session), CheckoutState::Open) if stands => {
            let request = Request::ExpireCheckout { checkout: row.id.clone(), session: session.clone() };
            let command =
                request.command(engine.instance(), None, Some(&row.wish.customer), Which::Turn(0))?;
            engine.write_down(tx, &command, now).map(drop)
        }
        (Some(_) | None, _) => Ok(()),
    }
}

/// Asks for the opposite of what suspensions did to a customer and nobody has asked to take back yet: one that an earlier
/// suspension left behind too.
fn take_back(
    tx: &mut dyn Tx,
    engine: &Engine,
    customer: &CustomerId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut newest: BTreeMap<String, (Option<String>, i64, SuspensionStep)> = BTreeMap::new();
    for row in commands::of_customer_and_kind(tx, customer.as_str(), SUSPENSION)? {
        match (row.state, serde_json::from_str(&row.request)) {
            (CommandState::Pending | CommandState::Succeeded, Ok(Request::Suspension { episode, step })) => {
                newest.insert(step.object().to_owned(), (row.aggregate, episode, step));
            }
            (CommandState::Pending | CommandState::Succeeded | CommandState::Failed, Ok(_) | Err(_)) => {}
        }
    }
    for (aggregate, episode, step) in newest.into_values() {
        let Some(back) = step.taken_back() else { continue };
        let request = Request::Suspension { episode, step: back };
        let turn = commands::asked(tx, &request.object())?.count;
        let command =
            request.command(engine.instance(), aggregate.as_deref(), Some(customer), Which::Turn(turn))?;
        engine.write_down(tx, &command, now)?;
    }
    Ok(())
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
    /// Invoices beside the newest of each subscription.
    pub(crate) invoices: &'a [InvoiceFacts],
    pub(crate) now: Timestamp,
}

impl Look<'_> {
    /// Counts the cards that failed, tells of card testing, and does what the policy says. Inside the one door.
    pub(crate) fn judge(&self, tx: &mut dyn Tx, projection: &mut Projection) -> Result<bool, StoreError> {
        let policy = &self.engine.settings().fraud;
        let let_in = self.let_in_at(tx)?;
        let mut actions = Vec::new();
        if self.cards_are_tested(tx, let_in, projection)? {
            actions.extend(policy.on_card_testing.iter().map(|action| (*action, "card testing")));
        }
        let warned = warned(projection);
        // Whoever let the customer in again knew of what was warned of before. Its money goes back all the same.
        let news = warned.iter().any(|warned| let_in.is_none_or(|let_in| warned.at > let_in));
        let on =
            policy.on_early_fraud_warning.iter().filter(|action| news || **action == FraudAction::Refund);
        actions.extend(on.map(|action| (*action, "early fraud warning")));
        let mut waits = false;
        for (action, why) in actions {
            match (action, self.customer) {
                (FraudAction::BlockCheckouts, Some(customer)) => {
                    waits |= self.shut_out_by_rule(tx, customer, Level::Checkouts, why)?;
                }
                (FraudAction::Suspend, Some(customer)) => {
                    waits |= self.shut_out_by_rule(tx, customer, Level::All, why)?;
                }
                (FraudAction::Refund, _) => {
                    for warned in &warned {
                        let step = SuspensionStep::GiveBack { payment: warned.payment.clone() };
                        waits |= self.ask(tx, NO_EPISODE, &step, projection)?;
                    }
                }
                (FraudAction::BlockCheckouts | FraudAction::Suspend, None) => {}
            }
        }
        Ok(waits | self.keep_out(tx, projection)?)
    }

    /// When a person let the customer in again last.
    fn let_in_at(&self, tx: &mut dyn Tx) -> Result<Option<Timestamp>, StoreError> {
        let Some(customer) = self.customer else { return Ok(None) };
        Ok(fraud::suspension(tx, customer.as_str())?.and_then(|row| row.let_in_at))
    }

    /// Tells of card testing, and whether it went on after the customer was let in again.
    fn cards_are_tested(
        &self,
        tx: &mut dyn Tx,
        let_in: Option<Timestamp>,
        projection: &mut Projection,
    ) -> Result<bool, StoreError> {
        let policy = &self.engine.settings().fraud;
        let since = policy.since(self.now);
        let own = self.failed_cards(tx, since)?;
        if own.is_empty() {
            return Ok(false);
        }
        let near = match self.address(tx, since)? {
            Some(address) => fraud::cards_of_address(tx, self.scope, &address, since)?,
            None => Vec::new(),
        };
        let judged = let_in.map_or(since, |let_in| since.max(let_in.plus_ms(1)));
        for (attempts, most, whose) in [
            (&own, policy.cards_per_customer, "this customer"),
            (&near, policy.cards_per_address, "the address that this customer came from"),
        ] {
            let many = |cards: usize| most > 0 && u32::try_from(cards).unwrap_or(u32::MAX) >= most;
            let cards = distinct_cards(attempts, since);
            if many(cards) {
                projection.anomalies.push(Anomaly {
                    kind: AnomalyKind::CardTesting,
                    object: self.provider_customer.to_owned(),
                    detail: format!(
                        "{cards} different cards of {whose} failed within {} minutes",
                        policy.window_minutes
                    ),
                });
                return Ok(many(distinct_cards(attempts, judged)));
            }
        }
        Ok(false)
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

    /// Shuts the customer out, unless it is already; `true` when it is new. Beside another integration the alert is all: whoever is
    /// in charge decides.
    fn shut_out_by_rule(
        &self,
        tx: &mut dyn Tx,
        customer: &CustomerId,
        level: Level,
        why: &str,
    ) -> Result<bool, StoreError> {
        if self.engine.in_shadow() {
            return Ok(false);
        }
        customers::lock(tx, customer)?;
        if fraud::standing(tx, customer.as_str())?.is_some_and(|stands| stands.level >= level) {
            return Ok(false);
        }
        let row = SuspensionRow {
            customer: customer.clone(),
            level,
            reason: why.to_owned(),
            set_by: BY_RULE.to_owned(),
            since: self.now,
            lifted_at: None,
            let_in_at: None,
        };
        shut_out(tx, self.engine, row)?;
        // This look did not know yet that all open invoices are wanted.
        mark(tx, self.aggregate, self.now)?;
        Ok(true)
    }

    /// What a suspension that stands asks for now.
    fn keep_out(&self, tx: &mut dyn Tx, projection: &mut Projection) -> Result<bool, StoreError> {
        let Some(customer) = self.customer else { return Ok(false) };
        let Some(row) = fraud::standing(tx, customer.as_str())?.filter(|row| row.level == Level::All) else {
            return Ok(false);
        };
        let mut waits = false;
        let policy = &self.engine.settings().fraud;
        for step in suspension_steps(projection, self.invoices, row.since, policy) {
            waits |= self.ask(tx, row.since.ms(), &step, projection)?;
        }
        Ok(waits)
    }

    /// Asks for a step, unless it waits already. One that was done and does not hold is asked for again: somebody has undone it.
    /// Money goes back once.
    fn ask(
        &self,
        tx: &mut dyn Tx,
        episode: i64,
        step: &SuspensionStep,
        projection: &mut Projection,
    ) -> Result<bool, StoreError> {
        let request = Request::Suspension { episode, step: step.clone() };
        let asked = commands::asked(tx, &request.object())?;
        let newest = asked.newest.map(|row| row.state);
        let turn = if let SuspensionStep::GiveBack { .. } = step {
            mending_turn(asked.count, newest)
        } else if newest == Some(CommandState::Pending) {
            None
        } else if asked.count < MOST_REPEATS {
            Some(asked.count)
        } else {
            projection.anomalies.push(Anomaly {
                kind: AnomalyKind::SuspensionUndone,
                object: step.object().to_owned(),
                detail: format!(
                    "what the suspension did was undone at the provider {MOST_REPEATS} times, and is asked for no more; its customer may be charged"
                ),
            });
            None
        };
        let Some(turn) = turn else { return Ok(false) };
        let command =
            request.command(self.instance, Some(self.aggregate), self.customer, Which::Turn(turn))?;
        self.engine.write_down(tx, &command, self.now)
    }
}

/// Whether a customer is suspended, so that nothing may be charged.
pub(crate) fn is_suspended(tx: &mut dyn Tx, customer: Option<&CustomerId>) -> Result<bool, StoreError> {
    let Some(customer) = customer else { return Ok(false) };
    Ok(fraud::standing(tx, customer.as_str())?.is_some_and(|row| row.level == Level::All))
}
