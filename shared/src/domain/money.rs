//! Money: prices and spend caps, and the UTC days over which spend is counted.

use crate::domain::time::{DAY_SECONDS, Timestamp};

const MILLION: f64 = 1e6;
/// Above every budget; whole millionths up to it are exact in an `f64`.
const UNITS_MAX: f64 = 1e9;

/// Money in the unit of the carriers' prices, in whole millionths, which add up without rounding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Money(u64);

impl Money {
    /// `units`, rounded to a millionth; `None` if negative, not a number, or over a billion.
    #[must_use]
    pub fn of(units: f64) -> Option<Self> {
        (0.0..=UNITS_MAX)
            .contains(&units)
            .then(|| Self((units * MILLION).round() as u64))
    }

    /// Reads decimal digits with at most one decimal point between them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
            && text.starts_with(|c: char| c.is_ascii_digit())
            && !text.ends_with('.');
        plain
            .then(|| text.parse().ok())
            .flatten()
            .and_then(Self::of)
    }

    /// Millionths of the unit.
    #[must_use]
    pub fn millionths(self) -> u64 {
        self.0
    }

    /// Whole units, rounded down.
    #[must_use]
    pub fn units(self) -> u64 {
        self.0 / 1_000_000
    }
}

/// The first moment of the next day, UTC.
#[must_use]
pub fn day_end(now: Timestamp) -> Timestamp {
    Timestamp(day(now).saturating_add(1).saturating_mul(DAY_SECONDS))
}

/// Days since 1970, UTC.
#[must_use]
pub fn day(now: Timestamp) -> i64 {
    now.0.div_euclid(DAY_SECONDS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn money_is_read_as_written(units in 0u32..1_000_000, millionths in 0u32..1_000_000) {
            let money = Money::parse(&format!("{units}.{millionths:06}"));
            let expected = u64::from(units) * 1_000_000 + u64::from(millionths);
            prop_assert_eq!(money.map(Money::millionths), Some(expected));
        }
    }

    #[test]
    fn invalid_money_is_rejected_and_prices_add_up() {
        for wrong in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "1.2.3",
            "NaN",
            "1,5",
            " 1",
            "99999999999999",
        ] {
            assert_eq!(Money::parse(wrong), None, "{wrong}");
        }
        assert_eq!(
            [
                Money::of(-0.1),
                Money::of(f64::NAN),
                Money::of(f64::INFINITY)
            ],
            [None; 3]
        );
        assert_eq!(
            Money::of(0.1).map(|m| m.millionths() * 3),
            Money::parse("0.3").map(Money::millionths)
        );
        assert_eq!(Money::parse("12.99").map(Money::units), Some(12));
    }

    #[test]
    fn day_ends_at_midnight() {
        assert_eq!(day_end(Timestamp(86_399)), Timestamp(86_400));
        assert_eq!(day_end(Timestamp(86_400)), Timestamp(172_800));
    }
}
