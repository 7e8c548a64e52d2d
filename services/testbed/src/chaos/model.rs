//! What the API has answered about each user, and which states are therefore allowed in the end.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

/// One operation on one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Operation {
    Create {
        expires_at: Option<DateTime<Utc>>,
    },
    Suspend,
    Resume,
    Expire {
        at: Option<DateTime<Utc>>,
    },
    /// The time of the user is over in a moment: nodes end it by their own clocks.
    Shorten {
        at: DateTime<Utc>,
    },
    Delete,
    /// Another profile; all older ones are revoked.
    Reissue,
    ReadProfile,
    Look,
}

impl Operation {
    /// Its name in reports.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Expire { .. } => "expiry",
            Self::Shorten { .. } => "shortening",
            Self::Delete => "delete",
            Self::Reissue => "reissue",
            Self::ReadProfile => "profile",
            Self::Look => "look",
        }
    }

    /// Its action in the audit trail; `None` for an operation that only reads.
    pub(super) fn action(&self) -> Option<&'static str> {
        match self {
            Self::Create { .. } => Some("user_created"),
            Self::Suspend => Some("user_suspended"),
            Self::Resume => Some("user_resumed"),
            Self::Expire { .. } | Self::Shorten { .. } => Some("user_changed"),
            Self::Delete => Some("user_removed"),
            Self::Reissue => Some("user_reissued"),
            Self::ReadProfile | Self::Look => None,
        }
    }

    /// Whether it ends somebody's access at once, or at [`Self::due`].
    pub(super) fn ends_access(&self) -> bool {
        match self {
            Self::Suspend | Self::Shorten { .. } | Self::Delete | Self::Reissue => true,
            Self::Create { .. } | Self::Resume | Self::Expire { .. } | Self::ReadProfile | Self::Look => false,
        }
    }

    /// When access ends, if not at once.
    pub(super) fn due(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Shorten { at } => Some(*at),
            Self::Create { .. }
            | Self::Suspend
            | Self::Resume
            | Self::Expire { .. }
            | Self::Delete
            | Self::Reissue
            | Self::ReadProfile
            | Self::Look => None,
        }
    }

    /// Whether it ends the credentials that a user has, and not only access by them.
    pub(super) fn ends_credentials(&self) -> bool {
        match self {
            Self::Delete | Self::Reissue => true,
            Self::Create { .. }
            | Self::Suspend
            | Self::Resume
            | Self::Expire { .. }
            | Self::Shorten { .. }
            | Self::ReadProfile
            | Self::Look => false,
        }
    }

    /// Whether it writes. That a profile was read is in the audit trail before it is handed out.
    pub(super) fn writes(&self) -> bool {
        *self != Self::Look
    }

    /// The state of a user after the operation; `None` if the operation is refused.
    fn effect(&self, on: &Being) -> Option<Being> {
        match (self, on) {
            (Self::Create { expires_at }, Being::Absent) => Some(Being::Living(Living {
                active: true,
                expires_at: *expires_at,
            })),
            (Self::Suspend, Being::Living(living)) => Some(Being::Living(Living {
                active: false,
                ..*living
            })),
            (Self::Resume, Being::Living(living)) => Some(Being::Living(Living {
                active: true,
                ..*living
            })),
            (Self::Expire { at }, Being::Living(living)) => Some(Being::Living(Living {
                expires_at: *at,
                ..*living
            })),
            (Self::Shorten { at }, Being::Living(living)) => Some(Being::Living(Living {
                expires_at: Some(*at),
                ..*living
            })),
            (Self::Delete, Being::Living(_)) => Some(Being::Absent),
            (Self::Reissue | Self::ReadProfile | Self::Look, Being::Living(_)) => Some(on.clone()),
            (Self::Create { .. }, Being::Living(_))
            | (
                Self::Suspend
                | Self::Resume
                | Self::Expire { .. }
                | Self::Shorten { .. }
                | Self::Delete
                | Self::Reissue
                | Self::ReadProfile
                | Self::Look,
                Being::Absent,
            ) => None,
        }
    }
}

/// The state of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Being {
    /// Never created, or deleted.
    Absent,
    Living(Living),
}

/// A user that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Living {
    pub(super) active: bool,
    pub(super) expires_at: Option<DateTime<Utc>>,
}

impl Living {
    /// Reads a user as the API shows it.
    pub(super) fn shown(user: &Value) -> Option<Self> {
        let expires_at = match &user["expires_at"] {
            Value::String(text) => Some(DateTime::parse_from_rfc3339(text).ok()?.to_utc()),
            Value::Null => None,
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => return None,
        };
        Some(Self {
            active: user["active"].as_bool()?,
            expires_at,
        })
    }
}

/// The result of an operation, as far as its caller can know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// 2xx: it is done.
    Done,
    /// 404: there is no such user.
    Unknown,
    /// 409 to a create: the username is taken.
    Taken,
    /// A refusal that says nothing about the state of the user, such as 400 for a time in the past.
    Refused,
    /// 503 because the database takes no changes: nothing was done, not even half.
    ReadOnly,
    /// No answer, or an answer that promises nothing: the operation may be done later, or never.
    Open,
    /// The request was not sent.
    NotSent,
}

