//! What the API has answered about each user, and which states are therefore allowed in the end.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    being::Being,
    credential::{By, Fate, Told},
    device::{Device, Devices},
    operation::Operation,
};

/// The result of an operation, as far as its caller can know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// 2xx: it is done.
    Done,
    /// 404: there is no such user.
    Unknown,
    /// 409 to a create: the username is taken, or the user has a device of that name.
    Taken,
    /// 404: the user has no such device.
    NoDevice,
    /// 409: the user is allowed no further device by its own limit.
    BeyondLimit,
    /// A refusal that says nothing about the state of the user, such as 400 for a time in the past.
    Refused,
    /// 503 because the database takes no changes: nothing was done, not even half.
    ReadOnly,
    /// No answer, or an answer that promises nothing: the operation may be done later, or never.
    Open,
    /// The request was not sent.
    NotSent,
}

/// Whether what was asked has happened, by the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Happened {
    Yes,
    /// Also later, or never.
    Perhaps,
    No,
}

impl Answer {
    pub(super) fn happened(&self) -> Happened {
        match self {
            Self::Done => Happened::Yes,
            Self::Open => Happened::Perhaps,
            Self::Unknown
            | Self::Taken
            | Self::NoDevice
            | Self::BeyondLimit
            | Self::Refused
            | Self::ReadOnly
            | Self::NotSent => Happened::No,
        }
    }
}

