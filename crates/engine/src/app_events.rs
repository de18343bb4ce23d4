//! What the app must be told, written down in the transaction that makes it true.
//!
//! Access and entitlements are compared with what was told last, under the customer's lock: whatever changed them (a
//! sync, an operator, time alone), a difference is told once and in order. The rest is found by the domain from what an
//! apply changed. Each event goes to the endpoints that want it, in one lane for each endpoint and customer.
//!
//! Refuses to know: how it is signed and sent.

use quittance_domain::app_event::{AppEventType, AppFact};
use quittance_domain::delivery::Channel;
use quittance_domain::digest::short_hex;
use quittance_domain::entitlement::{self, Holding, SourceKind};
use quittance_domain::{AppEventId, CustomerId, Timestamp};
use quittance_store::app_events::{self, AppEventRow, NewAppEvent, Told};
use quittance_store::deliveries::{self, NewDelivery};
use quittance_store::webhook_endpoints::{self, EndpointRow};
use quittance_store::{Tx, customers};
use serde_json::{Value, json};

use crate::engine::Engine;
use crate::entitlements::{Answer, answer, load_as};
use crate::problem::Problem;

/// Customers that are looked at in one go when something ended by itself.
const LOOKS: i64 = 64;

/// The body of an event: what is signed and sent.
pub(crate) fn body(id: &AppEventId, kind: AppEventType, at: Timestamp, data: &Value) -> String {
    json!({ "id": id, "type": kind.as_str(), "timestamp": at.to_string(), "data": data }).to_string()
}

/// A delivery of one event to one endpoint. `again` is empty for the first one, and else what makes a replay this
/// replay and no other.
pub(crate) fn delivery(event: &NewAppEvent, endpoint: &EndpointRow, again: &str) -> NewDelivery {
    parcel(&event.id, event.customer.clone(), endpoint, again)
}

/// As [`delivery`], of an event that was written down before.
pub(crate) fn delivery_again(event: &AppEventRow, endpoint: &EndpointRow, again: &str) -> NewDelivery {
    let customer = event.customer.as_deref().and_then(|id| CustomerId::parse(id).ok());
    parcel(&event.id, customer, endpoint, again)
}

fn parcel(id: &AppEventId, customer: Option<CustomerId>, endpoint: &EndpointRow, again: &str) -> NewDelivery {
    let again = if again.is_empty() { String::new() } else { format!(":{again}") };
    NewDelivery {
        channel: Channel::Webhook,
        key: format!("{id}:{}{again}", endpoint.id),
        lane: format!("{}/{}", endpoint.id, customer.as_ref().map_or("", CustomerId::as_str)),
        destination: endpoint.id.to_string(),
        customer,
        payload: json!({ "event": id }).to_string(),
        not_before: None,
    }
}

/// The entitlements as the API shows them.
fn shown(answers: &[Answer]) -> Value {
    let one = |answer: &Answer| {
        json!({
            "feature": answer.feature,
            "allowed": answer.allowed,
            "access": answer.access,
            "plan": answer.plan,
            "expires_at": answer.expires_at.map(|at| at.to_string()),
            "limit": answer.limit,
            "used": null,
            "remaining": answer.limit,
            "source": answer.source.as_ref().map(|source| json!({ "type": source.kind.as_str(), "id": &*source.id })),
        })
    };
    Value::Array(answers.iter().map(one).collect())
}

fn answers(holdings: &[Holding], now: Timestamp) -> Vec<Answer> {
    let features = entitlement::features_of(holdings);
    features.into_iter().map(|feature| answer(holdings, feature.as_str(), now)).collect()
}

/// Changes when anything does that [`shown`] shows.
fn digest_of(answers: &[Answer]) -> String {
    let lines: Vec<String> = answers
        .iter()
        .map(|a| {
            let source = a.source.as_ref().map(|source| (source.kind.as_str(), &*source.id));
            let (access, until) = (a.access.map(|word| word.as_str()), a.expires_at.map(Timestamp::ms));
            format!("{}|{}|{access:?}|{:?}|{until:?}|{:?}|{source:?}", a.feature, a.allowed, a.plan, a.limit)
        })
        .collect();
    let parts: Vec<&str> = lines.iter().map(String::as_str).collect();
    short_hex(&parts)
}

/// The holding that decides the customer's access in one word.
fn deciding(holdings: &[Holding], now: Timestamp) -> Option<&Holding> {
    let bought = holdings.iter().filter(|held| held.source.kind != SourceKind::FreePlan);
    bought.max_by_key(|held| {
        let until = held.standing.until();
        (held.standing.at(now), until.is_none(), until)
    })
}

fn access_data(holdings: &[Holding], from: Option<&str>, to: Option<&str>, now: Timestamp) -> Value {
    let decides = deciding(holdings, now);
    json!({
        "from": from,
        "to": to,
        "access": to,
        "allowed": decides.is_some_and(|held| held.standing.at(now).allows()),
        "plan": decides.and_then(|held| held.plan.as_ref()),
        "expires_at": decides.and_then(|held| held.standing.until()).filter(|until| *until > now).map(|at| at.to_string()),
        "source": decides.map(|held| json!({ "type": held.source.kind.as_str(), "id": &*held.source.id })),
    })
}

impl Engine {
    /// Writes one event down and queues it for every endpoint that wants it. `false` when it is there already.
    ///
    /// # Errors
    /// As the database.
    pub(crate) fn tell_app(
        &self,
        tx: &mut dyn Tx,
        customer: &CustomerId,
        fact: &AppFact,
        now: Timestamp,
    ) -> quittance_store::Result<bool> {
        self.tell_endpoints(tx, Some(customer), fact, now)
    }