/// One username; only one worker uses it.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) username: String,
    /// All states that fit the answers so far. More than one after an operation without an answer.
    possible: Vec<Being>,
    /// Whether an operation without an answer may still be carried out. Then no more operations are sent for this user.
    open: bool,
    /// Profiles that were read, including those of earlier users with this name.
    pub(super) profiles: Vec<String>,
    /// The number of answered changes, by their action in the audit trail.
    pub(super) answered: BTreeMap<&'static str, usize>,
    /// The number of changes without an answer, by their action: they may or may not have happened.
    pub(super) unanswered: BTreeMap<&'static str, usize>,
}

impl Person {
    pub(super) fn new(username: String) -> Self {
        Self {
            username,
            possible: vec![Being::Absent],
            open: false,
            profiles: Vec::new(),
            answered: BTreeMap::new(),
            unanswered: BTreeMap::new(),
        }
    }

    /// The state of the user, if it is certain.
    pub(super) fn certain(&self) -> Option<&Being> {
        match (self.open, self.possible.as_slice()) {
            (false, [being]) => Some(being),
            (true | false, _) => None,
        }
    }

    /// All states that are possible.
    pub(super) fn possible(&self) -> &[Being] {
        &self.possible
    }

    /// Records an answer. The error describes how it contradicts earlier answers.
    pub(super) fn note(&mut self, operation: &Operation, answer: &Answer) -> Result<(), String> {
        let before = std::mem::take(&mut self.possible);
        let after: Vec<Being> = match answer {
            Answer::Done => before.iter().filter_map(|being| operation.effect(being)).collect(),
            Answer::Unknown => before
                .iter()
                .filter(|being| **being == Being::Absent)
                .cloned()
                .collect(),
            Answer::Taken => before
                .iter()
                .filter(|being| **being != Being::Absent)
                .cloned()
                .collect(),
            Answer::Refused | Answer::ReadOnly | Answer::NotSent => before.clone(),
            Answer::Open => {
                let effects = before.iter().filter_map(|being| operation.effect(being));
                before.iter().cloned().chain(effects).collect()
            }
        };
        self.possible = after;
        if let Some(action) = operation.action() {
            match answer {
                Answer::Done => *self.answered.entry(action).or_default() += 1,
                Answer::Open => {
                    self.open = true;
                    *self.unanswered.entry(action).or_default() += 1;
                }
                Answer::Unknown | Answer::Taken | Answer::Refused | Answer::ReadOnly | Answer::NotSent => {}
            }
        }
        self.possible.dedup();
        if self.possible.is_empty() {
            self.open = true;
            let told = format!(
                "{}: {} was answered {answer:?} although the user was {before:?} by all earlier answers",
                self.username,
                operation.kind()
            );
            self.possible = before;
            return Err(told);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person() -> Person {
        Person::new("alice".to_owned())
    }

    const CREATE: Operation = Operation::Create { expires_at: None };

    #[test]
    fn an_operation_without_an_answer_leaves_both_ways_open() {
        let mut alice = person();
        alice.note(&CREATE, &Answer::Open).unwrap();
        assert_eq!(alice.possible().len(), 2);
        assert_eq!(alice.certain(), None);
    }

    #[test]
    fn an_answer_that_contradicts_an_earlier_one_is_told() {
        let mut alice = person();
        alice.note(&CREATE, &Answer::Done).unwrap();
        assert!(alice.note(&Operation::Look, &Answer::Unknown).is_err());
        let mut bob = person();
        assert!(bob.note(&CREATE, &Answer::Taken).is_err());
    }

    #[test]
    fn a_shortened_time_is_counted_as_a_change_of_the_user() {
        let mut alice = person();
        alice.note(&CREATE, &Answer::Done).unwrap();
        let at = Utc::now();
        alice.note(&Operation::Shorten { at }, &Answer::Done).unwrap();
        let over = Living {
            active: true,
            expires_at: Some(at),
        };
        assert_eq!(alice.certain(), Some(&Being::Living(over)));
        assert_eq!(alice.answered.get("user_changed"), Some(&1));
    }

    #[test]
    fn what_a_read_only_database_refuses_is_not_done() {
        let mut alice = person();
        alice.note(&CREATE, &Answer::ReadOnly).unwrap();
        assert_eq!(alice.certain(), Some(&Being::Absent));
        assert!(alice.unanswered.is_empty());
    }

    #[test]
    fn changes_follow_one_another() {
        let mut alice = person();
        for operation in [CREATE, Operation::Suspend, Operation::Delete] {
            alice.note(&operation, &Answer::Done).unwrap();
        }
        assert_eq!(alice.certain(), Some(&Being::Absent));
        assert_eq!(alice.answered.len(), 3);
    }
}
