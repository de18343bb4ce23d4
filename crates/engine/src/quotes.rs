//! Quotes: what a change costs, said before it is made, and kept: the change is then made exactly so, or refused.

use quittance_domain::change::{OnAction, When};
use quittance_domain::command::CommandState;
use quittance_domain::mutant::{self, Mutant};
use quittance_domain::subscription::SubscriptionStatus;
use quittance_domain::time::MINUTE_MS;
use quittance_domain::{CommandId, Currency, Money, QuoteId, Timestamp};
use quittance_store::mirror::SubscriptionRow;
use quittance_store::quotes::{self, QuoteRow};
use quittance_store::{Tx, commands, customers};
use quittance_stripe::calls;
use quittance_stripe::calls::invoices::PreviewChange;
use quittance_stripe::calls::subscriptions::{ItemChange, ProrationBehavior};
use quittance_stripe::observe::{InvoicePreview, ObservedSubscription};
use serde::{Deserialize, Serialize};

use crate::commands::plan::behavior;
use crate::commands::request::{Proration, Request, Which};
use crate::commands::under_way;
use crate::engine::Engine;
use crate::problem::{Problem, ProblemCode};
use crate::subscriptions::{Change, Resolved, written};
use crate::sync::digest_of;
use crate::world::Point;

/// What a change would cost, and until when that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// Pass it to the change, which is then made exactly like this.
    pub quote: QuoteId,
    /// When it is made.
    pub when: When,
    /// The moment at which it is made, when that is not at once.
    pub at: Option<Timestamp>,
    /// Due with the next invoice, or at once when the proration says so.
    pub due: Money,
    /// The moment from which it counts.
    pub proration_date: Timestamp,
    /// Text and amount of each line; they add up to what is due.
    pub lines: Vec<(String, Money)>,
    /// What each interval costs from then on, before discounts and tax.
    pub afterwards: Money,
    /// Until when it holds.
    pub expires_at: Timestamp,
}

/// What a quote was computed from, and what it said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Said {
    change: Wish,
    item: String,
    price: String,
    quantity: i64,
    when: When,
    proration: Proration,
    proration_date: Timestamp,
    due: Money,
    lines: Vec<(String, Money)>,
    /// The provider's state of the subscription.
    basis: String,
}

/// What was asked for, so that it can be resolved again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Wish {
    plan: Option<String>,
    interval: Option<String>,
    quantity: Option<i64>,
}

impl Engine {
    /// What a change would cost, by the provider's own computation; kept as a quote.
    ///
    /// # Errors
    /// As [`Engine::change_subscription`].
    #[crate::boxed]
    pub async fn preview_change(&self, id: &str, change: &Change) -> Result<Preview, Problem> {
        let wanted = self.resolve(id, change).await?;
        let now = self.now();
        let at = change.proration_date.unwrap_or(now);
        let ground = self.ground(id).await?;
        let wanted = wanted.on(&ground)?;
        let (due, lines) = self.price_change(&wanted, at, &ground).await?;
        let quote = QuoteId::from_random(self.world().random());
        let expires_at = now.plus_ms(i64::from(self.settings().changes.quote_minutes) * MINUTE_MS);
        let said = Said {
            change: Wish {
                plan: change.plan.clone(),
                interval: change.interval.clone(),
                quantity: change.quantity,
            },
            item: wanted.item.id.clone(),
            price: wanted.price.clone(),
            quantity: wanted.quantity,
            when: wanted.when,
            proration: wanted.proration,
            proration_date: at,
            due,
            lines: lines.clone(),
            basis: digest_of(&ground),
        };
        let data = serde_json::to_string(&said).map_err(|error| unreadable(&error))?;
        let row = QuoteRow {
            id: quote.clone(),
            scope: self.scope().to_string(),
            subscription: id.to_owned(),
            data,
            created_at: now,
            expires_at,
        };
        self.db().write("quotes.put", move |tx| quotes::put(tx, &row)).await?;
        Ok(Preview {
            quote,
            when: wanted.when,
            at: wanted.period_end.filter(|_| wanted.when == When::PeriodEnd),
            due,
            proration_date: at,
            lines,
            afterwards: wanted.afterwards,
            expires_at,
        })
    }

