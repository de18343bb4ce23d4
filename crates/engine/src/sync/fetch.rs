//! Fetching the truth about one provider customer, with as few calls as the hints allow.
//!
//! Normally one call: all its subscriptions with customer, newest invoice and payments expanded. More
//! only where something calls for it: a failing payment, a refund or dispute, an unexplained checkout.

use quittance_domain::checkout::CheckoutState;
use quittance_domain::dispute::DisputeFacts;
use quittance_domain::dunning::Case;
use quittance_domain::fraud::CardAttempt;
use quittance_domain::notices::{Announcement, Told};
use quittance_domain::projection::{Observed, PaymentFacts, PurchaseFacts, Stored, Unreadable};
use quittance_domain::subscription::InvoiceFacts;
use quittance_domain::{CheckoutId, CustomerId, Timestamp};
use quittance_store::aggregates::{self, Claim};
use quittance_store::checkouts::{self, CheckoutRow};
use quittance_store::inbox::{self, Hinted};
use quittance_store::{customers, disputes, dunning as cases, mirror, notices};
use quittance_stripe::calls::payments::Paid;
use quittance_stripe::calls::subscriptions::{EXPAND_LIST, ListSubscriptions};
use quittance_stripe::calls::{self, Paging};
use quittance_stripe::error::{ErrorKind, StripeError};
use quittance_stripe::observe::{
    LatestInvoice, ObservedCharge, ObservedCheckout, ObservedPaymentIntent, ObservedRefund,
    ObservedSubscription, Page,
};

use super::books::Books;
use super::{SyncError, dunning, translate};
use crate::engine::Engine;
use crate::suspensions::is_suspended;
use crate::trials::BegunTrial;

/// Pages of one list that a sync follows at most: 100 objects each.
pub(super) const MOST_PAGES: usize = 20;
/// Checkouts of one customer that a sync looks at.
const MOST_CHECKOUTS: i64 = 50;
/// Notices of one customer that the next decision looks back at.
const MOST_TOLD: i64 = 200;
/// Invoices named by events that a sync looks for by name; with more it is one long burst, whose list is short of them anyway.
const MOST_INVOICES: i64 = 200;

/// What was known before the fetch.
#[derive(Debug, Clone, Default)]
pub(super) struct Context {
    /// The mirror.
    pub stored: Stored,
    /// The events that led here, of a long burst only the oldest.
    pub hints: Vec<Hinted>,
    /// The types of all of them: any one may be about money that went back.
    pub kinds: Vec<String>,
    /// Our checkouts of the linked customer.
    pub checkouts: Vec<CheckoutRow>,
    /// The payments about which disputes are known.
    pub disputed: Vec<String>,
    /// Invoices that the events are about.
    pub invoices: Vec<String>,
    /// What was told before.
    pub told: Vec<Told>,
    /// Announced changes that are still ahead.
    pub announced: Vec<Announcement>,
    /// When it was synced before.
    pub looked_at: Option<Timestamp>,
    /// Payments that failed, and what became of them so far.
    pub cases: Vec<Case>,
    /// The customer is suspended: what is still paid must be seen by its own time.
    pub suspended: bool,
    /// The provider's customer is the one that new purchases are made with.
    pub current: bool,
}

/// What the provider said.
#[derive(Debug, Clone, Default)]
pub(super) struct Fetched {
    /// In the domain's terms.
    pub observed: Observed,
    /// For each subscription a digest, for sweeps to compare.
    pub digests: Vec<(String, String)>,
    /// Our customer as the provider's customer object names it.
    pub named_customer: Option<CustomerId>,
    /// Where checkouts of ours stand at the provider.
    pub checkouts: Vec<(CheckoutId, CheckoutState)>,
    /// What the ledger should say of this customer's invoices and one-off sales.
    pub books: Books,
    /// Invoices beside the newest of each subscription that failing payments are about.
    pub invoices: Vec<InvoiceFacts>,
    /// Trials that have begun and that the registry has not seen.
    pub trials: Vec<BegunTrial>,
    /// Cards that failed, where this sync looked.
    pub cards: Vec<CardAttempt>,
    /// The customer's balance at the provider is not nothing.
    pub has_balance: bool,
}

