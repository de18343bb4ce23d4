//! Customers: telling us of one, and having exactly one for each at the provider.

use quittance_domain::{AggregateKey, CommandId, CustomerId, SubscriptionStatus};
use quittance_store::aggregates::{self, Hint, Priority};
use quittance_store::customers::{self, Change, CustomerPatch, CustomerRow, LinkedBy};
use quittance_store::history::{self, NewLine};
use quittance_store::mirror::{self, SubscriptionRow};
use serde_json::json;

use crate::api_keys::Caller;
use crate::commands::request::{Request, Which};
use crate::commands::{Place, place};
use crate::engine::Engine;
use crate::problem::{Problem, ProblemCode};

/// Longest e-mail, name or locale, in bytes.
const MAX_TEXT: usize = 320;
/// Most metadata entries, and the longest key and value, in bytes.
const MAX_METADATA: (usize, usize, usize) = (50, 40, 500);

/// Everything that callers may know of a customer.
#[derive(Debug, Clone)]
pub struct CustomerView {
    /// The customer.
    pub customer: CustomerRow,
    /// Its subscriptions over all providers, newest first.
    pub subscriptions: Vec<SubscriptionRow>,
    /// Its one-off purchases.
    pub purchases: Vec<quittance_domain::projection::Purchase>,
}

fn check_patch(patch: &CustomerPatch) -> Result<(), Problem> {
    for (field, value) in [("email", &patch.email), ("name", &patch.name), ("locale", &patch.locale)] {
        if value.value().is_some_and(|v| v.len() > MAX_TEXT || v.chars().any(char::is_control)) {
            return Err(Problem::invalid(format!(
                "`{field}` must have at most {MAX_TEXT} bytes and no control characters."
            )));
        }
    }
    if patch
        .email
        .value()
        .is_some_and(|e| !e.split_once('@').is_some_and(|(l, d)| !l.is_empty() && !d.is_empty()))
    {
        return Err(Problem::invalid("`email` must be an e-mail address."));
    }
    let (most, key_max, value_max) = MAX_METADATA;
    if let Some(metadata) = patch.metadata.value()
        && (metadata.len() > most
            || metadata
                .iter()
                .any(|(k, v)| k.is_empty() || k.len() > key_max || v.len() > value_max || v.contains('\0')))
    {
        return Err(Problem::invalid(format!(
            "`metadata` may have {most} entries with keys of 1 to {key_max} and values of up to {value_max} bytes."
        )));
    }
    Ok(())
}

impl Engine {
    /// Creates a customer or changes the fields that are named.
    ///
    /// # Errors
    /// `invalid_request` for a field that cannot be, `wrong_state` for a customer that was erased.
    #[crate::boxed]
    pub async fn put_customer(&self, id: &CustomerId, patch: CustomerPatch) -> Result<CustomerRow, Problem> {
        check_patch(&patch)?;
        let (id, now) = (id.clone(), self.now());
        let addressed = matches!(patch.email, Change::Set(_));
        let row = self
            .db()
            .write("customers.put", move |tx| {
                let row = customers::upsert(tx, &id, &patch, now)?;
                // A trial that runs is judged by the address too.
                let known =
                    if addressed { mirror::subscriptions_of_customer(tx, id.as_str())? } else { Vec::new() };
                for found in
                    known.iter().filter(|r| r.subscription.facts.status == SubscriptionStatus::Trialing)
                {
                    let hint = Hint {
                        key: &found.aggregate,
                        priority: Priority::Sweep,
                        due: now,
                        unpark: false,
                        thorough: false,
                    };
                    aggregates::mark(tx, &hint, now)?;
                }
                Ok(row)
            })
            .await?;
        if addressed {
            self.wake();
        }
        if row.erased_at.is_some() {
            return Err(Problem::new(
                ProblemCode::WrongState,
                "The customer was erased; nothing personal is kept of it any more.",
                "Use a new id for a person who comes back.",
            ));
        }
        Ok(row)
    }

    /// A customer with what it has.
    ///
    /// # Errors
    /// `not_found` for one that we were never told of.
    #[crate::boxed]
    pub async fn customer(&self, id: &str) -> Result<CustomerView, Problem> {
        let key = id.to_owned();
        let view = self
            .db()
            .read("customers.view", move |tx| {
                let Some(customer) = customers::get(tx, &key)? else { return Ok(None) };
                Ok(Some(CustomerView {
                    customer,
                    subscriptions: mirror::subscriptions_of_customer(tx, &key)?,
                    purchases: mirror::purchases_of_customer(tx, &key)?,
                }))
            })
            .await?;
        view.ok_or_else(|| Problem::not_found("customer"))
    }

