//! What follows from the journal: the allow-list with its cuts, and the profile files.

use std::{
    collections::{BTreeSet, HashSet},
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use tracing::warn;
use vpnmanager_nats::ids::CommonName;
use vpnmanager_profile::profile::Profile;
use vpnmanager_runtime::error_chain::chain;

use super::old_change::{OldChange, end_old};
use crate::{
    backend::{BackendError, CutSessions, Parting, VpnBackend as _},
    groups::Holding,
    journal::{Journal, JournalError, StoredProfile},
    plan::Access,
    profile_file::{profile_path, store},
    vpn::Vpn,
};

/// How long who lets in the first member of a group waits for the firewall to hold her. Loading its rules takes a part of that; who is let in
/// later logs in later.
const RULES_WITHIN: Duration = Duration::from_secs(1);

/// What the journal is projected on.
#[derive(Debug, Clone)]
pub struct Projected {
    /// The server, whose allow-list and sessions follow from it.
    pub vpn: Vpn,
    /// How members of groups are held to their rules.
    pub holding: Holding,
    /// The folder of `.ovpn` files.
    pub profiles: PathBuf,
}

/// A projection could not be made equal to the journal. The next reconciliation tries again.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// A credential could not be refused or let in.
    #[error("changing who is let in failed")]
    Access(#[from] BackendError),
    /// The folder of profiles cannot be read.
    #[error("reading the folder of profiles {} failed", path.display())]
    List {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A profile could not be written.
    #[error("storing a profile failed")]
    Profile(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The journal could not be read.
    #[error("reading the journal failed")]
    Journal(#[from] JournalError),
}

/// Whether this node lets anybody in, whatever the journal says of its users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// Whom the journal lets in.
    Open,
    /// Nobody: management said that this node must not serve.
    Closed,
}

/// Several changes of access as one; the later one wins.
#[derive(Debug, Default)]
pub(super) struct Merged {
    allow: BTreeSet<CommonName>,
    deny: BTreeSet<CommonName>,
    /// Those that have another address from now on.
    moved: BTreeSet<CommonName>,
    /// Who is let in at the old listener.
    old: OldChange,
}

impl From<OldChange> for Merged {
    fn from(old: OldChange) -> Self {
        Self { old, ..Self::default() }
    }
}

impl From<Access> for Merged {
    fn from(access: Access) -> Self {
        let mut merged = Self::default();
        merged.add(access);
        merged
    }
}

impl Merged {
    pub(super) fn add(&mut self, access: Access) {
        for name in access.deny {
            self.allow.remove(&name);
            self.deny.insert(name);
        }
        for name in access.allow {
            self.deny.remove(&name);
            self.allow.insert(name);
        }
    }

    /// With a change of who is let in at the old listener.
    pub(super) fn add_old(&mut self, change: OldChange) {
        self.old.add(change);
    }

    /// These have another address from now on.
    pub(super) fn moves(&mut self, names: Vec<CommonName>) {
        self.moved.extend(names);
    }

    /// Lets in none of these, and nobody whose group cannot be held.
    pub(super) fn refuse(&mut self, names: &HashSet<CommonName>, holding: &Holding) {
        self.allow.retain(|name| !names.contains(name));
        holding.refuse(&mut self.allow);
    }

    /// Refuses first, lets in second, unless the door is closed. Nothing of it waits for the server.
    pub(super) async fn project(self, vpn: &Vpn, holding: &Holding, door: Door) -> Ending {
        let names: Vec<CommonName> = self.deny.into_iter().collect();
        let mut projected = vpn.deny(&names).await;
        let (old_names, refused) = self.old.refuse(vpn).await;
        projected = projected.and(refused);
        let (mut moved, mut held_back) = (Vec::new(), BTreeSet::new());
        if door == Door::Open {
            projected = projected.and(self.old.let_in(vpn).await);
            moved.extend(self.moved.intersection(&self.allow).cloned());
            let allow: Vec<CommonName> = self.allow.into_iter().collect();
            holding.await_rules_for(&allow, RULES_WITHIN).await;
            match vpn.allow(&allow).await {
                Ok(waiting) => held_back.extend(waiting),
                Err(error) => {
                    projected = projected.and(Err(error));
                    // Any of them may be refused here.
                    held_back.extend(allow);
                }
            }
        }
        Ending {
            names,
            old_names,
            moved,
            held_back,
            projected: projected.map_err(ProjectError::from),
        }
    }
}

/// Credentials whose sessions must end. The server may be slow to do that, or away, and nobody else should wait for it.
#[derive(Debug)]
#[must_use]
pub(super) struct Ending {
    names: Vec<CommonName>,
    /// Those at the old listener.
    old_names: Vec<CommonName>,
    /// Those whose clients are to log in again, and get their new address.
    moved: Vec<CommonName>,
    /// Those that are not let in yet: a client that came back here would be refused, and give up.
    held_back: BTreeSet<CommonName>,
    projected: Result<(), ProjectError>,
}

impl Ending {
    /// For a change that only lets in: no session is to end.
    pub(super) fn projected(self) -> Result<(), ProjectError> {
        self.projected
    }

    /// The credentials that are let in, but not yet.
    pub(super) fn held_back(&self) -> &BTreeSet<CommonName> {
        &self.held_back
    }

    /// Ends the sessions; also of a credential that could not be refused. Returns how many of those that were refused ended.
    pub(super) async fn carry_out(self, vpn: &Vpn) -> Result<CutSessions, ProjectError> {
        let is_held_back = |name: &CommonName| self.held_back.contains(name);
        let (away, back): (Vec<_>, Vec<_>) = self.moved.into_iter().partition(is_held_back);
        // An OpenVPN that hangs keeps nobody from being cut on the other one.
        let (cut, old) = tokio::join!(
            vpn.disconnect(&self.names, Parting::Halt),
            end_old(vpn, &self.old_names)
        );
        // Where the server cannot be asked, the next look at its sessions finds them.
        let moved = vpn.disconnect(&back, Parting::Reconnect).await;
        let sent_away = vpn.disconnect(&away, Parting::NextRemote).await;
        self.projected?;
        moved?;
        sent_away?;
        Ok(cut?.and(old?))
    }
}

/// Removes the profiles of credentials that no longer exist. What cannot be removed is removed at the next start.
pub(super) fn remove_profiles(dir: &Path, names: &[CommonName]) {
    for name in names {
        match fs::remove_file(profile_path(dir, name)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => warn!(credential.common_name = %name, error = %error, "A profile could not be removed"),
        }
    }
}

/// Makes the folder of profiles equal to the journal, as far as the disk has room. For the start: it reads every profile once.
pub(super) async fn rebuild_profiles(journal: &Journal, dir: &Path) -> Result<(), ProjectError> {
    const PAGE: u32 = 200;
    let mut known = BTreeSet::new();
    let mut after = String::new();
    loop {
        let from = after.clone();
        let page = journal.read(move |records| records.profiles_after(&from, PAGE)).await?;
        let Some(last) = page.last() else { break };
        after = last.common_name.to_string();
        for profile in page {
            // The journal has it: a full disk must not keep the node from starting.
            if let Err(error) = restore(dir, &profile) {
                warn!(
                    credential.common_name = %profile.common_name,
                    error = %chain(&error),
                    "A profile's file could not be written"
                );
            }
            known.insert(profile_path(dir, &profile.common_name));
        }
    }
    let removed = if known.is_empty() {
        set_aside(dir)
    } else {
        remove_all_but(dir, &known)
    };
    removed.map_err(|source| ProjectError::List {
        path: dir.to_owned(),
        source,
    })
}

/// Empties the folder at once: its files are moved away together, and deleted beside the start, which they would delay. A journal that was
/// lost leaves a file for each user. What an earlier run had no time to delete is deleted too.
fn set_aside(dir: &Path) -> io::Result<()> {
    let aside = dir.with_extension("unknown");
    if fs::read_dir(dir)?.next().is_some() && !aside.exists() {
        fs::rename(dir, &aside)?;
        DirBuilder::new().mode(0o700).create(dir)?;
    } else {
        remove_all_but(dir, &BTreeSet::new())?;
    }
    if aside.exists() {
        // Nobody waits for it: it ends with the process, and the next start goes on.
        thread::Builder::new()
            .name("old-profiles".to_owned())
            .spawn(move || match fs::remove_dir_all(&aside) {
                Ok(()) => {}
                Err(error) => warn!(error = %error, "Old profiles could not be removed; the next start tries again"),
            })?;
    }
    Ok(())
}

fn restore(dir: &Path, profile: &StoredProfile) -> Result<(), ProjectError> {
    let text = Profile::from(profile.text.clone());
    let present = fs::read(profile_path(dir, &profile.common_name));
    if present.is_ok_and(|present| present == text.expose().as_bytes()) {
        return Ok(());
    }
    store(&text, dir, &profile.common_name).map_err(|error| ProjectError::Profile(Box::new(error)))?;
    Ok(())
}

fn remove_all_but(dir: &Path, known: &BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if !known.contains(&path) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}