impl Context {
    fn hinted(&self, prefixes: &[&str]) -> bool {
        self.kinds.iter().any(|kind| prefixes.iter().any(|prefix| kind.starts_with(prefix)))
    }

    fn unfinished(&self) -> impl Iterator<Item = &CheckoutRow> {
        self.checkouts.iter().filter(|c| match c.state {
            CheckoutState::Open | CheckoutState::Processing => true,
            CheckoutState::Creating | CheckoutState::Complete | CheckoutState::Expired => false,
        })
    }
}

impl Engine {
    #[crate::boxed]
    pub(super) async fn load_context(
        &self,
        claim: &Claim,
        provider_customer: &str,
    ) -> Result<Context, SyncError> {
        let (claim, scope, id) = (claim.clone(), self.scope().to_string(), provider_customer.to_owned());
        let now = self.now();
        let context = self
            .db()
            .read("sync.context", move |tx| {
                let customer = customers::linked(tx, &scope, &id)?;
                let suspended = is_suspended(tx, customer.as_ref())?;
                let current = match &customer {
                    Some(customer) => {
                        customers::usable(tx, customer, &scope)?.as_deref() == Some(id.as_str())
                    }
                    None => false,
                };
                let checkouts = match &customer {
                    Some(customer) => checkouts::of_customer(tx, customer.as_str(), &scope, MOST_CHECKOUTS)?,
                    None => Vec::new(),
                };
                let hints = inbox::hints_between(tx, &claim.key, claim.done, claim.target)?;
                let kinds = if i64::try_from(hints.len()).is_ok_and(|told| told < inbox::MOST_HINTS) {
                    hints.iter().map(|hint| hint.kind.clone()).collect()
                } else {
                    inbox::kinds_between(tx, &claim.key, claim.done, claim.target)?
                };
                Ok(Context {
                    stored: Stored {
                        customer,
                        subscriptions: mirror::subscriptions_of_aggregate(tx, &claim.key)?,
                        purchases: mirror::purchases_of_aggregate(tx, &claim.key)?,
                        payments: mirror::payments_of_aggregate(tx, &claim.key)?,
                        // Asked for behind the fence, where it is known which prices are met.
                        known_prices: Vec::new(),
                    },
                    disputed: disputes::payments_of_aggregate(tx, &claim.key)?,
                    invoices: if kinds.iter().any(|kind| kind.starts_with("invoice.")) {
                        inbox::invoices_between(tx, &claim.key, claim.done, claim.target, MOST_INVOICES)?
                    } else {
                        Vec::new()
                    },
                    cases: cases::of_aggregate(tx, &claim.key)?,
                    hints,
                    kinds,
                    suspended,
                    current,
                    checkouts,
                    told: notices::told(tx, &claim.key, MOST_TOLD)?,
                    announced: notices::ahead(tx, &scope, now)?,
                    looked_at: aggregates::get(tx, &claim.key)?.and_then(|row| row.synced_at),
                })
            })
            .await?;
        Ok(context)
    }

