//! The account that OpenVPN drops its privileges to.

use std::{fmt, fs, io, path::PathBuf, process::Command, str::FromStr};

/// A name of a user or group that is safe in a configuration line: a letter or `_`, then letters, digits, `_`, `-`, `.`; at most 32.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountName(String);

impl AccountName {
    /// The bare name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AccountName {
    type Err = AccountError;

    fn from_str(text: &str) -> Result<Self, AccountError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        let first_fits = text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
        if first_fits && text.len() <= 32 && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(AccountError::Name { text: text.to_owned() })
        }
    }
}

/// A user and a group of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    name: AccountName,
    group: AccountName,
    uid: u32,
    gid: u32,
}

/// An account that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Not the form of an account's name.
    #[error("{text:?} is no account name: a letter or '_', then letters, digits, '_', '-' or '.'; at most 32")]
    Name {
        /// What was given.
        text: String,
    },
    /// This machine does not know it.
    #[error("this machine has no {database} entry {name}")]
    Unknown {
        /// `passwd` or `group`.
        database: &'static str,
        /// What was looked up.
        name: String,
    },
    /// The account database could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Account {
    /// Looks a user and a group up.
    pub fn look_up(user: &str, group: &str) -> Result<Self, AccountError> {
        let (name, group): (AccountName, AccountName) = (user.parse()?, group.parse()?);
        let (uid, gid) = (id_of("passwd", name.as_str())?, id_of("group", group.as_str())?);
        Ok(Self { name, group, uid, gid })
    }

    /// Name of the user.
    pub fn name(&self) -> &AccountName {
        &self.name
    }

    /// Name of the group.
    pub fn group(&self) -> &AccountName {
        &self.group
    }

    /// Number of the user.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Number of the group.
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// Whether the account may search a folder with this owner and mode. ACLs are not looked at.
    pub fn may_search(&self, owner: u32, group: u32, mode: u32) -> bool {
        let bit = match self.class(owner, group) {
            _ if self.uid == 0 => return true,
            'u' => 0o100,
            'g' => 0o010,
            _ => 0o001,
        };
        mode & bit != 0
    }

    /// Whose permissions of a folder with this owner count for the account: a class of chmod(1).
    pub fn class(&self, owner: u32, group: u32) -> char {
        match () {
            () if self.uid == owner => 'u',
            () if self.gid == group => 'g',
            () => 'o',
        }
    }
}

/// Name of the user that this process runs as, for `management-client-user`.
pub fn own_user() -> Result<AccountName, AccountError> {
    let uid = rustix::process::geteuid().as_raw().to_string();
    let entry = entry_of("passwd", &uid, |fields| fields.get(2) == Some(&uid.as_str()))?;
    entry.split(':').next().unwrap_or_default().parse()
}

/// Number of a user, or of a group, of this machine.
pub(crate) fn number_of(database: Database, name: &str) -> Result<u32, AccountError> {
    let name: AccountName = name.parse()?;
    match database {
        Database::Users => id_of("passwd", name.as_str()),
        Database::Groups => id_of("group", name.as_str()),
    }
}

/// Where accounts are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Database {
    Users,
    Groups,
}

/// The third field of a `passwd` or `group` line is its number.
fn id_of(database: &'static str, name: &str) -> Result<u32, AccountError> {
    let unknown = || AccountError::Unknown {
        database,
        name: name.to_owned(),
    };
    let entry = entry_of(database, name, |fields| fields.first() == Some(&name))?;
    entry
        .split(':')
        .nth(2)
        .and_then(|id| id.parse().ok())
        .ok_or_else(unknown)
}

/// The line of one entry: from the file, or from `getent` for accounts that live in a directory service.
fn entry_of(database: &'static str, key: &str, matches: impl Fn(&[&str]) -> bool) -> Result<String, AccountError> {
    let path = PathBuf::from("/etc").join(database);
    let text = fs::read_to_string(&path).map_err(|source| AccountError::Read { path, source })?;
    let is_it = |line: &&str| matches(&line.split(':').collect::<Vec<_>>());
    if let Some(line) = text.lines().find(is_it) {
        return Ok(line.to_owned());
    }
    let found = Command::new("getent")
        .env_clear()
        .args([database, key])
        .output()
        .ok()
        .filter(|output| output.status.success());
    let line = found
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .unwrap_or_default();
    match line.lines().find(is_it) {
        Some(line) => Ok(line.to_owned()),
        None => Err(AccountError::Unknown {
            database,
            name: key.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_smuggle_a_second_directive() {
        for bad in ["", "a b", "a\nscript-security 2", "-x", "é", &"a".repeat(33)] {
            assert!(bad.parse::<AccountName>().is_err(), "{bad:?} was accepted");
        }
        assert_eq!("nobody".parse::<AccountName>().expect("valid").as_str(), "nobody");
    }

    #[test]
    fn the_most_specific_bit_decides_who_may_search() {
        let account = |uid| Account {
            name: AccountName("a".into()),
            group: AccountName("b".into()),
            uid,
            gid: 7,
        };
        assert!(account(0).may_search(5, 5, 0o000));
        assert!(account(5).may_search(5, 7, 0o700));
        assert!(!account(5).may_search(5, 7, 0o011));
        assert!(account(6).may_search(5, 7, 0o750));
        assert!(!account(6).may_search(5, 8, 0o750));
        assert!(account(6).may_search(5, 8, 0o711));
    }
}
