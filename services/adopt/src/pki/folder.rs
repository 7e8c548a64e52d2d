//! Where the files of an authority are: easy-rsa 3 has folders of them, easy-rsa 2 one folder for all, `openssl ca` names of its own.

use std::path::{Path, PathBuf};

use crate::{folder::Listing, found::Place};

const INDEX: &str = "index.txt";
const AUTHORITIES: [&str; 2] = ["ca.crt", "cacert.pem"];
const REVOCATIONS: &str = "crl.pem";
/// Folders with certificates of easy-rsa 3, also those that it moved away, and of `openssl ca`. A certificate may be in several.
const CERTIFICATES: [&str; 9] = [
    "issued",
    "certs_by_serial",
    "renewed/issued",
    "renewed/certs_by_serial",
    "revoked/issued",
    "revoked/certs_by_serial",
    "expired",
    "certs",
    "newcerts",
];
/// Of the names of files with a certificate.
const ENDINGS: [&str; 4] = ["crt", "pem", "cer", "der"];

/// The files of one authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PkiFolder {
    pub(crate) folder: PathBuf,
    /// What made it, for an operator.
    pub(crate) kind: &'static str,
    pub(crate) index: Option<PathBuf>,
    pub(crate) authority: Option<PathBuf>,
    pub(crate) revocations: Option<PathBuf>,
    /// What may be certificates, in the order of [`CERTIFICATES`].
    pub(crate) certificates: Vec<PathBuf>,
}

impl PkiFolder {
    /// Those of a listing: folders with an index beside something else of an authority, or with certificates beside the authority's own.
    pub(crate) fn all(listing: &Listing) -> Vec<Self> {
        let folders = listing.folders.keys().flat_map(|folder| folder.ancestors());
        let mut folders: Vec<&Path> = folders.collect();
        folders.sort_unstable();
        folders.dedup();
        folders
            .into_iter()
            .filter_map(|folder| Self::at(listing, folder))
            .collect()
    }

    /// An index alone.
    pub(crate) fn of_index(index: &Path) -> Self {
        Self {
            folder: PathBuf::new(),
            kind: INDEX,
            index: Some(index.to_owned()),
            authority: None,
            revocations: None,
            certificates: Vec::new(),
        }
    }

    fn at(listing: &Listing, folder: &Path) -> Option<Self> {
        let file = |name: &str| {
            let path = folder.join(name);
            listing.files(folder).contains(&path).then_some(path)
        };
        let index = file(INDEX);
        let authority = AUTHORITIES.iter().find_map(|name| file(name));
        let revocations = file(REVOCATIONS);
        let issued = !listing.files(&folder.join(CERTIFICATES[0])).is_empty();
        let is_whole = authority.is_some() || revocations.is_some() || issued || file("serial").is_some();
        let is_top = folder.as_os_str().is_empty();
        let is_authority = (index.is_some() && (is_whole || is_top)) || (issued && authority.is_some());
        if !is_authority {
            return None;
        }
        let below = CERTIFICATES.iter().flat_map(|name| listing.files(&folder.join(name)));
        let beside = listing.files(folder).iter();
        let beside = beside.filter(|path| {
            [&authority, &revocations]
                .into_iter()
                .flatten()
                .all(|known| known != *path)
        });
        let certificates: Vec<PathBuf> = below
            .chain(beside)
            .filter(|path| may_be_certificate(path))
            .cloned()
            .collect();
        let by_serial = !listing.files(&folder.join(CERTIFICATES[1])).is_empty();
        let kind = if issued || by_serial {
            "easy-rsa 3"
        } else if folder.ends_with("keys") {
            "easy-rsa 2"
        } else {
            "certificate authority"
        };
        Some(Self {
            folder: folder.to_owned(),
            kind,
            index,
            authority,
            revocations,
            certificates,
        })
    }

    /// Where what is to be said of all of it stands.
    pub(crate) fn place(&self) -> Place {
        Place::file(self.index.as_ref().unwrap_or(&self.folder))
    }

    /// Whether a file is one of it.
    pub(crate) fn has(&self, file: &Path) -> bool {
        file.starts_with(&self.folder) && !self.folder.as_os_str().is_empty()
    }
}

fn may_be_certificate(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| ENDINGS.iter().any(|known| known.eq_ignore_ascii_case(ending)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[&str]) -> Vec<(String, &'static str, usize)> {
        let mut listing = Listing::default();
        for file in files.iter().map(PathBuf::from) {
            let folder = file.parent().map(Path::to_owned).unwrap_or_default();
            listing.folders.entry(folder).or_default().push(file);
        }
        let found = PkiFolder::all(&listing).into_iter();
        found
            .map(|pki| (pki.folder.display().to_string(), pki.kind, pki.certificates.len()))
            .collect()
    }

    /// The folder of one, its kind, and how many certificates it has.
    type Told<'a> = (&'a str, &'static str, usize);

    #[test]
    fn authorities_are_found_where_the_scripts_leave_them() {
        let cases: [(&[&str], &[Told<'_>]); 8] = [
            // Nyr, angristan: beside server.conf.
            (
                &[
                    "server/server.conf",
                    "server/ca.crt",
                    "server/crl.pem",
                    "server/easy-rsa/pki/ca.crt",
                    "server/easy-rsa/pki/index.txt",
                    "server/easy-rsa/pki/issued/server.crt",
                    "server/easy-rsa/pki/issued/alice.crt",
                    "server/easy-rsa/pki/certs_by_serial/AB.pem",
                    "server/easy-rsa/pki/renewed/issued/alice.crt",
                ],
                &[("server/easy-rsa/pki", "easy-rsa 3", 4)],
            ),
            // PiVPN.
            (
                &[
                    "server.conf",
                    "easy-rsa/pki/index.txt",
                    "easy-rsa/pki/serial",
                    "easy-rsa/pki/ca.crt",
                ],
                &[("easy-rsa/pki", "certificate authority", 0)],
            ),
            // easy-rsa 2: everything in one folder, and the names of certificates by serial number besides.
            (
                &[
                    "easy-rsa/keys/01.pem",
                    "easy-rsa/keys/alice.crt",
                    "easy-rsa/keys/alice.csr",
                    "easy-rsa/keys/alice.key",
                    "easy-rsa/keys/ca.crt",
                    "easy-rsa/keys/crl.pem",
                    "easy-rsa/keys/index.txt",
                    "easy-rsa/keys/index.txt.old",
                ],
                &[("easy-rsa/keys", "easy-rsa 2", 2)],
            ),
            // The folder itself.
            (&["index.txt", "issued/alice.crt"], &[("", "easy-rsa 3", 1)]),
            (&["index.txt"], &[("", "certificate authority", 0)]),
            // Certificates alone, as somebody copied them.
            (&["pki/ca.crt", "pki/issued/alice.crt"], &[("pki", "easy-rsa 3", 1)]),
            // Two of them.
            (
                &[
                    "a/index.txt",
                    "a/ca.crt",
                    "b/index.txt",
                    "b/cacert.pem",
                    "b/newcerts/01.pem",
                ],
                &[("a", "certificate authority", 0), ("b", "certificate authority", 1)],
            ),
            // Something else that is called so.
            (&["docs/index.txt", "docs/a.md", "issued/alice.crt"], &[]),
        ];
        for (files, expected) in cases {
            let expected: Vec<_> = expected
                .iter()
                .map(|(name, kind, count)| ((*name).to_owned(), *kind, *count))
                .collect();
            assert_eq!(found(files), expected, "{files:?}");
        }
    }
}
