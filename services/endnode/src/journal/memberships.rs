//! Which groups users are in, and whose traffic counts, by what management told last.

use std::collections::BTreeMap;

use rusqlite::OptionalExtension as _;
use vpnmanager_nats::{groups::GroupName, ids::CommonName};

use super::{error::JournalError, records::Records};

/// As the index `users_metered` says it.
const IS_ANYBODY_METERED: &str =
    "SELECT EXISTS (SELECT 1 FROM users WHERE present = 1 AND json_extract(command, '$.metered') = 1)";

/// What management told of the user of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The group of the user.
    pub group: GroupName,
    /// Whether its traffic counts against a quota of its own.
    pub is_metered: bool,
}

impl Records<'_> {
    /// Whether the traffic of any user whom the node holds counts against a quota of its own.
    pub fn is_anybody_metered(&self) -> Result<bool, JournalError> {
        let mut statement = self.connection.prepare_cached(IS_ANYBODY_METERED)?;
        Ok(statement.query_row([], |row| row.get(0))?)
    }

    /// The memberships of the users of these credentials. A credential of nobody whom the node holds is left out.
    pub fn memberships_of(&self, names: &[CommonName]) -> Result<BTreeMap<CommonName, Membership>, JournalError> {
        self.memberships_in("credentials", names)
    }

    /// The memberships of the users of these old certificates, which may have the names of credentials.
    pub fn old_memberships_of(&self, names: &[CommonName]) -> Result<BTreeMap<CommonName, Membership>, JournalError> {
        self.memberships_in("old_certificates", names)
    }

    /// By the common names of this table.
    fn memberships_in(
        &self,
        table: &str,
        names: &[CommonName],
    ) -> Result<BTreeMap<CommonName, Membership>, JournalError> {
        // A command of before own quotas says nothing of them.
        let select = format!(
            "SELECT json_extract(users.command, '$.group'), coalesce(json_extract(users.command, '$.metered'), 0)
             FROM {table} JOIN users USING (user_key)
             WHERE common_name = ?1 AND present = 1"
        );
        let mut statement = self.connection.prepare_cached(&select)?;
        let mut memberships = BTreeMap::new();
        for name in names {
            let found: Option<(Option<String>, bool)> = statement
                .query_row([name.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let Some((group, is_metered)) = found else { continue };
            memberships.insert(name.clone(), membership(group, is_metered)?);
        }
        Ok(memberships)
    }
}

/// As the command of a user says it.
fn membership(group: Option<String>, is_metered: bool) -> Result<Membership, JournalError> {
    let group = match group {
        Some(text) => text
            .parse::<GroupName>()
            .map_err(|_unreadable| JournalError::Value { what: "a group" })?,
        None => GroupName::default(),
    };
    Ok(Membership { group, is_metered })
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::journal::schema::migrate;

    #[test]
    fn whether_anybody_is_metered_is_found_by_an_index() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        let explain = format!("EXPLAIN QUERY PLAN {IS_ANYBODY_METERED}");
        let mut statement = connection.prepare(&explain).unwrap();
        let steps = statement.query_map([], |row| row.get::<_, String>("detail")).unwrap();
        let steps: Vec<String> = steps.map(Result::unwrap).collect();
        assert!(
            steps
                .iter()
                .any(|step| step.starts_with("SEARCH users USING INDEX users_metered")),
            "{steps:?}"
        );
    }
}
