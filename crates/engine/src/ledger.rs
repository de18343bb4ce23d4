//! The ledger for those who read it: trial balance, entries, and whether it agrees with the provider to the minor unit.

use std::collections::{BTreeMap, BTreeSet};

use quittance_domain::ledger::{Account, Entry, Key, Kind};
use quittance_domain::{AggregateKey, Currency, Timestamp};
use quittance_store::ledger::{self, Balance, EntryRow, Which};
use quittance_stripe::calls::{self, Paging};
use quittance_stripe::observe::ObservedPayout;

use crate::engine::Engine;
use crate::problem::Problem;
use crate::sync::movement;
use crate::turns::Turn;

/// Pages of one list at most.
const MOST_PAGES: usize = 100_000;
/// Entries that are read at a time.
const PAGE: i64 = 500;

/// One currency on both sides, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tied {
    /// The currency.
    pub currency: Currency,
    /// Available and pending at the provider.
    pub provider: i64,
    /// The account `provider_balance`.
    pub ledger: i64,
    /// What the lines explain of the difference; none where the lines were not looked for.
    pub explained: Option<i64>,
}

impl Tied {
    /// Provider less ledger.
    #[must_use]
    pub const fn difference(&self) -> i64 {
        self.provider.saturating_sub(self.ledger)
    }
}

/// Why the two sides differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The provider has it, and the ledger not (yet).
    NotPosted,
    /// The ledger has it, and the provider no longer.
    NotAtProvider,
    /// Both have it, with other amounts.
    Otherwise,
    /// A payout has arrived, and the ledger has it under way; or the other way round.
    NotArrived,
    /// A payout has arrived, and the ledger has it with another amount.
    ArrivedOtherwise,
}

impl Reason {
    /// The word in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotPosted => "not_posted",
            Self::NotAtProvider => "not_at_provider",
            Self::Otherwise => "otherwise",
            Self::NotArrived => "payout_not_arrived",
            Self::ArrivedOtherwise => "payout_otherwise",
        }
    }

    /// Whether the balance at the provider differs by it; a payout on its way to the bank has left that already.
    const fn is_of_the_balance(self) -> bool {
        match self {
            Self::NotPosted | Self::NotAtProvider | Self::Otherwise => true,
            Self::NotArrived | Self::ArrivedOtherwise => false,
        }
    }
}

/// One line of the explanation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Why.
    pub reason: Reason,
    /// The balance transaction or payout.
    pub object: String,
    /// The provider's word for its type.
    pub detail: String,
    /// The currency.
    pub currency: Currency,
    /// What it moved at the provider, minor units.
    pub provider: i64,
    /// What it moved in the ledger, minor units.
    pub ledger: i64,
}

/// Ledger and provider side by side.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TieOut {
    /// Each currency that either side has.
    pub currencies: Vec<Tied>,
    /// The differences, line by line.
    pub lines: Vec<Difference>,
    /// Balance transactions that were compared one by one.
    pub compared: u64,
}

impl TieOut {
    /// Whether nothing differs.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.lines.is_empty() && self.currencies.iter().all(|tied| tied.difference() == 0)
    }
}

/// What an entry moved in one account.
fn moved(entry: Option<&Entry>, account: Account, currency: Currency) -> i64 {
    let own = entry.map(Entry::postings).unwrap_or_default().iter().filter(|p| p.account == account);
    own.filter(|p| p.amount.currency == currency).map(|p| p.amount.minor).sum()
}

/// Which balance transactions are compared one by one, where the sums agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lines {
    /// None of them.
    None,
    /// Those since a moment.
    Since(Timestamp),
    /// All of them.
    All,
}

