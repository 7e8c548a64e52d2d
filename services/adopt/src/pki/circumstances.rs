//! What tells a user's certificate from others.

use vpnmanager_nats::old_certificates::SerialNumber;

use super::{
    authority::Authority,
    certificate::{Certificate, Purpose},
};
use crate::folder::Folder;

/// What is known besides the index.
#[derive(Debug)]
pub(crate) struct Circumstances<'a> {
    pub(crate) folder: &'a Folder,
    /// `None`: its certificate is not in the source.
    pub(crate) authority: Option<&'a Authority>,
    /// Those of servers that the source configures.
    pub(crate) server_certificates: &'a [Certificate],
    /// Their common names, also where the certificates are elsewhere.
    pub(crate) server_names: &'a [String],
}

impl Circumstances<'_> {
    pub(super) fn has_server_serial(&self, serial: &SerialNumber) -> bool {
        self.server_certificates
            .iter()
            .any(|certificate| certificate.serial == *serial)
    }

    /// For one whose certificate is not in the source.
    pub(super) fn is_server(&self, serial: &SerialNumber, common_name: &str) -> bool {
        self.has_server_serial(serial) || self.server_names.iter().any(|name| name == common_name)
    }

    /// Whether another authority issued it.
    pub(super) fn is_foreign(&self, certificate: &Certificate) -> bool {
        self.authority
            .is_some_and(|authority| !authority.is_named(&certificate.issuer))
    }

    /// Whether it is the authority's own.
    pub(super) fn is_authority(&self, certificate: &Certificate) -> bool {
        let is_own = |authority: &Authority| authority.is_named(&certificate.subject);
        certificate.purpose == Purpose::Authority && self.authority.is_some_and(is_own)
    }
}
