//! Checkouts: from a wish to an address where the buyer pays, at most one open per plan group.

use std::net::IpAddr;

use quittance_domain::catalog::{Interval, Plan, Price};
use quittance_domain::checkout::{
    CheckoutDecision, CheckoutState, CheckoutUi, CheckoutWish, Deal, DealDiscount, decide,
};
use quittance_domain::fraud::Level;
use quittance_domain::offer::Promotion;
use quittance_domain::pricing::{PriceSource, Priced};
use quittance_domain::trial::{Bridge, bridge};
use quittance_domain::{CheckoutId, CustomerId, Money, Timestamp};
use quittance_store::checkouts::{self, CheckoutRow};
use quittance_store::customers::{self, CustomerPatch};
use quittance_store::{Tx, mirror};

use crate::commands::request::{Request, Start};
use crate::engine::Engine;
use crate::pricing::PriceAsk;
use crate::problem::{self, Problem, ProblemCode};
use crate::suspensions::{admit, suspended};
use crate::world::Point;

/// How often a wish is decided again when others are at the same customer.
const ROUNDS: usize = 8;

/// What a caller asks for. There is no price in it: prices come from the catalog.
#[derive(Debug, Clone)]
pub struct NewCheckout {
    /// The app's customer.
    pub customer: CustomerId,
    /// The plan's key.
    pub plan: String,
    /// `day`, `week`, `month`, `year` or `once`.
    pub interval: Option<String>,
    /// Units.
    pub quantity: Option<i64>,
    /// ISO 4217; default: the plan's first price.
    pub currency: Option<String>,
    /// A promotion: its code or key in the catalog, or the provider's id of a promotion code.
    pub promotion_code: Option<String>,
    /// The channel that the buyer came by, an agency's key.
    pub channel: Option<String>,
    /// Where the buyer returns to after paying; default: our own return page.
    pub success_url: Option<String>,
    /// Where the buyer returns to without paying; default: our pricing page.
    pub cancel_url: Option<String>,
    /// A subscription of the customer that is set to end: this one begins then, to the second, and nothing is charged
    /// before.
    pub starts_after: Option<String>,
    /// Where the buyer pays.
    pub ui: CheckoutUi,
    /// The app's own name for what is bought, such as the number of an order.
    pub reference: Option<String>,
    /// Where the buyer's browser is, for limits and against card testing; only a digest of it is kept.
    pub client_ip: Option<IpAddr>,
    /// Makes the id, so that a repeated request finds what the first one made.
    pub idempotency: Option<String>,
}

enum Step {
    Answer(Box<CheckoutRow>),
    Open(CheckoutId),
    Close(Box<CheckoutRow>),
    Subscribed(String),
    Refused(Problem),
}

impl Engine {
    /// Opens a checkout, or returns the one that is open already for the same wish.
    ///
    /// # Errors
    /// `unknown_price`, `already_subscribed`, `checkout_in_progress`, and what the provider says.
    #[crate::boxed]
    pub async fn open_checkout(&self, new: &NewCheckout) -> Result<CheckoutRow, Problem> {
        self.refuse_in_shadow()?;
        if new.ui.is_on_our_page() && self.settings().publishable_key.is_none() {
            return Err(no_publishable_key());
        }
        let (priced, promotion) = self.priced(&new.price_ask()).await?;
        let mut wish = self.wish(new, &priced, promotion.as_ref())?;
        self.begin_when(new, priced.trial_days, &mut wish).await?;
        if wish.ui == CheckoutUi::PaymentIntent {
            check_bare(priced.price.interval, wish.deal.as_ref())?;
        }
        let (id, now) = (wish.customer.clone(), self.now());
        self.db()
            .write("checkout.customer", move |tx| customers::upsert(tx, &id, &CustomerPatch::default(), now))
            .await?;
        let address = new.client_ip.map(|address| self.address_digest(address));
        for round in 0..ROUNDS {
            let id = match &new.idempotency {
                Some(seed) => CheckoutId::derived(&["checkout", seed]),
                None => CheckoutId::from_random(self.world().random()),
            };
            match self.decide_checkout(&wish, id, address.clone()).await? {
                Step::Answer(row) if row.state == CheckoutState::Processing => return Err(in_progress()),
                Step::Answer(row) if row.state == CheckoutState::Creating => {
                    return self.create_session_for(&row).await;
                }
                Step::Answer(row) => return Ok(*row),
                Step::Open(id) => {
                    let row = self.checkout_row(id.as_str()).await?;
                    return self.create_session_for(&row).await;
                }
                // Whoever closes one decides again: otherwise many wishes could leave none open.
                Step::Close(row) if round + 1 < ROUNDS => self.close_checkout(&row).await?,
                Step::Close(_) => return Err(in_progress()),
                Step::Refused(problem) => return Err(problem),
                Step::Subscribed(subscription) => return Err(already_subscribed(&subscription)),
            }
        }
        Err(in_progress())
    }

