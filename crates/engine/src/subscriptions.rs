//! Changing subscriptions: change, undo, cancel, pause, resume. Each reaches our mirror as any change does,
//! by looking at the provider again.

use quittance_domain::catalog::{Interval, Plan};
use quittance_domain::change::{OnAction, PauseHow, Terms, When, direction};
use quittance_domain::command::wanted::{AfterLook, Wanted, after_look, is_answered};
use quittance_domain::ids::PlanGroup;
use quittance_domain::pricing::{self, Asked, PriceError, PriceSource, Priced};
use quittance_domain::subscription::{ItemFacts, Subscription, SubscriptionStatus};
use quittance_domain::terms::CustomerTerms;
use quittance_domain::{CommandId, Currency, Money, Timestamp};
use quittance_store::mirror::{self, SubscriptionRow};
use quittance_store::{StoreError, Tx, checkouts, commands, terms};
use quittance_stripe::calls;
use quittance_stripe::observe::ObservedSubscription;

use crate::commands::request::{CancelAt, Feedback, Proration, Request, asked_id};
use crate::commands::under_way;
use crate::engine::Engine;
use crate::problem::{Problem, ProblemCode};

/// Most characters of a customer's own words.
const MAX_COMMENT: usize = 1_000;

/// What a caller wants a subscription to become; what is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    /// The plan's key.
    pub plan: Option<String>,
    /// `month`, `year` …
    pub interval: Option<String>,
    /// Units.
    pub quantity: Option<i64>,
    /// When it is made; default: as the policy says for its direction.
    pub when: Option<When>,
    /// How the difference of a change that is made now is charged; default: at once.
    pub proration: Option<Proration>,
    /// The preview's moment, so that the change costs what the preview said.
    pub proration_date: Option<Timestamp>,
}

/// Why and when a subscription is to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// When.
    pub at: CancelAt,
    /// Why, from the provider's list.
    pub feedback: Option<Feedback>,
    /// Why, in the customer's words; at most 1,000 characters. It goes to the provider.
    pub comment: Option<String>,
}

impl From<CancelAt> for Ending {
    fn from(at: CancelAt) -> Self {
        Self { at, feedback: None, comment: None }
    }
}

/// Who changes, as far as prices depend on it.
pub(crate) struct Buyer {
    /// The customer's own terms.
    terms: Option<CustomerTerms>,
    /// The channel that the subscription was bought by.
    channel: Option<String>,
}

impl Buyer {
    /// Whether something of a plan group costs them anything but what the list says.
    pub(crate) fn has_own_prices(&self, engine: &Engine, group: &PlanGroup, currency: Currency) -> bool {
        let of_group = engine.catalog().prices().filter(|(plan, _)| plan.group == *group);
        of_group.filter(|(_, price)| price.amount.currency == currency).any(|(plan, price)| {
            let priced = self.price(engine, plan, (price.interval, currency, 1));
            priced.is_ok_and(|priced| priced.source != PriceSource::List)
        })
    }

    /// What a plan costs them now. A channel that is over has no prices any more.
    fn price(
        &self,
        engine: &Engine,
        plan: &Plan,
        (interval, currency, quantity): (Interval, Currency, i64),
    ) -> Result<Priced, PriceError> {
        let at = engine.now();
        let channel = self.channel.as_deref().and_then(|key| engine.catalog().channel(key));
        let asked = Asked {
            plan: plan.key.as_str(),
            interval: Some(interval),
            currency: Some(currency),
            quantity,
            promotion: None,
            channel: channel.filter(|channel| channel.window.holds(at)).map(|channel| channel.key.as_str()),
            terms: self.terms.as_ref(),
            bought_before: true,
            at,
        };
        pricing::price(engine.catalog(), &asked)
    }
}

