//! Certificates of the server that this node took over: whose they are, and whom they let in.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use rusqlite::{Row, Rows, params};
use vpnmanager_nats::{
    ids::{CommonName, UserKey},
    old_certificates::{OldCertificate, SerialNumber},
};

use super::{
    columns::{from_json, json, micros, parsed, time},
    error::JournalError,
    records::Records,
};

/// Which of them let somebody in, at the moment `?1`. The rules of groups ride on addresses that the old server does not give: whoever is in
/// another group than `default` is not let in there.
const GRANTED: &str = "
    SELECT common_name, user_key, revoked FROM old_certificates JOIN users USING (user_key)
    WHERE present = 1 AND active = 1 AND removed_by IS NULL AND group_name IS NULL
      AND (users.expires_at IS NULL OR users.expires_at > ?1)
      AND (old_certificates.expires_at IS NULL OR old_certificates.expires_at > ?1)";

/// An old certificate that lets its user in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldGrant {
    /// Its common name.
    pub common_name: CommonName,
    /// The user.
    pub user_key: UserKey,
    /// Certificates of the same name that were revoked.
    pub revoked: Vec<SerialNumber>,
}

impl Records<'_> {
    /// Notes the old certificates of a user, and no others. One that another user had is hers from now on.
    pub(super) fn set_old_certificates(
        &self,
        user: UserKey,
        certificates: &[OldCertificate],
    ) -> Result<(), JournalError> {
        self.connection
            .prepare_cached("DELETE FROM old_certificates WHERE user_key = ?1")?
            .execute([user.to_string()])?;
        if certificates.is_empty() {
            return Ok(());
        }
        let upsert = "
            INSERT INTO old_certificates (common_name, user_key, expires_at, revoked) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT (common_name) DO UPDATE SET
                user_key = excluded.user_key, expires_at = excluded.expires_at, revoked = excluded.revoked";
        let mut statement = self.connection.prepare_cached(upsert)?;
        for certificate in certificates {
            statement.execute(params![
                certificate.common_name.as_str(),
                user.to_string(),
                certificate.expires_at.map(micros),
                json(&certificate.revoked, "serial numbers")?,
            ])?;
        }
        Ok(())
    }

    /// The common names of a user's old certificates, also of those that let nobody in.
    pub fn old_names_of(&self, user: UserKey) -> Result<Vec<CommonName>, JournalError> {
        let select = "SELECT common_name FROM old_certificates WHERE user_key = ?1";
        let mut statement = self.connection.prepare_cached(select)?;
        names(statement.query([user.to_string()])?)
    }

    /// Every old certificate that lets somebody in at the moment `now`.
    pub fn old_grants(&self, now: DateTime<Utc>) -> Result<Vec<OldGrant>, JournalError> {
        let mut statement = self.connection.prepare_cached(GRANTED)?;
        let mut rows = statement.query([micros(now)])?;
        let mut grants = Vec::new();
        while let Some(row) = rows.next()? {
            grants.push(grant(row)?);
        }
        Ok(grants)
    }

    /// Those among these names.
    pub fn old_grants_among(
        &self,
        names: &BTreeSet<CommonName>,
        now: DateTime<Utc>,
    ) -> Result<Vec<OldGrant>, JournalError> {
        let mut statement = self
            .connection
            .prepare_cached(&format!("{GRANTED} AND common_name = ?2"))?;
        let mut grants = Vec::new();
        for name in names {
            let mut rows = statement.query(params![micros(now), name.as_str()])?;
            if let Some(row) = rows.next()? {
                grants.push(grant(row)?);
            }
        }
        Ok(grants)
    }

    /// The old certificates whose time is over at the moment `now`.
    pub fn old_certificates_over(&self, now: DateTime<Utc>) -> Result<Vec<CommonName>, JournalError> {
        let select = "SELECT common_name FROM old_certificates WHERE expires_at <= ?1 ORDER BY expires_at";
        let mut statement = self.connection.prepare_cached(select)?;
        names(statement.query([micros(now)])?)
    }

    /// When the time of the next one is over.
    pub fn next_end_of_old_certificates(&self, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, JournalError> {
        let select = "SELECT min(expires_at) FROM old_certificates WHERE expires_at > ?1";
        let next: Option<i64> = self
            .connection
            .prepare_cached(select)?
            .query_row([micros(now)], |row| row.get(0))?;
        next.map(|micros| time(micros, "the end of an old certificate"))
            .transpose()
    }
}

fn names(mut rows: Rows<'_>) -> Result<Vec<CommonName>, JournalError> {
    let mut names = Vec::new();
    while let Some(row) = rows.next()? {
        names.push(parsed(row, "common_name", "a common name")?);
    }
    Ok(names)
}

