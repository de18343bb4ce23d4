//! Taxes: rates that the seller gives, or those of the sandbox's table of countries.
//!
//! A tax is worked out line by line on what discounts leave, and rounded half away from zero. A tax that is in the
//! amounts is taken out of them first; one that comes on top is worked out on the rest. Whoever is exempt pays none of
//! either: an amount that a tax was in stays as it is.

use crate::model::customer::Customer;
use crate::model::invoice::Line;
use crate::model::percent::Percent;
use crate::model::tax::{AutomaticTax, LineTax, TaxRate, Taxability};
use crate::state::world::World;
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::Metadata;

/// Who pays the tax, and where.
#[derive(Debug, Clone, Default)]
pub(crate) struct TaxPayer {
    /// ISO 3166, upper case.
    pub(crate) country: Option<String>,
    /// `none`, `exempt` or `reverse`.
    pub(crate) exempt: String,
}

impl TaxPayer {
    /// What a customer's record says.
    pub(crate) fn of(customer: &Customer) -> Self {
        Self { country: customer.country(), exempt: customer.tax_exempt.clone() }
    }
}

impl World {
    /// Works out the taxes of lines whose discounts are known. Answers where automatic tax stands.
    pub(crate) fn tax_lines(
        &mut self,
        lines: &mut [Line],
        default_rates: &[TaxRate],
        automatic: bool,
        payer: &TaxPayer,
    ) -> AutomaticTax {
        for line in lines.iter_mut() {
            let rates = match (automatic, &payer.country) {
                (true, Some(country)) => self.automatic_rates(country, line.terms.inclusive),
                (true, None) => Vec::new(),
                (false, _) if line.terms.tax_rates.is_empty() => default_rates.to_vec(),
                (false, _) => line.terms.tax_rates.clone(),
            };
            line.terms.taxes = taxes_of(line.net(), &rates, &payer.exempt);
        }
        match (automatic, &payer.country) {
            (false, _) => AutomaticTax::Off,
            (true, Some(_)) => AutomaticTax::Complete,
            (true, None) => AutomaticTax::NeedsLocation,
        }
    }

    /// The rate of a country, made when it is used first; none for a country that the table leaves out.
    fn automatic_rates(&mut self, country: &str, inclusive: Option<bool>) -> Vec<TaxRate> {
        let inclusive = inclusive.unwrap_or(self.settings.tax_inclusive);
        let Some(entry) = self.settings.tax_table.iter().find(|entry| entry.country == country).cloned()
        else {
            return Vec::new();
        };
        let same = |rate: &&TaxRate| {
            rate.automatic
                && rate.country.as_deref() == Some(country)
                && rate.percentage == entry.percentage
                && rate.inclusive == inclusive
        };
        if let Some(rate) = self.tax_rates.iter().find(same) {
            return vec![rate.clone()];
        }
        let rate = TaxRate {
            id: self.chance.id("txr_"),
            created: self.now,
            active: true,
            display_name: entry.display_name,
            description: None,
            inclusive,
            percentage: entry.percentage,
            country: Some(country.to_owned()),
            state: None,
            jurisdiction: Some(country.to_owned()),
            tax_type: Some(entry.tax_type),
            metadata: Metadata::new(),
            automatic: true,
        };
        self.tax_rates.put(rate.clone());
        vec![rate]
    }

    /// Refuses automatic tax for a customer of whom nobody knows where they are.
    pub(crate) fn check_location(&self, customer: &str) -> ApiResult<()> {
        match self.customers.get(customer).and_then(Customer::country) {
            Some(_) => Ok(()),
            None => Err(no_location()),
        }
    }
}

/// The error for a customer without a country.
pub(crate) fn no_location() -> ApiError {
    ApiError::state(
        "customer_tax_location_invalid",
        "The customer's location isn't recognized. Set a valid customer address in order to automatically calculate tax. No money moved.",
    )
    .param("automatic_tax")
}

/// The taxes on an amount.
pub(crate) fn taxes_of(net: i64, rates: &[TaxRate], exempt: &str) -> Vec<LineTax> {
    let excused = match exempt {
        "exempt" => Some(Taxability::CustomerExempt),
        "reverse" => Some(Taxability::ReverseCharge),
        _ => None,
    };
    let included: Vec<Percent> =
        rates.iter().filter(|rate| rate.inclusive).map(|rate| rate.percentage).collect();
    let within = |rate: &TaxRate| rate.percentage.within(net, &included);
    let inside: i64 = match excused {
        Some(_) => 0,
        None => rates.iter().filter(|rate| rate.inclusive).map(within).sum(),
    };
    let taxable = net - inside;
    let tax = |rate: &TaxRate| {
        let amount = match (excused, rate.inclusive) {
            (Some(_), _) => 0,
            (None, true) => within(rate),
            (None, false) => rate.percentage.of(taxable),
        };
        let reason = match excused {
            Some(reason) => reason,
            None if !rate.automatic => Taxability::NotAvailable,
            None if rate.percentage.is_zero() => Taxability::ZeroRated,
            None => Taxability::StandardRated,
        };
        LineTax { rate: rate.id.clone(), inclusive: rate.inclusive, amount, taxable, reason }
    };
    rates.iter().map(tax).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(id: &str, percentage: &str, inclusive: bool) -> TaxRate {
        TaxRate {
            id: id.to_owned(),
            created: 0,
            active: true,
            display_name: id.to_owned(),
            description: None,
            inclusive,
            percentage: Percent::parse(percentage).unwrap(),
            country: None,
            state: None,
            jurisdiction: None,
            tax_type: None,
            metadata: Metadata::new(),
            automatic: false,
        }
    }

    fn amounts(net: i64, rates: &[TaxRate], exempt: &str) -> Vec<(i64, i64)> {
        taxes_of(net, rates, exempt).iter().map(|tax| (tax.amount, tax.taxable)).collect()
    }

    #[test]
    fn taxes_are_within_and_on_top() {
        assert_eq!(amounts(1_100, &[rate("a", "10", true)], "none"), [(100, 1_000)]);
        assert_eq!(amounts(1_000, &[rate("a", "8.875", false)], "none"), [(89, 1_000)]);
        let mixed = [rate("a", "10", true), rate("b", "5", false)];
        assert_eq!(amounts(1_100, &mixed, "none"), [(100, 1_000), (50, 1_000)]);
        assert_eq!(amounts(-1_100, &mixed, "none"), [(-100, -1_000), (-50, -1_000)]);
        assert_eq!(amounts(1_100, &mixed, "reverse"), [(0, 1_100), (0, 1_100)]);
    }
}
