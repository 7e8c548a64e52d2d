//! The certificate of an authority.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::certificate::{BadCertificate, Certificate, certificates_in};
use crate::{error::ReadError, found::FoundAuthority};

/// One authority. Its file may hold several certificates: those of authorities above it, and the one that is to follow it.
#[derive(Debug, Clone)]
pub(crate) struct Authority {
    /// Where it stands.
    pub(crate) file: PathBuf,
    /// What is told of it.
    pub(crate) found: FoundAuthority,
    certificates: Vec<Certificate>,
}

impl Authority {
    pub(crate) fn read(file: &Path, bytes: &[u8]) -> Result<Self, ReadError> {
        let bad = |source| ReadError::BadAuthority {
            file: file.to_owned(),
            source,
        };
        let certificates = certificates_in(bytes).map_err(bad)?;
        let newest = certificates.iter().max_by_key(|certificate| certificate.not_after);
        let newest = newest.ok_or_else(|| bad(BadCertificate::Missing))?;
        let found = FoundAuthority {
            subject: newest.name.clone(),
            not_after: newest.not_after,
            revoked_without_name: Vec::new(),
        };
        Ok(Self {
            file: file.to_owned(),
            found,
            certificates,
        })
    }

    /// An authority that has ended is good for nothing, and neither is what it issued.
    pub(crate) fn check_validity(&self, now: DateTime<Utc>) -> Result<(), ReadError> {
        if self.found.not_after > now {
            return Ok(());
        }
        Err(ReadError::AuthorityExpired {
            file: self.file.clone(),
            subject: self.found.subject.clone(),
            not_after: self.found.not_after,
        })
    }

    /// Whether it has a certificate of this subject: the name by which what it issued names it.
    pub(crate) fn is_named(&self, issuer: &[u8]) -> bool {
        self.certificates
            .iter()
            .any(|certificate| certificate.subject == issuer)
    }

    /// Whether both have a key in common. A renewed certificate has the key of the one before.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let has = |one: &Certificate| other.certificates.iter().any(|it| it.public_key == one.public_key);
        self.certificates.iter().any(has)
    }
}
