//! Which certificate the OpenVPN server of a node gets.

use chrono::{DateTime, Utc};

/// A certificate is renewed up to this share of its life later than at two thirds of it: one in so many.
const SPREAD: i32 = 12;

/// The newest certificate that was signed for a node.
#[derive(Debug, Clone, Copy)]
pub struct Newest<'a> {
    /// SHA-256 of the key that it is for.
    pub key: &'a [u8],
    /// When it becomes valid.
    pub not_before: DateTime<Utc>,
    /// When it ends.
    pub not_after: DateTime<Utc>,
    /// Whether the authority signed it that signs such certificates at this moment.
    pub is_of_issuer: bool,
}

/// By which right a node asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// It enrols, with whatever key it has.
    Enrolment,
    /// It is enrolled, and asks over the bus.
    Renewal,
}

/// What follows from one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// A new certificate.
    Sign,
    /// The newest one that there is.
    Repeat,
    /// None: it was enrolled with another key.
    RefuseKey,
}

/// One request.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// By which right.
    pub right: Right,
    /// SHA-256 of the key that it is for.
    pub key: &'a [u8],
    /// When it came.
    pub at: DateTime<Utc>,
    /// When a certificate that is signed then ends.
    pub end: DateTime<Utc>,
}

/// Decides for a node. Agents ask every few minutes, whatever certificate they have: asking again gives the same one until it is due. One that
/// enrols again gets another one when half of the life is over.
pub fn decide(newest: Option<Newest<'_>>, asked: Asked<'_>) -> Decision {
    let Some(newest) = newest else {
        return Decision::Sign;
    };
    match (newest.key == asked.key, asked.right) {
        (false, Right::Enrolment) => Decision::Sign,
        (false, Right::Renewal) => Decision::RefuseKey,
        (true, Right::Enrolment | Right::Renewal) if !newest.is_of_issuer => Decision::Sign,
        (true, Right::Enrolment | Right::Renewal) => {
            let due_at = match asked.right {
                Right::Enrolment => newest.not_before + (newest.not_after - newest.not_before) / 2,
                Right::Renewal => newest.due_at(),
            };
            let is_due = asked.at >= due_at;
            // Of an authority that ends soon, no certificate is longer than the one that there is.
            match is_due && asked.end > newest.not_after {
                true => Decision::Sign,
                false => Decision::Repeat,
            }
        }
    }
}

impl Newest<'_> {
    /// When it is renewed: at two thirds of its life and somewhat later, each node at a moment of its own, so that a fleet that enrolled together does
    /// not renew together.
    fn due_at(&self) -> DateTime<Utc> {
        let spread = (self.not_after - self.not_before) / SPREAD;
        // A hash is as good as a random number.
        let own = i32::from(self.key.first().copied().unwrap_or_default());
        renews_at(self.not_before, self.not_after) + spread / 256 * own
    }
}

/// When a certificate that is valid in this time is renewed at the earliest: two thirds of its life are over.
pub fn renews_at(not_before: DateTime<Utc>, not_after: DateTime<Utc>) -> DateTime<Utc> {
    not_before + (not_after - not_before) / 3 * 2
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_node_gets_another_certificate_when_it_is_due_and_for_its_own_key_alone() {
        let begin = DateTime::from_timestamp(1_795_000_000, 0).expect("a time");
        let end = begin + TimeDelta::days(90);
        let newest = Some(Newest {
            key: &[1],
            not_before: begin,
            not_after: end,
            is_of_issuer: true,
        });
        let foreign = newest.map(|newest| Newest {
            is_of_issuer: false,
            ..newest
        });
        let later = end + TimeDelta::days(45);
        for (what, newest, right, key, after, new_end, expected) in [
            ("none was recorded", None, Right::Renewal, 1, 1, later, Decision::Sign),
            ("half is over", newest, Right::Renewal, 1, 45, later, Decision::Repeat),
            ("too early", newest, Right::Renewal, 1, 60, later, Decision::Repeat),
            (
                "another authority signs",
                foreign,
                Right::Renewal,
                1,
                1,
                end,
                Decision::Sign,
            ),
            ("it is due", newest, Right::Renewal, 1, 61, later, Decision::Sign),
            ("it has ended", newest, Right::Renewal, 1, 91, later, Decision::Sign),
            (
                "the authority ends",
                newest,
                Right::Renewal,
                1,
                80,
                end,
                Decision::Repeat,
            ),
            ("another key", newest, Right::Renewal, 2, 80, later, Decision::RefuseKey),
            (
                "enrolled with another key",
                newest,
                Right::Enrolment,
                2,
                1,
                later,
                Decision::Sign,
            ),
            (
                "enrolled again",
                newest,
                Right::Enrolment,
                1,
                1,
                later,
                Decision::Repeat,
            ),
            (
                "enrolled again, later",
                newest,
                Right::Enrolment,
                1,
                60,
                later,
                Decision::Sign,
            ),
        ] {
            let asked = Asked {
                right,
                key: &[key],
                at: begin + TimeDelta::days(after),
                end: new_end,
            };
            assert_eq!(decide(newest, asked), expected, "{what}");
        }
        assert_eq!(renews_at(begin, end), begin + TimeDelta::days(60));
    }

    #[test]
    fn nodes_that_enrolled_together_do_not_renew_together() {
        let begin = DateTime::from_timestamp(1_795_000_000, 0).expect("a time");
        let end = begin + TimeDelta::days(90);
        let due_at = |key: u8| {
            let newest = Newest {
                key: &[key],
                not_before: begin,
                not_after: end,
                is_of_issuer: true,
            };
            newest.due_at()
        };
        assert_eq!(due_at(0), renews_at(begin, end));
        assert!(due_at(1) < due_at(2) && due_at(2) - due_at(1) > TimeDelta::minutes(40));
        // Agents complain when three quarters are over.
        assert!(due_at(u8::MAX) < begin + (end - begin) / 4 * 3);
    }
}