/// A change resolved against catalog and mirror.
pub(crate) struct Resolved {
    pub(crate) row: SubscriptionRow,
    pub(crate) item: ItemFacts,
    pub(crate) price: String,
    pub(crate) quantity: i64,
    pub(crate) proration: Proration,
    pub(crate) when: When,
    /// Whether the price is another one that is not the list's.
    pub(crate) off_list: bool,
    /// What it costs from then on, for each interval: before discounts and tax.
    pub(crate) afterwards: Money,
    /// The end of the period that runs.
    pub(crate) period_end: Option<Timestamp>,
}

impl Resolved {
    /// Whether it is so already, and nothing else is planned.
    fn is_so(&self) -> bool {
        self.item.price == self.price
            && self.item.quantity == self.quantity
            && self.row.subscription.facts.ahead.next_phase.is_none()
            && self.row.subscription.facts.ahead.pending.is_none()
    }

    /// Whether the mirror takes the price for one that stays; it may lag behind.
    fn seems_to_stay(&self) -> bool {
        self.item.price == self.price
    }

    /// The same change of what the provider has now.
    ///
    /// # Errors
    /// `wrong_state` when it has another line in its place or is paused; `payment_owed` when a renewal is owed: whatever the
    /// mirror says.
    pub(crate) fn on(mut self, ground: &ObservedSubscription) -> Result<Self, Problem> {
        let status = SubscriptionStatus::from(ground.status.clone());
        check_charged(&ground.id, self.when, &status, ground.pause.is_some())?;
        let found = ground.items.iter().find(|item| item.id == self.item.id);
        let found =
            found.ok_or_else(|| wrong_state(&self.row, "has another line by now; look at it again"))?;
        self.item.price.clone_from(&found.price_id);
        self.item.quantity = found.quantity.unwrap_or(1);
        self.period_end = found.current_period_end_s.map(Timestamp::from_seconds).or(self.period_end);
        Ok(self)
    }

    /// The command that makes it.
    pub(crate) fn request(&self, proration_date: Option<Timestamp>, waits_for_customer: bool) -> Request {
        let subscription = self.row.subscription.facts.id.clone();
        let (item, price, quantity) = (self.item.id.clone(), self.price.clone(), self.quantity);
        match self.when {
            // Back to what it is: nothing must change any more.
            When::PeriodEnd if self.item.price == price && self.item.quantity == quantity => {
                match &self.row.subscription.facts.ahead.schedule {
                    Some(schedule) => Request::UndoSchedule { subscription, schedule: schedule.clone() },
                    None => Request::ScheduleChange { subscription, item, price, quantity },
                }
            }
            When::PeriodEnd => Request::ScheduleChange { subscription, item, price, quantity },
            When::Now => Request::ChangeSubscription {
                keeps_price: self.item.price == price,
                subscription,
                item,
                price,
                quantity,
                proration: self.proration,
                proration_date_s: proration_date.map(Timestamp::seconds),
                waits_for_customer,
            },
        }
    }
}

impl Engine {
    /// A mirrored subscription by the provider's id.
    ///
    /// # Errors
    /// `not_found`.
    #[crate::boxed]
    pub async fn subscription(&self, id: &str) -> Result<SubscriptionRow, Problem> {
        let key = id.to_owned();
        let row = self.db().read("subscriptions.get", move |tx| mirror::subscription(tx, &key)).await?;
        row.ok_or_else(|| Problem::not_found("subscription"))
    }