    /// Asks the provider.
    #[crate::boxed]
    pub(super) async fn fetch(
        &self,
        customer: &str,
        context: &Context,
        thorough: bool,
    ) -> Result<Fetched, SyncError> {
        let mut out = Fetched::default();
        let subscriptions = self.fetch_subscriptions(customer, &mut out.observed.unreadable).await?;
        self.fetch_customer(customer, context, &subscriptions, thorough, &mut out).await?;
        let failing = subscriptions.iter().any(|s| dunning::fails(&s.status));
        let open_invoices =
            if failing || context.suspended { self.fetch_open_invoices(customer).await? } else { Vec::new() };
        let paid_invoices =
            self.fetch_paid_invoices(&subscriptions, &open_invoices, context, thorough).await?;
        let attempts = self.fetch_attempts(&subscriptions, &open_invoices).await?;
        let others = self.fetch_cases_invoices(context, &subscriptions, &open_invoices).await?;
        out.invoices =
            dunning::invoices(&open_invoices).into_iter().chain(dunning::invoices(&others)).collect();
        let keys = &self.settings().customer_metadata_keys;
        self.learn_prices(&translate::unknown_prices(&subscriptions, self.prices())).await?;
        for found in &subscriptions {
            match translate::subscription(found, &open_invoices, &paid_invoices, keys, self.prices()) {
                Ok(mut facts) => {
                    let attempt = attempts.iter().find(|(id, _)| *id == facts.id).map(|(_, a)| a.clone());
                    if let Some(invoice) = &mut facts.latest_invoice {
                        invoice.attempt = attempt;
                    }
                    out.observed.invoices.extend(facts.latest_invoice.clone());
                    out.observed.subscriptions.push(facts);
                }
                Err(odd) => out.observed.unreadable.push(odd),
            }
            out.digests.push((found.id.clone(), translate::digest_of(found)));
            if let Some(LatestInvoice::Expanded(invoice)) = &found.latest_invoice {
                out.books.invoice(&self.scope().to_string(), invoice);
            }
        }
        for invoice in open_invoices.iter().chain(&others).chain(&paid_invoices) {
            out.books.invoice(&self.scope().to_string(), invoice);
        }
        // One that was paid long after others followed is told as any other; the books alone tell nobody.
        out.observed.invoices.extend(others.iter().filter_map(|invoice| translate::invoice(invoice).ok()));
        out.trials = self.begun_trials(&subscriptions, &context.stored).await?;
        self.fetch_other_invoices(customer, context, thorough, &mut out).await?;
        self.fetch_checkouts(customer, context, thorough, &mut out).await?;
        // A note lowers an invoice that may be void since.
        if thorough || context.hinted(&["credit_note.", "invoice.voided"]) {
            self.fetch_credit_notes(customer, &mut out.books).await?;
        }
        if out.has_balance && (thorough || context.hinted(&["customer.updated"])) {
            self.fetch_balance_entries(customer, &mut out.books).await?;
        }
        // At a checkout, and on the page of an open invoice too; of a renewal the provider tries one card, which is one.
        if self.settings().fraud.counts_cards() {
            if context.hinted(&["charge.failed", "payment_intent.payment_failed"]) {
                out.cards = self.fetch_failed_cards(customer).await?;
            }
            if context.hinted(&["setup_intent.setup_failed"]) {
                out.cards.extend(self.fetch_failed_setups(customer).await?);
            }
        }
        let money_hinted = context.hinted(&["charge.refund", "charge.dispute", "refund.", "radar."]);
        let money_known = context.stored.payments.iter().any(|p| p.refunded.minor > 0)
            || context.stored.payments.iter().any(|p| p.money != quittance_domain::access::MoneyState::Kept);
        if thorough || money_hinted || money_known || context.suspended {
            out.observed.payments = Some(self.fetch_payments(customer, &context.disputed).await?);
        }
        Ok(out)
    }

