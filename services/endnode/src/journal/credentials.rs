//! Credentials with the keys, certificates and profiles that were made here.

use std::fmt;

use rusqlite::{OptionalExtension, Row, params};
use secrecy::{ExposeSecret, SecretString};
use vpnmanager_nats::{
    commands::Remote,
    ids::{CommonName, UserKey},
    sign::SignedCertificate,
};

use super::{
    columns::{from_json, json, micros, parsed},
    error::JournalError,
    records::Records,
};
use crate::plan::{HeldCredential, ProfileStage};

/// A key with the request to certify it. `Debug` shows neither.
#[derive(Clone)]
pub struct StoredKey {
    /// PKCS #8, PEM.
    pub key: SecretString,
    /// PKCS #10, PEM.
    pub csr: String,
    /// The certificate, PEM, once management signed it.
    pub certificate: Option<String>,
    /// The tls-crypt-v2 client key, PEM, once it was made.
    pub tls_crypt_v2: Option<SecretString>,
}

/// A profile with what went into it. `Debug` shows none of it.
#[derive(Clone)]
pub struct NewProfile {
    /// The credential.
    pub common_name: CommonName,
    /// The certificate; `None` when it was stored before.
    pub certificate: Option<SignedCertificate>,
    /// The tls-crypt-v2 client key, PEM.
    pub tls_crypt_v2: SecretString,
    /// The nodes that it names.
    pub remotes: Vec<Remote>,
    /// The `.ovpn` text.
    pub text: SecretString,
    /// SHA-256 of it, lower-case hex.
    pub checksum: String,
}

/// A profile as the journal holds it. `Debug` shows none of it.
#[derive(Clone)]
pub struct StoredProfile {
    /// The credential.
    pub common_name: CommonName,
    /// The `.ovpn` text.
    pub text: SecretString,
    /// SHA-256 of it, lower-case hex.
    pub checksum: String,
}

/// What went into a profile and is nowhere else. `Debug` shows none of it.
#[derive(Clone)]
pub struct StoredParts {
    /// The certificate, PEM.
    pub certificate: String,
    /// Its private key, PKCS #8, PEM.
    pub key: SecretString,
    /// The tls-crypt-v2 client key, PEM.
    pub tls_crypt_v2: SecretString,
}

macro_rules! debug_by_name {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "([REDACTED])"))
            }
        }
    )*};
}
debug_by_name!(StoredKey, NewProfile, StoredProfile, StoredParts);

