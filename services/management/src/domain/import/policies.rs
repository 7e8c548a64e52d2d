//! What an operator decides beforehand about what an import may meet.

use chrono::{DateTime, NaiveTime, Utc};
use vpnmanager_nats::groups::GroupName;

use crate::domain::lifetime::Lifetime;

/// The word is none of those that a policy has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be {expected}")]
pub struct UnknownPolicy {
    expected: &'static str,
}

/// Declares a policy with the words for it, as flags and query parameters have them. The first one is the default.
macro_rules! policy {
    (
        $(#[doc = $doc:literal])+
        pub enum $name:ident, $expected:literal {
            $(#[doc = $first_doc:literal])+ $first:ident => $first_word:literal,
            $($(#[doc = $other_doc:literal])+ $other:ident => $other_word:literal,)+
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub enum $name {
            $(#[doc = $first_doc])+ #[default] $first,
            $($(#[doc = $other_doc])+ $other,)+
        }

        impl $name {
            /// All of them, the default first.
            pub const ALL: &'static [Self] = &[Self::$first, $(Self::$other,)+];

            /// The word for it.
            pub fn as_str(self) -> &'static str {
                match self {
                    Self::$first => $first_word,
                    $(Self::$other => $other_word,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = UnknownPolicy;

            fn from_str(word: &str) -> Result<Self, UnknownPolicy> {
                let found = Self::ALL.iter().find(|policy| policy.as_str() == word);
                found.copied().ok_or(UnknownPolicy { expected: $expected })
            }
        }
    };
}

policy! {
    /// What becomes of somebody whose name a user of another server has.
    pub enum SameName, "join, skip or rename" {
        /// They are one user, who has one more certificate of an old server.
        Join => "join",
        /// It is a conflict, and nothing is done.
        Skip => "skip",
        /// It is another user, whose name ends in a dash and the node.
        Rename => "rename",
    }
}

policy! {
    /// What becomes of somebody whose name no user may have.
    pub enum RefusedNames, "skip or replace" {
        /// Nothing is done.
        Skip => "skip",
        /// Each character that usernames have not becomes a dash.
        Replace => "replace",
    }
}

policy! {
    /// What becomes of somebody whose access, or whose last certificate, has ended.
    pub enum Ended, "skip or import" {
        /// Nothing is done.
        Skip => "skip",
        /// A user is created: without access if it was that which ended.
        Import => "import",
    }
}

policy! {
    /// What becomes of several certificates of one name that are all valid.
    pub enum TwoCertificates, "keep or newest" {
        /// All are accepted.
        Keep => "keep",
        /// The newest one is accepted, and the others are revoked.
        Newest => "newest",
    }
}

/// All policies of an import.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policies {
    /// Somebody has the name of a user of another server.
    pub same_name: SameName,
    /// Somebody has a name that no user may have.
    pub refused_names: RefusedNames,
    /// Somebody has no access any more.
    pub ended: Ended,
    /// Somebody has several valid certificates of one name.
    pub two_certificates: TwoCertificates,
    /// The group of the users that are created.
    pub group: GroupName,
    /// Until when certificates of the old server are accepted; `None`: as long as they are valid.
    pub old_until: Option<DateTime<Utc>>,
}

/// The text is no end of old certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a day such as 2027-03-01, a time such as 2027-03-01T12:00:00Z, or how long from now, such as 90days")]
pub struct InvalidEnd;

/// Until when certificates of an old server are accepted: a day (until it begins, in UTC), a time, or how long from `now`.
pub fn end_of(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, InvalidEnd> {
    if let Ok(lifetime) = text.parse::<Lifetime>() {
        return lifetime.end(now).ok_or(InvalidEnd);
    }
    if let Ok(day) = text.parse::<chrono::NaiveDate>() {
        return Ok(day.and_time(NaiveTime::MIN).and_utc());
    }
    let time = DateTime::parse_from_rfc3339(text).map_err(|_unclear| InvalidEnd)?;
    Ok(time.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_policy_is_found_by_its_word_and_the_first_is_the_default() {
        for policy in SameName::ALL {
            assert_eq!(policy.as_str().parse(), Ok(*policy));
        }
        assert_eq!(SameName::default(), SameName::Join);
        assert_eq!(RefusedNames::default(), RefusedNames::Skip);
        assert_eq!(Ended::default(), Ended::Skip);
        assert_eq!(TwoCertificates::default(), TwoCertificates::Keep);
        let refused = "merge".parse::<SameName>().unwrap_err();
        assert_eq!(refused.to_string(), "must be join, skip or rename");
    }

    #[test]
    fn the_end_of_old_certificates_is_a_day_a_time_or_a_duration() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        for (text, end) in [
            ("2027-03-01", Some("2027-03-01T00:00:00Z")),
            ("2027-03-01T12:00:00+02:00", Some("2027-03-01T10:00:00Z")),
            ("1days", Some("2027-01-16T08:00:00Z")),
            ("soon", None),
            ("", None),
        ] {
            let expected = end.map(|end| end.parse::<DateTime<Utc>>().expect("a time"));
            assert_eq!(end_of(text, now).ok(), expected, "{text}");
        }
    }
}