    /// Makes the change of a quote, exactly as it was said, once. A quote is its own idempotency key.
    ///
    /// # Errors
    /// `not_found`; `quote_stale` when it ran out, or when subscription, price or amount are not what they were;
    /// else as [`Engine::change_subscription`].
    #[crate::boxed]
    pub async fn change_as_quoted(&self, id: &str, quote: &str) -> Result<SubscriptionRow, Problem> {
        let quote = QuoteId::parse(quote).map_err(|_| Problem::not_found("quote"))?;
        let key = quote.clone();
        let row = self.db().read("quotes.get", move |tx| quotes::get(tx, &key)).await?;
        let scope = self.scope().to_string();
        let row = row.filter(|row| row.subscription == id && row.scope == scope);
        let row = row.ok_or_else(|| Problem::not_found("quote"))?;
        if let Some(command) = self.change_asked_before(Some(quote.as_str())).await? {
            return self.carry_out(&self.subscription(id).await?, &command).await;
        }
        match self.take_quote(id, &quote, &row).await {
            Ok((row, command)) => self.carry_out(&row, &command).await,
            // It may pass by itself, and the quote may be used again.
            Err(problem) if problem.retry_after_s.is_some() => Err(problem),
            // Another call with this quote came first, and what it did is no reason to refuse this one.
            Err(problem) => match self.close_quote(&quote).await? {
                Some(command) => self.carry_out(&self.subscription(id).await?, &command).await,
                None => Err(problem),
            },
        }
    }

    /// The command that was written down under a quote; where there is none, there will be none: what was refused to one
    /// call is not made by another, on a node whose clock is behind.
    async fn close_quote(&self, quote: &QuoteId) -> Result<Option<CommandId>, Problem> {
        let ids = self.changes_under(quote.as_str());
        let quote = quote.clone();
        let made = move |tx: &mut dyn Tx| {
            quotes::lock(tx, &quote)?;
            let made = written(tx, &ids)?;
            if made.is_none() {
                quotes::close(tx, &quote)?;
            }
            Ok(made)
        };
        Ok(self.db().write("quotes.close", made).await?)
    }

    /// Looks whether a quote still holds, and writes its command down.
    async fn take_quote(
        &self,
        id: &str,
        quote: &QuoteId,
        row: &QuoteRow,
    ) -> Result<(SubscriptionRow, CommandId), Problem> {
        if row.is_closed() {
            return Err(stale("It was refused before."));
        }
        if self.now() >= row.expires_at {
            return Err(stale("It ran out."));
        }
        // What is asked of the subscription while it is looked at would change what the quote comes to.
        let object = id.to_owned();
        let before = self.db().read("quotes.before", move |tx| commands::asked(tx, &object)).await?;
        if before.newest.is_some_and(|newest| newest.state == CommandState::Pending) {
            return Err(stale("The subscription is being changed."));
        }
        let said: Said = serde_json::from_str(&row.data).map_err(|error| unreadable(&error))?;
        let change = Change {
            plan: said.change.plan.clone(),
            interval: said.change.interval.clone(),
            quantity: said.change.quantity,
            when: Some(said.when),
            proration: Some(said.proration),
            proration_date: Some(said.proration_date),
        };
        let wanted = self.resolve(id, &change).await?;
        self.refuse_suspended(wanted.row.subscription.customer.as_ref()).await?;
        if (&wanted.item.id, &wanted.price, wanted.quantity) != (&said.item, &said.price, said.quantity) {
            return Err(stale("The subscription or the price is another one now."));
        }
        let ground = self.ground(id).await?;
        if digest_of(&ground) != said.basis && !mutant::is(Mutant::Quote) {
            return Err(stale("The subscription has changed since."));
        }
        if !mutant::is(Mutant::Quote)
            && self.price_change(&wanted, said.proration_date, &ground).await? != (said.due, said.lines)
        {
            return Err(stale("The amount is another one now."));
        }
        let links = self.settings().changes.on_action == OnAction::Link;
        let wanted = wanted.on(&ground)?;
        let request = wanted.request(Some(said.proration_date), links);
        let command = self.want_quoted(&wanted.row, &request, quote, before.count).await?;
        Ok((wanted.row, command))
    }