    #[crate::boxed]
    pub(crate) async fn resolve(&self, id: &str, change: &Change) -> Result<Resolved, Problem> {
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
        let quantity = change.quantity.unwrap_or(item.quantity);
        let too_many = || Problem::invalid("`quantity` must be between 1 and 100000.");
        if !(1..=pricing::MAX_QUANTITY).contains(&quantity) {
            return Err(too_many());
        }
        let buyer = self.priced_for(&row.subscription).await?;
        let at_price = |interval| buyer.price(self, plan, (interval, currency, quantity));
        let held_interval = item.interval.as_deref().and_then(Interval::parse);
        // What was bought stays what it was: other units of the same cost what the first ones cost.
        let kept = item.unit_price.filter(|_| held.plan == plan.key && held_interval == Some(interval));
        let priced = match kept {
            Some(_) => None,
            None => Some(at_price(interval).map_err(|error| match error {
                PriceError::Quantity | PriceError::TooLarge => too_many(),
                PriceError::UnknownPlan
                | PriceError::Free(_)
                | PriceError::NotSold(_)
                | PriceError::UnknownChannel
                | PriceError::Promotion(_) => unknown("The plan is not sold like that in this currency."),
            })?),
        };
        let unit = kept.or(priced.as_ref().map(|priced| priced.price.amount));
        let unit = unit.ok_or_else(|| unknown("The plan is not sold like that in this currency."))?;
        let afterwards = unit.checked_mul(quantity).map_err(|_| too_many())?;
        let from = Terms {
            plan: &held.plan,
            interval: held_interval.unwrap_or(interval),
            unit: item.unit_price.unwrap_or(unit),
            quantity: item.quantity,
        };
        let to = Terms { plan: &plan.key, interval, unit, quantity };
        let alike = at_price(from.interval).ok().map(|priced| priced.price.amount);
        let direction = direction(&from, &to, alike);
        let when = change.when.unwrap_or_else(|| self.settings().changes.when(direction, &facts.status));
        check_state(&row, when)?;
        let off_list = priced.as_ref().is_some_and(|priced| priced.source != PriceSource::List);
        let price = match priced {
            Some(priced) => self.deal_price_id(plan, &priced.price, priced.source).await?,
            None => item.price.clone(),
        };
        let proration = change.proration.unwrap_or(Proration::Now);
        let period_end = facts.period_end();
        Ok(Resolved { item, price, quantity, proration, when, off_list, afterwards, period_end, row })
    }

    /// What makes the prices of a subscription's customer other than the list's.
    pub(crate) async fn priced_for(&self, subscription: &Subscription) -> Result<Buyer, Problem> {
        let customer = subscription.customer.clone();
        let checkout = subscription.facts.checkout.clone();
        let read = move |tx: &mut dyn Tx| {
            let terms = match &customer {
                Some(customer) => terms::get(tx, customer.as_str())?.map(|row| row.terms),
                None => None,
            };
            let bought = match &checkout {
                Some(id) => checkouts::get(tx, id.as_str())?,
                None => None,
            };
            Ok(Buyer { terms, channel: bought.and_then(|row| row.wish.channel) })
        };
        Ok(self.db().read("subscriptions.buyer", read).await?)
    }

    /// The line, the provider's price and the quantity of a change that the portal is to confirm.
    ///
    /// # Errors
    /// As [`Engine::change_subscription`]; `wrong_state` at a price that the portal does not offer.
    #[crate::boxed]
    pub(crate) async fn change_target(
        &self,
        id: &str,
        change: &Change,
    ) -> Result<(String, String, i64), Problem> {
        let wanted = self.resolve(id, change).await?;
        if wanted.off_list {
            let why = "is sold to this customer at a price that the portal does not offer; change it here instead: POST /v1/subscriptions/{id}/change";
            return Err(wrong_state(&wanted.row, why));
        }
        Ok((wanted.item.id, wanted.price, wanted.quantity))
    }

    /// Changes plan, interval or quantity, now or with the period's end. A change whose payment fails changes nothing;
    /// one whose payment needs the customer waits for it ([`Engine::pay_page`]). `asked` is the seed of the caller's
    /// idempotency key.
    ///
    /// # Errors
    /// `wrong_state`, `payment_owed`, `unknown_price`, `payment_declined`, and what the provider says.
    #[crate::boxed]
    pub async fn change_subscription(
        &self,
        id: &str,
        change: &Change,
        asked: Option<&str>,
    ) -> Result<SubscriptionRow, Problem> {
        if let Some(command) = self.change_asked_before(asked).await? {
            return self.carry_out(&self.subscription(id).await?, &command).await;
        }
        let mut wanted = self.resolve(id, change).await?;
        self.refuse_suspended(wanted.row.subscription.customer.as_ref()).await?;
        // What is paid for at once is not decided by a mirror that may lag.
        if wanted.when == When::Now || wanted.seems_to_stay() {
            wanted = wanted.on(&self.ground(id).await?)?;
        }
        if wanted.is_so() {
            return Ok(wanted.row);
        }
        let links = self.settings().changes.on_action == OnAction::Link;
        let request = wanted.request(change.proration_date, links);
        self.command_and_sync(&wanted.row, &request, asked).await
    }

