//! The registry of trials: who had one is known by customer, card and e-mail, each as a keyed hash.
//!
//! A checkout of somebody who had one opens without one. What only shows once a trial has begun (the card, or a
//! second checkout in another tab) is found by the sync, and ended as the policy says, once. A trial that somebody gave at the
//! provider is not ours to end or to charge: a person is told of it.

use hmac::{Hmac, KeyInit, Mac};
use quittance_domain::command::mending_turn;
use quittance_domain::mutant::{self, Mutant};
use quittance_domain::projection::Stored;
use quittance_domain::trial::{ClaimKind, OnSecondTrial, normal_email};
use quittance_domain::{CustomerId, Timestamp};
use quittance_store::history::{self, NewLine};
use quittance_store::outbox::{self, NewAlert};
use quittance_store::{Tx, commands, customers, mirror, trials};
use quittance_stripe::calls;
use quittance_stripe::observe::ObservedSubscription;
use secrecy::ExposeSecret;
use serde_json::json;
use sha2::Sha256;

use crate::commands::request::{Request, Which};
use crate::engine::Engine;
use crate::problem::Problem;
use crate::sync::SyncError;
use crate::sync::translate::CHECKOUT_KEY;

/// A trial that has begun, with its card as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BegunTrial {
    /// The subscription.
    pub subscription: String,
    /// The card's keyed hash, where one is new.
    pub card: Option<String>,
    /// The keyed hash of the address that the provider's customer has, which may not be the one that our side knows.
    pub address: Option<String>,
    /// It began with a checkout of ours.
    pub ours: bool,
}

/// Where an apply stands.
pub(crate) struct Place<'a> {
    pub scope: &'a str,
    pub aggregate: &'a str,
    pub customer: Option<&'a CustomerId>,
    pub cause: &'a str,
    pub now: Timestamp,
}

