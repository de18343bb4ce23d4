//! Drift as operators handle it: look, claim for a customer, ignore.

use quittance_domain::CustomerId;
use quittance_domain::drift::DriftKind;
use quittance_store::drifts::{self, DriftRow, Sum, WrongNow};
use quittance_store::history::{self, NewLine};
use quittance_store::{customers, ledger};
use serde_json::json;

use crate::api_keys::Caller;
use crate::engine::Engine;
use crate::problem::{Problem, ProblemCode};
use crate::sweep::{self, GUEST};
use crate::telemetry;

impl Engine {
    /// Findings before `cursor`, newest first; those that are over too when `all`.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn drift(
        &self,
        all: bool,
        kind: Option<DriftKind>,
        cursor: i64,
        limit: i64,
    ) -> Result<Vec<DriftRow>, Problem> {
        let scope = self.scope().to_string();
        Ok(self.db().read("drift.list", move |tx| drifts::list(tx, &scope, all, kind, cursor, limit)).await?)
    }

    /// How many findings there are of each kind and state, and for how long access was wrong.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn drift_sums(&self) -> Result<Vec<Sum>, Problem> {
        let (scope, now) = (self.scope().to_string(), self.now());
        Ok(self.db().read("drift.sums", move |tx| drifts::sums(tx, &scope, 0, now)).await?)
    }

    /// How many accounts have wrong access now and for how long, which the metrics show while it lasts.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn wrong_access_now(&self) -> Result<Vec<WrongNow>, Problem> {
        let (scope, now) = (self.scope().to_string(), self.now());
        let wrong = self.db().read("drift.wrong_now", move |tx| drifts::wrong_now(tx, &scope, now)).await?;
        telemetry::wrong_access(&wrong);
        Ok(wrong)
    }

    /// One finding.
    ///
    /// # Errors
    /// `not_found`.
    #[crate::boxed]
    pub async fn drift_finding(&self, seq: i64) -> Result<DriftRow, Problem> {
        let row = self.db().read("drift.get", move |tx| drifts::get(tx, seq)).await?;
        row.ok_or_else(|| Problem::not_found("finding"))
    }

    /// Gives what belongs to nobody to one of our customers, by linking the provider's customer; the sync that follows
    /// gives access. The payment of a guest, who is no customer there, is noted as theirs in our books.
    ///
    /// # Errors
    /// `wrong_state` for a finding that is over or that belongs to somebody; and as [`Engine::link_customer`].
    #[crate::boxed]
    pub async fn claim_drift(
        &self,
        seq: i64,
        customer: &CustomerId,
        caller: &Caller,
    ) -> Result<DriftRow, Problem> {
        let row = self.open_finding(seq).await?;
        if row.kind == DriftKind::UnownedPayment && row.theirs.as_deref() == Some(GUEST) {
            return self.claim_payment(row, customer, caller).await;
        }
        let buyer = match row.kind {
            DriftKind::UnownedPayment => row.theirs.clone(),
            DriftKind::UnownedSubscription => self.buyer_of(&row).await?,
            DriftKind::Status
            | DriftKind::Content
            | DriftKind::Unknown
            | DriftKind::Gone
            | DriftKind::Entitlement
            | DriftKind::Email
            | DriftKind::DeletedCustomer
            | DriftKind::Duplicate
            | DriftKind::UnknownPrice => None,
        };
        let Some(buyer) = buyer else {
            return Err(wrong_state(
                "Only a subscription or a payment of nobody can be claimed.",
                "Mend it at the provider, or ignore it: quittance drift ignore NUMBER",
            ));
        };
        self.link_customer(customer, &buyer, caller).await?;
        let now = self.now();
        self.db()
            .write("drift.claimed", move |tx| {
                drifts::claimed(tx, seq, "claimed", now)?;
                sweep::over(tx, row.kind, &row.object, now)
            })
            .await?;
        self.drift_finding(seq).await
    }

    async fn claim_payment(
        &self,
        row: DriftRow,
        customer: &CustomerId,
        caller: &Caller,
    ) -> Result<DriftRow, Problem> {
        let (scope, now, seq) = (self.scope().to_string(), self.now(), row.seq);
        let (owner, by) = (customer.clone(), caller.key.to_string());
        let known = self
            .db()
            .write("drift.claim_payment", move |tx| {
                if !customers::lock(tx, &owner)? {
                    return Ok(false);
                }
                if !drifts::claimed(tx, seq, "claimed", now)? {
                    return Ok(true);
                }
                ledger::own(tx, &scope, &row.object, &owner, &by, now)?;
                let line = NewLine {
                    customer: Some(owner.clone()),
                    aggregate: None,
                    at: now,
                    kind: "payment.claimed".to_owned(),
                    object: row.object.clone(),
                    data: json!({ "finding": seq }).to_string(),
                    cause: json!({ "api_key": by }).to_string(),
                };
                history::insert(tx, &line)?;
                sweep::over(tx, row.kind, &row.object, now)?;
                Ok(true)
            })
            .await?;
        if !known {
            return Err(Problem::not_found("customer"));
        }
        self.drift_finding(seq).await
    }

    async fn buyer_of(&self, row: &DriftRow) -> Result<Option<String>, Problem> {
        let mirrored = self.subscription(&row.object).await?;
        let key = quittance_domain::AggregateKey::parse(&mirrored.aggregate);
        Ok(key.and_then(|key| match key.object {
            quittance_domain::AggregateObject::Customer(id) => Some(id),
            quittance_domain::AggregateObject::Checkout(_)
            | quittance_domain::AggregateObject::Payment(_)
            | quittance_domain::AggregateObject::Balance
            | quittance_domain::AggregateObject::Other(_) => None,
        }))
    }

    /// Ignores a finding for good: it is seen again and not told again.
    ///
    /// # Errors
    /// `not_found`, `wrong_state` when it is over, or is nobody's to ignore.
    #[crate::boxed]
    pub async fn ignore_drift(&self, seq: i64, by: &str) -> Result<DriftRow, Problem> {
        let row = self.open_finding(seq).await?;
        // Ignored for good, the next difference of the same object would be silent too.
        if row.kind.is_over_with_a_sync() {
            return Err(wrong_state(
                &format!(
                    "A difference of the kind {} is mended by a sync, and is not ignored.",
                    row.kind.as_str()
                ),
                "If it stays, something stands in the sync's way: quittance parked list, quittance explain.",
            ));
        }
        let (now, by) = (self.now(), by.to_owned());
        self.db()
            .write("drift.ignore", move |tx| {
                drifts::ignore(tx, seq, &by, now)?;
                sweep::over(tx, row.kind, &row.object, now)
            })
            .await?;
        self.drift_finding(seq).await
    }

    async fn open_finding(&self, seq: i64) -> Result<DriftRow, Problem> {
        let row = self.drift_finding(seq).await?;
        if row.state != "open" {
            return Err(wrong_state(
                "The finding is over.",
                "quittance drift list --all shows what became of it.",
            ));
        }
        Ok(row)
    }
}

fn wrong_state(what: &str, mend: &str) -> Problem {
    Problem::new(ProblemCode::WrongState, what.to_owned(), mend.to_owned())
}
