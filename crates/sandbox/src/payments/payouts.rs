//! Payouts: made by hand, or every day at midnight UTC by the schedule of the settings, and on the way for some days.
//!
//! A payout of the schedule takes every available entry of the balance that no payout has taken yet, so that its entries
//! and its own add up to nothing. It knows no minimum, no bank holidays and no instant payouts.

use crate::model::payout::{Payout, PayoutStatus, Returned};
use crate::settings::PayoutSchedule;
use crate::state::timers::Timer;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::Metadata;

const DAY: i64 = 86_400;

/// A payout that is about to leave; minor units.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewPayout {
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) automatic: bool,
    /// The bank account that it goes to.
    pub(crate) destination: String,
    pub(crate) description: Option<String>,
    pub(crate) statement_descriptor: Option<String>,
    pub(crate) original_payout: Option<String>,
    pub(crate) metadata: Metadata,
}

/// The first midnight UTC that is not before a unix second.
fn midnight(at: i64) -> i64 {
    at.div_euclid(DAY).saturating_add(i64::from(at.rem_euclid(DAY) > 0)).saturating_mul(DAY)
}

impl World {
    /// The bank account that payouts in a currency go to: the platform's only one, or the one of a connected account
    /// that is asked for, or its default one.
    fn bank_account(&self, currency: &str, asked: Option<&str>) -> ApiResult<String> {
        let missing = |id: &str| ApiError::missing("external account", id, "destination");
        let Some(account) = self.connected().and_then(|id| self.connect.accounts.get(id)) else {
            let own = format!("ba_{}", self.account_id.trim_start_matches("acct_"));
            return match asked.filter(|asked| *asked != own) {
                Some(other) => Err(missing(other)),
                None => Ok(own),
            };
        };
        if !account.payouts_enabled() {
            let message = "Payouts are not enabled on this account: see its requirements. No money moved.";
            return Err(ApiError::state("payouts_not_allowed", message));
        }
        let mut banks = account.external_accounts.iter().filter(|bank| bank.currency == currency);
        let found = banks.find(|bank| asked.map_or(bank.is_default, |asked| bank.id == asked));
        found.map(|bank| bank.id.clone()).ok_or_else(|| match asked {
            Some(asked) => missing(asked),
            None => ApiError::rule(format!(
                "This account has no external account for payouts in {currency}. No money moved."
            )),
        })
    }

    /// Plans the payouts of everything that none has taken yet: the schedule has just been switched on.
    pub(crate) fn plan_payouts(&mut self) {
        let waiting: Vec<(i64, String)> = self
            .balance_transactions
            .iter()
            .filter(|entry| entry.payout.is_none())
            .map(|entry| (entry.available_on, entry.currency.clone()))
            .collect();
        for (at, currency) in waiting {
            self.plan_payout(at, &currency);
        }
    }

    /// Plans the payout of money that is available from a unix second on.
    pub(crate) fn plan_payout(&mut self, available_on: i64, currency: &str) {
        match self.settings.payout_schedule {
            PayoutSchedule::Manual => {}
            PayoutSchedule::Daily => {
                let at = midnight(available_on.max(self.now));
                self.timers.set(at, Timer::PayoutRun(currency.to_owned()));
            }
        }
    }

    /// Midnight: the schedule pays out what is available.
    pub(crate) fn run_payouts(&mut self, currency: &str) {
        if self.settings.payout_schedule == PayoutSchedule::Manual {
            return;
        }
        // An account that cannot be paid out yet keeps its money until it can.
        let Ok(destination) = self.bank_account(currency, None) else {
            return;
        };
        let now = self.now;
        let taken: Vec<(String, i64)> = self
            .balance_transactions
            .iter()
            .filter(|entry| entry.payout.is_none() && entry.currency == currency && entry.available_on <= now)
            .map(|entry| (entry.id.clone(), entry.net()))
            .collect();
        let amount: i64 = taken.iter().map(|(_, net)| net).sum();
        if amount <= 0 {
            return;
        }
        let id = self.send_payout(NewPayout {
            amount,
            currency: currency.to_owned(),
            automatic: true,
            destination,
            ..NewPayout::default()
        });
        for (entry, _) in taken {
            self.balance_transactions.edit(&entry, |entry| entry.payout = Some(id.clone()));
        }
    }

    /// Pays out by hand, to the bank account that is asked for.
    pub(crate) fn pay_out(&mut self, mut new: NewPayout, to: Option<&str>) -> ApiResult<String> {
        new.destination = self.bank_account(&new.currency, to)?;
        if new.amount > self.balance_in(&new.currency).0 {
            return Err(ApiError::state(
                "balance_insufficient",
                "You have insufficient available funds in your balance for this payout; pending money becomes available later. No money moved.",
            ));
        }
        Ok(self.send_payout(new))
    }

