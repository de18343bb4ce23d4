//! A customer's own terms: what was negotiated, written down by an operator or the app.

use quittance_domain::terms::CustomerTerms;
use quittance_domain::{CustomerId, Timestamp};
use quittance_store::history::{self, NewLine};
use quittance_store::terms::{self, TermsRow};
use quittance_store::{Tx, customers};
use serde_json::json;

use crate::engine::Engine;
use crate::problem::Problem;

impl Engine {
    /// Writes a customer's own terms over those that were there. They count from the next purchase on; their features at
    /// once. What was bought before keeps its price.
    ///
    /// # Errors
    /// `not_found` for a customer that we do not know, `invalid_request` for terms that cannot be.
    #[crate::boxed]
    pub async fn put_terms(
        &self,
        customer: &CustomerId,
        terms: CustomerTerms,
        by: &str,
    ) -> Result<TermsRow, Problem> {
        terms
            .check(self.catalog())
            .map_err(|why| Problem::invalid(format!("The terms cannot be used: {why}.")))?;
        let row = TermsRow { terms, created_by: by.to_owned(), updated_at: self.now() };
        let (id, written, engine) = (customer.clone(), row.clone(), self.clone());
        let known = self
            .db()
            .write("terms.put", move |tx| {
                if !customers::lock(tx, &id)? {
                    return Ok(false);
                }
                if terms::get(tx, id.as_str())?.is_none_or(|old| old.terms != written.terms) {
                    terms::put(tx, &id, &written)?;
                    tell(tx, &id, "terms.changed", &written.created_by, written.updated_at)?;
                    engine.touch(tx, &id, written.updated_at)?;
                }
                Ok(true)
            })
            .await?;
        if !known {
            return Err(Problem::not_found("customer"));
        }
        self.reload(customer.as_str()).await?;
        Ok(row)
    }

    /// Takes a customer's own terms away. What was bought under them keeps its price.
    ///
    /// # Errors
    /// `not_found` when there are none.
    #[crate::boxed]
    pub async fn drop_terms(&self, customer: &CustomerId, by: &str) -> Result<(), Problem> {
        let (id, by, now, engine) = (customer.clone(), by.to_owned(), self.now(), self.clone());
        let dropped = self
            .db()
            .write("terms.drop", move |tx| {
                let dropped = customers::lock(tx, &id)? && terms::drop(tx, &id)?;
                if dropped {
                    tell(tx, &id, "terms.removed", &by, now)?;
                    engine.touch(tx, &id, now)?;
                }
                Ok(dropped)
            })
            .await?;
        if !dropped {
            return Err(Problem::not_found("terms"));
        }
        self.reload(customer.as_str()).await?;
        Ok(())
    }

    /// A customer's own terms, in force or not.
    ///
    /// # Errors
    /// `not_found` when there are none.
    #[crate::boxed]
    pub async fn terms_of(&self, customer: &CustomerId) -> Result<TermsRow, Problem> {
        let id = customer.clone();
        let row = self.db().read("terms.get", move |tx| terms::get(tx, id.as_str())).await?;
        row.ok_or_else(|| Problem::not_found("terms"))
    }
}

fn tell(
    tx: &mut dyn Tx,
    customer: &CustomerId,
    kind: &str,
    by: &str,
    now: Timestamp,
) -> quittance_store::Result<()> {
    let line = NewLine {
        customer: Some(customer.clone()),
        aggregate: None,
        at: now,
        kind: kind.to_owned(),
        object: customer.to_string(),
        // The note stays with the terms, where an erasure finds it.
        data: json!({}).to_string(),
        cause: json!({ "by": by }).to_string(),
    };
    history::insert(tx, &line)?;
    Ok(())
}
