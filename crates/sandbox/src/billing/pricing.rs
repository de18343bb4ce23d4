//! What an invoice comes to: one calculation for previews, drafts and what is then charged.

use super::taxes::TaxPayer;
use crate::model::currency::chargeable;
use crate::model::invoice::Invoice;
use crate::state::world::World;

impl World {
    /// Works out what is due on an invoice that is not final yet, and what the customer's balance will be.
    pub(crate) fn price_invoice(&mut self, invoice: &mut Invoice) {
        self.discount_lines(&mut invoice.lines, &invoice.terms.discounts, &invoice.currency);
        let payer = self.customers.get(&invoice.customer).map(TaxPayer::of).unwrap_or_default();
        let terms = &mut invoice.terms;
        terms.automatic_tax =
            self.tax_lines(&mut invoice.lines, &terms.default_tax_rates, terms.automatic_tax.is_on(), &payer);
        terms.exempt = payer.exempt;
        let customer = self.customers.get(&invoice.customer);
        let (balance, currency) =
            customer.map_or((0, None), |found| (found.balance, found.currency.as_ref()));
        let total = invoice.total();
        if currency.is_some_and(|currency| *currency != invoice.currency) {
            // A balance in another currency is not touched, so nothing can stay on it either.
            (invoice.starting_balance, invoice.balance_left) = (0, 0);
            invoice.amount_due = total.max(0);
            return;
        }
        let (due, left) = chargeable(total.saturating_add(balance), &invoice.currency);
        invoice.starting_balance = balance;
        invoice.amount_due = due;
        invoice.balance_left = left;
    }
}