    /// Writes the command of a quote down, unless the quote was refused to another call, or something else was asked of the
    /// subscription since there were `before` commands on it.
    async fn want_quoted(
        &self,
        row: &SubscriptionRow,
        request: &Request,
        quote: &QuoteId,
        before: i64,
    ) -> Result<CommandId, Problem> {
        self.refuse_in_shadow()?;
        let (customer, instance, now) =
            (row.subscription.customer.clone(), self.instance().to_owned(), self.now());
        let which = Which::Asked(quote.as_str());
        let command = request.command(&instance, Some(&row.aggregate), customer.as_ref(), which)?;
        let id = command.id();
        let (object, engine, quote) = (request.object(), self.clone(), quote.clone());
        let written = self
            .db()
            .write("quotes.want", move |tx| {
                if let Some(customer) = &customer {
                    customers::lock(tx, customer)?;
                }
                let open = quotes::lock(tx, &quote)?.is_some_and(|row| !row.is_closed());
                if !open || commands::asked(tx, &object)?.count != before {
                    return Ok(false);
                }
                engine.write_down(tx, &command, now)?;
                Ok(true)
            })
            .await
            .map_err(|error| under_way(error.into()))?;
        if !written {
            return Err(stale("The subscription was changed meanwhile."));
        }
        self.world().point(Point::CommandWanted).await;
        Ok(id)
    }

    /// What the provider says of a subscription now, whatever the mirror has of it.
    #[crate::boxed]
    pub(crate) async fn ground(&self, id: &str) -> Result<ObservedSubscription, Problem> {
        Ok(self.ask(calls::subscriptions::retrieve(id, &["schedule"])).await?)
    }

    async fn price_change(
        &self,
        wanted: &Resolved,
        at: Timestamp,
        ground: &ObservedSubscription,
    ) -> Result<(Money, Vec<(String, Money)>), Problem> {
        let item = ground.items.iter().find(|item| item.id == wanted.item.id);
        let item = item.ok_or_else(|| stale("The provider has another line in its place."))?;
        // What changes nothing, and what changes in a trial, has no invoice: the provider would preview the next renewal.
        // The mirror may lag behind and cannot tell.
        let same = item.price_id == wanted.price && item.quantity.unwrap_or(1) == wanted.quantity;
        let trials = ground.status == SubscriptionStatus::Trialing.as_str();
        let free = same || trials && wanted.proration == Proration::Now;
        if free || wanted.when == When::PeriodEnd {
            return Ok((Money::new(0, wanted.afterwards.currency), Vec::new()));
        }
        let line = ItemChange {
            id: &wanted.item.id,
            // A price that stays is not named: it may be sold no longer.
            price: (wanted.price != item.price_id).then_some(wanted.price.as_str()),
            quantity: Some(wanted.quantity),
            deleted: false,
        };
        let proration: ProrationBehavior = behavior(wanted.proration);
        let call = calls::invoices::create_preview(&PreviewChange {
            subscription: &wanted.row.subscription.facts.id,
            items: std::slice::from_ref(&line),
            proration_behavior: Some(proration),
            proration_date_s: Some(at.seconds()),
        });
        let preview = self.ask(call).await?;
        let currency = Currency::parse(&preview.currency).map_err(|e| Problem::invalid(e.to_string()))?;
        Ok((Money::new(preview.amount_due, currency), adding_up(&preview, currency)))
    }
}

/// The lines of a preview, and one each for what the provider says only of the whole, so that they add up to what is due.
fn adding_up(preview: &InvoicePreview, currency: Currency) -> Vec<(String, Money)> {
    let own: i64 = preview.lines.iter().map(|line| line.amount).sum();
    let of_all = [
        ("Further lines", preview.subtotal - own),
        ("Discount", -preview.discount),
        ("Tax", preview.total - preview.subtotal + preview.discount),
        ("Customer balance", preview.amount_due - preview.total),
    ];
    let lines = preview.lines.iter().map(|line| (line.description.clone().unwrap_or_default(), line.amount));
    let rest =
        of_all.into_iter().filter(|(_, minor)| *minor != 0).map(|(text, minor)| (text.to_owned(), minor));
    lines.chain(rest).map(|(text, minor)| (text, Money::new(minor, currency))).collect()
}

fn stale(why: &str) -> Problem {
    Problem::new(
        ProblemCode::QuoteStale,
        format!("The quote does not hold any more, and nothing was changed. {why}"),
        "Ask for a new one: POST /v1/subscriptions/{id}/preview.",
    )
}

fn unreadable(error: &serde_json::Error) -> Problem {
    tracing::error!(%error, "a quote cannot be written or read");
    Problem::new(
        ProblemCode::Internal,
        "The quote cannot be read.",
        "Ask for a new one: POST /v1/subscriptions/{id}/preview.",
    )
}
