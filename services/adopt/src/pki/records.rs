//! The certificates that an authority issued, from its index and from the certificates themselves.

use std::collections::{BTreeMap, BTreeSet, HashSet, btree_map::Entry as Slot};

use chrono::{DateTime, Utc};
use vpnmanager_nats::old_certificates::SerialNumber;

use super::{
    certificate::{BadCertificate, Certificate, Purpose, certificates_in},
    circumstances::Circumstances,
    folder::PkiFolder,
    index::{Entry, Index},
    revocations::Revocations,
};
use crate::{
    error::ReadError,
    found::{Place, Remark},
};

/// Where easy-rsa 3 puts what it revoked.
const REVOKED: &str = "revoked";
/// What easy-rsa's examples call the server.
const SERVER: &str = "server";
/// What a script calls it: followed by 16 letters and digits.
const SERVER_PREFIX: &str = "server_";
const SERVER_SUFFIX: usize = 16;

/// One certificate of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) place: Place,
    pub(super) common_name: String,
    pub(super) serial: SerialNumber,
    /// `None`: only the index knows of it.
    pub(super) not_before: Option<DateTime<Utc>>,
    pub(super) not_after: DateTime<Utc>,
}

/// Those of clients, and what is to be said of the others.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) clients: Vec<Record>,
    /// All serial numbers that have a name, those of servers too.
    pub(super) named: BTreeSet<SerialNumber>,
    /// What is among those of clients.
    known: HashSet<(SerialNumber, String)>,
    pub(super) remarks: Vec<Remark>,
}

/// The certificates themselves, by their serial numbers.
type Certificates = BTreeMap<SerialNumber, (Place, Certificate)>;

impl Records {
    /// What the index says to be revoked is added to the revocations.
    pub(super) fn collect(
        pki: &PkiFolder,
        circumstances: &Circumstances<'_>,
        revocations: &mut Revocations,
    ) -> Result<Self, ReadError> {
        let index = match &pki.index {
            Some(file) => Index::read(file, &circumstances.folder.read(file)?)?,
            None => Index::default(),
        };
        let mut records = Self {
            remarks: index.remarks,
            ..Self::default()
        };
        let (mut certificates, moved) = records.certificates(pki, circumstances)?;
        for entry in index.entries {
            records.take_revocation(&entry, revocations);
            let certificate = certificates
                .get(&entry.serial)
                .map(|(_, certificate)| certificate.clone());
            records.add_entry(entry, certificate, circumstances);
        }
        records.take_moved(moved, revocations);
        certificates.retain(|serial, _| !records.named.contains(serial));
        for (place, certificate) in certificates.into_values() {
            if pki.index.is_some() {
                let text = "the certificate is not in index.txt: it is taken as the server takes it";
                records.remarks.push(place.clone().remark(text));
            }
            records.add_certificate(place, certificate, circumstances);
        }
        Ok(records)
    }

    fn take_revocation(&mut self, entry: &Entry, revocations: &mut Revocations) {
        if !entry.is_revoked {
            if revocations.has(&entry.serial) {
                let text = format!(
                    "the certificate of `{}` is valid here and revoked elsewhere: it is taken as revoked",
                    entry.common_name
                );
                self.remarks.push(entry.place.clone().remark(text));
            }
            return;
        }
        if revocations.is_let_in(&entry.serial) {
            let text = format!(
                "the certificate of `{}` is revoked here, and what the server goes by does not have it: that server still lets it in",
                entry.common_name
            );
            self.remarks.push(entry.place.clone().remark(text));
        }
        revocations.revoke(entry.serial.clone());
    }

    /// A script that deletes lines of the index has lists made that lack what was revoked before. The files of that are still where easy-rsa put them.
    fn take_moved(&mut self, moved: Vec<(Place, SerialNumber)>, revocations: &mut Revocations) {
        for (place, serial) in moved {
            if !revocations.has(&serial) {
                let text = "the certificate is among those that were revoked, and no list has it: it is taken as revoked, and that server may \
                    still let it in";
                self.remarks.push(place.remark(text));
                revocations.revoke(serial);
            }
        }
    }

