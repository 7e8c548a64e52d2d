//! What whoever changes access needs to know besides the journal. One at a time has it.

use std::collections::{BTreeSet, HashMap, HashSet, hash_map::Entry};

use chrono::{DateTime, Utc};
use vpnmanager_nats::{
    commands::Command,
    ids::{CommonName, Revision, UserKey},
};

use super::projection::{Door, ProjectError};
use crate::{backend::VpnBackend as _, vpn::Vpn};

#[derive(Debug)]
pub(super) struct Turn {
    pub(super) door: Door,
    /// Who is refused although the journal, which could not be written, still lets them in.
    unjournaled: HashMap<UserKey, Refusal>,
    /// Commands that the journal did not take, and that end access later.
    ending_later: HashMap<UserKey, Command>,
    /// Whom the allow-list let in when this run began with a journal that is not complete, by the user's part of their names: the journal
    /// does not say whose credentials they are. `None`: nobody looked yet.
    unknown: Option<HashMap<String, Vec<CommonName>>>,
    /// When expiries were last looked for, by the clock.
    looked: Option<DateTime<Utc>>,
}

/// What a command that could not be journaled refuses.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The command's revision.
    pub(super) revision: Revision,
    /// Credentials.
    pub(super) names: Vec<CommonName>,
    /// Old certificates.
    pub(super) old_names: Vec<CommonName>,
}

impl Default for Turn {
    fn default() -> Self {
        Self {
            door: Door::Open,
            unjournaled: HashMap::new(),
            ending_later: HashMap::new(),
            unknown: None,
            looked: None,
        }
    }
}

impl Turn {
    /// Who is refused whatever the journal says.
    pub(super) fn refused(&self) -> HashSet<CommonName> {
        let refusals = self.unjournaled.values();
        refusals.flat_map(|refusal| &refusal.names).cloned().collect()
    }

    /// Who is refused at the old listener whatever the journal says.
    pub(super) fn refused_old(&self) -> BTreeSet<CommonName> {
        let refusals = self.unjournaled.values();
        refusals.flat_map(|refusal| &refusal.old_names).cloned().collect()
    }

    /// Whether the clock shows an earlier time than when expiries were last looked for. An earlier run of the agent may have seen any.
    pub(super) fn may_have_expired_early(&self, now: DateTime<Utc>) -> bool {
        self.looked.is_none_or(|looked| now < looked)
    }

    /// Expiries are looked for, and those that came early are undone.
    pub(super) fn looked_for_expiries(&mut self, now: DateTime<Utc>) {
        self.looked = Some(now);
    }

    /// Refuses these credentials of the user until the journal holds the command of this revision. False when a newer command refused some.
    pub(super) fn refuse(&mut self, user: UserKey, refused: Refusal) -> bool {
        let is_newer = |refusal: &Refusal| refusal.revision > refused.revision;
        if self.unjournaled.get(&user).is_some_and(is_newer) {
            return false;
        }
        self.unjournaled.insert(user, refused);
        true
    }

    /// Keeps a command that the journal did not take until access ends by it. False when it is known, or a newer one is.
    pub(super) fn ends_later(&mut self, command: &Command) -> bool {
        let user = command.user_key();
        let is_known = |known: &Command| known.revision() >= command.revision();
        if self.ending_later.get(&user).is_some_and(is_known) {
            return false;
        }
        self.ending_later.insert(user, command.clone());
        true
    }

    /// Takes the commands by which access has ended.
    pub(super) fn take_ended(&mut self, now: DateTime<Utc>) -> Vec<Command> {
        let is_over = |_user: &UserKey, command: &mut Command| end_of(command).is_none_or(|end| end <= now);
        self.ending_later
            .extract_if(is_over)
            .map(|(_user, command)| command)
            .collect()
    }

    /// When access ends next by a command that the journal did not take.
    pub(super) fn next_end(&self) -> Option<DateTime<Utc>> {
        self.ending_later.values().filter_map(end_of).min()
    }

    /// The journal holds these commands, or newer ones. An older command does not end a refusal.
    pub(super) fn journaled(&mut self, commands: &[Command]) {
        for command in commands {
            if let Entry::Occupied(ending) = self.ending_later.entry(command.user_key())
                && ending.get().revision() <= command.revision()
            {
                ending.remove();
            }
            if let Entry::Occupied(refusal) = self.unjournaled.entry(command.user_key())
                && refusal.get().revision <= command.revision()
            {
                refusal.remove();
            }
        }
    }

    /// The journal does not know the user any more.
    pub(super) fn forgotten(&mut self, user: UserKey) {
        self.unjournaled.remove(&user);
        self.ending_later.remove(&user);
    }

    /// The journal is complete: it knows all whom it lets in.
    pub(super) fn is_complete(&mut self) {
        self.unknown = Some(HashMap::new());
    }

    /// The credentials of unknown users on the allow-list, by the user's part of their names. Whoever learns whose they are takes them out.
    pub(super) async fn unknown(&mut self, vpn: &Vpn) -> Result<&mut HashMap<String, Vec<CommonName>>, ProjectError> {
        let found = match self.unknown.take() {
            Some(found) => found,
            None => {
                let mut found: HashMap<String, Vec<CommonName>> = HashMap::new();
                for name in vpn.compare(BTreeSet::new()).await? {
                    found.entry(name.user_part().to_owned()).or_default().push(name);
                }
                found
            }
        };
        Ok(self.unknown.insert(found))
    }
}

/// When the access ends that this command gives.
pub(super) fn end_of(command: &Command) -> Option<DateTime<Utc>> {
    match command {
        Command::PutUser(put) if put.active => put.expires_at,
        Command::PutUser(_) | Command::RemoveUser(_) => None,
    }
}
