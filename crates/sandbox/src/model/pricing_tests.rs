//! Tiers against the plainest reading of them: unit by unit.

use proptest::prelude::*;

use super::*;

/// Tiers with whole amounts from steps between their ends; the last one is open.
fn tiers(steps: &[(i64, i64, i64)]) -> Vec<Tier> {
    let mut up_to = 0;
    let last = steps.len().saturating_sub(1);
    let make = |(index, (step, unit, flat)): (usize, &(i64, i64, i64))| {
        up_to += step;
        Tier {
            up_to: (index < last).then_some(up_to),
            unit: Some(Decimal::from(*unit)),
            flat: (*flat > 0).then_some(Decimal::from(*flat)),
        }
    };
    steps.iter().enumerate().map(make).collect()
}

fn tier_of(tiers: &[Tier], unit: i64) -> usize {
    tiers.iter().position(|tier| tier.holds(unit)).unwrap()
}

fn flat(tier: &Tier) -> i64 {
    tier.flat.and_then(Decimal::whole).unwrap_or(0)
}

fn steps() -> impl Strategy<Value = Vec<(i64, i64, i64)>> {
    prop::collection::vec((1_i64..40, 0_i64..1000, 0_i64..500), 1..6)
}

proptest! {
    #[test]
    fn graduated_is_the_sum_over_the_units(steps in steps(), quantity in 0_i64..250) {
        let tiers = tiers(&steps);
        let units: i64 = (1..=quantity)
            .map(|unit| tiers[tier_of(&tiers, unit)].unit.and_then(Decimal::whole).unwrap())
            .sum();
        let reached = if quantity == 0 { 0 } else { tier_of(&tiers, quantity) };
        let flats: i64 = tiers[..=reached].iter().map(flat).sum();
        let pricing = Pricing::Tiered { mode: TiersMode::Graduated, tiers };
        prop_assert_eq!(pricing.total(quantity), units + flats);
        prop_assert!(pricing.total(quantity + 1) >= pricing.total(quantity));
    }

    #[test]
    fn volume_grows_by_its_unit_within_a_tier(steps in steps(), quantity in 1_i64..250) {
        let tiers = tiers(&steps);
        let (here, next) = (tier_of(&tiers, quantity), tier_of(&tiers, quantity + 1));
        let unit = tiers[here].unit.and_then(Decimal::whole).unwrap();
        let flat = flat(&tiers[here]);
        let pricing = Pricing::Tiered { mode: TiersMode::Volume, tiers };
        prop_assert_eq!(pricing.total(quantity), unit * quantity + flat);
        if here == next {
            prop_assert_eq!(pricing.total(quantity + 1) - pricing.total(quantity), unit);
        }
    }

    #[test]
    fn each_part_is_at_most_half_a_unit_off(fractions in prop::collection::vec(0_u64..1_000_000_000_000, 3), quantity in 0_i64..1000) {
        let tier = |index: usize, up_to: Option<i64>| Tier {
            up_to,
            unit: Decimal::parse(&format!("{index}.{:012}", fractions[index])),
            flat: None,
        };
        let tiers = vec![tier(0, Some(10)), tier(1, Some(100)), tier(2, None)];
        for piece in (Pricing::Tiered { mode: TiersMode::Graduated, tiers }).pieces(quantity) {
            // In millionths of millionths, where everything is whole.
            let (whole, digits) = piece.unit.parts();
            let exact = (i128::from(whole) * 1_000_000_000_000
                + format!("{digits:0<12}").parse::<i128>().unwrap())
                * i128::from(piece.quantity.whole().unwrap());
            let off = i128::from(piece.amount) * 1_000_000_000_000 - exact;
            prop_assert!((-499_999_999_999..=500_000_000_000).contains(&off), "{off}");
        }
    }

    #[test]
    fn packages_hold_every_unit_or_leave_less_than_one_package(size in 1_i64..100, quantity in 0_i64..10_000) {
        let per = |round: Rounding| Pricing::PerUnit { unit: Decimal::from(1), packages: Some(Packages { size, round }) };
        let (up, down) = (per(Rounding::Up).total(quantity), per(Rounding::Down).total(quantity));
        prop_assert!(up * size >= quantity && up * size < quantity + size);
        prop_assert!(down * size <= quantity && down * size > quantity - size);
    }
}

#[test]
fn the_first_tier_is_reached_by_nothing() {
    let pricing = Pricing::Tiered { mode: TiersMode::Graduated, tiers: tiers(&[(10, 5, 700), (10, 3, 900)]) };
    assert_eq!(pricing.total(0), 700);
    assert_eq!(pricing.total(10), 750);
    assert_eq!(pricing.total(11), 750 + 3 + 900);
    let shown: Vec<_> = pricing
        .pieces(11)
        .iter()
        .map(|piece| (piece.tier, piece.quantity.whole().unwrap(), piece.amount))
        .collect();
    assert_eq!(shown, [(Some(1), 10, 50), (Some(1), 1, 700), (Some(2), 1, 3), (Some(2), 1, 900)]);
}