    fn wish(
        &self,
        new: &NewCheckout,
        priced: &Priced,
        promotion: Option<&Promotion>,
    ) -> Result<CheckoutWish, Problem> {
        let public = &self.settings().public_url;
        let success = new.success_url.clone().unwrap_or_else(|| match new.ui {
            CheckoutUi::Hosted | CheckoutUi::Embedded | CheckoutUi::Elements => {
                format!("{public}/checkout/return?session_id={{CHECKOUT_SESSION_ID}}")
            }
            // Here the provider's library names the payment itself.
            CheckoutUi::PaymentIntent => format!("{public}/checkout/return"),
        });
        let reference = new.reference.as_deref();
        if reference
            .is_some_and(|name| !(1..=200).contains(&name.chars().count()) || name.contains(char::is_control))
        {
            return Err(Problem::invalid("`reference` must be 1 to 200 characters without line breaks."));
        }
        let cancel = new.cancel_url.clone().unwrap_or_else(|| format!("{public}/pricing"));
        for (field, url) in [("success_url", &success), ("cancel_url", &cancel)] {
            check_url(field, url)?;
        }
        let group = self.catalog().plan(priced.plan.as_str()).map(|plan| plan.group.clone());
        Ok(CheckoutWish {
            customer: new.customer.clone(),
            plan: priced.plan.clone(),
            group: group.ok_or_else(|| Problem::not_found("plan"))?,
            interval: priced.interval.as_str().to_owned(),
            currency: priced.currency,
            quantity: priced.quantity,
            promotion_code: new.promotion_code.clone(),
            channel: new.channel.clone(),
            deal: Some(Deal::of(priced, promotion)),
            success_url: success,
            cancel_url: cancel,
            trial_days: None,
            trial_refused: false,
            starts_after: None,
            ui: new.ui,
            reference: new.reference.clone(),
        })
    }

    /// Decides when a wish begins to cost: with the purchase, after a trial if the customer had none, or when another
    /// subscription ends.
    async fn begin_when(
        &self,
        new: &NewCheckout,
        offered_days: u32,
        wish: &mut CheckoutWish,
    ) -> Result<(), Problem> {
        if let Some(subscription) = &new.starts_after {
            let at = self.end_of(subscription, &new.customer).await?;
            wish.starts_after = Some((subscription.clone(), at));
            wish.trial_days = Some(0);
            if let Some(deal) = &mut wish.deal {
                (deal.trial_days, deal.due_now) = (0, 0);
            }
            return Ok(());
        }
        let (days, refused) = self.trial_of(&new.customer, offered_days).await?;
        (wish.trial_days, wish.trial_refused) = (Some(days), refused);
        if let Some(deal) = wish.deal.as_mut().filter(|_| refused) {
            (deal.trial_days, deal.due_now) = (0, deal.total);
        }
        Ok(())
    }

