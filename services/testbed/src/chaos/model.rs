//! What the API has answered about each user, and so what must be true in the end.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

/// One thing done to one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Operation {
    Create { expires_at: Option<DateTime<Utc>> },
    Suspend,
    Resume,
    Expire { at: Option<DateTime<Utc>> },
    Delete,
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
            Self::Delete => "delete",
            Self::ReadProfile => "profile",
            Self::Look => "look",
        }
    }

    /// What the audit trail calls it; `None` for what only reads.
    pub(super) fn action(&self) -> Option<&'static str> {
        match self {
            Self::Create { .. } => Some("user_created"),
            Self::Suspend => Some("user_suspended"),
            Self::Resume => Some("user_resumed"),
            Self::Expire { .. } => Some("user_changed"),
            Self::Delete => Some("user_removed"),
            Self::ReadProfile | Self::Look => None,
        }
    }

    /// What becomes of a user by it; nothing where it is refused.
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
            (Self::Delete, Being::Living(_)) => Some(Being::Absent),
            (Self::ReadProfile | Self::Look, Being::Living(_)) => Some(on.clone()),
            (Self::Create { .. }, Being::Living(_))
            | (
                Self::Suspend | Self::Resume | Self::Expire { .. } | Self::Delete | Self::ReadProfile | Self::Look,
                Being::Absent,
            ) => None,
        }
    }
}

/// How a user is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Being {
    /// Never created, or deleted.
    Absent,
    Living(Living),
}

/// A user that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Living {
    pub(super) active: bool,
    pub(super) expires_at: Option<DateTime<Utc>>,
}

impl Living {
    /// As the API shows a user.
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

/// How an operation ended, as far as its caller can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// 2xx.
    Done,
    /// 404: there is no such user.
    Unknown,
    /// 409 to a create: there is such a user.
    Taken,
    /// A refusal that says nothing about the user, such as 400 for a moment that has passed.
    Refused,
    /// No answer, or one that promises nothing: it may happen, at any time, or never.
    Open,
    /// The request never left.
    NotSent,
}

/// One username, of which one worker takes care.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) username: String,
    /// Each way it can be by all that was answered. More than one after an operation that got no answer.
    possible: Vec<Being>,
    /// An operation without an answer may still be carried out later: nothing more is asked of this user.
    open: bool,
    /// Profiles that were read, those of earlier users of this name included.
    pub(super) profiles: Vec<String>,
    /// Changes that were answered, by the audit trail's name for them.
    pub(super) answered: BTreeMap<&'static str, usize>,
    /// Changes that may or may not have happened.
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

    /// How the user is, where that is certain.
    pub(super) fn certain(&self) -> Option<&Being> {
        match (self.open, self.possible.as_slice()) {
            (false, [being]) => Some(being),
            (true | false, _) => None,
        }
    }

    /// Each way the user can be.
    pub(super) fn possible(&self) -> &[Being] {
        &self.possible
    }

    /// Takes note of an answer. An answer that contradicts earlier ones is told.
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
            Answer::Refused | Answer::NotSent => before.clone(),
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
                Answer::Unknown | Answer::Taken | Answer::Refused | Answer::NotSent => {}
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
    fn changes_follow_one_another() {
        let mut alice = person();
        for operation in [CREATE, Operation::Suspend, Operation::Delete] {
            alice.note(&operation, &Answer::Done).unwrap();
        }
        assert_eq!(alice.certain(), Some(&Being::Absent));
        assert_eq!(alice.answered.len(), 3);
    }
}
