//! What an invoice comes to: one calculation for previews, drafts and what is then charged.

use crate::model::currency::chargeable;
use crate::model::invoice::Invoice;
use crate::state::world::World;

impl World {
    /// Works out what is due on an invoice that is not final yet, and what the customer's balance will be.
    pub(crate) fn price_invoice(&mut self, invoice: &mut Invoice) {
        self.discount_lines(&mut invoice.lines, &invoice.terms.discounts, &invoice.currency);
        let balance = self.customers.get(&invoice.customer).map_or(0, |customer| customer.balance);
        let owed = invoice.total().saturating_add(balance);
        let (due, left) = chargeable(owed, &invoice.currency);
        invoice.starting_balance = balance;
        invoice.amount_due = due;
        invoice.balance_left = left;
    }
}