impl Engine {
    /// What is remembered instead of a value that names somebody.
    fn claim_of(&self, kind: ClaimKind, value: &str) -> String {
        let key = self.settings().trial_secret.as_ref().map_or(self.instance(), |key| key.expose_secret());
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.as_bytes()) else { return String::new() };
        mac.update(
            format!("quittance trial registry\n{}\n{}\n{value}", self.scope(), kind.as_str()).as_bytes(),
        );
        hex::encode(mac.finalize().into_bytes())
    }

    /// Days of trial that a new subscription of this customer gets, and whether it had one before: then none.
    #[crate::boxed]
    pub(crate) async fn trial_of(
        &self,
        customer: &CustomerId,
        offered_days: u32,
    ) -> Result<(u32, bool), Problem> {
        if offered_days == 0 {
            return Ok((0, false));
        }
        let (engine, customer, scope) = (self.clone(), customer.clone(), self.scope().to_string());
        let had = self
            .db()
            .read("trials.had", move |tx| {
                let policy = engine.settings().trials;
                if policy.counts(ClaimKind::Customer) {
                    // What began before the registry was kept counts too.
                    let known = mirror::subscriptions_of_customer(tx, customer.as_str())?;
                    let trial = |row: &mirror::SubscriptionRow| {
                        let facts = &row.subscription.facts;
                        facts.trial_end.is_some() && facts.ahead.starts_after.is_none()
                    };
                    if known.iter().any(trial) {
                        return Ok(true);
                    }
                }
                for (kind, value) in engine.claims(tx, Some(&customer), None, None)? {
                    if trials::holder(tx, &scope, kind, &value)?.is_some() {
                        return Ok(true);
                    }
                }
                Ok(false)
            })
            .await?;
        Ok(if had { (0, true) } else { (offered_days, false) })
    }

    /// Everything that a trial of this customer is remembered by, in a fixed order.
    fn claims(
        &self,
        tx: &mut dyn Tx,
        customer: Option<&CustomerId>,
        card: Option<&str>,
        address: Option<&str>,
    ) -> quittance_store::Result<Vec<(ClaimKind, String)>> {
        let mut claims = Vec::new();
        claims.extend(card.map(|card| (ClaimKind::Card, card.to_owned())));
        claims.extend(address.map(|address| (ClaimKind::Email, address.to_owned())));
        if let Some(customer) = customer {
            claims.push((ClaimKind::Customer, self.claim_of(ClaimKind::Customer, customer.as_str())));
            let row = customers::get(tx, customer.as_str())?;
            let email = row.and_then(|row| row.email).as_deref().and_then(normal_email);
            claims.extend(email.map(|email| (ClaimKind::Email, self.claim_of(ClaimKind::Email, &email))));
        }
        claims.retain(|(kind, _)| self.settings().trials.counts(*kind) && !mutant::is(Mutant::TrialRegistry));
        Ok(claims)
    }

    /// The trials that have begun and were not looked at yet, or not with the card that pays now, or before their customer was
    /// changed: the address may be another one. `stored` is the mirror, which is written with what is judged.
    #[crate::boxed]
    pub(crate) async fn begun_trials(
        &self,
        subscriptions: &[ObservedSubscription],
        stored: &Stored,
    ) -> Result<Vec<BegunTrial>, SyncError> {
        let mut begun = Vec::new();
        let running =
            |s: &&ObservedSubscription| s.status == "trialing" && !s.metadata.contains_key(STARTS_AFTER_KEY);
        for found in subscriptions.iter().filter(running) {
            let (scope, id, who) = (self.scope().to_string(), found.id.clone(), stored.customer.clone());
            let (seen, changed_at) = self
                .db()
                .read("trials.seen", move |tx| {
                    let customer = match &who {
                        Some(who) => customers::get(tx, who.as_str())?,
                        None => None,
                    };
                    Ok((trials::seen(tx, &scope, &id)?, customer.map(|row| row.updated_at)))
                })
                .await?;
            // What is charged: the subscription's own method, or else the customer's.
            let of_customer =
                found.customer.as_ref().and_then(|customer| customer.default_payment_method.as_ref());
            let method = found.default_payment_method.as_ref().or(of_customer);
            let before = stored.subscriptions.iter().find(|s| s.facts.id == found.id);
            let same = |method: &str| before.is_some_and(|s| s.facts.method.as_deref() == Some(method));
            let (known, looked_at) = seen.map_or((None, None), |seen| (seen.card, Some(seen.at)));
            let new_method = method.filter(|method| known.is_none() || !same(method));
            let changed = looked_at.is_none_or(|at| changed_at.is_some_and(|changed| changed > at));
            if new_method.is_none() && !changed {
                continue;
            }
            let card = match new_method {
                Some(method) => self.fingerprint_of(method).await?,
                None => None,
            };
            let card = card.map(|card| self.claim_of(ClaimKind::Card, &card));
            let typed = found.customer.as_ref().and_then(|customer| customer.email.as_ref());
            let address = typed.and_then(|typed| normal_email(typed.expose()));
            let address = address.map(|address| self.claim_of(ClaimKind::Email, &address));
            let ours = found.metadata.contains_key(CHECKOUT_KEY);
            begun.push(BegunTrial { subscription: found.id.clone(), card, address, ours });
        }
        Ok(begun)
    }

    /// What tells a card from all others; nothing for what is no card, or is gone.
    async fn fingerprint_of(&self, method: &str) -> Result<Option<String>, SyncError> {
        match self.ask(calls::payments::card_fingerprint(method)).await {
            Ok(fingerprint) => Ok(fingerprint),
            Err(error) if crate::sync::names_missing(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Remembers trials, and ends those that are second ones. `true` when a command was written.
    pub(crate) fn judge_trials(
        &self,
        tx: &mut dyn Tx,
        begun: &[BegunTrial],
        place: &Place<'_>,
    ) -> quittance_store::Result<bool> {
        let mut written = false;
        for trial in begun {
            let mut second: Option<(ClaimKind, String)> = None;
            for (kind, value) in
                self.claims(tx, place.customer, trial.card.as_deref(), trial.address.as_deref())?
            {
                let holder = trials::claim(tx, place.scope, kind, &value, &trial.subscription, place.now)?;
                if holder != trial.subscription {
                    second.get_or_insert((kind, holder));
                }
            }
            trials::note(tx, place.scope, &trial.subscription, trial.card.as_deref(), place.now)?;
            if let Some((kind, first)) = second {
                written |= self.end_second(tx, trial, kind, &first, place)?;
            }
        }
        Ok(written)
    }

    fn end_second(
        &self,
        tx: &mut dyn Tx,
        trial: &BegunTrial,
        kind: ClaimKind,
        first: &str,
        place: &Place<'_>,
    ) -> quittance_store::Result<bool> {
        let on_second = self.settings().trials.on_second;
        let charges = match if trial.ours { on_second } else { OnSecondTrial::Alert } {
            OnSecondTrial::Charge => true,
            OnSecondTrial::Cancel => false,
            OnSecondTrial::Alert => {
                let alert = NewAlert {
                    kind: "second_trial".to_owned(),
                    object: trial.subscription.clone(),
                    customer: place.customer.cloned(),
                    aggregate: None,
                    detail: format!("the same {} had a trial with {first}", kind.as_str()),
                    mend: "Let it run, or cancel it: POST /v1/subscriptions/{id}/cancel.".to_owned(),
                };
                if outbox::raise(tx, &alert, place.now)? {
                    self.tell_second(tx, trial, kind, first, place)?;
                }
                return Ok(false);
            }
        };
        let request = Request::EndTrial { subscription: trial.subscription.clone(), charges };
        let asked = commands::asked(tx, &request.object())?;
        let Some(turn) = mending_turn(asked.count, asked.newest.map(|row| row.state)) else {
            return Ok(false);
        };
        let command =
            request.command(self.instance(), Some(place.aggregate), place.customer, Which::Turn(turn))?;
        let new = self.write_down(tx, &command, place.now)?;
        if new {
            self.tell_second(tx, trial, kind, first, place)?;
        }
        Ok(new)
    }

    fn tell_second(
        &self,
        tx: &mut dyn Tx,
        trial: &BegunTrial,
        kind: ClaimKind,
        first: &str,
        place: &Place<'_>,
    ) -> quittance_store::Result<()> {
        let line = NewLine {
            customer: place.customer.cloned(),
            aggregate: Some(place.aggregate.to_owned()),
            at: place.now,
            kind: "trial.second_found".to_owned(),
            object: trial.subscription.clone(),
            data: json!({ "same": kind.as_str(), "first": first, "then": self.settings().trials.on_second })
                .to_string(),
            cause: place.cause.to_owned(),
        };
        history::insert(tx, &line)
    }
}

/// The metadata key of a subscription that begins when another one ends; its trial is no gift.
pub(crate) const STARTS_AFTER_KEY: &str = "quittance_starts_after";
