//! What of the certificates of one user of a source can be carried over.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use vpnmanager_adopt::{
    client_file_name,
    found::{Found, FoundCertificate, FoundUser},
};
use vpnmanager_nats::{ids::CommonName, old_certificates::SerialNumber};

use super::{policies::TwoCertificates, words::shown_name};
use crate::domain::shown_time::shown_time;

/// The most serial numbers of one name that are revoked: each is a file on the node, and a part of each of its commands.
pub(in crate::domain) const MOST_REVOKED: usize = 256;

/// A certificate of an old server that its node shall accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCertificate {
    /// Its common name.
    pub common_name: CommonName,
    /// The serial number of the newest of that name.
    pub serial: SerialNumber,
    /// When that one ends.
    pub not_after: DateTime<Utc>,
    /// The serial numbers of those of that name that stay revoked, in order.
    pub revoked: Vec<SerialNumber>,
    /// Until when it is accepted, if it is new; `None`: as long as it is valid.
    pub expires_at: Option<DateTime<Utc>>,
}

/// The certificates of a user, sorted.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    /// Those that are valid, one for each common name.
    pub(super) valid: Vec<NewCertificate>,
    /// Common names of which all certificates are revoked, or more than can be refused.
    pub(super) revoked: Vec<CommonName>,
    /// When the last of those ended that were not revoked, and that are the last of their name.
    pub(super) ended: Option<DateTime<Utc>>,
    /// Whether there is a valid one that cannot be carried over.
    pub(super) has_unusable: bool,
    /// What people should know.
    pub(super) reasons: Vec<String>,
}

/// How certificates are sorted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    /// What becomes of several valid ones of one name.
    pub(super) policy: TwoCertificates,
    /// The time.
    pub(super) now: DateTime<Utc>,
    /// Until when certificates are accepted; `None`: as long as they are valid.
    pub(super) old_until: Option<DateTime<Utc>>,
    /// Serial numbers that the authority revoked, and nobody knows of which names. So they are refused with each name.
    pub(super) revoked_without_name: &'a [SerialNumber],
    /// [`alike`] of the source.
    pub(super) alike: &'a HashMap<String, Vec<SerialNumber>>,
}

/// Serial numbers of certificates of which OpenVPN looks for the file of another name, by that name: whoever is `sales/alice` would be let in because
/// `sales_alice` is.
pub(super) fn alike(found: &Found) -> HashMap<String, Vec<SerialNumber>> {
    let mut alike: HashMap<String, Vec<SerialNumber>> = HashMap::new();
    for certificate in found.users.iter().flat_map(|user| &user.certificates) {
        let file = client_file_name(&certificate.common_name);
        if file != certificate.common_name {
            alike.entry(file).or_default().push(certificate.serial.clone());
        }
    }
    alike
}

/// Sorts the certificates of a user by common name. A serial number that is revoked is, whatever else the source says of it.
pub(super) fn sort(user: &FoundUser, rules: Rules<'_>) -> Sorted {
    let mut by_name: Vec<(&str, Vec<&FoundCertificate>)> = Vec::new();
    for certificate in &user.certificates {
        match by_name.iter_mut().find(|(name, _)| *name == certificate.common_name) {
            Some((_, same)) => same.push(certificate),
            None => by_name.push((&certificate.common_name, vec![certificate])),
        }
    }
    let mut sorted = Sorted::default();
    for (name, certificates) in by_name {
        sorted.add(name, &certificates, rules);
    }
    sorted
}

impl Sorted {
    fn add(&mut self, name: &str, certificates: &[&FoundCertificate], rules: Rules<'_>) {
        let revoked = certificates.iter().filter(|certificate| certificate.is_revoked);
        let revoked = revoked.map(|certificate| &certificate.serial);
        let alike = rules.alike.get(name).map_or(&[][..], Vec::as_slice);
        let refused = revoked.chain(rules.revoked_without_name).chain(alike);
        let mut serials: Vec<SerialNumber> = refused.cloned().collect();
        let (standing, revoked): (Vec<&FoundCertificate>, Vec<&FoundCertificate>) = certificates
            .iter()
            .copied()
            .partition(|certificate| !serials.contains(&certificate.serial));
        let revoked = revoked.iter().map(|certificate| certificate.not_after).max();
        let (valid, ended): (Vec<&FoundCertificate>, Vec<&FoundCertificate>) = standing
            .into_iter()
            .partition(|certificate| certificate.not_after > rules.now);
        let common_name: CommonName = match name.parse() {
            Ok(common_name) => common_name,
            Err(error) => {
                self.has_unusable |= !valid.is_empty();
                let name = shown_name(name);
                self.reasons.push(format!(
                    "the old profile of {name} ends, because nodes do not take the name: {error}"
                ));
                return;
            }
        };
        let Some(newest) = valid.iter().max_by_key(|certificate| certificate.not_after) else {
            // Whose newest certificate was revoked is not somebody whose certificates have ended.
            match ended.iter().map(|certificate| certificate.not_after).max() {
                Some(at) if Some(at) >= revoked => self.ended = self.ended.max(Some(at)),
                Some(_) | None => self.revoked.push(common_name),
            }
            return;
        };
        if revoked > Some(newest.not_after) {
            self.reasons.push(format!(
                "a newer certificate {common_name} was revoked, and an older one was not: the old server lets it in, and so does the node"
            ));
        }
        if !alike.is_empty() {
            self.reasons.push(format!(
                "OpenVPN takes {} other certificates for {common_name}, because it writes `_` where file names have no `/`: they are refused",
                alike.len()
            ));
        }
        let others = valid.iter().filter(|certificate| certificate.serial != newest.serial);
        if others.clone().next().is_some() {
            self.reasons
                .push(two_certificates(&common_name, valid.len(), rules.policy));
        }
        match rules.policy {
            TwoCertificates::Keep => {}
            TwoCertificates::Newest => serials.extend(others.map(|certificate| certificate.serial.clone())),
        }
        serials.sort();
        serials.dedup();
        if serials.len() > MOST_REVOKED {
            self.has_unusable = true;
            self.reasons.push(too_many(&common_name));
            // Where it was imported before, it ends.
            self.revoked.push(common_name);
            return;
        }
        self.valid.push(NewCertificate {
            common_name,
            serial: newest.serial.clone(),
            not_after: newest.not_after,
            revoked: serials,
            expires_at: rules.old_until,
        });
    }

    /// Says of a valid certificate why it is not carried over.
    pub(super) fn leave_out(&mut self, why: String) {
        self.has_unusable = true;
        self.reasons.push(why);
    }

    /// When the last certificate ended, in words, where that means that the user has none.
    pub(super) fn last_ended(&self) -> Option<String> {
        let at = self.ended.filter(|_| self.valid.is_empty() && !self.has_unusable)?;
        Some(format!("the last certificate ended at {}", shown_time(at)))
    }
}

/// Why a certificate ends.
pub(super) fn too_many(common_name: &CommonName) -> String {
    format!(
        "the old profile of {common_name} ends, because more than {MOST_REVOKED} serial numbers would have to be refused"
    )
}

fn two_certificates(common_name: &CommonName, valid: usize, policy: TwoCertificates) -> String {
    match policy {
        TwoCertificates::Keep => format!("{valid} certificates {common_name} are valid, and all of them are accepted"),
        TwoCertificates::Newest => {
            format!("{valid} certificates {common_name} are valid, and the newest one is accepted")
        }
    }
}