    /// A change goes by one of three kinds of command; which one was decided when it was asked for first.
    #[crate::boxed]
    pub(crate) async fn change_asked_before(
        &self,
        asked: Option<&str>,
    ) -> Result<Option<CommandId>, Problem> {
        let Some(seed) = asked else { return Ok(None) };
        let ids = self.changes_under(seed);
        Ok(self.db().read("commands.asked", move |tx| written(tx, &ids)).await?)
    }

    /// The commands that a change under one key can be.
    pub(crate) fn changes_under(&self, seed: &str) -> [CommandId; 3] {
        ["subscription.change", "subscription.schedule", "subscription.undo"]
            .map(|kind| asked_id(self.instance(), kind, seed))
    }

    /// Where the customer confirms the payment that a change waits for; `None` when none waits.
    ///
    /// # Errors
    /// As the provider.
    #[crate::boxed]
    pub async fn pay_page(&self, row: &SubscriptionRow) -> Result<Option<String>, Problem> {
        let facts = &row.subscription.facts;
        let open = facts.latest_invoice.as_ref().filter(|invoice| invoice.status == "open");
        let (Some(invoice), Some(_)) = (open, &facts.ahead.pending) else { return Ok(None) };
        Ok(self.ask(calls::invoices::pay_page(&invoice.id)).await?)
    }

    /// Takes back a change that is planned for the period's end. `asked` is the seed of the caller's idempotency key.
    ///
    /// # Errors
    /// `wrong_state` when nothing is planned.
    #[crate::boxed]
    pub async fn undo_change(&self, id: &str, asked: Option<&str>) -> Result<SubscriptionRow, Problem> {
        let row = self.subscription(id).await?;
        if let Some(command) = self.asked_before("subscription.undo", asked).await? {
            return self.carry_out(&row, &command).await;
        }
        let ahead = &row.subscription.facts.ahead;
        let (Some(schedule), Some(_)) = (&ahead.schedule, &ahead.next_phase) else {
            return Err(wrong_state(&row, "has no change that is planned"));
        };
        let request = Request::UndoSchedule { subscription: id.to_owned(), schedule: schedule.clone() };
        self.command_and_sync(&row, &request, asked).await
    }

    /// Takes no money for a subscription until it is resumed, or until `resumes_at`. What is paid for is used up
    /// first. `asked` is the seed of the caller's idempotency key.
    ///
    /// # Errors
    /// `wrong_state` for one that is over or was never paid, `invalid_request` for an end that cannot be.
    #[crate::boxed]
    pub async fn pause_subscription(
        &self,
        id: &str,
        resumes_at: Option<Timestamp>,
        asked: Option<&str>,
    ) -> Result<SubscriptionRow, Problem> {
        let row = self.subscription(id).await?;
        if let Some(command) = self.asked_before("subscription.pause", asked).await? {
            return self.carry_out(&row, &command).await;
        }
        if !row.subscription.is_live() {
            return Err(wrong_state(&row, "is over or was never paid, so there is nothing to pause"));
        }
        let how = self.settings().changes.pause;
        if resumes_at.is_some_and(|at| at <= self.now()) {
            return Err(Problem::invalid("`resumes_at` must lie in the future."));
        }
        if how == PauseHow::Subscription {
            if resumes_at.is_some() {
                return Err(Problem::invalid(
                    "With changes.pause = \"subscription\" a pause has no end of its own: leave `resumes_at` out.",
                ));
            }
            if row.subscription.facts.status == SubscriptionStatus::Paused {
                return Ok(row);
            }
        }
        let resumes_at_s = resumes_at.map(Timestamp::seconds);
        let request = Request::PauseSubscription { subscription: id.to_owned(), how, resumes_at_s };
        self.command_and_sync(&row, &request, asked).await
    }

