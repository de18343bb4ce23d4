//! Grants: what an operator gives by hand, with a reason, and takes back.

use quittance_domain::{CustomerId, FeatureKey, GrantId, PlanKey, Timestamp};
use quittance_store::grants::{self, Gift, GrantRow};
use quittance_store::history::{self, NewLine};
use quittance_store::{Tx, customers};
use serde_json::json;

use crate::api_keys::Caller;
use crate::engine::Engine;
use crate::problem::Problem;
use crate::world::Point;

/// What to give.
#[derive(Debug, Clone)]
pub struct NewGrant {
    /// A plan of the catalog; or a feature, not both.
    pub plan: Option<String>,
    /// A feature of the catalog.
    pub feature: Option<String>,
    /// A limit on the feature.
    pub limit: Option<i64>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// Why.
    pub reason: String,
    /// Makes the id, so that a repeated request gives once.
    pub idempotency: Option<String>,
}

impl Engine {
    fn gift(&self, new: &NewGrant) -> Result<Gift, Problem> {
        if new.limit.is_some_and(|limit| limit < 0) {
            return Err(Problem::invalid("`limit` must not be negative."));
        }
        match (&new.plan, &new.feature) {
            (Some(plan), None) => match self.catalog().plan(plan) {
                Some(known) => Ok(Gift::Plan(PlanKey::clone(&known.key))),
                None => Err(Problem::invalid("`plan` is not in the catalog.")),
            },
            (None, Some(feature)) => {
                let key = FeatureKey::parse(feature).map_err(|e| Problem::invalid(e.to_string()))?;
                if self.catalog().features().iter().any(|f| f.key == key) {
                    Ok(Gift::Feature(key, new.limit))
                } else {
                    Err(Problem::invalid("`feature` is not in the catalog."))
                }
            }
            (Some(_), Some(_)) | (None, None) => Err(Problem::invalid("Name either `plan` or `feature`.")),
        }
    }

    /// Gives a plan or a feature to a customer, at once.
    ///
    /// # Errors
    /// `not_found` for an unknown customer, `invalid_request` for what the catalog does not have.
    #[crate::boxed]
    pub async fn grant(
        &self,
        customer: &CustomerId,
        new: &NewGrant,
        by: &Caller,
    ) -> Result<GrantRow, Problem> {
        if new.reason.trim().is_empty() || new.reason.len() > 500 {
            return Err(Problem::invalid("`reason` must say in 1 to 500 bytes why."));
        }
        let row = GrantRow {
            id: match &new.idempotency {
                Some(seed) => GrantId::derived(&["grant", seed]),
                None => GrantId::from_random(self.world().random()),
            },
            customer: customer.clone(),
            gift: self.gift(new)?,
            expires_at: new.expires_at,
            reason: new.reason.clone(),
            created_by: by.key.to_string(),
            created_at: self.now(),
            revoked_at: None,
        };
        let (grant, now, engine) = (row, self.now(), self.clone());
        let stored = self
            .db()
            .write("grants.put", move |tx| {
                if !customers::lock(tx, &grant.customer)? {
                    return Ok(None);
                }
                if grants::put(tx, &grant)? {
                    history::insert(
                        tx,
                        &line(&grant.customer, &grant.id, "grant.given", &grant.created_by, now),
                    )?;
                    engine.touch(tx, &grant.customer, now)?;
                }
                // A repetition after a crash answers with what the first one gave, as it is now.
                find(tx, &grant.customer, grant.id.as_str())
            })
            .await?;
        self.world().point(Point::GrantCommitted).await;
        let Some(stored) = stored else { return Err(Problem::not_found("customer")) };
        self.reload(customer.as_str()).await?;
        Ok(stored)
    }

    /// Takes a grant back, at once. One that was taken back already stays so.
    ///
    /// # Errors
    /// `not_found` when this customer never had such a grant.
    #[crate::boxed]
    pub async fn revoke_grant(&self, customer: &CustomerId, id: &str, by: &Caller) -> Result<(), Problem> {
        let engine = self.clone();
        let (owner, grant, now, by) = (customer.clone(), id.to_owned(), self.now(), by.key.to_string());
        let found = self
            .db()
            .write("grants.revoke", move |tx| {
                if !grants::revoke(tx, &grant, &owner, now)? {
                    return Ok(find(tx, &owner, &grant)?.is_some());
                }
                history::insert(tx, &line(&owner, &grant, "grant.revoked", &by, now))?;
                engine.touch(tx, &owner, now)?;
                Ok(true)
            })
            .await?;
        self.world().point(Point::GrantCommitted).await;
        if !found {
            return Err(Problem::not_found("grant"));
        }
        self.reload(customer.as_str()).await?;
        Ok(())
    }

    /// A customer's grants, past ones too.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn grants_of(&self, customer: &CustomerId) -> Result<Vec<GrantRow>, Problem> {
        let id = customer.clone();
        Ok(self.db().read("grants.of_customer", move |tx| grants::of_customer(tx, id.as_str())).await?)
    }
}

fn find(tx: &mut dyn Tx, customer: &CustomerId, id: &str) -> quittance_store::Result<Option<GrantRow>> {
    Ok(grants::of_customer(tx, customer.as_str())?.into_iter().find(|grant| grant.id.as_str() == id))
}

fn line(
    customer: &CustomerId,
    grant: &impl std::fmt::Display,
    kind: &str,
    by: &str,
    now: Timestamp,
) -> NewLine {
    NewLine {
        customer: Some(customer.clone()),
        aggregate: None,
        at: now,
        kind: kind.to_owned(),
        object: grant.to_string(),
        // The reason stays with the grant, where an erasure finds it.
        data: json!({}).to_string(),
        cause: json!({ "api_key": by }).to_string(),
    }
}