    fn add_entry(&mut self, entry: Entry, certificate: Option<Certificate>, circumstances: &Circumstances<'_>) {
        let record = Record {
            place: entry.place,
            common_name: entry.common_name,
            serial: entry.serial,
            not_before: None,
            not_after: entry.not_after,
        };
        let Some(certificate) = certificate else {
            let is_server = if circumstances.server_names.is_empty() {
                is_called_server(&record)
            } else {
                circumstances.is_server(&record.serial, &record.common_name)
            };
            if is_server {
                self.leave_out(&record, "by its name it is the server's");
            } else {
                self.add(record);
            }
            return;
        };
        let name = certificate
            .common_name
            .clone()
            .filter(|name| *name != record.common_name);
        if let Some(name) = name {
            let text = format!(
                "the certificate of `{}` itself says `{name}`, which is what the server goes by",
                record.common_name
            );
            self.remarks.push(record.place.clone().remark(text));
        }
        self.add_certificate(record.place, certificate, circumstances);
    }

    fn add_certificate(&mut self, place: Place, certificate: Certificate, circumstances: &Circumstances<'_>) {
        let Some(common_name) = certificate.common_name else {
            self.named.insert(certificate.serial);
            self.remarks
                .push(place.remark("the certificate is left out: it has no common name"));
            return;
        };
        let record = Record {
            place,
            common_name,
            serial: certificate.serial,
            not_before: Some(certificate.not_before),
            not_after: certificate.not_after,
        };
        match certificate.purpose {
            Purpose::Authority => self.leave_out(&record, "it is of an authority"),
            Purpose::Server => self.leave_out(&record, "it is of a server"),
            Purpose::Client if circumstances.has_server_serial(&record.serial) => {
                self.leave_out(&record, "it is the server's");
            }
            Purpose::Client => self.add(record),
        }
    }

    fn leave_out(&mut self, record: &Record, why: &str) {
        let text = format!("the certificate of `{}` is no user's: {why}", record.common_name);
        self.remarks.push(record.place.clone().remark(text));
        self.named.insert(record.serial.clone());
    }

    fn add(&mut self, record: Record) {
        let is_twice = !self.known.insert((record.serial.clone(), record.common_name.clone()));
        if !self.named.insert(record.serial.clone()) {
            let text = if is_twice {
                format!(
                    "the certificate of `{}` with the serial number {} is here twice",
                    record.common_name, record.serial
                )
            } else {
                format!(
                    "the serial number {} of the certificate of `{}` is that of another one too: to revoke one is to revoke both",
                    record.serial, record.common_name
                )
            };
            self.remarks.push(record.place.clone().remark(text));
            if is_twice {
                return;
            }
        }
        self.clients.push(record);
    }

    /// Those that this authority issued, the first file of each; and which of them are where revoked ones are put.
    fn certificates(
        &mut self,
        pki: &PkiFolder,
        circumstances: &Circumstances<'_>,
    ) -> Result<(Certificates, Vec<(Place, SerialNumber)>), ReadError> {
        let (mut certificates, mut moved) = (Certificates::new(), Vec::new());
        let revoked = pki.folder.join(REVOKED);
        for file in &pki.certificates {
            let place = Place::file(file);
            let found = match certificates_in(&circumstances.folder.read(file)?) {
                Ok(found) => found,
                // Parameters and keys are PEM too.
                Err(BadCertificate::Missing) if file.extension().is_some_and(|ending| ending == "pem") => continue,
                Err(bad) => {
                    self.remarks
                        .push(place.remark(format!("the certificate is left out: {bad}")));
                    continue;
                }
            };
            for certificate in found {
                if circumstances.is_foreign(&certificate) {
                    let text = format!(
                        "the certificate of `{}` is left out: another authority issued it",
                        certificate.name
                    );
                    self.remarks.push(place.clone().remark(text));
                    continue;
                }
                if file.starts_with(&revoked) {
                    moved.push((place.clone(), certificate.serial.clone()));
                }
                if !circumstances.is_authority(&certificate)
                    && let Slot::Vacant(slot) = certificates.entry(certificate.serial.clone())
                {
                    slot.insert((place.clone(), certificate));
                }
            }
        }
        Ok((certificates, moved))
    }
}

/// Whether its name is one that easy-rsa's examples and scripts give to servers. It is all that there is to go by where neither the certificate
/// nor the server's configuration is in the source.
fn is_called_server(record: &Record) -> bool {
    let name = record.common_name.as_str();
    let is_drawn =
        |suffix: &str| suffix.len() == SERVER_SUFFIX && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric());
    name == SERVER || name.strip_prefix(SERVER_PREFIX).is_some_and(is_drawn)
}