    /// Ends a subscription, with its period or at once. `asked` is the seed of the caller's idempotency key.
    ///
    /// # Errors
    /// `not_found`, and what the provider says. One that is over already is answered as it is.
    pub async fn cancel_subscription(
        &self,
        id: &str,
        ending: impl Into<Ending> + Send,
        asked: Option<&str>,
    ) -> Result<SubscriptionRow, Problem> {
        let Ending { at, feedback, comment } = ending.into();
        if comment.as_ref().is_some_and(|text| text.chars().count() > MAX_COMMENT) {
            return Err(Problem::invalid(format!("`comment` may have up to {MAX_COMMENT} characters.")));
        }
        let row = self.subscription(id).await?;
        if let Some(command) = self.asked_before("subscription.cancel", asked).await? {
            return self.carry_out(&row, &command).await;
        }
        if is_answered(&row.subscription.facts) {
            return Ok(row);
        }
        let request = Request::CancelSubscription { subscription: id.to_owned(), at, feedback, comment };
        self.command_and_sync(&row, &request, asked).await
    }

    /// Takes back the end of a subscription that still runs, or its pause. `asked` is the seed of the caller's idempotency key.
    ///
    /// # Errors
    /// `wrong_state` when it is over.
    #[crate::boxed]
    pub async fn resume_subscription(
        &self,
        id: &str,
        asked: Option<&str>,
    ) -> Result<SubscriptionRow, Problem> {
        let row = self.subscription(id).await?;
        if let Some(command) = self.asked_before("subscription.resume", asked).await? {
            return self.carry_out(&row, &command).await;
        }
        if is_answered(&row.subscription.facts) {
            return Err(wrong_state(&row, "is over; open a new checkout instead"));
        }
        self.refuse_suspended(row.subscription.customer.as_ref()).await?;
        let request = Request::ResumeSubscription { subscription: id.to_owned() };
        self.command_and_sync(&row, &request, asked).await
    }

    #[crate::boxed]
    pub(crate) async fn command_and_sync(
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
            let (clean, after) = self.done_and_seen(row, &command).await.map_err(under_way)?;
            tries += 1;
            let so = wanted(request).is_none_or(|wanted| wanted.is_so(&after.subscription.facts));
            match after_look(tries, clean, so) {
                AfterLook::Tell => return Ok(after),
                AfterLook::AskAgain => {}
            }
        }
    }

    /// A request that comes again is not decided again: what happened since is no reason to do it twice.
    #[crate::boxed]
    pub(crate) async fn carry_out(
        &self,
        row: &SubscriptionRow,
        command: &CommandId,
    ) -> Result<SubscriptionRow, Problem> {
        Ok(self.done_and_seen(row, command).await.map_err(under_way)?.1)
    }

    /// Carries a command out and waits for the sync that it has marked, so that the caller sees its own change; and
    /// whether that sync is over.
    async fn done_and_seen(
        &self,
        row: &SubscriptionRow,
        command: &CommandId,
    ) -> Result<(bool, SubscriptionRow), Problem> {
        self.perform(command).await?;
        let clean = self.wait_clean(&row.aggregate, self.settings().redirect_wait_ms).await?;
        Ok((clean, self.subscription(&row.subscription.facts.id).await?))
    }
}

