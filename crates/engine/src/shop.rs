//! Bringing the provider's products, prices, coupons, promotion codes and portal in step with the catalog.
//!
//! Look, compare (`quittance_domain::shop`), do the difference, look again. Every change has a key that follows from what
//! is wanted and from which push wants it, so that a push that was interrupted anywhere is simply run again.

mod look;
mod steps;

use std::sync::Arc;

use quittance_domain::Catalog;
use quittance_domain::digest::short_hex;
use quittance_domain::past::KnownPrice;
use quittance_domain::shop::{Finding, Found, PortalPolicy, ShopPlan, Step, plan_shop};
use quittance_store::{Tx, catalogs, meta};
use quittance_stripe::calls::{Call, IdempotencyKey};
use quittance_stripe::client::{Priority, StripeClient};

use crate::commands::request::KEY_PREFIX;
use crate::engine::Engine;
use crate::problem::{Problem, ProblemCode};
use crate::sync::known_price;
use crate::world::World;

/// How often what differs is looked for again.
const ROUNDS: usize = 3;
/// How often a call that was held back or got no answer is sent.
const TRIES: usize = 12;
/// Pause before it is sent again where the provider names none, in milliseconds.
const PAUSE_MS: u64 = 500;

/// Told of each step: how many are done, of how many, and what comes next.
pub type OnStep = Arc<dyn Fn(usize, usize, &str) + Send + Sync>;

/// How a push ended.
#[derive(Debug, Clone, Default)]
pub struct Pushed {
    /// What was done, in order.
    pub done: Vec<Step>,
    /// What a person must mend.
    pub findings: Vec<Finding>,
    /// What is at the provider now.
    pub found: Found,
}

/// Why a push did nothing.
#[derive(Debug, Clone)]
pub enum NotPushed {
    /// It would do what must be asked for twice.
    Dangerous(Vec<String>),
    /// It could not go on; what is done stays done, and the next push goes on.
    Problem(Problem),
}

impl From<Problem> for NotPushed {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// A catalog and the provider that is to sell it.
pub struct Shop<'a> {
    /// The provider.
    pub stripe: &'a StripeClient,
    /// Time.
    pub world: &'a dyn World,
    /// What is to be sold.
    pub catalog: &'a Catalog,
    /// The portal's settings.
    pub portal: &'a PortalPolicy,
    /// Names this push: the same one again, after an interruption, has the same name.
    pub run: String,
}

impl Shop<'_> {
    /// What differs.
    ///
    /// # Errors
    /// What the provider says.
    #[crate::boxed]
    pub async fn compare(&self, holders: &[(String, i64)]) -> Result<(Found, ShopPlan), Problem> {
        let found = self.look().await?;
        let plan = plan_shop(self.catalog, self.portal, holders, &found, self.world.now());
        Ok((found, plan))
    }

    /// Does what differs, until nothing does.
    ///
    /// # Errors
    /// [`NotPushed`].
    pub async fn push(
        &self,
        holders: &[(String, i64)],
        even_if_dangerous: bool,
        on_step: &OnStep,
        before: impl AsyncFn(&Found) -> Result<(), Problem>,
    ) -> Result<Pushed, NotPushed> {
        let mut pushed = Pushed::default();
        for round in 0..ROUNDS {
            let (found, plan) = self.compare(holders).await?;
            let dangers: Vec<String> = plan.steps.iter().filter_map(Step::danger).collect();
            if !dangers.is_empty() && !even_if_dangerous {
                return Err(NotPushed::Dangerous(dangers));
            }
            before(&found).await?;
            pushed.found = found;
            pushed.findings = plan.findings;
            if plan.steps.is_empty() {
                return Ok(pushed);
            }
            let all = plan.steps.len();
            for (index, step) in plan.steps.into_iter().enumerate() {
                on_step(index, all, &step.in_words());
                self.carry_out(&step, round, &mut pushed.found).await?;
                pushed.done.push(step);
            }
        }
        let (found, plan) = self.compare(holders).await?;
        before(&found).await?;
        let still = plan.steps.iter().map(|step| Finding {
            about: "catalog push".to_owned(),
            what: format!("still to do after {ROUNDS} rounds: {}", step.in_words()),
            mend:
                "Something else changes the provider's account at the same time; push again when it is quiet."
                    .to_owned(),
        });
        pushed.findings = plan.findings.into_iter().chain(still).collect();
        pushed.found = found;
        Ok(pushed)
    }

    /// Sends a call, again and again while it may pass by itself; a change has its key, so it happens once.
    async fn send<T>(&self, call: Call<T>) -> Result<T, quittance_stripe::error::StripeError> {
        for _ in 1..TRIES {
            match self.stripe.send(call.clone(), Priority::Live).await {
                Err(error) if error.is_transient() => {
                    self.world.sleep(error.retry_after_ms().unwrap_or(PAUSE_MS)).await;
                }
                ended => return ended,
            }
        }
        self.stripe.send(call, Priority::Live).await
    }

    fn key(&self, step: &Step, round: usize) -> Result<IdempotencyKey, Problem> {
        let wanted = serde_json::to_string(step).unwrap_or_default();
        let digest = short_hex(&["push", &self.run, &round.to_string(), &wanted]);
        IdempotencyKey::new(format!("{KEY_PREFIX}push-{digest}"))
            .map_err(|error| Problem::new(ProblemCode::Internal, error.to_string(), "See the server's log."))
    }

    /// What prices at the provider mean, by the catalog.
    fn meanings(&self, found: &Found) -> Vec<KnownPrice> {
        let listed = self.catalog.prices();
        listed
            .filter_map(|(plan, price)| {
                let known = found.price(price)?;
                let mut meaning = known_price(&known.id, plan, price);
                // Under the same key an earlier price may still charge another amount.
                meaning.amount.minor = known.amount.unwrap_or(meaning.amount.minor);
                Some(meaning)
            })
            .collect()
    }
}