    fn send_payout(&mut self, new: NewPayout) -> String {
        let id = self.chance.id("po_");
        let back = new.original_payout.is_some();
        let description = Some(if back { "STRIPE PAYOUT REVERSAL" } else { "STRIPE PAYOUT" }.to_owned());
        let entry = self.book("payout", &id, -new.amount, 0, &new.currency, description).id;
        self.available_at_once(&entry);
        if new.automatic {
            self.balance_transactions.edit(&entry, |entry| entry.payout = Some(id.clone()));
        }
        let payout = Payout {
            id: id.clone(),
            created: self.now,
            status: if new.automatic { PayoutStatus::InTransit } else { PayoutStatus::Pending },
            amount: new.amount,
            currency: new.currency,
            automatic: new.automatic,
            arrival_date: midnight(self.now + self.settings.payout_days * DAY),
            destination: new.destination,
            balance_transaction: entry,
            returned: None,
            description: new.description,
            statement_descriptor: new.statement_descriptor,
            original_payout: new.original_payout,
            reversed_by: None,
            metadata: new.metadata,
        };
        // A payout by hand can be canceled for an hour; then it is with the bank.
        let next = match payout.status {
            PayoutStatus::Pending => self.now + 3600,
            PayoutStatus::InTransit | PayoutStatus::Paid | PayoutStatus::Failed | PayoutStatus::Canceled => {
                payout.arrival_date
            }
        };
        self.timers.set(next, Timer::PayoutMoves(id.clone()));
        let object = payout.render();
        self.payouts.put(payout);
        self.emit("payout.created", object);
        id
    }

    /// Stores a payout and notes the change.
    fn change_payout(&mut self, id: &str, change: impl FnOnce(&mut Payout)) {
        let Some(mut payout) = self.payouts.get(id).cloned() else {
            return;
        };
        let before = payout.render();
        change(&mut payout);
        self.emit_change("payout.updated", &before, payout.render());
        self.payouts.put(payout);
    }

    /// Time moves a payout: to the bank, then into the account, or back when the settings say that the bank returns it.
    pub(crate) fn payout_moves(&mut self, id: &str) {
        let Some(payout) = self.payouts.get(id).cloned() else {
            return;
        };
        match payout.status {
            PayoutStatus::Pending => {
                self.timers.set(payout.arrival_date.max(self.now), Timer::PayoutMoves(id.to_owned()));
                self.change_payout(id, |payout| payout.status = PayoutStatus::InTransit);
            }
            PayoutStatus::InTransit => {
                match self.settings.payout_failure.clone().filter(|_| payout.amount > 0) {
                    Some(code) => {
                        let entry = self.bring_back("payout_failure", &payout, "STRIPE PAYOUT FAILURE");
                        self.change_payout(id, |payout| {
                            payout.status = PayoutStatus::Failed;
                            payout.returned = Some(Returned { code: Some(code), entry });
                        });
                        self.emit("payout.failed", self.object(id).unwrap_or_default());
                    }
                    None => {
                        self.change_payout(id, |payout| payout.status = PayoutStatus::Paid);
                        let object = self.object(id).unwrap_or_default();
                        self.emit("payout.paid", object.clone());
                        if payout.automatic {
                            self.emit("payout.reconciliation_completed", object);
                        }
                    }
                }
            }
            PayoutStatus::Paid | PayoutStatus::Failed | PayoutStatus::Canceled => {}
        }
    }

    /// Books the money of a payout back; the id of the entry.
    fn bring_back(&mut self, kind: &str, payout: &Payout, description: &str) -> String {
        let (amount, currency) = (payout.amount, payout.currency.clone());
        let entry = self.book(kind, &payout.id, amount, 0, &currency, Some(description.to_owned())).id;
        self.available_at_once(&entry);
        entry
    }

    /// Stops a payout that is not with the bank yet.
    pub(crate) fn cancel_payout(&mut self, id: &str) -> ApiResult<()> {
        let payout = need(&self.payouts, id, "payout")?;
        if payout.status != PayoutStatus::Pending || payout.original_payout.is_some() {
            return Err(ApiError::rule(format!(
                "Payouts can only be canceled while they are pending; this one is {}. No money moved.",
                payout.status.as_str()
            )));
        }
        let entry = self.bring_back("payout_cancel", &payout, "STRIPE PAYOUT CANCEL");
        self.change_payout(id, |payout| {
            payout.status = PayoutStatus::Canceled;
            payout.returned = Some(Returned { code: None, entry });
        });
        self.emit("payout.canceled", self.object(id).unwrap_or_default());
        Ok(())
    }

    /// Takes a payout back from the bank account with another one.
    pub(crate) fn reverse_payout(&mut self, id: &str, metadata: Metadata) -> ApiResult<String> {
        let payout = need(&self.payouts, id, "payout")?;
        let wrong = match payout.status {
            PayoutStatus::Paid if payout.reversed_by.is_some() => Some("was reversed already"),
            PayoutStatus::Paid if payout.original_payout.is_some() => Some("is itself a reversal"),
            PayoutStatus::Paid => None,
            PayoutStatus::Pending | PayoutStatus::InTransit => Some("has not arrived yet"),
            PayoutStatus::Failed | PayoutStatus::Canceled => Some("never arrived"),
        };
        if let Some(why) = wrong {
            return Err(ApiError::rule(format!(
                "This payout {why}, so it cannot be reversed. No money moved."
            )));
        }
        let reversal = self.send_payout(NewPayout {
            amount: -payout.amount,
            currency: payout.currency,
            destination: payout.destination,
            original_payout: Some(id.to_owned()),
            metadata,
            ..NewPayout::default()
        });
        self.change_payout(id, |payout| payout.reversed_by = Some(reversal.clone()));
        Ok(reversal)
    }
}