    /// When a subscription of the customer ends, which must be planned, and far enough ahead for a checkout.
    async fn end_of(&self, subscription: &str, customer: &CustomerId) -> Result<Timestamp, Problem> {
        let row = self.subscription(subscription).await?;
        if row.subscription.customer.as_ref() != Some(customer) {
            return Err(Problem::not_found("subscription"));
        }
        let ends = row.subscription.facts.ends_at().filter(|_| row.subscription.is_live());
        let Some(at) = ends else {
            return Err(Problem::new(
                ProblemCode::WrongState,
                format!("The subscription {subscription} is not set to end, so nothing can begin then."),
                "Cancel it with its period first, or change it instead: POST /v1/subscriptions/{id}/change.",
            ));
        };
        if bridge(self.now().seconds(), at.seconds()).is_none() {
            let wait = u32::try_from(at.seconds() - self.now().seconds()).unwrap_or(0).max(1);
            return Err(Problem::new(
                ProblemCode::WrongState,
                format!("The subscription {subscription} ends in less than half an hour, and a checkout is open longer."),
                "Open the checkout once it has ended.",
            )
            .retry_after(wait));
        }
        Ok(at)
    }

    async fn decide_checkout(
        &self,
        wish: &CheckoutWish,
        id: CheckoutId,
        address: Option<String>,
    ) -> Result<Step, Problem> {
        let (wish, scope, now) = (wish.clone(), self.scope().to_string(), self.now());
        let policy = self.settings().fraud.clone();
        let step = self
            .db()
            .write("checkout.decide", move |tx| {
                // One decision at a time for each customer.
                customers::lock(tx, &wish.customer)?;
                if let Some(row) = checkouts::get(tx, id.as_str())? {
                    return Ok(Step::Answer(Box::new(row)));
                }
                if let Some(row) = suspended(tx, &wish.customer)? {
                    return Ok(Step::Refused(row));
                }
                if let Some(subscription) = live_in_group(tx, &wish)? {
                    return Ok(Step::Subscribed(subscription));
                }
                let earlier = checkouts::unfinished(tx, wish.customer.as_str(), wish.group.as_str())?;
                let decision = decide(&wish, earlier.as_ref().map(CheckoutRow::as_earlier).as_ref(), now);
                Ok(match (decision, earlier) {
                    (CheckoutDecision::Reuse(_), Some(row)) => Step::Answer(Box::new(row)),
                    (CheckoutDecision::Replace(_), Some(row)) => Step::Close(Box::new(row)),
                    (
                        CheckoutDecision::Create | CheckoutDecision::Reuse(_) | CheckoutDecision::Replace(_),
                        _,
                    ) => match admit(tx, (&scope, &policy), &id, &wish.customer, address.as_deref(), now)? {
                        Some(problem) => Step::Refused(problem),
                        None => {
                            checkouts::insert(tx, &id, &scope, &wish, now)?;
                            Step::Open(id.clone())
                        }
                    },
                })
            })
            .await?;
        self.world().point(Point::CheckoutDecided).await;
        Ok(step)
    }

    /// Has the provider open a checkout. What is refused for good is over: neither the next wish nor an erasure waits for it.
    async fn create_session_for(&self, row: &CheckoutRow) -> Result<CheckoutRow, Problem> {
        let made = self.session_for(row).await;
        if let Err(problem) = &made
            && is_final(problem)
        {
            self.give_checkout_up(&row.id).await?;
        }
        let opened = made?;
        // Shut out meanwhile: it is being closed, and is shown to nobody.
        self.shut_out_at(row.wish.customer.as_str(), Level::Checkouts).await?.map_or(Ok(opened), Err)
    }

