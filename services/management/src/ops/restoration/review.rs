//! The comparison of file and fleet, for people.

use chrono::{DateTime, Utc};
use serde::Serialize;
use vpnmanager_nats::{
    ids::{CommonName, NodeId},
    old_certificates::SerialNumber,
    username::Username,
};

use super::{
    assess::{Assessment, Judged},
    look::Found,
    mark::Undecided,
};
use crate::domain::restoration::{
    Fate,
    newer::{EndedOld, Newer},
    sightings::Stranger,
};

/// What people are told. Its Display is for a terminal; as JSON it has all names.
#[derive(Debug, Serialize)]
pub struct Review {
    /// When the backup was made.
    pub made_at: DateTime<Utc>,
    /// The file.
    pub source: String,
    /// Users of the file.
    pub users: usize,
    /// Users of whom the fleet knows a newer state that takes nothing from them.
    pub newer: Vec<Username>,
    /// Users whose access ended since, or ends earlier.
    pub ended: Vec<EndedUser>,
    /// Users who were given more access since. It is not given again: do that by hand.
    pub given: Vec<Username>,
    /// Users who were removed since.
    pub removed: Vec<Username>,
    /// Users of whom nobody knows whether they were removed: they are suspended.
    pub perhaps_removed: Vec<Username>,
    /// Users who are not on their servers any more, and on another one by its word alone: they are suspended, unless that is believed.
    pub moved: Vec<OnServer>,
    /// Profiles that were made since. They stop working: give the devices new ones.
    pub new_profiles: Vec<NewProfiles>,
    /// Certificates of old servers that were imported since. They stop working: import the old server again.
    pub new_old_certificates: Vec<OldName>,
    /// Users who hold more than an answer of a server has room for. What of it was revoked since is not known, and works again.
    pub told_in_part: Vec<Username>,
    /// Users whom a server says that it holds, although neither the backup nor the bus gives it them. It is not believed.
    pub disbelieved: Vec<OnServer>,
    /// Users whom the file does not know. They cannot be made again from what the fleet holds, and lose access: create them anew.
    pub unknown_users: Vec<UnknownUser>,
    /// Servers that the file does not know. They enrolled since, and must be enrolled again.
    pub unknown_servers: Vec<NodeId>,
    /// Servers of the backup of which the bus has no command any more. They were deregistered since, or lost all users.
    pub vanished_servers: Vec<NodeId>,
    /// Servers that told nothing, or not all, and why.
    pub silent_servers: Vec<SilentServer>,
    /// Whether the bus still has what it had when the backup was made: then silent servers hide nothing.
    pub bus_is_the_same: bool,
    /// Commands in the bus that could not be read.
    pub unreadable_commands: usize,
    /// The API keys that are valid as the backup says. Which were deleted since, the fleet does not know.
    pub api_keys: Vec<String>,
}

/// A user whose access ended since, or ends earlier.
#[derive(Debug, Serialize)]
pub struct EndedUser {
    /// The name.
    pub username: Username,
    /// Suspended, or over the quota.
    pub suspended: bool,
    /// Access ends at this time, which is earlier than the file says.
    pub expires_at: Option<DateTime<Utc>>,
    /// Credentials that were revoked.
    pub revoked: Vec<CommonName>,
    /// Certificates of old servers that ended.
    pub old_certificates: Vec<EndedOldCertificate>,
}

/// A certificate of an old server of which less is accepted.
#[derive(Debug, Serialize)]
pub struct EndedOldCertificate {
    /// The server that accepted it.
    pub server_id: NodeId,
    /// Its common name.
    pub common_name: CommonName,
    /// Revoked.
    pub revoked: bool,
    /// It ends at this time, which is earlier than the file says.
    pub expires_at: Option<DateTime<Utc>>,
    /// Serial numbers of that name that were revoked.
    pub revoked_serials: Vec<SerialNumber>,
}

/// A user, and a server.
#[derive(Debug, Serialize)]
pub struct OnServer {
    /// The name of the user.
    pub username: Username,
    /// The server.
    pub server_id: NodeId,
}

/// A certificate of an old server of a user.
#[derive(Debug, Serialize)]
pub struct OldName {
    /// The name of the user.
    pub username: Username,
    /// The server that accepts it.
    pub server_id: NodeId,
    /// Its common name.
    pub common_name: CommonName,
}