impl Records<'_> {
    /// A user's credentials, by name.
    pub fn credentials_of(&self, user: UserKey) -> Result<Vec<HeldCredential>, JournalError> {
        let select = "
            SELECT common_name, state, remotes, checksum FROM credentials WHERE user_key = ?1 ORDER BY common_name";
        let mut statement = self.connection.prepare_cached(select)?;
        let mut rows = statement.query([user.to_string()])?;
        let mut credentials = Vec::new();
        while let Some(row) = rows.next()? {
            let common_name = parsed(row, "common_name", "a common name")?;
            credentials.push(HeldCredential {
                common_name,
                stage: stage(row)?,
            });
        }
        Ok(credentials)
    }

    /// Adds a user's credentials; those that are known already stay as they are.
    pub fn list_credentials(&self, user: UserKey, names: &[CommonName]) -> Result<(), JournalError> {
        let insert = "
            INSERT INTO credentials (common_name, user_key, state) VALUES (?1, ?2, 'listed')
            ON CONFLICT (common_name) DO NOTHING";
        let mut statement = self.connection.prepare_cached(insert)?;
        for name in names {
            statement.execute([name.as_str(), &user.to_string()])?;
        }
        Ok(())
    }

    /// Drops credentials with their keys and profiles.
    pub fn forget_credentials(&self, names: &[CommonName]) -> Result<(), JournalError> {
        let mut statement = self
            .connection
            .prepare_cached("DELETE FROM credentials WHERE common_name = ?1")?;
        for name in names {
            statement.execute([name.as_str()])?;
        }
        Ok(())
    }

    /// The key of a credential, if one was made.
    pub fn key(&self, name: &CommonName) -> Result<Option<StoredKey>, JournalError> {
        let select = "
            SELECT key_pem, csr_pem, certificate, tls_crypt_v2 FROM credentials
            WHERE common_name = ?1 AND key_pem IS NOT NULL AND csr_pem IS NOT NULL";
        let read = |row: &Row<'_>| {
            let tls_crypt_v2: Option<String> = row.get("tls_crypt_v2")?;
            Ok(StoredKey {
                key: row.get::<_, String>("key_pem")?.into(),
                csr: row.get("csr_pem")?,
                certificate: row.get("certificate")?,
                tls_crypt_v2: tls_crypt_v2.map(SecretString::from),
            })
        };
        Ok(self
            .connection
            .prepare_cached(select)?
            .query_row([name.as_str()], read)
            .optional()?)
    }

    /// Stores a new key, unless the credential has one: the first stays. False when there is no such credential any more, or it is lost.
    pub fn store_key(&self, name: &CommonName, made: &StoredKey) -> Result<bool, JournalError> {
        let update = "
            UPDATE credentials SET
                key_pem = coalesce(key_pem, ?2), csr_pem = iif(key_pem IS NULL, ?3, csr_pem),
                state = iif(state = 'listed', 'keyed', state)
            WHERE common_name = ?1 AND state <> 'lost'";
        let row = params![name.as_str(), made.key.expose_secret(), made.csr];
        Ok(self.connection.prepare_cached(update)?.execute(row)? == 1)
    }

    /// Stores a finished profile. False when there is no such credential any more.
    pub fn store_profile(&self, profile: &NewProfile) -> Result<bool, JournalError> {
        let update = "
            UPDATE credentials SET
                state = 'complete', certificate = coalesce(?2, certificate), serial = coalesce(?3, serial),
                not_before = coalesce(?4, not_before), not_after = coalesce(?5, not_after),
                tls_crypt_v2 = ?6, remotes = ?7, profile = ?8, checksum = ?9
            WHERE common_name = ?1";
        let signed = profile.certificate.as_ref();
        let row = params![
            profile.common_name.as_str(),
            signed.map(|signed| &signed.certificate),
            signed.map(|signed| &signed.serial),
            signed.map(|signed| micros(signed.not_before)),
            signed.map(|signed| micros(signed.not_after)),
            profile.tls_crypt_v2.expose_secret(),
            json(&profile.remotes, "remotes")?,
            profile.text.expose_secret(),
            profile.checksum,
        ];
        Ok(self.connection.prepare_cached(update)?.execute(row)? == 1)
    }

    /// Notes that the credential can never have a profile on this node, and deletes its key.
    pub fn lose_credential(&self, name: &CommonName) -> Result<(), JournalError> {
        let update = "UPDATE credentials SET state = 'lost', key_pem = NULL, csr_pem = NULL WHERE common_name = ?1";
        self.connection.prepare_cached(update)?.execute([name.as_str()])?;
        Ok(())
    }

    /// Deletes a key whose request was refused: the next try makes another one.
    pub fn drop_key(&self, name: &CommonName) -> Result<(), JournalError> {
        let update = "
            UPDATE credentials SET state = 'listed', key_pem = NULL, csr_pem = NULL
            WHERE common_name = ?1 AND certificate IS NULL";
        self.connection.prepare_cached(update)?.execute([name.as_str()])?;
        Ok(())
    }

    /// What only this node has of the finished profile of a user's credential.
    pub fn profile_parts(&self, user: UserKey, name: &CommonName) -> Result<Option<StoredParts>, JournalError> {
        let select = "
            SELECT certificate, key_pem, tls_crypt_v2 FROM credentials
            WHERE common_name = ?1 AND user_key = ?2 AND state = 'complete'
              AND certificate IS NOT NULL AND key_pem IS NOT NULL AND tls_crypt_v2 IS NOT NULL";
        let read = |row: &Row<'_>| {
            Ok(StoredParts {
                certificate: row.get("certificate")?,
                key: row.get::<_, String>("key_pem")?.into(),
                tls_crypt_v2: row.get::<_, String>("tls_crypt_v2")?.into(),
            })
        };
        let mut statement = self.connection.prepare_cached(select)?;
        Ok(statement
            .query_row([name.as_str(), &user.to_string()], read)
            .optional()?)
    }

    /// Finished profiles in the order of their names, those after `after`, at most `most`.
    pub fn profiles_after(&self, after: &str, most: u32) -> Result<Vec<StoredProfile>, JournalError> {
        let select = "
            SELECT common_name, profile, checksum FROM credentials
            WHERE state = 'complete' AND common_name > ?1 ORDER BY common_name LIMIT ?2";
        let mut statement = self.connection.prepare_cached(select)?;
        let mut rows = statement.query(params![after, most])?;
        let mut profiles = Vec::new();
        while let Some(row) = rows.next()? {
            profiles.push(stored_profile(row)?);
        }
        Ok(profiles)
    }
}

fn stored_profile(row: &Row<'_>) -> Result<StoredProfile, JournalError> {
    Ok(StoredProfile {
        common_name: parsed(row, "common_name", "a common name")?,
        text: row.get::<_, String>("profile")?.into(),
        checksum: row.get("checksum")?,
    })
}

fn stage(row: &Row<'_>) -> Result<ProfileStage, JournalError> {
    let state: String = row.get("state")?;
    match state.as_str() {
        "listed" => Ok(ProfileStage::Listed),
        "keyed" => Ok(ProfileStage::Keyed),
        "complete" => Ok(ProfileStage::Complete {
            remotes: from_json(&row.get::<_, String>("remotes")?, "remotes")?,
            checksum: row.get("checksum")?,
        }),
        "lost" => Ok(ProfileStage::Lost),
        _ => Err(JournalError::Value {
            what: "a credential's state",
        }),
    }
}