/// What a request wants of a subscription; nothing for one that wants something else.
fn wanted(request: &Request) -> Option<Wanted<'_>> {
    match request {
        Request::CancelSubscription { at: CancelAt::PeriodEnd, .. } => Some(Wanted::EndsWithPeriod),
        Request::CancelSubscription { at: CancelAt::Now, .. } => Some(Wanted::EndsNow),
        Request::ResumeSubscription { .. } => Some(Wanted::Runs),
        Request::ChangeSubscription { item, price, quantity, .. } => {
            Some(Wanted::Line { item, price, quantity: *quantity })
        }
        Request::ScheduleChange { price, quantity, .. } => {
            Some(Wanted::LineAhead { price, quantity: *quantity })
        }
        Request::UndoSchedule { .. } => Some(Wanted::NothingAhead),
        Request::PauseSubscription { .. } => Some(Wanted::Paused),
        Request::CreateCustomer { .. }
        | Request::UpdateCustomer { .. }
        | Request::DeleteCustomer { .. }
        | Request::CreateCheckout { .. }
        | Request::ExpireCheckout { .. }
        | Request::CreatePortal { .. }
        | Request::CancelDuplicate { .. }
        | Request::EndTrial { .. }
        | Request::RefundDuplicate { .. }
        | Request::Refund { .. }
        | Request::ContestDispute { .. }
        | Request::AcceptDispute { .. }
        | Request::Suspension { .. }
        | Request::PayInvoice { .. }
        | Request::GiveUpInvoice { .. } => None,
    }
}

/// A change at once needs a subscription whose payments are taken.
///
/// It waits until what is owed is paid: its small invoice would be paid in the place of the renewal, and the provider would
/// take the subscription for paid; and a smaller one would give money back that never came. And it waits while collection is
/// paused: the provider would make the change and take nothing for it.
pub(crate) fn check_charged(
    id: &str,
    when: When,
    status: &SubscriptionStatus,
    paused: bool,
) -> Result<(), Problem> {
    let owed = matches!(status, SubscriptionStatus::PastDue | SubscriptionStatus::Unpaid);
    if when != When::Now || !(owed || paused) {
        return Ok(());
    }
    if !owed {
        return Err(Problem::new(
            ProblemCode::WrongState,
            format!("The subscription {id} is paused, and so are its payments. Nothing was changed."),
            "Resume it first with POST /v1/subscriptions/{id}/resume. A change for the period's end can be planned, and \
             cancelling is always possible.",
        ));
    }
    Err(Problem::new(
        ProblemCode::PaymentOwed,
        format!("The subscription {id} has a renewal that is not paid. Nothing was changed."),
        "Have what is owed paid first: `payment_issue.action_url` of GET /v1/subscriptions/{id} leads there, and so \
         does the billing page. A change for the period's end can be planned, and cancelling is always possible.",
    ))
}

/// What the provider can do with a subscription in this state, told before it is asked.
fn check_state(row: &SubscriptionRow, when: When) -> Result<(), Problem> {
    let facts = &row.subscription.facts;
    check_charged(&facts.id, when, &facts.status, facts.ahead.pause.is_some())?;
    match (when, &facts.status) {
        (_, SubscriptionStatus::Paused) => Err(wrong_state(row, "is paused; resume it first")),
        (When::PeriodEnd, _) if facts.ends_at().is_some() => {
            Err(wrong_state(row, "ends before the change would be made; resume it first, or change it now"))
        }
        (When::PeriodEnd, _) if facts.period_end().is_none() => {
            Err(wrong_state(row, "names no period whose end could be waited for"))
        }
        (When::Now | When::PeriodEnd, _) => Ok(()),
    }
}

pub(crate) fn wrong_state(row: &SubscriptionRow, why: &str) -> Problem {
    Problem::new(
        ProblemCode::WrongState,
        format!("The subscription {} {why}.", row.subscription.facts.id),
        "GET /v1/subscriptions/{id} shows its state.",
    )
}

/// The first of some commands that is written down.
pub(crate) fn written(tx: &mut dyn Tx, ids: &[CommandId]) -> Result<Option<CommandId>, StoreError> {
    for id in ids {
        if commands::get(tx, id)?.is_some() {
            return Ok(Some(id.clone()));
        }
    }
    Ok(None)
}
