//! What was decided for the users of a source, and what is to be done for it.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use vpnmanager_adopt::found::{Found, Place};
use vpnmanager_nats::{
    ids::{CommonName, NodeId},
    username::Username,
};

use super::{
    certificates::NewCertificate,
    names::{renamed, replaced},
    outcome::Outcome,
};

/// What is decided for one user of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Where the user stands.
    pub place: Place,
    /// The name there.
    pub name: String,
    /// The name of the user in the fleet; `None`: there is none.
    pub username: Option<Username>,
    /// What becomes of it.
    pub outcome: Outcome,
    /// Why, and what else people should know.
    pub reasons: Vec<String>,
    /// What is to be done.
    pub work: Work,
}

/// What is to be done for one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Nothing.
    None,
    /// The user is created.
    Create(Box<Newcomer>),
    /// Certificates of a user who is there are added, changed or revoked.
    Amend(Amendment),
}

/// A user to create, with the node as home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newcomer {
    /// The name.
    pub username: Username,
    /// `false`: suspended.
    pub active: bool,
    /// When access ends; `None`: as the group says.
    pub expires_at: Option<DateTime<Utc>>,
    /// When the old server created the user.
    pub created_at: Option<DateTime<Utc>>,
    /// When the old server last saw the user.
    pub last_access: Option<DateTime<Utc>>,
    /// The certificates that the node accepts.
    pub certificates: Vec<NewCertificate>,
}

/// Certificates of a user who is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amendment {
    /// The id of the user's row.
    pub user: i64,
    /// Those that are new.
    pub add: Vec<NewCertificate>,
    /// Rows of which the source says something else now.
    pub change: Vec<(i64, NewCertificate)>,
    /// Rows that the source revoked, with their common names.
    pub revoke: Vec<(i64, CommonName)>,
}

/// The names of a source that the database is to be asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Names of users, as they may become.
    pub usernames: HashSet<Username>,
    /// Common names.
    pub common_names: HashSet<CommonName>,
}

impl Names {
    /// The names of a source.
    pub fn of(found: &Found, node: &NodeId) -> Self {
        let mut names = Self::default();
        for user in &found.users {
            let plain = user.name.parse().ok().or_else(|| replaced(&user.name));
            if let Some(username) = plain {
                names.usernames.extend(renamed(&username, node));
                names.usernames.insert(username);
            }
            let common_names = user.certificates.iter();
            let common_names = common_names.filter_map(|certificate| certificate.common_name.parse().ok());
            names.common_names.extend(common_names);
        }
        names
    }
}

impl Planned {
    /// Makes a conflict of it: what it was planned for is no longer so, because somebody did this.
    pub fn lose(&mut self, what: &str) {
        self.outcome = Outcome::Conflict;
        self.username = None;
        self.work = Work::None;
        self.reasons
            .push(format!("{what} at the same moment: import the source again"));
    }
}

impl Amendment {
    /// Whether it is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.add.is_empty() && self.change.is_empty() && self.revoke.is_empty()
    }

    /// Nothing, for this user.
    pub(super) fn of(user: i64) -> Self {
        Self {
            user,
            add: Vec::new(),
            change: Vec::new(),
            revoke: Vec::new(),
        }
    }
}