impl Engine {
    /// The key under which the id of a portal configuration is kept.
    pub(crate) fn portal_key(&self, mark: &str) -> String {
        format!("portal/{}/{mark}", self.scope())
    }

    fn shop(&self, run: String) -> Shop<'_> {
        Shop {
            stripe: self.stripe(),
            world: self.world(),
            catalog: self.catalog(),
            portal: &self.settings().portal,
            run,
        }
    }

    async fn holders(&self) -> Result<Vec<(String, i64)>, Problem> {
        Ok(self.db().read("catalogs.holders", catalogs::holders).await?)
    }

    /// What `push_catalog` would do. Nothing is changed.
    ///
    /// # Errors
    /// What database and provider say.
    #[crate::boxed]
    pub async fn compare_catalog(&self) -> Result<ShopPlan, Problem> {
        let holders = self.holders().await?;
        Ok(self.shop(String::new()).compare(&holders).await?.1)
    }

    /// Brings the provider in step with the catalog. Safe to repeat and to interrupt anywhere.
    ///
    /// # Errors
    /// [`NotPushed`].
    pub async fn push_catalog(&self, even_if_dangerous: bool, on_step: &OnStep) -> Result<Pushed, NotPushed> {
        let run = self.begin_push().await?;
        let shop = self.shop(run);
        let holders = self.holders().await?;
        // What a price means is written down before its lookup key can move to another one.
        let before = async |found: &Found| self.learn_shop(&shop, found).await;
        let pushed = shop.push(&holders, even_if_dangerous, on_step, before).await?;
        self.end_push().await?;
        self.prices().forget_all();
        Ok(pushed)
    }

    /// Remembers what prices mean and which portal configurations there are.
    async fn learn_shop(&self, shop: &Shop<'_>, found: &Found) -> Result<(), Problem> {
        let (scope, known, now) = (self.scope().to_string(), shop.meanings(found), self.now());
        let portals: Vec<(String, String)> =
            found.portals.iter().map(|p| (self.portal_key(&p.portal.mark), p.id.clone())).collect();
        let learn = move |tx: &mut dyn Tx| {
            for meaning in &known {
                catalogs::know(tx, &scope, meaning, now)?;
            }
            for (key, id) in &portals {
                meta::set(tx, key, id)?;
            }
            Ok(())
        };
        Ok(self.db().write("shop.learn", learn).await?)
    }

    /// Takes over what a push through another door has found: of a sandbox in the same process.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn learn_pushed(&self, found: &Found) -> Result<(), Problem> {
        self.prices().forget_all();
        self.learn_shop(&self.shop(String::new()), found).await
    }

    /// The name of the push that is under way, or a new one: one that was interrupted keeps its name, and with it its keys.
    async fn begin_push(&self) -> Result<String, Problem> {
        let (key, instance) = (format!("push/{}", self.scope()), self.instance().to_owned());
        let begin = move |tx: &mut dyn Tx| {
            let last = meta::get(tx, &key)?.unwrap_or_default();
            let (number, state) = last.split_once(' ').unwrap_or(("0", "done"));
            if state == "open" {
                return Ok(format!("{instance}/{number}"));
            }
            let next = number.parse::<i64>().unwrap_or(0).saturating_add(1);
            meta::set(tx, &key, &format!("{next} open"))?;
            Ok(format!("{instance}/{next}"))
        };
        Ok(self.db().write("shop.begin", begin).await?)
    }

    async fn end_push(&self) -> Result<(), Problem> {
        let key = format!("push/{}", self.scope());
        let end = move |tx: &mut dyn Tx| {
            let last = meta::get(tx, &key)?.unwrap_or_default();
            let number = last.split_once(' ').map_or("0", |(number, _)| number);
            meta::set(tx, &key, &format!("{number} done"))
        };
        Ok(self.db().write("shop.end", end).await?)
    }

    /// The portal configuration for a plan group and currency that was pushed last.
    #[crate::boxed]
    pub(crate) async fn portal_configuration(&self, mark: &str) -> Result<Option<String>, Problem> {
        let key = self.portal_key(mark);
        Ok(self.db().read("shop.portal", move |tx| meta::get(tx, &key)).await?)
    }
}