impl Engine {
    /// The trial balance of what became so before `until`.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn trial_balance(&self, until: Timestamp) -> Result<Vec<Balance>, Problem> {
        let scope = self.scope().to_string();
        Ok(self.db().read("ledger.trial_balance", move |tx| ledger::trial_balance(tx, &scope, until)).await?)
    }

    /// Entries, the last written first. The scope of `which` is always this engine's.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn ledger_entries(&self, which: Which, limit: i64) -> Result<Vec<EntryRow>, Problem> {
        let which = Which { scope: self.scope().to_string(), ..which };
        Ok(self.db().read("ledger.page", move |tx| ledger::page(tx, &which, limit)).await?)
    }

    /// Entries in the order in which they were written, after `seq`.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn ledger_after(&self, seq: i64, limit: i64) -> Result<Vec<EntryRow>, Problem> {
        let scope = self.scope().to_string();
        Ok(self.db().read("ledger.after", move |tx| ledger::after(tx, &scope, seq, limit)).await?)
    }

    /// Has the account's money looked at from the beginning, and waits for the result; whether it came in time.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn post_again(&self, wait_ms: i64) -> Result<bool, Problem> {
        let key = AggregateKey::balance(self.scope().clone()).to_string();
        let mark = self.look_again(&key).await?;
        self.wait_for(&key, mark, wait_ms).await
    }

    /// Compares the ledger with the provider's balance and payouts, and where they differ (or `each` is set) line by line. Where
    /// they agree, the alert that they do not is over.
    ///
    /// # Errors
    /// What the provider or the database says.
    #[crate::boxed]
    pub async fn tie_out(&self, each: bool) -> Result<TieOut, Problem> {
        let tied = self.hold_against_provider(if each { Lines::All } else { Lines::None }).await?;
        if tied.agrees() {
            self.ledger_agrees().await?;
        }
        Ok(tied)
    }

    #[crate::boxed]
    pub(crate) async fn hold_against_provider(&self, lines: Lines) -> Result<TieOut, Problem> {
        let balance = self.in_turn(calls::balance::retrieve(), Turn::Sweep).await?;
        let mut provider: BTreeMap<Currency, i64> = BTreeMap::new();
        for (code, amount) in balance.available.iter().chain(&balance.pending) {
            if let Ok(currency) = Currency::parse(code) {
                let sum = provider.entry(currency).or_default();
                *sum = sum.saturating_add(*amount);
            }
        }
        let own = self.trial_balance(Timestamp::from_ms(i64::MAX)).await?;
        let own = own.iter().filter(|balance| balance.account == Account::ProviderBalance);
        let own: BTreeMap<Currency, i64> = own.map(|b| (b.currency, b.balance())).collect();
        let currencies: BTreeSet<Currency> = provider.keys().chain(own.keys()).copied().collect();
        let of = |sums: &BTreeMap<Currency, i64>, currency| sums.get(&currency).copied().unwrap_or(0);
        let mut tied = TieOut {
            currencies: currencies
                .into_iter()
                .map(|currency| Tied {
                    currency,
                    provider: of(&provider, currency),
                    ledger: of(&own, currency),
                    explained: None,
                })
                .collect(),
            ..TieOut::default()
        };
        match lines {
            Lines::None | Lines::Since(_) if !tied.agrees() => self.explain_difference(&mut tied).await?,
            Lines::None => {}
            Lines::Since(at) => drop(self.compare_movements(&mut tied, Some(at)).await?),
            Lines::All => self.explain_difference(&mut tied).await?,
        }
        self.compare_payouts(&mut tied).await?;
        Ok(tied)
    }

    async fn explain_difference(&self, tied: &mut TieOut) -> Result<(), Problem> {
        let at_provider = self.compare_movements(tied, None).await?;
        self.find_unknown(&at_provider, tied).await?;
        for currency in &mut tied.currencies {
            let of = tied
                .lines
                .iter()
                .filter(|line| line.currency == currency.currency && line.reason.is_of_the_balance());
            let sum =
                of.fold(0_i64, |sum, line| sum.saturating_add(line.provider).saturating_sub(line.ledger));
            currency.explained = Some(sum);
        }
        Ok(())
    }

    /// Every balance transaction (since a moment) against its entry; their ids.
    async fn compare_movements(
        &self,
        tied: &mut TieOut,
        since: Option<Timestamp>,
    ) -> Result<BTreeSet<String>, Problem> {
        let (scope, since) = (self.scope().to_string(), since.map(Timestamp::seconds));
        let (mut ids, mut after) = (BTreeSet::new(), None::<String>);
        for _ in 0..MOST_PAGES {
            let paging = Paging { starting_after: after.as_deref(), ..Paging::default() };
            let page = self.in_turn(calls::balance::list_transactions(since, paging), Turn::Sweep).await?;
            let keys: Vec<Key> = page
                .items
                .iter()
                .map(|found| Key {
                    scope: scope.clone(),
                    kind: Kind::BalanceTransaction,
                    object: found.id.clone(),
                })
                .collect();
            let stands = self.db().read("ledger.standing", move |tx| ledger::standing(tx, &keys)).await?;
            for (found, stands) in page.items.iter().zip(stands) {
                tied.compared += 1;
                ids.insert(found.id.clone());
                let Ok(currency) = Currency::parse(&found.currency) else { continue };
                let wanted = movement(&scope, found).ok().and_then(|(record, _)| record.entry);
                let of = |entry: Option<&Entry>| moved(entry, Account::ProviderBalance, currency);
                let (provider, posted) = (of(wanted.as_ref()), of(stands.as_ref()));
                let reason = match &stands {
                    None => Reason::NotPosted,
                    Some(_) if posted != provider => Reason::Otherwise,
                    Some(_) => continue,
                };
                tied.lines.push(Difference {
                    reason,
                    object: found.id.clone(),
                    detail: found.kind.clone(),
                    currency,
                    provider,
                    ledger: posted,
                });
            }
            after = page.last_id.clone();
            if !page.has_more {
                break;
            }
        }
        Ok(ids)
    }

    /// Entries of balance transactions that the provider does not list.
    async fn find_unknown(&self, listed: &BTreeSet<String>, tied: &mut TieOut) -> Result<(), Problem> {
        let mut seq = 0;
        loop {
            let rows = self.ledger_after(seq, PAGE).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            seq = last.seq;
            let odd = rows
                .iter()
                .filter(|row| row.key.kind == Kind::BalanceTransaction && !listed.contains(&row.key.object));
            for row in odd {
                let currencies: BTreeSet<Currency> = row
                    .entry
                    .postings()
                    .iter()
                    .filter(|p| p.account == Account::ProviderBalance)
                    .map(|p| p.amount.currency)
                    .collect();
                tied.lines.extend(currencies.into_iter().map(|currency| Difference {
                    reason: Reason::NotAtProvider,
                    object: row.key.object.clone(),
                    detail: row.detail.clone(),
                    currency,
                    provider: 0,
                    ledger: moved(Some(&row.entry), Account::ProviderBalance, currency),
                }));
            }
        }
    }

    /// Payouts that have arrived against the entries of their arrival, by amount.
    async fn compare_payouts(&self, tied: &mut TieOut) -> Result<(), Problem> {
        let scope = self.scope().to_string();
        let mut after = None::<String>;
        for _ in 0..MOST_PAGES {
            let paging = Paging { starting_after: after.as_deref(), ..Paging::default() };
            let page = self.in_turn(calls::balance::list_payouts(paging), Turn::Sweep).await?;
            let key = |payout: &ObservedPayout| Key {
                scope: scope.clone(),
                kind: Kind::PayoutArrival,
                object: payout.id.clone(),
            };
            let keys: Vec<Key> = page.items.iter().map(key).collect();
            let stands = self.db().read("ledger.standing", move |tx| ledger::standing(tx, &keys)).await?;
            for (payout, stands) in page.items.iter().zip(stands) {
                let Ok(currency) = Currency::parse(&payout.currency) else { continue };
                let provider = if payout.has_arrived() { payout.amount } else { 0 };
                let posted = moved(stands.as_ref(), Account::Bank, currency);
                let reason = match &stands {
                    _ if posted == provider => continue,
                    Some(_) if payout.has_arrived() => Reason::ArrivedOtherwise,
                    Some(_) | None => Reason::NotArrived,
                };
                tied.lines.push(Difference {
                    reason,
                    object: payout.id.clone(),
                    detail: format!("payout {}", payout.status),
                    currency,
                    provider,
                    ledger: posted,
                });
            }
            after = page.last_id.clone();
            if !page.has_more {
                break;
            }
        }
        Ok(())
    }
}