    /// As [`Engine::tell_app`]; without a customer, of what is about none or only names one.
    ///
    /// # Errors
    /// As the database.
    pub(crate) fn tell_endpoints(
        &self,
        tx: &mut dyn Tx,
        customer: Option<&CustomerId>,
        fact: &AppFact,
        now: Timestamp,
    ) -> quittance_store::Result<bool> {
        let natural_key = format!("{}:{}", fact.kind.as_str(), fact.key);
        let id = AppEventId::derived(&["app_event", self.instance(), &natural_key]);
        let mut data = json!({ "customer": customer });
        if let (Some(all), Value::Object(more)) = (data.as_object_mut(), &fact.data) {
            all.extend(more.clone());
        }
        let event = NewAppEvent {
            body: body(&id, fact.kind, now, &data),
            id,
            natural_key,
            kind: fact.kind,
            customer: customer.cloned(),
            at: now,
        };
        if !app_events::put(tx, &event)? {
            return Ok(false);
        }
        if self.in_shadow() && !self.settings().shadow_webhooks {
            return Ok(true);
        }
        for endpoint in webhook_endpoints::list(tx)?.iter().filter(|endpoint| endpoint.wants(event.kind)) {
            deliveries::put(tx, &delivery(&event, endpoint, ""), now)?;
        }
        Ok(true)
    }

    /// Tells what an apply has changed, in the order in which it was found.
    ///
    /// # Errors
    /// As the database.
    pub(crate) fn tell_all(
        &self,
        tx: &mut dyn Tx,
        customer: &CustomerId,
        facts: &[AppFact],
        now: Timestamp,
    ) -> quittance_store::Result<()> {
        if facts.is_empty() {
            return Ok(());
        }
        // Whoever writes about one customer at the same time waits: the numbers of the log are the order of commits.
        customers::lock(tx, customer)?;
        for fact in facts {
            self.tell_app(tx, customer, fact, now)?;
        }
        Ok(())
    }

    /// Compares what a customer has now with what was told last, and tells the difference. The customer must be
    /// locked.
    ///
    /// # Errors
    /// As the database.
    pub(crate) fn tell_standing(
        &self,
        tx: &mut dyn Tx,
        customer: &CustomerId,
        now: Timestamp,
    ) -> quittance_store::Result<()> {
        let Some((held, _)) =
            load_as(tx, customer.as_str(), self.catalog(), self.settings().fraud.suspended_access, now)?
        else {
            // Whoever is not there is not looked at again.
            if let Some(told) = app_events::told(tx, customer)?.filter(|told| told.look_at.is_some()) {
                app_events::remember(tx, customer, &Told { look_at: None, ..told })?;
            }
            return Ok(());
        };
        let holdings = &held.holdings[..];
        let all = answers(holdings, now);
        let digest = digest_of(&all);
        let access = entitlement::overall_access(holdings, now).map(|access| access.as_str().to_owned());
        let known = app_events::told(tx, customer)?;
        let before = known.clone().unwrap_or_else(|| {
            // Nobody has to be told of the free plan, which every customer has.
            let free: Vec<Holding> =
                holdings.iter().filter(|held| held.source.kind == SourceKind::FreePlan).cloned().collect();
            Told { access: None, digest: digest_of(&answers(&free, now)), turn: 0, look_at: None }
        });
        let moved = (before.access != access, before.digest != digest);
        let turn = before.turn + i64::from(moved.0 || moved.1);
        let key = format!("{customer}:{turn}");
        if moved.0 {
            let data = access_data(holdings, before.access.as_deref(), access.as_deref(), now);
            let fact = AppFact { kind: AppEventType::CustomerAccessChanged, key: key.clone(), data };
            self.tell_app(tx, customer, &fact, now)?;
        }
        if moved.1 {
            let data = json!({ "sequence": turn, "access": access, "entitlements": shown(&all) });
            self.tell_app(
                tx,
                customer,
                &AppFact { kind: AppEventType::EntitlementsUpdated, key, data },
                now,
            )?;
        }
        let ends = holdings.iter().filter(|held| held.standing.at(now).allows());
        let look_at = ends.filter_map(|held| held.standing.until()).filter(|until| *until > now).min();
        let told = Told { access, digest, turn, look_at };
        if known.as_ref() != Some(&told) {
            app_events::remember(tx, customer, &told)?;
        }
        Ok(())
    }

    /// Tells of what ended by itself: no event of the provider says so. Returns how many customers were looked at.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn tell_due(&self) -> Result<usize, Problem> {
        let now = self.now();
        let due = self.db().read("app_told.due", move |tx| app_events::due(tx, now, LOOKS)).await?;
        let count = due.len();
        for customer in due {
            let engine = self.clone();
            self.db()
                .write("app_told.look", move |tx| {
                    customers::lock(tx, &customer)?;
                    engine.tell_standing(tx, &customer, now)
                })
                .await?;
        }
        Ok(count)
    }

    /// Events before `cursor` (exclusive; `i64::MAX` for the newest), newest first; of one customer, or of all.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn app_events(
        &self,
        customer: Option<&str>,
        cursor: i64,
        limit: i64,
    ) -> Result<Vec<AppEventRow>, Problem> {
        let customer = customer.map(str::to_owned);
        let list = move |tx: &mut dyn Tx| app_events::list(tx, customer.as_deref(), cursor, limit);
        Ok(self.db().read("app_events.list", list).await?)
    }

    /// One event.
    ///
    /// # Errors
    /// `not_found`.
    #[crate::boxed]
    pub async fn app_event(&self, id: &str) -> Result<AppEventRow, Problem> {
        let key = id.to_owned();
        let row = self.db().read("app_events.get", move |tx| app_events::get(tx, &key)).await?;
        row.ok_or_else(|| Problem::not_found("app event"))
    }
}