    async fn session_for(&self, row: &CheckoutRow) -> Result<CheckoutRow, Problem> {
        let customer = &row.wish.customer;
        let gone = || {
            Problem::new(
                ProblemCode::UnknownPrice,
                "What this checkout is for is not sold any more.",
                "GET /v1/plans lists what can be bought.",
            )
        };
        let plan = self.catalog().plan(row.wish.plan.as_str()).ok_or_else(gone)?;
        let (price, deal) = charged(row, plan).ok_or_else(gone)?;
        let provider_customer = self.provider_customer(customer).await?;
        let source = deal.map_or(PriceSource::List, |deal| deal.source);
        let (price_id, discount) = match (row.wish.ui, deal) {
            // Its amount is all that the provider is told.
            (CheckoutUi::PaymentIntent, _) => (None, None),
            (_, Some(deal)) => {
                (Some(self.deal_price_id(plan, &price, source).await?), self.discount_id(deal).await?)
            }
            (_, None) => (Some(self.deal_price_id(plan, &price, source).await?), None),
        };
        let request = Request::CreateCheckout {
            checkout: row.id.clone(),
            provider_customer,
            price: price_id,
            once: price.interval == Interval::Once,
            trial_days: deal.map_or(plan.trial_days, |deal| deal.trial_days),
            discount,
            most: deal.map(|deal| deal.due_now),
            starts: row.wish.starts_after.as_ref().map(|(after, at)| start_of(row, after, *at)),
        };
        let command = self.want(&request, None, Some(customer)).await?;
        match self.perform(&command).await {
            Ok(answer) => match answer.get("asked").and_then(serde_json::Value::as_i64) {
                None => self.checkout_row(row.id.as_str()).await,
                Some(asked) => {
                    self.prices().forget(&price.lookup_key);
                    Err(mismatch(asked, deal.map_or(0, |deal| deal.due_now)))
                }
            },
            Err(problem) => {
                if matches!(problem.code, ProblemCode::ProviderRefused | ProblemCode::PaymentDeclined) {
                    self.prices().forget(&price.lookup_key);
                }
                Err(problem)
            }
        }
    }

    /// Closes an open checkout before another one is opened, so that never two can be paid.
    async fn close_checkout(&self, row: &CheckoutRow) -> Result<(), Problem> {
        let Some(session) = &row.session else {
            // Written down but never opened, or its answer was lost: open it first to learn its session.
            let plan = self.catalog().plan(row.wish.plan.as_str());
            return match plan.and_then(|plan| charged(row, plan)) {
                Some(_) => self.create_session_for(row).await.map(|_| ()),
                None => self.give_checkout_up(&row.id).await,
            };
        };
        let request = Request::ExpireCheckout { checkout: row.id.clone(), session: session.clone() };
        let aggregate = self.customer_aggregate(&row.wish.customer).await?;
        let command = self.want(&request, aggregate.as_deref(), Some(&row.wish.customer)).await?;
        self.perform(&command).await?;
        Ok(())
    }

    async fn give_checkout_up(&self, id: &CheckoutId) -> Result<(), Problem> {
        let (id, now) = (id.clone(), self.now());
        self.db().write("checkout.give_up", move |tx| checkouts::give_up(tx, &id, now)).await?;
        Ok(())
    }

    #[crate::boxed]
    pub(crate) async fn customer_aggregate(&self, customer: &CustomerId) -> Result<Option<String>, Problem> {
        let found = self.known_provider_customer(customer).await?;
        Ok(found.map(|id| quittance_domain::AggregateKey::customer(self.scope().clone(), &id).to_string()))
    }

    /// A checkout by our id or the provider's session.
    ///
    /// # Errors
    /// `not_found`.
    #[crate::boxed]
    pub async fn checkout_row(&self, id: &str) -> Result<CheckoutRow, Problem> {
        let key = id.to_owned();
        let row = self.db().read("checkout.get", move |tx| checkouts::get(tx, &key)).await?;
        row.ok_or_else(|| Problem::not_found("checkout"))
    }
}

impl NewCheckout {
    /// The question whose answer is what this checkout comes to.
    fn price_ask(&self) -> PriceAsk {
        PriceAsk {
            customer: Some(self.customer.clone()),
            plan: self.plan.clone(),
            interval: self.interval.clone(),
            currency: self.currency.clone(),
            quantity: self.quantity,
            promotion_code: self.promotion_code.clone(),
            channel: self.channel.clone(),
        }
    }
}

/// Whether a problem says that nothing was opened, and that the same request opens nothing later either.
fn is_final(problem: &Problem) -> bool {
    problem.retry_after_s.is_none() && problem.money == problem::Money::No
}

/// The price that a checkout was written down with; of earlier releases' checkouts the list's.
fn charged<'a>(row: &'a CheckoutRow, plan: &Plan) -> Option<(Price, Option<&'a Deal>)> {
    let interval = Interval::parse(&row.wish.interval)?;
    match &row.wish.deal {
        Some(deal) => {
            let price = Price {
                interval,
                amount: Money::new(deal.unit, row.wish.currency),
                stripe: deal.stripe.clone(),
                lookup_key: deal.lookup_key.clone(),
            };
            Some((price, Some(deal)))
        }
        None => plan.price(interval, row.wish.currency).map(|price| (price.clone(), None)),
    }
}