/// Profiles of a user that were made since.
#[derive(Debug, Serialize)]
pub struct NewProfiles {
    /// The name of the user.
    pub username: Username,
    /// The credentials.
    pub credentials: Vec<CommonName>,
}

/// A user whom the file does not know.
#[derive(Debug, Serialize)]
pub struct UnknownUser {
    /// The name.
    pub username: Username,
    /// The credentials.
    pub credentials: Vec<CommonName>,
    /// The servers that hold the user.
    pub servers: Vec<NodeId>,
}

/// A server that told nothing, or not all.
#[derive(Debug, Serialize)]
pub struct SilentServer {
    /// The server.
    pub server_id: NodeId,
    /// Why.
    pub why: &'static str,
}

impl Review {
    /// What to tell of this.
    #[must_use]
    pub fn of(undecided: &Undecided, found: &Found, assessment: &Assessment) -> Self {
        let mut review = Self {
            made_at: undecided.made_at,
            source: undecided.source_file.clone(),
            users: assessment.users,
            newer: Vec::new(),
            ended: Vec::new(),
            given: Vec::new(),
            removed: Vec::new(),
            perhaps_removed: Vec::new(),
            moved: Vec::new(),
            new_profiles: Vec::new(),
            new_old_certificates: Vec::new(),
            told_in_part: Vec::new(),
            disbelieved: assessment.disbelieved.iter().map(on_server).collect(),
            unknown_users: assessment.strangers.iter().map(unknown_user).collect(),
            unknown_servers: found.unknown_nodes.iter().cloned().collect(),
            vanished_servers: found.sightings.vanished(),
            silent_servers: found.sightings.silent.iter().map(silent_server).collect(),
            bus_is_the_same: found.sightings.same_store,
            unreadable_commands: found.unreadable,
            api_keys: assessment.api_keys.clone(),
        };
        for Judged { filed, fate, .. } in &assessment.judged {
            let username = filed.username.clone();
            match fate {
                Fate::Same => {}
                Fate::Newer(newer) => review.add_newer(username, newer),
                Fate::Moved { to, .. } => review.moved.push(on_server(&(username, to.clone()))),
                Fate::Removed { is_certain: true, .. } => review.removed.push(username),
                Fate::Removed { is_certain: false, .. } => review.perhaps_removed.push(username),
            }
        }
        review
    }

    fn add_newer(&mut self, username: Username, newer: &Newer) {
        if !newer.unknown.is_empty() {
            self.new_profiles.push(NewProfiles {
                username: username.clone(),
                credentials: newer.unknown.clone(),
            });
        }
        let old = newer.old_unknown.iter().map(|(node, common_name)| OldName {
            username: username.clone(),
            server_id: node.clone(),
            common_name: common_name.clone(),
        });
        self.new_old_certificates.extend(old);
        if newer.in_part {
            self.told_in_part.push(username.clone());
        }
        if newer.given {
            self.given.push(username.clone());
        }
        if newer.ends_access() {
            self.ended.push(EndedUser {
                username,
                suspended: newer.suspended,
                expires_at: newer.ends,
                revoked: newer.revoked.clone(),
                old_certificates: newer.old_ended.iter().map(ended_old).collect(),
            });
        } else {
            self.newer.push(username);
        }
    }
}

fn unknown_user(stranger: &Stranger) -> UnknownUser {
    UnknownUser {
        username: stranger.username.clone(),
        credentials: stranger.credentials.clone(),
        servers: stranger.nodes.clone(),
    }
}

fn on_server((username, node): &(Username, NodeId)) -> OnServer {
    OnServer {
        username: username.clone(),
        server_id: node.clone(),
    }
}

fn ended_old(ended: &EndedOld) -> EndedOldCertificate {
    EndedOldCertificate {
        server_id: ended.node.clone(),
        common_name: ended.common_name.clone(),
        revoked: ended.revoked,
        expires_at: ended.ends,
        revoked_serials: ended.serials.clone(),
    }
}

fn silent_server((node, &why): (&NodeId, &&'static str)) -> SilentServer {
    SilentServer {
        server_id: node.clone(),
        why,
    }
}