    async fn fetch_subscriptions(
        &self,
        customer: &str,
        unreadable: &mut Vec<Unreadable>,
    ) -> Result<Vec<ObservedSubscription>, SyncError> {
        let mut all = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let paging = Paging { starting_after: after.as_deref(), ..Paging::default() };
            let wanted = ListSubscriptions {
                customer: Some(customer),
                expand: EXPAND_LIST,
                paging,
                ..Default::default()
            };
            let page = match self.look(calls::subscriptions::list(&wanted)).await {
                Ok(page) => page,
                Err(error) if names_missing(&error) => break,
                Err(error) => return Err(error.into()),
            };
            note_odd(&page, unreadable);
            let more = page.has_more;
            after = page.last_id.clone();
            for mut found in page.items {
                if !found.items_complete {
                    found.items = self.fetch_items(&found.id).await?;
                }
                all.push(found);
            }
            if !more {
                break;
            }
        }
        Ok(all)
    }

    async fn fetch_items(
        &self,
        subscription: &str,
    ) -> Result<Vec<quittance_stripe::observe::ObservedItem>, SyncError> {
        let mut all = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let paging = Paging { starting_after: after.as_deref(), ..Paging::default() };
            let page = self.look(calls::subscriptions::list_items(subscription, paging)).await?;
            after = page.last_id.clone();
            all.extend(page.items);
            if !page.has_more {
                break;
            }
        }
        Ok(all)
    }

    /// The customer object comes expanded with a subscription; without one it is fetched where it can
    /// matter: nobody is linked yet, or it was changed or deleted.
    async fn fetch_customer(
        &self,
        customer: &str,
        context: &Context,
        subscriptions: &[ObservedSubscription],
        thorough: bool,
        out: &mut Fetched,
    ) -> Result<(), SyncError> {
        let keys = &self.settings().customer_metadata_keys;
        let expanded = subscriptions.iter().filter_map(|s| s.customer.as_ref()).find(|c| c.deleted.is_some());
        if let Some(found) = expanded {
            if found.balance.is_some_and(|balance| balance != 0) {
                out.has_balance = true;
            }
            out.observed.customer_gone = found.deleted == Some(true);
            out.named_customer = found.metadata.as_ref().and_then(|m| translate::named_customer(m, keys));
            return Ok(());
        }
        let hinted = context.hinted(&["customer.updated", "customer.deleted"]);
        if context.stored.customer.is_some() && !hinted && !thorough {
            return Ok(());
        }
        match self.look(calls::customers::retrieve(customer)).await {
            Ok(found) => {
                out.observed.customer_gone = found.deleted;
                out.has_balance = found.balance.is_some_and(|balance| balance != 0);
                out.named_customer = translate::named_customer(&found.metadata, keys);
            }
            Err(error) if names_missing(&error) => out.observed.customer_gone = true,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// A subscription that names its checkout explains it. The sessions are listed only when something
    /// unexplained is left: an unfinished checkout, or a session that did not come from us.
    async fn fetch_checkouts(
        &self,
        customer: &str,
        context: &Context,
        thorough: bool,
        out: &mut Fetched,
    ) -> Result<(), SyncError> {
        let made: Vec<CheckoutId> =
            out.observed.subscriptions.iter().filter_map(|s| s.checkout.clone()).collect();
        out.checkouts = made.iter().map(|id| (id.clone(), CheckoutState::Complete)).collect();
        if out.observed.customer_gone && context.current {
            // Nobody pays at a session of a customer who was deleted. What is paid and settles later is left alone.
            let open = context.checkouts.iter().filter(|c| c.state == CheckoutState::Open);
            out.checkouts.extend(
                open.filter(|c| !made.contains(&c.id)).map(|c| (c.id.clone(), CheckoutState::Expired)),
            );
        }
        let unexplained = context.unfinished().any(|c| !made.contains(&c.id));
        let explained = context.unfinished().any(|c| made.contains(&c.id));
        let session_hinted = context.hinted(&["checkout.session.", "payment_intent."]);
        // Hints that are no events (redirect, timer, operator) say nothing about what they are about.
        let unnamed_hint = context.hints.is_empty();
        let pending = context.stored.purchases.iter().any(|p| !p.facts.paid && !p.facts.failed);
        let look = thorough
            || (unexplained && (session_hinted || unnamed_hint))
            || (session_hinted && !explained && made.is_empty())
            || pending;
        if !look {
            return Ok(());
        }
        let page = match self.look(calls::checkout::list(customer, Paging::default())).await {
            Ok(page) => page,
            Err(error) if names_missing(&error) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        note_odd(&page, &mut out.observed.unreadable);
        let mut purchases = Vec::new();
        for session in &page.items {
            let ours = context.checkouts.iter().find(|c| c.session.as_deref() == Some(session.id.as_str()));
            if let Some(ours) = ours
                && let Some(state) = state_of(session)
            {
                out.checkouts.push((ours.id.clone(), state));
            }
            out.books.sale(&self.scope().to_string(), session);
            let plan = ours.map(|c| c.wish.plan.clone()).or_else(|| self.plan_of_lines(session));
            let purchase = translate::purchase(session, plan, &self.settings().customer_metadata_keys);
            let Some(mut purchase) = purchase else { continue };
            if !purchase.paid && self.payment_failed(session).await? {
                purchase.failed = true;
                out.checkouts.extend(ours.map(|c| (c.id.clone(), CheckoutState::Expired)));
            }
            purchases.push(purchase);
        }
        purchases.extend(self.fetch_bare_payments(customer, context, thorough, out).await?);
        out.observed.purchases = Some(purchases);
        Ok(())
    }

    /// Payments of ours that no session made. Only a thorough look asks for them where none is known.
    async fn fetch_bare_payments(
        &self,
        customer: &str,
        context: &Context,
        thorough: bool,
        out: &mut Fetched,
    ) -> Result<Vec<PurchaseFacts>, SyncError> {
        let sessions: Vec<&CheckoutRow> = context
            .checkouts
            .iter()
            .filter(|c| c.session.as_deref().is_some_and(translate::is_payment))
            .collect();
        if sessions.is_empty() && !thorough {
            return Ok(Vec::new());
        }
        let call = calls::payments::list_intents(customer, Paging::default());
        let page = match self.look(call).await {
            Ok(page) => page,
            Err(error) if names_missing(&error) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        note_odd(&page, &mut out.observed.unreadable);
        let mut found: Vec<ObservedPaymentIntent> = page.items;
        found.retain(|intent| intent.metadata.contains_key(translate::BARE_KEY));
        // Behind many newer ones, what is not over is still looked at.
        for row in context.unfinished() {
            let Some(id) = row.session.as_deref().filter(|id| translate::is_payment(id)) else { continue };
            if !found.iter().any(|intent| intent.id == id) {
                found.push(self.look(calls::payments::retrieve_intent(id)).await?);
            }
        }
        let mut purchases = Vec::new();
        for intent in &found {
            let ours = sessions.iter().find(|c| c.session.as_deref() == Some(intent.id.as_str()));
            if let (Some(ours), Some(state)) = (ours, translate::payment_state(intent)) {
                out.checkouts.push((ours.id.clone(), state));
            }
            out.books.bare_sale(&self.scope().to_string(), intent);
            let known = context.stored.purchases.iter().any(|p| p.facts.id == intent.id);
            let wish = ours.map(|row| &row.wish);
            let keys = &self.settings().customer_metadata_keys;
            purchases.extend(translate::bare_purchase(intent, wish, known, keys));
        }
        Ok(purchases)
    }

    /// Whether a delayed payment of a finished session has failed for good.
    async fn payment_failed(&self, session: &ObservedCheckout) -> Result<bool, SyncError> {
        let Some(payment) = &session.payment_intent else { return Ok(false) };
        let intent = self.look(calls::payments::retrieve_intent(payment)).await?;
        Ok(matches!(intent.status.as_str(), "requires_payment_method" | "canceled"))
    }

    fn plan_of_lines(&self, session: &ObservedCheckout) -> Option<quittance_domain::PlanKey> {
        let mut lines = session.line_items.iter().flatten();
        let line = lines.next()?;
        let plan = self.catalog().plan_of_price(line.price_id.as_deref()?, line.lookup_key.as_deref())?;
        Some(plan.key.clone())
    }

    async fn fetch_payments(
        &self,
        customer: &str,
        disputed: &[String],
    ) -> Result<Vec<PaymentFacts>, SyncError> {
        let mut charges = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let paging = Paging { starting_after: after.as_deref(), ..Paging::default() };
            let page = match self.look(calls::payments::list_charges(customer, paging)).await {
                Ok(page) => page,
                Err(error) if names_missing(&error) => break,
                Err(error) => return Err(error.into()),
            };
            after = page.last_id.clone();
            for mut charge in page.items {
                if !charge.refunds_complete {
                    charge.refunds = self.fetch_refunds(&charge.id).await?;
                }
                charges.push(charge);
            }
            if !page.has_more {
                break;
            }
        }
        let scope = self.scope().to_string();
        let id = customer.to_owned();
        let warnings = self
            .db()
            .read("sync.warnings", move |tx| quittance_store::disputes::warnings(tx, &scope, &id))
            .await?;
        let about = self.fetch_disputes(&charges, |payment| disputed.contains(payment)).await?;
        Ok(translate::payments(&charges, &about, &warnings))
    }

    /// What became of one payment, whoever made it; `None` when it has brought no money. `disputed` where a dispute was heard of.
    #[crate::boxed]
    pub(crate) async fn fetch_payment(
        &self,
        payment: &str,
        disputed: bool,
    ) -> Result<Option<PaymentFacts>, SyncError> {
        let call = calls::payments::list_charges_of(payment, Paging::default());
        let mut charges = self.look(call).await?.items;
        for charge in charges.iter_mut().filter(|charge| !charge.refunds_complete) {
            charge.refunds = self.fetch_refunds(&charge.id).await?;
        }
        let (scope, id) = (self.scope().to_string(), payment.to_owned());
        let read =
            self.db().read("sync.warnings_of", move |tx| disputes::warnings_of_payment(tx, &scope, &id));
        let warnings = read.await?;
        let about = self.fetch_disputes(&charges, |_| disputed).await?;
        Ok(translate::payments(&charges, &about, &warnings).into_iter().next())
    }

    async fn fetch_disputes(
        &self,
        charges: &[ObservedCharge],
        known: impl Fn(&String) -> bool + Send,
    ) -> Result<Vec<(String, Vec<DisputeFacts>)>, SyncError> {
        let mut about = Vec::new();
        for charge in charges {
            let Some(payment) = &charge.payment_intent else { continue };
            // The provider's flag says that money was taken; an inquiry, and one that was won, have to be seen too.
            if !(charge.disputed || known(payment)) || about.iter().any(|(id, _)| id == payment) {
                continue;
            }
            let call = calls::disputes::list(payment, Paging::default());
            let found = self.look(call).await?;
            about.push((payment.clone(), translate::disputes(found, &charge.currency)));
        }
        Ok(about)
    }
}

impl Engine {
    /// What somebody has put on the customer's balance; the newest hundred changes of it.
    async fn fetch_balance_entries(&self, customer: &str, books: &mut Books) -> Result<(), SyncError> {
        let scope = self.scope().to_string();
        let call = calls::customers::list_balance_entries(customer, Paging::default());
        let page = match self.look(call).await {
            Ok(page) => page,
            Err(error) if names_missing(&error) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        page.items.iter().for_each(|found| books.balance_entry(&scope, customer, found));
        Ok(())
    }

    async fn fetch_credit_notes(&self, customer: &str, books: &mut Books) -> Result<(), SyncError> {
        let scope = self.scope().to_string();
        let mut after: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let paging = Paging { starting_after: after.as_deref(), ..Paging::default() };
            let call = calls::credit_notes::list_of_customer(customer, paging);
            let page = match self.look(call).await {
                Ok(page) => page,
                Err(error) if names_missing(&error) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            page.items.iter().for_each(|note| books.credit_note(&scope, customer, note));
            after = page.last_id;
            if !page.has_more {
                break;
            }
        }
        Ok(())
    }

    /// All refunds of a charge, of which its list named only the newest.
    async fn fetch_refunds(&self, charge: &str) -> Result<Vec<ObservedRefund>, SyncError> {
        let mut all = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let paging = Paging { starting_after: after.as_deref(), ..Paging::default() };
            let call = calls::payments::list_refunds(Paid::Charge(charge), paging);
            let page = self.look(call).await?;
            after = page.last_id.clone();
            all.extend(page.items);
            if !page.has_more {
                break;
            }
        }
        Ok(all)
    }
}

fn state_of(session: &ObservedCheckout) -> Option<CheckoutState> {
    match (session.status.as_str(), session.payment_status.as_str()) {
        ("expired", _) => Some(CheckoutState::Expired),
        ("complete", "unpaid") => Some(CheckoutState::Processing),
        ("complete", _) => Some(CheckoutState::Complete),
        ("open", _) => Some(CheckoutState::Open),
        _ => None,
    }
}

/// The provider does not know the customer that a list is about.
pub(crate) fn names_missing(error: &StripeError) -> bool {
    matches!(error.kind(), ErrorKind::NotFound { .. })
        || matches!(error.kind(), ErrorKind::InvalidRequest { code: Some(code), .. } if code == "resource_missing")
}

fn note_odd<T>(page: &Page<T>, unreadable: &mut Vec<Unreadable>) {
    unreadable
        .extend(page.odd.iter().map(|odd| Unreadable { id: odd.id.clone(), detail: odd.error.to_string() }));
}