/// What can be paid for by a bare payment: something that is bought once, at an amount that we can tell in full.
fn check_bare(interval: Interval, deal: Option<&Deal>) -> Result<(), Problem> {
    if interval != Interval::Once {
        return Err(Problem::invalid(
            "`ui: payment_intent` is for what is bought once; use `elements` or `embedded` for a subscription.",
        ));
    }
    match deal.and_then(|deal| deal.discount.as_ref()) {
        // Redemptions are the provider's to count, and a bare payment knows no promotions.
        Some(DealDiscount::Code(_) | DealDiscount::Typed { .. }) => Err(Problem::invalid(
            "`ui: payment_intent` takes no promotion codes, which the provider counts; use `elements` or `embedded`.",
        )),
        Some(DealDiscount::Coupon(_) | DealDiscount::Own { .. }) | None => Ok(()),
    }?;
    if deal.is_none_or(|deal| deal.due_now < 1) {
        return Err(Problem::invalid("There is nothing to pay, so there is no payment to make."));
    }
    Ok(())
}

fn no_publishable_key() -> Problem {
    Problem::new(
        ProblemCode::NotConfigured,
        "A page of yours cannot show the provider's form: there is no publishable key.",
        "Set STRIPE_PUBLISHABLE_KEY (stripe.publishable_key), or use `ui: hosted`.",
    )
}

fn mismatch(asked: i64, most: i64) -> Problem {
    Problem::new(
        ProblemCode::PriceMismatch,
        format!(
            "The provider would ask for {asked} in minor units where the price is {most}; its page was closed."
        ),
        "Operators: run `quittance catalog check`, and look for discounts and taxes that the provider adds by itself.",
    )
}

fn live_in_group(tx: &mut dyn Tx, wish: &CheckoutWish) -> quittance_store::Result<Option<String>> {
    let rows = mirror::subscriptions_of_customer(tx, wish.customer.as_str())?;
    let live = rows.into_iter().find(|row| {
        let follows = wish.starts_after.as_ref().is_some_and(|(after, _)| {
            *after == row.subscription.facts.id && row.subscription.facts.ends_at().is_some()
        });
        !follows
            && row.subscription.is_live()
            && row.subscription.plans.iter().any(|held| held.group == wish.group)
    });
    Ok(live.map(|row| row.subscription.facts.id))
}

/// How a checkout that begins later is opened; it follows from what is written down, so that it is opened the same
/// way again.
fn start_of(row: &CheckoutRow, after: &str, at: Timestamp) -> Start {
    const DAY_S: i64 = 86_400;
    let (opened_s, at_s) = (row.created_at.seconds(), at.seconds());
    Start {
        after: after.to_owned(),
        at_s,
        by: bridge(opened_s, at_s).unwrap_or(Bridge::Anchor),
        closes_s: at_s.min(opened_s + DAY_S - 60),
    }
}

/// Where somebody may be sent back to: a web address that the provider can take.
pub(crate) fn check_url(field: &str, url: &str) -> Result<(), Problem> {
    let web = url.starts_with("https://") || url.starts_with("http://");
    if !web || url.len() > 2_000 || url.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(Problem::invalid(format!(
            "`{field}` must be an http or https address of at most 2,000 bytes."
        )));
    }
    Ok(())
}

fn in_progress() -> Problem {
    Problem::new(
        ProblemCode::CheckoutInProgress,
        "An earlier checkout of this customer is paid or being paid.",
        "Wait for it: GET /v1/customers/{id} shows the subscription as soon as the provider confirms it. If it does not within minutes: quittance explain CUSTOMER FEATURE tells what it waits for.",
    )
    .money(problem::Money::Unknown)
    .retry_after(5)
}

fn already_subscribed(subscription: &str) -> Problem {
    Problem::new(
        ProblemCode::AlreadySubscribed,
        format!("The customer has a subscription of this plan group already: {subscription}."),
        "Change it with POST /v1/subscriptions/{id}/change, or send the customer to the portal.",
    )
}
