//! Which groups users are in, by what management told last.

use std::collections::BTreeMap;

use rusqlite::OptionalExtension as _;
use vpnmanager_nats::{groups::GroupName, ids::CommonName};

use super::{error::JournalError, records::Records};

impl Records<'_> {
    /// The groups of the users of these credentials. A credential of nobody whom the node holds is left out.
    pub fn groups_of(&self, names: &[CommonName]) -> Result<BTreeMap<CommonName, GroupName>, JournalError> {
        let select = "
            SELECT json_extract(users.command, '$.group') FROM credentials JOIN users USING (user_key)
            WHERE common_name = ?1 AND present = 1";
        let mut statement = self.connection.prepare_cached(select)?;
        let mut groups = BTreeMap::new();
        for name in names {
            let found: Option<Option<String>> = statement.query_row([name.as_str()], |row| row.get(0)).optional()?;
            let group = match found {
                Some(Some(text)) => text
                    .parse::<GroupName>()
                    .map_err(|_unreadable| JournalError::Value { what: "a group" })?,
                Some(None) => GroupName::default(),
                None => continue,
            };
            groups.insert(name.clone(), group);
        }
        Ok(groups)
    }
}