/// One username; only one worker uses it.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) username: String,
    /// All states that fit the answers so far. More than one after an operation without an answer.
    possible: Vec<Being>,
    /// Whether an operation without an answer may still be carried out. Then no more operations are sent for this user.
    open: bool,
    /// Credentials that answers told of, including those of earlier users with this name.
    pub(super) told: Vec<Told>,
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
            told: Vec::new(),
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

    /// Whether the user certainly has this device and no other one.
    pub(super) fn has_only(&self, device: Device) -> bool {
        match self.certain() {
            Some(Being::Living(_, devices)) => *devices == Devices::from([device]),
            Some(Being::Absent) | None => false,
        }
    }

    /// Profiles that were read, the oldest first.
    pub(super) fn profiles(&self) -> impl Iterator<Item = &str> {
        self.told.iter().filter_map(|told| match &told.by {
            By::Profile(text) => Some(text.as_str()),
            By::Name(_) => None,
        })
    }

    /// The common names that answers told of this device.
    pub(super) fn names_of(&self, device: Device) -> BTreeSet<&str> {
        let of_device = self.told.iter().filter(|told| told.device == device);
        let names = of_device.filter_map(|told| match &told.by {
            By::Name(name) => Some(name.as_str()),
            By::Profile(_) => None,
        });
        names.collect()
    }

    /// Records that an answer told of a credential of this device.
    pub(super) fn learn(&mut self, device: Device, by: By) {
        let is_known = |told: &Told| told.device == device && told.by == by && told.fate == Fate::Valid;
        if !self.told.iter().any(is_known) {
            let fate = Fate::Valid;
            self.told.push(Told { device, by, fate });
        }
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
            // There is a user, of whom it cannot be done.
            Answer::Taken | Answer::NoDevice => before
                .iter()
                .filter(|being| **being != Being::Absent && operation.effect(being).is_none())
                .filter(|being| !operation.is_beyond_limit(being))
                .cloned()
                .collect(),
            Answer::BeyondLimit => before
                .iter()
                .filter(|being| operation.is_beyond_limit(being))
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
            match answer.happened() {
                Happened::Yes => *self.answered.entry(action).or_default() += 1,
                Happened::Perhaps => {
                    self.open = true;
                    *self.unanswered.entry(action).or_default() += 1;
                }
                Happened::No => {}
            }
        }
        self.note_fates(operation, answer);
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

    /// What the answer says of credentials that were told of before.
    fn note_fates(&mut self, operation: &Operation, answer: &Answer) {
        let fate = match answer.happened() {
            Happened::Yes => Fate::Revoked,
            Happened::Perhaps => Fate::Unknown,
            Happened::No => return,
        };
        let valid = self.told.iter_mut().filter(|told| told.fate == Fate::Valid);
        for told in valid.filter(|told| operation.revokes(told.device)) {
            told.fate = fate;
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;
    use crate::chaos::being::Living;
    use crate::chaos::group::Group;
    use crate::chaos::operation::OldProfiles;
    use crate::chaos::own_limits::{LimitsChange, OwnLimits};

    fn person() -> Person {
        Person::new("alice".to_owned())
    }

    const CREATE: Operation = Operation::CREATE;

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
            group: Group::Default,
            limits: OwnLimits::default(),
        };
        assert_eq!(
            alice.certain(),
            Some(&Being::Living(over, Devices::from([Device::Default])))
        );
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

    #[test]
    fn a_device_comes_goes_and_comes_again() {
        let mut alice = person();
        let (device, old) = (Device::Phone, OldProfiles::Keep);
        alice.note(&CREATE, &Answer::Done).unwrap();
        for (operation, answer) in [
            (Operation::RevokeDevice { device }, Answer::NoDevice),
            (Operation::Reissue { device, old }, Answer::NoDevice),
            (Operation::AddDevice { device }, Answer::Done),
            (Operation::AddDevice { device }, Answer::Taken),
            (Operation::Reissue { device, old }, Answer::Done),
            (Operation::RevokeDevice { device }, Answer::Done),
            (Operation::ReadProfile { device }, Answer::NoDevice),
            (Operation::AddDevice { device }, Answer::Done),
        ] {
            alice.note(&operation, &answer).unwrap();
        }
        assert_eq!(alice.answered.get("device_created"), Some(&2));
        assert_eq!(alice.answered.get("device_revoked"), Some(&1));
        assert!(!alice.has_only(Device::Default));
        assert!(
            alice
                .note(&Operation::RevokeDevice { device }, &Answer::NoDevice)
                .is_err()
        );
    }

    #[test]
    fn a_further_device_beyond_an_own_limit_is_refused_until_the_limit_is_taken_away() {
        let (phone, tablet, default) = (Device::Phone, Device::Tablet, Device::Default);
        let limited = |devices| Operation::Limit {
            change: LimitsChange::Devices(devices),
        };
        let add = |device| Operation::AddDevice { device };
        let old = OldProfiles::Keep;
        let mut alice = person();
        for (operation, answer) in [
            (CREATE, Answer::Done),
            (add(phone), Answer::Done),
            (limited(Some(1)), Answer::Done),
            (add(tablet), Answer::BeyondLimit),
            // That it is there is said first.
            (add(phone), Answer::Taken),
            (Operation::Reissue { device: phone, old }, Answer::Done),
            (Operation::RevokeDevice { device: default }, Answer::Done),
            (Operation::Reissue { device: default, old }, Answer::BeyondLimit),
            (limited(None), Answer::Done),
            (Operation::Reissue { device: default, old }, Answer::Done),
            (add(tablet), Answer::Done),
        ] {
            alice.note(&operation, &answer).unwrap();
        }
        assert_eq!(alice.answered.get("user_changed"), Some(&2));
        assert!(alice.note(&add(Device::Laptop), &Answer::BeyondLimit).is_err());
        let mut bob = person();
        for operation in [CREATE, limited(Some(1))] {
            bob.note(&operation, &Answer::Done).unwrap();
        }
        for answer in [Answer::Done, Answer::Taken] {
            assert!(bob.clone().note(&add(phone), &answer).is_err(), "{answer:?}");
        }
    }

    #[test]
    fn after_a_limit_without_an_answer_both_ways_are_open() {
        let mut alice = person();
        alice.note(&CREATE, &Answer::Done).unwrap();
        let change = LimitsChange::Sessions(Some(7));
        alice.note(&Operation::Limit { change }, &Answer::Open).unwrap();
        let limits = |being: &Being| match being {
            Being::Living(living, _) => Some(living.limits.sessions),
            Being::Absent => None,
        };
        let possible: Vec<_> = alice.possible().iter().map(limits).collect();
        assert_eq!(possible, [Some(None), Some(Some(7))]);
    }

    #[test]
    fn the_default_device_comes_back_with_a_reissue() {
        let (device, old) = (Device::Default, OldProfiles::Revoke);
        let mut alice = person();
        alice.note(&CREATE, &Answer::Done).unwrap();
        alice.note(&Operation::RevokeDevice { device }, &Answer::Done).unwrap();
        assert!(!alice.has_only(device));
        alice.note(&Operation::Reissue { device, old }, &Answer::Done).unwrap();
        assert!(alice.has_only(device));
    }

    #[test]
    fn an_answer_ends_the_credentials_of_its_device_alone() {
        let mut alice = person();
        alice.note(&CREATE, &Answer::Done).unwrap();
        let device = Device::Phone;
        alice.note(&Operation::AddDevice { device }, &Answer::Done).unwrap();
        alice.learn(Device::Default, By::Name("alice.a".to_owned()));
        for _ in 0..2 {
            alice.learn(device, By::Name("alice.b".to_owned()));
        }
        assert_eq!(alice.names_of(device), BTreeSet::from(["alice.b"]));
        alice.note(&Operation::RevokeDevice { device }, &Answer::Done).unwrap();
        alice.note(&Operation::Delete, &Answer::Open).unwrap();
        let fates: Vec<Fate> = alice.told.iter().map(|told| told.fate).collect();
        assert_eq!(fates, [Fate::Unknown, Fate::Revoked]);
    }
}
