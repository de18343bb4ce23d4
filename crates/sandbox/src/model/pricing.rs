//! How a price turns a quantity into money: per unit, per package, or in tiers. Knows nothing of time or currencies.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::decimal::Decimal;
use crate::words::words;

words! {
    /// Whether the tier that a quantity reaches prices all of it, or each tier its own part.
    TiersMode { Graduated = "graduated", Volume = "volume" }
}

words! {
    /// What becomes of a package that is not full.
    Rounding { Up = "up", Down = "down" }
}

/// `transform_quantity`: units are sold in packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Packages {
    /// Units in a package; positive.
    pub(crate) size: i64,
    pub(crate) round: Rounding,
}

impl Packages {
    fn of(self, quantity: Decimal) -> Decimal {
        let (full, rest) = quantity.packages(self.size);
        Decimal::from(match self.round {
            Rounding::Up => full.saturating_add(i64::from(rest)),
            Rounding::Down => full,
        })
    }
}

/// One tier. It begins after the end of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tier {
    /// The last unit in it; none for the last tier.
    pub(crate) up_to: Option<i64>,
    pub(crate) unit: Option<Decimal>,
    /// Due once when the tier is reached; the first one is reached by no units at all.
    pub(crate) flat: Option<Decimal>,
}

impl Tier {
    fn holds(&self, quantity: impl Into<Decimal>) -> bool {
        let quantity = quantity.into();
        self.up_to.is_none_or(|last| quantity <= Decimal::from(last))
    }
}

/// How a quantity is priced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Pricing {
    PerUnit { unit: Decimal, packages: Option<Packages> },
    Tiered { mode: TiersMode, tiers: Vec<Tier> },
}

/// A part of a quantity that is priced alike, and that is a line of its own on an invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The number of its tier, counted from 1.
    pub(crate) tier: Option<usize>,
    pub(crate) quantity: Decimal,
    pub(crate) unit: Decimal,
    /// Minor units, rounded.
    pub(crate) amount: i64,
}

impl Pricing {
    /// A quantity in the parts that are rounded, and shown on an invoice, each by itself. There is always one.
    pub(crate) fn pieces(&self, quantity: impl Into<Decimal>) -> Vec<Piece> {
        let quantity = quantity.into();
        match self {
            Self::PerUnit { unit, packages } => {
                let sold = packages.map_or(quantity, |packages| packages.of(quantity));
                vec![Piece { tier: None, quantity, unit: *unit, amount: unit.times(sold) }]
            }
            Self::Tiered { mode: TiersMode::Graduated, tiers } => graduated(tiers, quantity),
            Self::Tiered { mode: TiersMode::Volume, tiers } => {
                let reached = tiers.iter().enumerate().find(|(_, tier)| tier.holds(quantity));
                reached.map(|(index, tier)| pieces_of(tier, index + 1, quantity)).unwrap_or_default()
            }
        }
    }

    /// What a quantity costs, in minor units: the sum of its parts.
    pub(crate) fn total(&self, quantity: i64) -> i64 {
        self.pieces(quantity).iter().fold(0_i64, |sum, piece| sum.saturating_add(piece.amount))
    }

    /// The amount per unit, where there is one.
    pub(crate) fn unit(&self) -> Option<Decimal> {
        match self {
            Self::PerUnit { unit, .. } => Some(*unit),
            Self::Tiered { .. } => None,
        }
    }

    /// How many units are priced together, where it is more than one.
    pub(crate) fn packages(&self) -> Option<Packages> {
        match self {
            Self::PerUnit { packages, .. } => *packages,
            Self::Tiered { .. } => None,
        }
    }

    pub(crate) fn scheme(&self) -> &'static str {
        match self {
            Self::PerUnit { .. } => "per_unit",
            Self::Tiered { .. } => "tiered",
        }
    }

    pub(crate) fn tiers_mode(&self) -> Option<TiersMode> {
        match self {
            Self::PerUnit { .. } => None,
            Self::Tiered { mode, .. } => Some(*mode),
        }
    }

    /// `transform_quantity`, or null.
    pub(crate) fn render_packages(&self) -> Value {
        let packages = self.packages();
        packages.map_or(
            Value::Null,
            |packages| json!({ "divide_by": packages.size, "round": packages.round.as_str() }),
        )
    }

    /// `tiers`; null for a price without them.
    pub(crate) fn render_tiers(&self) -> Value {
        let Self::Tiered { tiers, .. } = self else {
            return Value::Null;
        };
        let whole = |amount: Option<Decimal>| amount.and_then(Decimal::whole);
        tiers
            .iter()
            .map(|tier| {
                json!({
                    "flat_amount": whole(tier.flat), "flat_amount_decimal": tier.flat,
                    "unit_amount": whole(tier.unit), "unit_amount_decimal": tier.unit,
                    "up_to": tier.up_to,
                })
            })
            .collect()
    }
}

fn graduated(tiers: &[Tier], quantity: Decimal) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut below = Decimal::from(0);
    for (index, tier) in tiers.iter().enumerate() {
        if index > 0 && quantity <= below {
            break;
        }
        let last = tier.up_to.map_or(quantity, |last| Decimal::from(last).min(quantity));
        pieces.extend(pieces_of(tier, index + 1, last.minus(below)));
        below = last;
    }
    pieces
}

fn pieces_of(tier: &Tier, number: usize, quantity: Decimal) -> Vec<Piece> {
    let piece = |quantity: Decimal, unit: Decimal| Piece {
        tier: Some(number),
        quantity,
        unit,
        amount: unit.times(quantity),
    };
    tier.unit
        .map(|unit| piece(quantity, unit))
        .into_iter()
        .chain(tier.flat.map(|flat| piece(Decimal::from(1), flat)))
        .collect()
}

#[cfg(test)]
#[path = "pricing_tests.rs"]
mod tests;
