//! The users of an authority: whoever has a certificate of a client.

use std::collections::{BTreeMap, btree_map::Entry as Slot};

use vpnmanager_nats::old_certificates::SerialNumber;

use super::{
    circumstances::Circumstances,
    folder::PkiFolder,
    records::{Record, Records},
    revocations::Revocations,
};
use crate::{
    error::ReadError,
    found::{FoundCertificate, FoundUser, Remark},
};

/// What an authority issued to clients.
#[derive(Debug, Default)]
pub(crate) struct Issued {
    pub(crate) users: Vec<FoundUser>,
    pub(crate) revoked_without_name: Vec<SerialNumber>,
    pub(crate) remarks: Vec<Remark>,
}

impl Issued {
    pub(crate) fn read(
        pki: &PkiFolder,
        circumstances: &Circumstances<'_>,
        mut revocations: Revocations,
    ) -> Result<Self, ReadError> {
        let records = Records::collect(pki, circumstances, &mut revocations)?;
        let nameless = revocations.numbers().filter(|number| !records.named.contains(*number));
        let nameless: Vec<SerialNumber> = nameless.cloned().collect();
        let mut issued = Self {
            users: Vec::new(),
            revoked_without_name: nameless,
            remarks: records.remarks,
        };
        let mut numbers = BTreeMap::new();
        for record in records.clients {
            let number = match numbers.entry(record.common_name.clone()) {
                Slot::Occupied(known) => *known.get(),
                Slot::Vacant(new) => {
                    issued.users.push(user_of(&record));
                    *new.insert(issued.users.len() - 1)
                }
            };
            if let Some(user) = issued.users.get_mut(number) {
                add(user, record, &revocations);
            }
        }
        issued.remarks.append(&mut revocations.remarks);
        Ok(issued)
    }
}

/// Without certificates yet.
fn user_of(record: &Record) -> FoundUser {
    FoundUser {
        active: false,
        ..FoundUser::new(record.common_name.clone(), record.place.clone())
    }
}

fn add(user: &mut FoundUser, record: Record, revocations: &Revocations) {
    let is_revoked = revocations.has(&record.serial);
    user.active |= !is_revoked;
    user.created_at = match (user.created_at, record.not_before) {
        (Some(known), Some(other)) => Some(known.min(other)),
        (known, other) => known.or(other),
    };
    user.certificates.push(FoundCertificate {
        common_name: record.common_name,
        serial: record.serial,
        not_after: record.not_after,
        is_revoked,
    });
}
