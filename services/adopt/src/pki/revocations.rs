//! What an authority revoked: its lists (CRL), and the folders of serial numbers that OpenVPN takes in their place.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use vpnmanager_nats::old_certificates::SerialNumber;
use x509_parser::{pem::Pem, prelude::FromDer as _, revocation_list::CertificateRevocationList};

use super::{
    authority::Authority,
    certificate::{is_der, time_of},
};
use crate::{
    found::{Place, Remark},
    serial,
};

const LABEL: &str = "X509 CRL";

/// Serial numbers, by what revokes them.
#[derive(Debug, Default)]
pub(crate) struct Revocations {
    revoked: BTreeSet<SerialNumber>,
    /// What the server refuses; `None`: its list is not in the source.
    refused: Option<BTreeSet<SerialNumber>>,
    pub(crate) remarks: Vec<Remark>,
}

/// A list.
#[derive(Debug)]
pub(crate) struct List<'a> {
    pub(crate) file: &'a Path,
    pub(crate) bytes: &'a [u8],
    /// Whether the server goes by it (`crl-verify`).
    pub(crate) is_of_server: bool,
}

impl Revocations {
    /// Without the authority, a list is taken for its own.
    pub(crate) fn add_list(&mut self, list: &List<'_>, authority: Option<&Authority>, now: DateTime<Utc>) {
        let remark = |text: String| Place::file(list.file).remark(text);
        let Some(der) = der_of(list.bytes) else {
            let text = "it is no list of revoked certificates: what is revoked there alone is not known";
            self.remarks.push(remark(text.to_owned()));
            return;
        };
        let Ok((_, read)) = CertificateRevocationList::from_der(&der) else {
            let text = "the list of revoked certificates is damaged: what is revoked there alone is not known";
            self.remarks.push(remark(text.to_owned()));
            return;
        };
        if authority.is_some_and(|authority| !authority.is_named(read.issuer().as_raw())) {
            let text = format!(
                "the list of revoked certificates is left out: it is of another authority, {}",
                read.issuer()
            );
            self.remarks.push(remark(text));
            return;
        }
        let end = read.next_update().and_then(|end| time_of(end).ok());
        if let Some(end) = end.filter(|end| list.is_of_server && *end <= now) {
            self.remarks.push(remark(format!(
                "the list of revoked certificates ended at {}: with it the server lets nobody in",
                end.to_rfc3339()
            )));
        }
        let numbers = read
            .iter_revoked_certificates()
            .filter_map(|revoked| serial::from_number(revoked.serial()));
        self.add(numbers.collect(), list.is_of_server);
    }

    /// The folder of `crl-verify FOLDER dir`: its files are named by the serial numbers that are refused.
    pub(crate) fn add_folder(&mut self, files: &[PathBuf]) {
        let names = files
            .iter()
            .filter_map(|file| file.file_name()?.to_str()?.parse::<SerialNumber>().ok());
        self.add(names.collect(), true);
    }

    fn add(&mut self, numbers: BTreeSet<SerialNumber>, is_of_server: bool) {
        if is_of_server {
            self.refused.get_or_insert_default().extend(numbers.iter().cloned());
        }
        self.revoked.extend(numbers);
    }

    pub(super) fn revoke(&mut self, number: SerialNumber) {
        self.revoked.insert(number);
    }

    pub(super) fn has(&self, number: &SerialNumber) -> bool {
        self.revoked.contains(number)
    }

    /// Whether the server is known to let it in, revoked or not.
    pub(super) fn is_let_in(&self, number: &SerialNumber) -> bool {
        self.refused.as_ref().is_some_and(|refused| !refused.contains(number))
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = &SerialNumber> {
        self.revoked.iter()
    }
}

fn der_of(bytes: &[u8]) -> Option<Vec<u8>> {
    if is_der(bytes) {
        return Some(bytes.to_vec());
    }
    let mut blocks = Pem::iter_from_buffer(bytes).map_while(Result::ok);
    blocks.find(|block| block.label == LABEL).map(|block| block.contents)
}
