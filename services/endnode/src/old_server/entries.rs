//! Whose entries the old listener has.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::Path,
};

use vpnmanager_nats::ids::{CommonName, UserKey};

/// Before the key of the user, in the first line of an entry: a comment for OpenVPN.
const OWNER: &str = "# user ";

/// The common names that are let in, by their users. What the entries say of it outlives the journal.
#[derive(Debug, Default)]
pub(super) struct Entries {
    owners: HashMap<CommonName, UserKey>,
    of_users: HashMap<UserKey, BTreeSet<CommonName>>,
}

impl Entries {
    /// What the entries of this folder say.
    pub(super) fn found(dir: &Path, names: impl IntoIterator<Item = CommonName>) -> Self {
        let mut entries = Self::default();
        for name in names {
            if let Some(user) = owner_in(&dir.join(name.as_str())) {
                entries.set(name, user);
            }
        }
        entries
    }

    /// The name is let in for this user from now on.
    pub(super) fn set(&mut self, name: CommonName, user: UserKey) {
        self.remove(&name);
        self.of_users.entry(user).or_default().insert(name.clone());
        self.owners.insert(name, user);
    }

    /// The name is not let in any more.
    pub(super) fn remove(&mut self, name: &CommonName) {
        let Some(user) = self.owners.remove(name) else { return };
        if let Some(names) = self.of_users.get_mut(&user) {
            names.remove(name);
            if names.is_empty() {
                self.of_users.remove(&user);
            }
        }
    }

    /// Whether the name is let in.
    pub(super) fn has(&self, name: &CommonName) -> bool {
        self.owners.contains_key(name)
    }

    /// Whether nobody is let in.
    pub(super) fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }

    /// The names that are let in for these users.
    pub(super) fn of(&self, users: &[UserKey]) -> BTreeSet<CommonName> {
        let names = users.iter().filter_map(|user| self.of_users.get(user));
        names.flatten().cloned().collect()
    }
}

/// What an entry says: whose it is, and the lines of the old server for it.
pub(super) fn entry(user: UserKey, lines: &str) -> String {
    format!("{OWNER}{user}\n{lines}")
}

fn owner_in(path: &Path) -> Option<UserKey> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().next()?.strip_prefix(OWNER)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> CommonName {
        text.parse().expect("a name")
    }

    #[test]
    fn whose_an_entry_is_stands_in_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let (alice, bob) = (UserKey::new(), UserKey::new());
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("written");
        write("alice", &entry(alice, "iroute 10.1.0.0 255.255.0.0\n"));
        write("alice-phone", &entry(alice, ""));
        write("bob", &entry(bob, ""));
        write("odd", "iroute 10.1.0.0 255.255.0.0\n");
        let all = ["alice", "alice-phone", "bob", "odd", "gone"].map(name);

        let mut entries = Entries::found(dir.path(), all);

        let of_alice = BTreeSet::from(["alice", "alice-phone"].map(name));
        assert_eq!(entries.of(&[alice]), of_alice);
        assert_eq!(entries.of(&[alice, bob]).len(), 3);
        assert!(!entries.has(&name("odd")));
        // It is another user's from now on.
        entries.set(name("alice"), bob);
        assert_eq!(entries.of(&[alice]), BTreeSet::from([name("alice-phone")]));
        entries.remove(&name("alice"));
        assert_eq!(entries.of(&[bob]), BTreeSet::from([name("bob")]));
        assert!(!entries.has(&name("alice")));
    }
}
