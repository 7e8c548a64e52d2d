//! Ratios of rounds that took turns.

use serde::Serialize;

/// One ratio for each pair of rounds: how far they lie apart says what the ratio of all rounds is worth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Ratios {
    pub(super) lowest: f64,
    pub(super) median: f64,
    pub(super) highest: f64,
}

impl Ratios {
    /// Of each of the first to the one of the second in its place; `None` without any.
    pub(super) fn of(ours: &[f64], floor: &[f64]) -> Option<Self> {
        let mut ratios: Vec<f64> = ours.iter().zip(floor).map(|(ours, floor)| ours / floor).collect();
        ratios.sort_by(f64::total_cmp);
        let (upper, lower) = (ratios.get(ratios.len() / 2)?, ratios.get((ratios.len() - 1) / 2)?);
        Some(Self {
            lowest: *ratios.first()?,
            median: f64::midpoint(*lower, *upper),
            highest: *ratios.last()?,
        })
    }
}

impl std::fmt::Display for Ratios {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            lowest,
            median,
            highest,
        } = self;
        write!(f, "{lowest:.3} to {highest:.3}, median {median:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_is_compared_with_the_one_of_its_turn() {
        let ratios = Ratios::of(&[8.0, 30.0, 2.0], &[4.0, 10.0, 2.0]).unwrap();
        assert_eq!(ratios.to_string(), "1.000 to 3.000, median 2.000");
        let even = Ratios::of(&[2.0, 6.0], &[1.0, 2.0]).unwrap();
        assert_eq!(even.to_string(), "2.000 to 3.000, median 2.500");
        assert_eq!(Ratios::of(&[], &[1.0]), None);
    }
}
