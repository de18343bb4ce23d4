//! Changing subscriptions: preview, change, cancel, resume. Each reaches our mirror as any change does,
//! by looking at the provider again.

use quittance_domain::catalog::Interval;
use quittance_domain::subscription::ItemFacts;
use quittance_domain::{CommandId, Currency, Money, Timestamp};
use quittance_store::mirror::{self, SubscriptionRow};
use quittance_stripe::calls;
use quittance_stripe::calls::invoices::PreviewChange;
use quittance_stripe::calls::subscriptions::{ItemChange, ProrationBehavior};
use quittance_stripe::client::Priority;

use crate::commands::request::{CancelAt, Proration, Request};
use crate::engine::Engine;
use crate::problem::{Problem, ProblemCode};

/// What a caller wants a subscription to become; what is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    /// The plan's key.
    pub plan: Option<String>,
    /// `month`, `year` …
    pub interval: Option<String>,
    /// Units.
    pub quantity: Option<i64>,
    /// How the difference is charged; default: at once.
    pub proration: Option<Proration>,
    /// The preview's moment, so that the change costs what the preview said.
    pub proration_date: Option<Timestamp>,
}

/// What a change would cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// Due with the next invoice, or at once when the proration says so.
    pub due: Money,
    /// The moment from which it counts; pass it to the change.
    pub proration_date: Timestamp,
    /// Its lines: text and amount.
    pub lines: Vec<(String, Money)>,
}

/// A change resolved against catalog and mirror.
struct Resolved {
    row: SubscriptionRow,
    item: ItemFacts,
    price: String,
    quantity: i64,
    proration: Proration,
}