    /// The provider's customer of one of ours, created if there is none. However many ask at once, one
    /// is created: all share one command.
    ///
    /// # Errors
    /// The provider's refusal, or `outcome_pending`.
    #[crate::boxed]
    pub async fn provider_customer(&self, id: &CustomerId) -> Result<String, Problem> {
        if let Some(found) = self.known_provider_customer(id).await? {
            return Ok(found);
        }
        if let Some(command) = self.want_provider_customer(id).await? {
            self.perform(&command).await?;
        }
        self.known_provider_customer(id).await?.ok_or_else(|| {
            Problem::new(
                ProblemCode::Internal,
                "The provider's customer was created but not linked.",
                "See the server's log.",
            )
        })
    }

    /// Writes the wish for a provider's customer down, unless there is one by now. Its place is found before the
    /// link is looked for: a creation that ended in between is then seen as a link, and one that ends later is
    /// the same command. The other order would create a second customer.
    async fn want_provider_customer(&self, id: &CustomerId) -> Result<Option<CommandId>, Problem> {
        self.refuse_in_shadow()?;
        let request = Request::CreateCustomer { customer: id.clone() };
        let (instance, scope, id, now) =
            (self.instance().to_owned(), self.scope().to_string(), id.clone(), self.now());
        let engine = self.clone();
        let command = self
            .db()
            .write("customers.want", move |tx| {
                customers::lock(tx, &id)?;
                let place = place(tx, &request)?;
                if customers::usable(tx, &id, &scope)?.is_some() {
                    return Ok(None);
                }
                let turn = match place {
                    Place::Joins(command) => return Ok(Some(command)),
                    Place::Turn(turn) => turn,
                };
                let command = request.command(&instance, None, Some(&id), Which::Turn(turn))?;
                engine.write_down(tx, &command, now)?;
                Ok(Some(command.id()))
            })
            .await?;
        Ok(command)
    }

    /// The provider's customer that new purchases of one of ours are made with, if there is one.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn known_provider_customer(&self, id: &CustomerId) -> Result<Option<String>, Problem> {
        let (id, scope) = (id.clone(), self.scope().to_string());
        Ok(self.db().read("customers.usable", move |tx| customers::usable(tx, &id, &scope)).await?)
    }

    /// Links a provider's customer to ours because an operator says so, and looks at it at once.
    ///
    /// # Errors
    /// `not_found` when we do not know the customer, `provider_refused` when the provider does not know its own.
    #[crate::boxed]
    pub async fn link_customer(
        &self,
        id: &CustomerId,
        provider_customer: &str,
        by: &Caller,
    ) -> Result<(), Problem> {
        use quittance_stripe::calls;
        let found = self.ask(calls::customers::retrieve(provider_customer)).await?;
        let key = AggregateKey::customer(self.scope().clone(), &found.id).to_string();
        let (owner, scope, now, by) = (id.clone(), self.scope().to_string(), self.now(), by.key.clone());
        let (id, engine) = (owner.clone(), self.clone());
        let linked = self
            .db()
            .write("customers.link", move |tx| {
                if customers::get(tx, id.as_str())?.is_none() {
                    return Ok(None);
                }
                // The aggregate first and the customer after it, as a sync takes them: the other way round each could wait for the other.
                let hint =
                    Hint { key: &key, priority: Priority::Waiting, due: now, unpark: true, thorough: true };
                aggregates::mark(tx, &hint, now)?;
                customers::lock(tx, &id)?;
                let before = customers::linked(tx, &scope, &found.id)?;
                customers::link(tx, &scope, &found.id, &id, LinkedBy::Operator, now)?;
                let line = NewLine {
                    customer: Some(id.clone()),
                    aggregate: Some(key.clone()),
                    at: now,
                    kind: "customer.linked".into(),
                    object: found.id.clone(),
                    data: json!({ "before": before }).to_string(),
                    cause: json!({ "api_key": by }).to_string(),
                };
                history::insert(tx, &line)?;
                let before = before.filter(|b| *b != id);
                match &before {
                    Some(before) => {
                        // What the old customer held through this one is nobody's until the next sync.
                        mirror::replace_holdings(tx, &key, before, &[])?;
                        engine.touch(tx, before, now)?;
                    }
                    None => {
                        history::adopt(tx, &key, &id)?;
                    }
                }
                engine.touch(tx, &id, now)?;
                Ok(Some(before))
            })
            .await?;
        self.wake();
        let Some(before) = linked else { return Err(Problem::not_found("customer")) };
        for customer in before.iter().chain([&owner]) {
            self.reload(customer.as_str()).await?;
        }
        Ok(())
    }
}
