//! The account's balance: one entry for each movement, with the provider's fee.

use crate::model::money::BalanceTransaction;
use crate::state::world::World;

impl World {
    /// Books a charge; the id of its entry.
    pub(crate) fn book_charge(
        &mut self,
        charge: &str,
        amount: i64,
        currency: &str,
        description: Option<String>,
    ) -> String {
        let fee = round_fraction(amount, self.settings.fee_basis_points, 10_000);
        let kind = if charge.starts_with("py_") { "payment" } else { "charge" };
        self.book(kind, charge, amount, fee, currency, description).id
    }

    /// The money of an entry is available without the usual delay.
    pub(crate) fn available_at_once(&mut self, entry: &str) {
        let now = self.now;
        self.balance_transactions.edit(entry, |entry| entry.available_on = now);
    }

    /// Books any movement.
    pub(crate) fn book(
        &mut self,
        kind: &str,
        source: &str,
        amount: i64,
        fee: i64,
        currency: &str,
        description: Option<String>,
    ) -> BalanceTransaction {
        let entry = BalanceTransaction {
            id: self.chance.id("txn_"),
            created: self.now,
            available_on: self.now + self.settings.pending_days * 86_400,
            kind: kind.to_owned(),
            amount,
            fee,
            application_fee: 0,
            currency: currency.to_owned(),
            source: source.to_owned(),
            description,
            payout: None,
        };
        self.balance_transactions.put(entry.clone());
        // What comes back from the bank waits for other money, so that a closed account is not tried every day.
        if amount > 0 && !kind.starts_with("payout") {
            self.plan_payout(entry.available_on, currency);
        }
        entry
    }
}

/// `amount × part ÷ whole`, rounded half away from zero; 0 when the whole is not positive.
pub(crate) fn round_fraction(amount: i64, part: i64, whole: i64) -> i64 {
    if whole <= 0 {
        return 0;
    }
    let (product, whole) = (i128::from(amount) * i128::from(part), i128::from(whole));
    let rounded = (product.abs() * 2 + whole) / (whole * 2) * product.signum();
    i64::try_from(rounded).unwrap_or(if rounded > 0 { i64::MAX } else { i64::MIN })
}

#[cfg(test)]
mod tests {
    use super::round_fraction;

    #[test]
    fn halves_round_away_from_zero() {
        assert_eq!(round_fraction(1, 1, 2), 1);
        assert_eq!(round_fraction(-1, 1, 2), -1);
        assert_eq!(round_fraction(100, 1, 3), 33);
        assert_eq!(round_fraction(i64::MAX, 2, 1), i64::MAX);
        assert_eq!(round_fraction(5, 1, 0), 0);
    }
}