fn grant(row: &Row<'_>) -> Result<OldGrant, JournalError> {
    Ok(OldGrant {
        common_name: parsed(row, "common_name", "a common name")?,
        user_key: parsed(row, "user_key", "a user key")?,
        revoked: from_json(&row.get::<_, String>("revoked")?, "serial numbers")?,
    })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use rusqlite::Connection;
    use vpnmanager_nats::{
        commands::{Command, PutUser, RemoveUser},
        ids::{IntentId, Revision},
    };

    use super::*;
    use crate::journal::schema::migrate;

    fn journal() -> Connection {
        let mut connection = Connection::open_in_memory().expect("a journal");
        connection.pragma_update(None, "foreign_keys", true).expect("a journal");
        migrate(&mut connection).expect("a journal");
        connection
    }

    fn certificate(name: &str) -> OldCertificate {
        OldCertificate {
            common_name: name.parse().expect("valid"),
            expires_at: None,
            revoked: Vec::new(),
        }
    }

    fn put(user: UserKey, certificates: &[OldCertificate]) -> PutUser {
        let (node, username) = ("n1".parse().expect("valid"), "alice".parse().expect("valid"));
        PutUser {
            old_certificates: certificates.to_vec(),
            ..PutUser::new(node, user, username, Revision(1))
        }
    }

    fn stored(records: &Records<'_>, put: PutUser) {
        records
            .store_command(&Command::PutUser(put), None, Utc::now())
            .expect("a journal");
    }

    fn granted(records: &Records<'_>) -> Vec<String> {
        let grants = records.old_grants(Utc::now()).expect("a journal");
        let mut names: Vec<String> = grants.iter().map(|grant| grant.common_name.to_string()).collect();
        names.sort();
        let all = names.iter().map(|name| name.parse().expect("valid")).collect();
        assert_eq!(
            records.old_grants_among(&all, Utc::now()).expect("a journal").len(),
            names.len()
        );
        names
    }

    #[test]
    fn old_certificates_let_in_exactly_whom_the_journal_lets_in_and_nobody_of_another_group() {
        let connection = journal();
        let records = Records {
            connection: &connection,
        };
        let (user, alice) = (UserKey::new(), [certificate("alice"), certificate("alice-phone")]);
        let an_hour = TimeDelta::hours(1);
        let of = || put(user, &alice);
        let group = |name: &str| Some(name.parse().expect("valid"));
        let both: &[&str] = &["alice", "alice-phone"];
        for (put, expected) in [
            (of(), both),
            (PutUser { active: false, ..of() }, &[]),
            (
                PutUser {
                    expires_at: Some(Utc::now() - an_hour),
                    ..of()
                },
                &[],
            ),
            (
                PutUser {
                    expires_at: Some(Utc::now() + an_hour),
                    ..of()
                },
                both,
            ),
            (
                PutUser {
                    group: group("sales"),
                    ..of()
                },
                &[],
            ),
            (
                PutUser {
                    group: group("default"),
                    ..of()
                },
                both,
            ),
            (put(user, &alice[..1]), &["alice"]),
            (put(user, &[]), &[]),
            (of(), both),
        ] {
            stored(&records, put);
            assert_eq!(granted(&records), expected);
        }
        records.remove_locally(user, IntentId::new()).expect("a journal");
        assert_eq!(granted(&records), [] as [&str; 0]);
        let removed = RemoveUser {
            node: "n1".parse().expect("valid"),
            user_key: user,
            username: "alice".parse().expect("valid"),
            revision: Revision(2),
        };
        records
            .store_command(&Command::RemoveUser(removed), None, Utc::now())
            .expect("a journal");
        assert_eq!(granted(&records), [] as [&str; 0]);
        assert!(records.old_names_of(user).expect("a journal").is_empty());
    }

    #[test]
    fn one_that_goes_to_another_user_is_hers_in_whichever_order_the_commands_come() {
        let connection = journal();
        let records = Records {
            connection: &connection,
        };
        let (one, other) = (UserKey::new(), UserKey::new());
        let shared = [certificate("shared")];
        stored(&records, put(one, &shared));
        stored(&records, put(other, &shared));
        stored(&records, put(one, &[]));
        let grants = records.old_grants(Utc::now()).expect("a journal");
        assert_eq!(grants.iter().map(|grant| grant.user_key).collect::<Vec<_>>(), [other]);
        records.forget_user(other).expect("a journal");
        assert_eq!(granted(&records), [] as [&str; 0]);
    }

    #[test]
    fn each_ends_by_itself_and_its_revoked_ones_are_kept() {
        let connection = journal();
        let records = Records {
            connection: &connection,
        };
        // As the journal keeps times.
        let now = DateTime::from_timestamp_micros(Utc::now().timestamp_micros()).expect("a journal");
        let ends = |name: &str, at| OldCertificate {
            expires_at: Some(at),
            ..certificate(name)
        };
        let (soon, late) = (now + TimeDelta::hours(1), now + TimeDelta::hours(2));
        let revoked: Vec<SerialNumber> = vec!["7".parse().expect("valid"), "258".parse().expect("valid")];
        let third = OldCertificate {
            revoked: revoked.clone(),
            ..certificate("third")
        };
        stored(
            &records,
            put(UserKey::new(), &[ends("first", soon), ends("second", late), third]),
        );

        assert_eq!(
            records.next_end_of_old_certificates(now).expect("a journal"),
            Some(soon)
        );
        assert_eq!(
            records.next_end_of_old_certificates(soon).expect("a journal"),
            Some(late)
        );
        assert_eq!(records.next_end_of_old_certificates(late).expect("a journal"), None);
        let over = |at| -> Vec<String> {
            let names = records.old_certificates_over(at).expect("a journal");
            names.iter().map(ToString::to_string).collect()
        };
        assert_eq!(over(now), [] as [&str; 0]);
        assert_eq!(over(soon), ["first"]);
        assert_eq!(over(late), ["first", "second"]);
        let left: Vec<OldGrant> = records.old_grants(late).expect("a journal");
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].revoked, revoked);
        let names: [CommonName; 2] = ["third", "nobody"].map(|name| name.parse().expect("valid"));
        let memberships = records.old_memberships_of(&names).expect("a journal");
        assert_eq!(memberships.len(), 1);
        assert!(memberships[&names[0]].group.is_default());
    }
}
