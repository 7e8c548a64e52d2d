//! Members of groups, and the fixed addresses of their credentials.

use rusqlite::{Row, params};
use vpnmanager_nats::{groups::GroupName, ids::CommonName};

use super::{columns::parsed, error::JournalError, records::Records};
use crate::groups::Place;

impl Records<'_> {
    /// The credentials of present users who are in another group than `default`, with that group.
    pub fn members(&self) -> Result<Vec<(CommonName, GroupName)>, JournalError> {
        let select = "
            SELECT common_name, group_name FROM users JOIN credentials USING (user_key)
            WHERE group_name IS NOT NULL AND present = 1";
        let mut statement = self.connection.prepare_cached(select)?;
        let mut rows = statement.query([])?;
        let mut members = Vec::new();
        while let Some(row) = rows.next()? {
            members.push((parsed(row, "common_name", "a common name")?, group(row)?));
        }
        Ok(members)
    }

    /// The fixed addresses that were given.
    pub fn places(&self) -> Result<Vec<(CommonName, Place)>, JournalError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT common_name, group_name, host FROM places")?;
        let mut rows = statement.query([])?;
        let mut places = Vec::new();
        while let Some(row) = rows.next()? {
            let place = Place {
                group: group(row)?,
                host: row.get("host")?,
            };
            places.push((parsed(row, "common_name", "a common name")?, place));
        }
        Ok(places)
    }

    /// Notes the fixed address of a credential, which must be listed. Whoever had the address before has it no more.
    pub fn set_place(&self, name: &CommonName, place: &Place) -> Result<(), JournalError> {
        let free = "DELETE FROM places WHERE host = ?2 AND common_name <> ?1";
        self.connection
            .prepare_cached(free)?
            .execute(params![name.as_str(), place.host])?;
        let upsert = "
            INSERT INTO places (common_name, group_name, host) VALUES (?1, ?2, ?3)
            ON CONFLICT (common_name) DO UPDATE SET group_name = excluded.group_name, host = excluded.host";
        self.connection
            .prepare_cached(upsert)?
            .execute(params![name.as_str(), place.group.as_str(), place.host])?;
        Ok(())
    }

    /// The credential has no fixed address any more.
    pub fn free_place(&self, name: &CommonName) -> Result<(), JournalError> {
        self.connection
            .prepare_cached("DELETE FROM places WHERE common_name = ?1")?
            .execute([name.as_str()])?;
        Ok(())
    }
}

fn group(row: &Row<'_>) -> Result<GroupName, JournalError> {
    parsed(row, "group_name", "the name of a group")
}
