//! How this node holds members of groups to their rules, whichever way it is.

use std::{collections::BTreeSet, time::Duration};

use vpnmanager_nats::{commands::Command, groups::GroupName, ids::CommonName};

use super::{
    draft::{Draft, Placing},
    place::{Place, Seat},
    places::Places,
    unheld::{Joined, Unheld},
};
use crate::{
    journal::{Journal, JournalError},
    plan::group_of,
};

/// How this node holds members of groups to their rules. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Holding {
    /// By fixed addresses: the agent runs OpenVPN.
    ByAddress(Places),
    /// Not at all: the agent does not run OpenVPN.
    NotAtAll(Unheld),
}

/// What commands change of it, while that is being journaled.
#[derive(Debug)]
#[must_use]
pub enum HoldingDraft {
    /// Of [`Holding::ByAddress`].
    ByAddress(Draft),
    /// Of [`Holding::NotAtAll`].
    NotAtAll {
        /// Who is in which group.
        unheld: Unheld,
        /// The credentials that join another one, in this order.
        joined: Vec<(CommonName, Option<GroupName>)>,
    },
}

/// What a command means for the credentials of its user.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Hold {
    /// Why some of them cannot be let in, and what to do.
    pub reason: Option<String>,
    /// These, if the command lets them in.
    pub refused: Vec<CommonName>,
    /// Those that the node knew before and that have another address from now on, or one where OpenVPN puts them.
    pub moved: Vec<CommonName>,
    /// What is to be journaled: the place of a credential, or that it has none any more.
    pub rows: Vec<(CommonName, Option<Place>)>,
}

impl Holding {
    /// Takes over what the journal holds.
    pub async fn load(&self, journal: &Journal) -> Result<(), JournalError> {
        let read = journal.read(|records| Ok((records.members()?, records.places()?)));
        let (members, places) = read.await?;
        match self {
            Self::ByAddress(held) => held.load(members, places),
            Self::NotAtAll(unheld) => unheld.load(members),
        }
        Ok(())
    }

    /// The fixed addresses, where there are any.
    pub fn places(&self) -> Option<&Places> {
        match self {
            Self::ByAddress(places) => Some(places),
            Self::NotAtAll(_) => None,
        }
    }

    /// Changes, for whoever journals them. One at a time.
    pub fn draft(&self) -> HoldingDraft {
        match self {
            Self::ByAddress(places) => HoldingDraft::ByAddress(Draft::of(places)),
            Self::NotAtAll(unheld) => HoldingDraft::NotAtAll {
                unheld: unheld.clone(),
                joined: Vec::new(),
            },
        }
    }

    /// Takes those out who are not let in because of their group, whatever else is said of them.
    pub fn refuse(&self, names: &mut BTreeSet<CommonName>) {
        match self {
            Self::ByAddress(places) => {
                for (name, _) in places.waiting() {
                    names.remove(&name);
                }
            }
            Self::NotAtAll(unheld) => unheld.refuse(names),
        }
    }

    /// Waits, this long at most, until it is known whether the firewall holds those among these that have a fixed address.
    pub async fn await_rules_for(&self, names: &[CommonName], within: Duration) {
        match self {
            Self::ByAddress(places) => {
                let is_held = |name: &CommonName| places.place_of(name).is_none_or(|place| places.holds(&place));
                if !names.iter().all(is_held) {
                    places.enforcement_said(within).await;
                }
            }
            Self::NotAtAll(_) => {}
        }
    }

    /// Why credentials that a command lets in are not let in here, and what to do.
    pub fn refusal(&self, command: &Command) -> Option<String> {
        let Command::PutUser(put) = command else { return None };
        match self {
            Self::ByAddress(places) => {
                let group = group_of(command)?;
                let mut names = put.credentials.iter();
                let waits = names.any(|name| places.seat_of(name) == Seat::Waiting);
                waits.then(|| places.full(group))
            }
            Self::NotAtAll(unheld) => unheld.refusal_of(group_of(command)),
        }
    }

    /// Which credentials find no place here, or are not let in, and what to do; `None` also for what [`Self::fault`] says.
    pub fn lack(&self) -> Option<String> {
        match self {
            Self::ByAddress(places) => places.lack(),
            Self::NotAtAll(unheld) => unheld.lack(),
        }
    }

    /// What degrades this node: it would refuse a new user. Where there are fixed addresses, whoever keeps the firewall says what does.
    pub fn fault(&self) -> Option<String> {
        match self {
            Self::ByAddress(_) => None,
            Self::NotAtAll(unheld) => unheld.fault(),
        }
    }
}

impl HoldingDraft {
    /// What a command means for the credentials of its user, which had those that are `known`. Repeating it changes nothing.
    pub fn hold(&mut self, known: &[CommonName], command: &Command) -> Hold {
        let group = group_of(command);
        let listed: &[CommonName] = match command {
            Command::PutUser(put) => &put.credentials,
            Command::RemoveUser(_) => &[],
        };
        let gone = known.iter().filter(|name| !listed.contains(name));
        match self {
            Self::ByAddress(draft) => {
                for name in gone {
                    // Its row goes with that of the credential.
                    draft.free(name);
                }
                match group {
                    Some(group) => place(draft, known, listed, group),
                    None => free(draft, known, listed),
                }
            }
            Self::NotAtAll { unheld, joined } => {
                joined.extend(gone.map(|name| (name.clone(), None)));
                join(unheld, joined, listed, group)
            }
        }
    }

    /// These credentials are forgotten.
    pub fn forget<'names>(&mut self, names: impl IntoIterator<Item = &'names CommonName>) {
        for name in names {
            match self {
                Self::ByAddress(draft) => _ = draft.free(name),
                Self::NotAtAll { joined, .. } => joined.push((name.clone(), None)),
            }
        }
    }

    /// The journal holds it: from now on it is so.
    pub fn commit(self) {
        match self {
            Self::ByAddress(draft) => draft.commit(),
            Self::NotAtAll { unheld, joined } => unheld.change(joined),
        }
    }
}

fn place(draft: &mut Draft, known: &[CommonName], listed: &[CommonName], group: &GroupName) -> Hold {
    let mut hold = Hold::default();
    for name in listed {
        let before = draft.place_of(name);
        match draft.place(name, group) {
            Placing::Kept => {}
            Placing::Given(place) => {
                if before.as_ref() != Some(&place) && known.contains(name) {
                    hold.moved.push(name.clone());
                }
                hold.rows.push((name.clone(), Some(place)));
            }
            Placing::Full => {
                hold.reason.get_or_insert_with(|| draft.full(group));
                hold.refused.push(name.clone());
                hold.rows.extend(before.map(|_| (name.clone(), None)));
            }
        }
    }
    hold
}

fn free(draft: &mut Draft, known: &[CommonName], listed: &[CommonName]) -> Hold {
    let mut hold = Hold::default();
    for name in listed {
        if draft.free(name).is_some() {
            hold.rows.push((name.clone(), None));
            if known.contains(name) {
                hold.moved.push(name.clone());
            }
        }
    }
    hold
}

fn join(unheld: &Unheld, joined: &mut Vec<Joined>, listed: &[CommonName], group: Option<&GroupName>) -> Hold {
    joined.extend(listed.iter().map(|name| (name.clone(), group.cloned())));
    let reason = unheld.refusal_of(group);
    Hold {
        refused: reason.as_ref().map(|_| listed.to_vec()).unwrap_or_default(),
        reason,
        ..Hold::default()
    }
}

#[cfg(test)]
mod tests;