impl Engine {
    /// A mirrored subscription by the provider's id.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn subscription(&self, id: &str) -> Result<SubscriptionRow, Problem> {
        let key = id.to_owned();
        let row = self.db().read("subscriptions.get", move |tx| mirror::subscription(tx, &key)).await?;
        row.ok_or_else(|| Problem::not_found("subscription"))
    }

    async fn resolve(&self, id: &str, change: &Change) -> Result<Resolved, Problem> {
        let row = self.subscription(id).await?;
        let facts = &row.subscription.facts;
        if !row.subscription.is_live() {
            return Err(wrong_state(&row, "is over; open a new checkout instead"));
        }
        let held = row.subscription.plan().ok_or_else(|| wrong_state(&row, "has no plan of the catalog"))?;
        let item = facts.items.iter().find(|i| i.id == held.item).cloned();
        let item = item.ok_or_else(|| wrong_state(&row, "has no line that could be changed"))?;
        let plan_key = change.plan.as_deref().unwrap_or(held.plan.as_str());
        let unknown = |what: &str| {
            Problem::new(
                ProblemCode::UnknownPrice,
                what.to_owned(),
                "GET /v1/plans lists what can be bought.",
            )
        };
        let plan = self.catalog().plan(plan_key).ok_or_else(|| unknown("There is no such plan."))?;
        if plan.group != held.group {
            return Err(unknown("That plan is of another plan group: open a checkout for it."));
        }
        let interval = change.interval.as_deref().or(item.interval.as_deref()).and_then(Interval::parse);
        let interval =
            interval.filter(|i| *i != Interval::Once).ok_or_else(|| unknown("There is no such interval."))?;
        let currency: Currency = facts
            .currency
            .or(item.unit_price.map(|price| price.currency))
            .ok_or_else(|| wrong_state(&row, "has no currency"))?;
        let price = plan
            .price(interval, currency)
            .ok_or_else(|| unknown("The plan is not sold like that in this currency."))?;
        let quantity = change.quantity.unwrap_or(item.quantity);
        if !(1..=100_000).contains(&quantity) || price.amount.checked_mul(quantity).is_err() {
            return Err(Problem::invalid("`quantity` must be between 1 and 100000."));
        }
        let price = self.price_id(price).await?;
        let proration = change.proration.unwrap_or(Proration::Now);
        Ok(Resolved { item, price, quantity, proration, row })
    }

    /// What a change would cost, by the provider's own computation.
    ///
    /// # Errors
    /// As [`Engine::change_subscription`].
    pub async fn preview_change(&self, id: &str, change: &Change) -> Result<Preview, Problem> {
        let wanted = self.resolve(id, change).await?;
        let at = change.proration_date.unwrap_or_else(|| self.now());
        let line = ItemChange {
            id: &wanted.item.id,
            price: Some(&wanted.price),
            quantity: Some(wanted.quantity),
            deleted: false,
        };
        let call = calls::invoices::create_preview(&PreviewChange {
            subscription: id,
            items: std::slice::from_ref(&line),
            proration_behavior: Some(match wanted.proration {
                Proration::NextInvoice => ProrationBehavior::CreateProrations,
                Proration::Now => ProrationBehavior::AlwaysInvoice,
                Proration::None => ProrationBehavior::None,
            }),
            proration_date_s: Some(at.seconds()),
        });
        let preview = self.stripe().send(call, Priority::Live).await?;
        let currency = Currency::parse(&preview.currency).map_err(|e| Problem::invalid(e.to_string()))?;
        let lines = preview
            .lines
            .iter()
            .map(|l| (l.description.clone().unwrap_or_default(), Money::new(l.amount, currency)))
            .collect();
        Ok(Preview { due: Money::new(preview.amount_due, currency), proration_date: at, lines })
    }

    /// Changes plan, interval or quantity. A change whose payment fails changes nothing. `asked` is the seed of the
    /// caller's idempotency key.
    ///
    /// # Errors
    /// `wrong_state`, `unknown_price`, `payment_declined`, and what the provider says.
    pub async fn change_subscription(
        &self,
        id: &str,
        change: &Change,
        asked: Option<&str>,
    ) -> Result<SubscriptionRow, Problem> {
        if let Some(command) = self.asked_before("subscription.change", asked).await? {
            return self.carry_out(&self.subscription(id).await?, &command).await;
        }
        let wanted = self.resolve(id, change).await?;
        if wanted.item.price == wanted.price && wanted.item.quantity == wanted.quantity {
            return Ok(wanted.row);
        }
        let request = Request::ChangeSubscription {
            subscription: id.to_owned(),
            item: wanted.item.id.clone(),
            price: wanted.price.clone(),
            quantity: wanted.quantity,
            proration: wanted.proration,
            proration_date_s: change.proration_date.map(Timestamp::seconds),
        };
        self.command_and_sync(&wanted.row, &request, asked).await
    }

    /// Ends a subscription, with its period or at once. `asked` is the seed of the caller's idempotency key.
    ///
    /// # Errors
    /// `not_found`, and what the provider says. One that is over already is answered as it is.
    pub async fn cancel_subscription(
        &self,
        id: &str,
        at: CancelAt,
        asked: Option<&str>,
    ) -> Result<SubscriptionRow, Problem> {
        let row = self.subscription(id).await?;
        if let Some(command) = self.asked_before("subscription.cancel", asked).await? {
            return self.carry_out(&row, &command).await;
        }
        // Only what is final can be answered from the mirror: an end that it shows may have been taken back, by a
        // command that is still under way or at the provider itself, and then the renewal would be charged.
        if row.subscription.facts.status.is_final() {
            return Ok(row);
        }
        let request = Request::CancelSubscription { subscription: id.to_owned(), at };
        self.command_and_sync(&row, &request, asked).await
    }

    /// Takes back the end of a subscription that still runs. `asked` is the seed of the caller's idempotency key.
    ///
    /// # Errors
    /// `wrong_state` when it is over.
    pub async fn resume_subscription(
        &self,
        id: &str,
        asked: Option<&str>,
    ) -> Result<SubscriptionRow, Problem> {
        let row = self.subscription(id).await?;
        if let Some(command) = self.asked_before("subscription.resume", asked).await? {
            return self.carry_out(&row, &command).await;
        }
        if row.subscription.facts.status.is_final() {
            return Err(wrong_state(&row, "is over; open a new checkout instead"));
        }
        let request = Request::ResumeSubscription { subscription: id.to_owned() };
        self.command_and_sync(&row, &request, asked).await
    }

    async fn command_and_sync(
        &self,
        row: &SubscriptionRow,
        request: &Request,
        asked: Option<&str>,
    ) -> Result<SubscriptionRow, Problem> {
        let customer = row.subscription.customer.as_ref();
        let (mut tries, mut asked) = (0, asked);
        loop {
            // Only the first try is the caller's own; what it asks once more is another command.
            let command = self.want_asked(request, Some(&row.aggregate), customer, asked.take()).await?;
            self.perform(&command).await?;
            // The caller sees its own change: wait for the sync that the command has marked.
            let clean = self.wait_clean(&row.aggregate, self.settings().redirect_wait_ms).await?;
            let after = self.subscription(&row.subscription.facts.id).await?;
            tries += 1;
            // The provider's answer may have been a replay, of what was undone there since: then ask once more.
            if tries == 2 || !clean || shows(request, &after) {
                return Ok(after);
            }
        }
    }

    /// A request that comes again is not decided again: what happened since is no reason to do it twice.
    async fn carry_out(
        &self,
        row: &SubscriptionRow,
        command: &CommandId,
    ) -> Result<SubscriptionRow, Problem> {
        self.perform(command).await?;
        // The caller sees its own change: wait for the sync that the command has marked.
        self.wait_clean(&row.aggregate, self.settings().redirect_wait_ms).await?;
        self.subscription(&row.subscription.facts.id).await
    }
}

/// Whether a subscription is as a request wanted it, or past wanting.
fn shows(request: &Request, row: &SubscriptionRow) -> bool {
    let facts = &row.subscription.facts;
    facts.status.is_final()
        || match request {
            Request::CancelSubscription { at: CancelAt::PeriodEnd, .. } => facts.ends_at().is_some(),
            Request::CancelSubscription { at: CancelAt::Now, .. } => false,
            Request::ResumeSubscription { .. } => facts.ends_at().is_none(),
            Request::ChangeSubscription { item, price, quantity, .. } => {
                facts.items.iter().any(|i| i.id == *item && i.price == *price && i.quantity == *quantity)
            }
            Request::CreateCustomer { .. }
            | Request::CreateCheckout { .. }
            | Request::ExpireCheckout { .. }
            | Request::CreatePortal { .. }
            | Request::CancelDuplicate { .. }
            | Request::RefundDuplicate { .. } => true,
        }
}

fn wrong_state(row: &SubscriptionRow, why: &str) -> Problem {
    Problem::new(
        ProblemCode::WrongState,
        format!("The subscription {} {why}.", row.subscription.facts.id),
        "GET /v1/subscriptions/{id} shows its state.",
    )
}
