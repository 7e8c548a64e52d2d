//! Which groups users are in, and whose traffic counts, by what management told last.

use std::collections::BTreeMap;

use rusqlite::OptionalExtension as _;
use vpnmanager_nats::{groups::GroupName, ids::CommonName};

use super::{error::JournalError, records::Records};

/// What management told of the user of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The group of the user.
    pub group: GroupName,
    /// Whether its traffic counts against a quota of its own.
    pub is_metered: bool,
}

impl Records<'_> {
    /// The memberships of the users of these credentials. A credential of nobody whom the node holds is left out.
    pub fn memberships_of(&self, names: &[CommonName]) -> Result<BTreeMap<CommonName, Membership>, JournalError> {
        // A command of before own quotas says nothing of them.
        let select = "
            SELECT json_extract(users.command, '$.group'), coalesce(json_extract(users.command, '$.metered'), 0)
            FROM credentials JOIN users USING (user_key)
            WHERE common_name = ?1 AND present = 1";
        let mut statement = self.connection.prepare_cached(select)?;
        let mut memberships = BTreeMap::new();
        for name in names {
            let found: Option<(Option<String>, bool)> = statement
                .query_row([name.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let Some((group, is_metered)) = found else { continue };
            let group = match group {
                Some(text) => text
                    .parse::<GroupName>()
                    .map_err(|_unreadable| JournalError::Value { what: "a group" })?,
                None => GroupName::default(),
            };
            memberships.insert(name.clone(), Membership { group, is_metered });
        }
        Ok(memberships)
    }
}
