//! Reading a source, whatever it is.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use crate::{
    choice::{Choice, choose},
    error::ReadError,
    folder::{Folder, Listing},
    found::{Found, FoundUser, Place, Remark},
    join::join,
    layout::Layout,
    lists::{UserList, read_database, read_separated},
    pki::{Circumstances, Issued, List, Revocations},
    server::{ClientFolders, ServerConf, apply_client_files, facts_of, note_left_over},
};

const DATABASE: &str = "SQLite";
const SEPARATED: &str = "CSV";
const CONF: &str = "server.conf";

/// A source, with what was found until now.
struct Reading<'a> {
    folder: &'a Folder,
    listing: &'a Listing,
    /// Whether the source is one file: then it must be what it is taken for.
    is_single: bool,
    now: DateTime<Utc>,
    found: Found,
}

/// Reads what an old server left: a folder, or a single file. It blocks for as long as that takes, and writes nothing.
///
/// # Errors
/// See [`ReadError`]. A source whose authority has ended is refused, whatever else it has.
pub fn read(source: &Path) -> Result<Found, ReadError> {
    read_at(source, Utc::now())
}

fn read_at(source: &Path, now: DateTime<Utc>) -> Result<Found, ReadError> {
    let folder = Folder::of(source)?;
    let (listing, layout) = match folder.single() {
        Some(file) => (Listing::default(), Layout::of_file(&folder, file)?),
        None => {
            let listing = folder.list()?;
            let layout = Layout::of(&listing);
            (listing, layout)
        }
    };
    let reading = Reading {
        folder: &folder,
        listing: &listing,
        is_single: folder.single().is_some(),
        now,
        found: Found {
            remarks: listing.remarks.clone(),
            ..Found::default()
        },
    };
    let found = reading.all(layout)?;
    if found.kinds.is_empty() {
        return Err(ReadError::Unknown {
            file: source.to_owned(),
        });
    }
    Ok(found)
}

impl Reading<'_> {
    fn all(mut self, layout: Layout) -> Result<Found, ReadError> {
        let confs = self.confs(&layout.confs);
        let choice = choose(self.folder, layout.pkis, confs, &mut self.found.remarks)?;
        // Before anything else: with it all else is in vain.
        if let Some(authority) = &choice.authority {
            authority.check_validity(self.now)?;
        }
        let listed = self.listed(&layout.databases, &layout.lists)?;
        let mut issued = self.issued(&choice)?;
        issued.extend(choice.confs.iter().flat_map(fingerprinted));
        self.found.users = join(listed, issued, &mut self.found.remarks);
        self.clients(&choice.confs);
        Ok(self.found)
    }

    fn confs(&mut self, files: &[PathBuf]) -> Vec<ServerConf> {
        let mut confs = Vec::new();
        for file in files {
            let conf = ServerConf::read(self.folder, file);
            if conf.is_server() {
                confs.push(conf);
            } else {
                let remark =
                    conf.remark("the file is left out: it is no configuration of a server for several clients");
                self.found.remarks.push(remark);
            }
        }
        confs
    }

    /// In a folder a file of something else may be called like a list.
    fn listed(&mut self, databases: &[PathBuf], lists: &[PathBuf]) -> Result<Vec<FoundUser>, ReadError> {
        let mut users = Vec::new();
        let files = databases.iter().map(|file| (DATABASE, file));
        for (kind, file) in files.chain(lists.iter().map(|file| (SEPARATED, file))) {
            let bytes = self.folder.read(file)?;
            let read = if kind == DATABASE {
                read_database(self.folder, file, &bytes)
            } else {
                read_separated(file, &bytes)
            };
            let UserList { users: more, remarks } = match read {
                Err(
                    other @ (ReadError::NoUsers { .. }
                    | ReadError::NoUsernames { .. }
                    | ReadError::NotSqlite { .. }
                    | ReadError::NotUtf8 { .. }),
                ) if !self.is_single => {
                    let remark = Place::file(file).remark(format!("the file is left out: {other}"));
                    self.found.remarks.push(remark);
                    continue;
                }
                read => read?,
            };
            self.note_kind(kind);
            self.found.remarks.extend(remarks);
            users.extend(more);
        }
        Ok(users)
    }

    fn issued(&mut self, choice: &Choice) -> Result<Vec<FoundUser>, ReadError> {
        let mut certificates = Vec::new();
        let mut names = Vec::new();
        for conf in &choice.confs {
            self.note_kind(CONF);
            note_left_over(conf, &mut self.found.remarks);
            conf.note_encrypted_key(self.folder, &mut self.found.remarks);
            let certificate = conf.certificate(self.folder, self.now, &mut self.found.remarks)?;
            names.extend(match &certificate {
                Some(certificate) => certificate.common_name.clone(),
                None => conf.certificate_file_name(),
            });
            certificates.extend(certificate);
        }
        self.found.server = facts_of(&choice.confs, &mut self.found.remarks);
        self.found.authority = choice.authority.as_ref().map(|authority| authority.found.clone());
        let Some(pki) = &choice.pki else {
            return Ok(Vec::new());
        };
        self.note_kind(pki.kind);
        if choice.authority.is_none() {
            let text = "the certificate of the authority is not in the source: whether it has ended is not known";
            self.found.remarks.push(pki.place().remark(text));
        }
        let circumstances = Circumstances {
            folder: self.folder,
            authority: choice.authority.as_ref(),
            server_certificates: &certificates,
            server_names: &names,
        };
        let Issued {
            users,
            revoked_without_name,
            remarks,
        } = Issued::read(pki, &circumstances, self.revocations(choice)?)?;
        self.found.remarks.extend(remarks);
        self.found
            .remarks
            .extend(remark_of_nameless(pki.place(), revoked_without_name.len()));
        if let Some(authority) = &mut self.found.authority {
            authority.revoked_without_name = revoked_without_name;
        }
        Ok(users)
    }

    fn revocations(&self, choice: &Choice) -> Result<Revocations, ReadError> {
        let authority = choice.authority.as_ref();
        let mut revocations = Revocations::default();
        for conf in &choice.confs {
            conf.add_revocations(self.folder, self.listing, (authority, self.now), &mut revocations)?;
        }
        if let Some(file) = choice.pki.as_ref().and_then(|pki| pki.revocations.as_ref()) {
            let bytes = self.folder.read(file)?;
            let list = List {
                file,
                bytes: &bytes,
                is_of_server: false,
            };
            revocations.add_list(&list, authority, self.now);
        }
        Ok(revocations)
    }

    fn note_kind(&mut self, kind: &str) {
        if !self.found.kinds.iter().any(|known| known == kind) {
            self.found.kinds.push(kind.to_owned());
        }
    }

    fn clients(&mut self, confs: &[ServerConf]) {
        let Found { users, remarks, .. } = &mut self.found;
        let folders = ClientFolders::of(confs, self.folder, self.listing, remarks);
        if !users.is_empty() {
            apply_client_files(&folders, self.folder, self.listing, users, remarks);
        }
    }
}

/// Users of a server without an authority. Their certificates are good for nothing elsewhere.
fn fingerprinted(conf: &ServerConf) -> Vec<FoundUser> {
    let names = conf.names_of_fingerprints().into_iter();
    let users = names.map(|name| FoundUser::new(name, Place::file(&conf.file)));
    users.collect()
}

fn remark_of_nameless(place: Place, count: usize) -> Option<Remark> {
    let text = format!(
        "{count} certificates are revoked, and nothing says whose they were: their serial numbers are refused whatever their names are"
    );
    (count > 0).then(|| place.remark(text))
}

#[cfg(test)]
mod tests;
