//! What a node holds of each user, as it tells it when management asks ([`NodeRequest::Users`](crate::node_requests::NodeRequest::Users)).

use std::ops::Not;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    bounded::List,
    commands::Command,
    ids::{CommonName, Revision, UserKey},
    old_certificates::OldCertificate,
    times,
    username::Username,
};

/// The most users in one answer.
pub const USERS_PAGE: usize = 200;
/// The most credentials of a user that are told: eight times as many as a user has devices, because those of former homes stay valid.
const CREDENTIALS: usize = 128;
/// The most certificates of old servers of a user that are told. Nearly everybody has one.
const OLD_CERTIFICATES: usize = 64;
/// The most serial numbers of a user that are told, of all these certificates together.
const SERIAL_NUMBERS: usize = 128;
/// Bytes of the users in one answer, but for the last one of them, to stay below the bound of [`crate::payload`].
const PAGE_BYTES: usize = 24 << 10;

/// What a node holds of one user: the newest command that it has applied, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldUser {
    /// The user.
    pub user_key: UserKey,
    /// The name of the user.
    pub username: Username,
    /// The revision of the command.
    pub revision: Revision,
    /// Who is let in; absent: the command was to remove the user from this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<HeldAccess>,
}

/// Who is let in of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldAccess {
    /// `false`: suspended, or over the quota.
    pub active: bool,
    /// When access ends.
    #[serde(
        default,
        deserialize_with = "times::bounded_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub expires_at: Option<DateTime<Utc>>,
    /// The credentials that are accepted until then while the user is active.
    #[serde(with = "List::<CREDENTIALS>")]
    pub credentials: Vec<CommonName>,
    /// The certificates of the server that this node took over which it accepts, under the same conditions.
    #[serde(default, with = "List::<OLD_CERTIFICATES>", skip_serializing_if = "Vec::is_empty")]
    pub old_certificates: Vec<OldCertificate>,
    /// Whether there was no room for all credentials, certificates or serial numbers: one that is missing may be accepted, or refused, all the same.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub cut: bool,
}

impl HeldAccess {
    /// Leaves out what there is no room for, and says so.
    fn within_bounds(mut self) -> Self {
        self.cut |= self.credentials.len() > CREDENTIALS || self.old_certificates.len() > OLD_CERTIFICATES;
        self.credentials.truncate(CREDENTIALS);
        self.old_certificates.truncate(OLD_CERTIFICATES);
        let mut room = SERIAL_NUMBERS;
        for old in &mut self.old_certificates {
            self.cut |= old.revoked.len() > room;
            old.revoked.truncate(room);
            room -= old.revoked.len();
        }
        self
    }
}

impl From<&Command> for HeldUser {
    fn from(command: &Command) -> Self {
        let access = match command {
            Command::PutUser(put) => Some(HeldAccess {
                active: put.active,
                expires_at: put.expires_at,
                credentials: put.credentials.clone(),
                old_certificates: put.old_certificates.clone(),
                cut: false,
            }),
            Command::RemoveUser(_) => None,
        };
        Self {
            user_key: command.user_key(),
            username: command.username().clone(),
            revision: command.revision(),
            access,
        }
    }
}

/// The first of these users that one answer has room for, each within its bounds, and whether there are more.
pub fn page_of(users: impl IntoIterator<Item = HeldUser>) -> (Vec<HeldUser>, bool) {
    let mut page = Vec::new();
    let mut bytes = 0;
    for mut user in users {
        if page.len() == USERS_PAGE || bytes >= PAGE_BYTES {
            return (page, true);
        }
        user.access = user.access.map(HeldAccess::within_bounds);
        // It always is JSON. If it were not, the answer as a whole would not be sent.
        bytes += serde_json::to_vec(&user).map_or(0, |json| json.len());
        page.push(user);
    }
    (page, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::{PutUser, RemoveUser};

    fn user(credentials: usize) -> HeldUser {
        let username: Username = "alice".parse().expect("a username");
        HeldUser {
            user_key: UserKey::new(),
            username: username.clone(),
            revision: Revision(7),
            access: Some(HeldAccess {
                active: true,
                expires_at: None,
                credentials: (0..credentials).map(|_| CommonName::for_user(&username)).collect(),
                old_certificates: Vec::new(),
                cut: false,
            }),
        }
    }

    fn old(name: &str, revoked: usize) -> OldCertificate {
        OldCertificate {
            common_name: name.parse().expect("a common name"),
            expires_at: None,
            revoked: (0..revoked)
                .map(|serial| serial.to_string().parse().expect("a serial number"))
                .collect(),
        }
    }

    #[test]
    fn a_page_ends_where_the_answer_is_full() {
        let users: Vec<HeldUser> = (0..USERS_PAGE + 1).map(|_| user(1)).collect();
        let (page, more) = page_of(users.clone());
        assert!(
            more && page == users[..page.len()] && page.len() > 100,
            "{}",
            page.len()
        );
        let (rest, more) = page_of(users[page.len()..].to_vec());
        assert_eq!((page.len() + rest.len(), more), (users.len(), false));

        let (page, more) = page_of((0..100).map(|_| user(CREDENTIALS)));
        assert!(more && !page.is_empty() && page.len() < 30, "{}", page.len());
    }

    #[test]
    fn a_command_is_told_in_short() {
        let (node, key) = ("node-1".parse().expect("a node"), UserKey::new());
        let username: Username = "alice".parse().expect("a username");
        let mut put = PutUser::new(node, key, username.clone(), Revision(3));
        put.active = false;
        put.credentials = vec![CommonName::for_user(&username)];
        put.old_certificates = vec![old("alice", 1)];
        let remove = RemoveUser {
            node: put.node.clone(),
            user_key: key,
            username,
            revision: Revision(4),
        };
        let held = HeldUser::from(&Command::PutUser(put.clone()));
        let access = held.access.expect("access");
        assert_eq!((held.revision, access.active), (Revision(3), false));
        assert_eq!(access.credentials, put.credentials);
        assert_eq!(access.old_certificates, put.old_certificates);
        assert_eq!(HeldUser::from(&Command::RemoveUser(remove)).access, None);
    }

    /// Whoever reads it must not take for revoked what only found no room.
    #[test]
    fn what_has_no_room_is_left_out_and_the_answer_says_so() {
        let cut = |change: &dyn Fn(&mut HeldAccess)| {
            let mut user = user(1);
            change(user.access.as_mut().expect("access"));
            let (page, _) = page_of([user]);
            page[0].access.clone().expect("access")
        };
        let names = |count: usize| {
            (0..count).map(|number| format!("alice.{number}").parse::<CommonName>().expect("a common name"))
        };
        assert!(!cut(&|access| access.credentials = names(CREDENTIALS).collect()).cut);
        let told = cut(&|access| access.credentials = names(CREDENTIALS + 1).collect());
        assert_eq!((told.cut, told.credentials.len()), (true, CREDENTIALS));
        let told = cut(&|access| access.old_certificates = vec![old("alice", 0); OLD_CERTIFICATES + 1]);
        assert_eq!((told.cut, told.old_certificates.len()), (true, OLD_CERTIFICATES));
        assert!(!cut(&|access| access.old_certificates = vec![old("alice", SERIAL_NUMBERS)]).cut);
        let told = cut(&|access| access.old_certificates = vec![old("alice", SERIAL_NUMBERS), old("bob", 1)]);
        assert_eq!((told.cut, told.old_certificates[1].revoked.len()), (true, 0));
    }
}
