//! Aggregates that are not a customer: a payment or a session that leads to one, or nothing to fetch.

use quittance_domain::dispute::{self, WarningFacts};
use quittance_domain::projection::{AnomalyKind, PaymentFacts, Projection};
use quittance_domain::{AggregateKey, CustomerId, Timestamp};
use quittance_store::aggregates::{self, Claim, Hint, Priority as Urgency};
use quittance_store::outbox::{self, NewAlert};
use quittance_store::{Tx, customers, disputes, inbox, mirror};
use quittance_stripe::calls::{self, Paging};

use super::{SyncEnd, SyncError};
use crate::engine::Engine;
use crate::inbox::ECHO;

/// What the events say that led to a payment.
struct Heard {
    /// There is a new warning.
    warned: bool,
    /// There was one before.
    was_warned: bool,
    /// A dispute was ever heard of.
    disputed: bool,
    /// Nothing but that an invoice was paid with it, which a look at its customer has seen already.
    is_known: bool,
}

impl Engine {
    /// A dispute, a warning or a refund names only its payment: find the customer and mark that, thoroughly. What is disputed or
    /// warned of a payment that nobody is the customer of is kept here.
    #[crate::boxed]
    pub(super) async fn sync_payment(&self, claim: &Claim, payment: &str) -> Result<SyncEnd, SyncError> {
        let heard = self.heard_of(claim, payment).await?;
        if heard.is_known {
            return self.pass_on(claim, None, None).await;
        }
        let intent = self.look(calls::payments::retrieve_intent(payment)).await?;
        if heard.warned {
            self.keep_warnings(payment, intent.customer.as_deref().unwrap_or(disputes::NOBODY)).await?;
        }
        // A customer's look at all of its payments finds the warning by itself.
        let of_nobody = intent.customer.is_none() && (heard.warned || heard.was_warned);
        let facts = if heard.disputed || of_nobody {
            self.fetch_payment(payment, heard.disputed).await?
        } else {
            None
        };
        self.pass_on(claim, intent.customer, facts).await
    }

    async fn heard_of(&self, claim: &Claim, payment: &str) -> Result<Heard, SyncError> {
        let (claim, payment, scope) = (claim.clone(), payment.to_owned(), self.scope().to_string());
        let (kinds, disputed, was_warned, mirrored) = self
            .db()
            .read("sync.kinds", move |tx| {
                let kinds = inbox::kinds_between(tx, &claim.key, claim.done, claim.target)?;
                let disputed = !disputes::payments_of_aggregate(tx, &claim.key)?.is_empty();
                let was_warned = !disputes::warnings_of_payment(tx, &scope, &payment)?.is_empty();
                Ok((kinds, disputed, was_warned, mirror::payment(tx, &scope, &payment)?.is_some()))
            })
            .await?;
        let heard = |of: &str| kinds.iter().any(|kind| kind.starts_with(of));
        let echoes = !kinds.is_empty()
            && kinds.iter().all(|kind| kind.split_once('.').is_some_and(|(of, _)| of == ECHO));
        Ok(Heard {
            warned: heard("radar."),
            was_warned,
            disputed: disputed || heard("charge.dispute."),
            is_known: echoes && mirrored,
        })
    }

    /// A warning names its payment and no customer, so that the look at the payment keeps it, for the customer's to find. What is
    /// written is what the provider says now, whoever writes it.
    async fn keep_warnings(&self, payment: &str, customer: &str) -> Result<(), SyncError> {
        let call = calls::disputes::list_warnings(payment, Paging::default());
        let page = self.look(call).await?;
        let facts: Vec<WarningFacts> = page
            .items
            .into_iter()
            .map(|found| WarningFacts {
                id: found.id,
                kind: found.kind,
                actionable: found.actionable,
                created_at: Timestamp::from_seconds(found.created_s),
            })
            .collect();
        let (scope, payment, customer) = (self.scope().to_string(), payment.to_owned(), customer.to_owned());
        self.db()
            .write("sync.keep_warnings", move |tx| {
                facts
                    .iter()
                    .try_for_each(|facts| disputes::put_warning(tx, &scope, &payment, &customer, facts))
            })
            .await?;
        Ok(())
    }

    /// A session without a customer at first may have one by now.
    #[crate::boxed]
    pub(super) async fn sync_checkout(&self, claim: &Claim, session: &str) -> Result<SyncEnd, SyncError> {
        let found = self.look(calls::checkout::retrieve(session)).await?;
        self.pass_on(claim, found.customer, None).await
    }

    /// Nothing is fetched for this object: its event is kept, and that is all.
    #[crate::boxed]
    pub(super) async fn sync_nothing(&self, claim: &Claim) -> Result<SyncEnd, SyncError> {
        self.pass_on(claim, None, None).await
    }

    /// Marks the customer, if there is one; `disputed` is the payment with its disputes, where one was heard of.
    async fn pass_on(
        &self,
        claim: &Claim,
        customer: Option<String>,
        disputed: Option<PaymentFacts>,
    ) -> Result<SyncEnd, SyncError> {
        let (claim, engine, now) = (claim.clone(), self.clone(), self.now());
        let held = self
            .db()
            .write("sync.pass_on", move |tx| {
                if !super::complete(tx, &claim, now)? {
                    return Ok(false);
                }
                match (&customer, disputed.clone()) {
                    (Some(id), payment) => hand_over(tx, &engine, id, payment.as_ref(), now)?,
                    (None, Some(payment)) => keep(tx, &engine, &claim, payment, now)?,
                    (None, None) => {}
                }
                Ok(true)
            })
            .await?;
        self.wake();
        Ok(if held { SyncEnd::Done } else { SyncEnd::Fenced })
    }
}

/// Marks the customer, who looks at it thoroughly; with the disputes that led here, which the payment's own flag need not tell of.
fn hand_over(
    tx: &mut dyn Tx,
    engine: &Engine,
    customer: &str,
    payment: Option<&PaymentFacts>,
    now: Timestamp,
) -> quittance_store::Result<()> {
    let scope = engine.scope().to_string();
    let key = AggregateKey::customer(engine.scope().clone(), customer).to_string();
    if let Some(payment) = payment {
        let ours = customers::linked(tx, &scope, customer)?;
        put_disputes(tx, (&scope, &key), ours.as_ref(), payment, now)?;
    }
    let hint = Hint { key: &key, priority: Urgency::Event, due: now, unpark: false, thorough: true };
    aggregates::mark(tx, &hint, now).map(drop)
}

/// Keeps the disputes of a payment without a customer, and tells of them and of its warnings as of any other, though nobody's
/// access is at stake.
fn keep(
    tx: &mut dyn Tx,
    engine: &Engine,
    claim: &Claim,
    payment: PaymentFacts,
    now: Timestamp,
) -> quittance_store::Result<()> {
    put_disputes(tx, (&engine.scope().to_string(), &claim.key), None, &payment, now)?;
    let mut projection = Projection { payments: vec![payment], ..Projection::default() };
    dispute::decide(&mut projection, &engine.settings().disputes, now);
    let mut standing = Vec::new();
    for anomaly in &projection.anomalies {
        let alert = NewAlert {
            kind: anomaly.kind.as_str().to_owned(),
            object: anomaly.object.clone(),
            customer: None,
            aggregate: Some(claim.key.clone()),
            detail: anomaly.detail.clone(),
            mend: if anomaly.kind == AnomalyKind::EarlyFraudWarning {
                refund_or_answer(&anomaly.object)
            } else {
                answer_dispute(&anomaly.object)
            },
        };
        standing.push((alert.kind.clone(), alert.object.clone()));
        outbox::raise(tx, &alert, now)?;
    }
    outbox::resolve_others(tx, &claim.key, &standing, now)?;
    super::apply::by_rule(tx, engine, &claim.key, &projection.effects, now)?;
    aggregates::set_look_at(tx, &claim.key, projection.look_again_at)
}

fn put_disputes(
    tx: &mut dyn Tx,
    (scope, aggregate): (&str, &str),
    customer: Option<&CustomerId>,
    payment: &PaymentFacts,
    now: Timestamp,
) -> quittance_store::Result<()> {
    let place = disputes::Place { scope, aggregate, customer, payment: &payment.id };
    payment.disputes.iter().try_for_each(|facts| disputes::put(tx, place, facts, now))
}

/// What an operator does about a warning.
pub(super) fn refund_or_answer(payment: &str) -> String {
    format!("quittance refund {payment} --reason fraudulent, or leave it and answer the dispute")
}

/// What an operator does about a dispute.
pub(super) fn answer_dispute(dispute: &str) -> String {
    format!(
        "quittance dispute evidence {dispute} --out FOLDER, then quittance dispute contest {dispute} or quittance dispute accept {dispute}"
    )
}
