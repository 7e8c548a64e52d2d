//! The folder of serial numbers that the old listener refuses (`crl-verify DIR dir`): a file for each certificate that its authority revoked.
//!
//! A list (`crl-verify FILE`) ends some day, and then locks everybody out. A folder does not.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, OpenOptions, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use vpnmanager_nats::old_certificates::SerialNumber;
use vpnmanager_openvpn_conf::is_same_place;
use x509_parser::{parse_x509_crl, pem::Pem};

/// Searchable by the account that OpenVPN changes to: OpenVPN takes a file that it cannot open for none, and lets in its certificate.
const DIR_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

/// Where an old server says itself which certificates it refuses (`crl-verify`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnRefusals {
    /// Nowhere.
    Nowhere,
    /// In a list within its `server.conf`.
    Block(String),
    /// In a list of its authority.
    List(PathBuf),
    /// In a folder of serial numbers.
    Folder(PathBuf),
}

impl OwnRefusals {
    /// What stands there at the moment.
    ///
    /// # Errors
    /// Why it cannot be read, in words: whoever is on it would be let in.
    pub fn read(&self) -> Result<BTreeSet<SerialNumber>, String> {
        let unread =
            |path: &Path, error: io::Error| format!("`crl-verify`: {} cannot be read: {error}", path.display());
        match self {
            Self::Nowhere => Ok(BTreeSet::new()),
            Self::Block(text) => serials_of(text.as_bytes()),
            Self::List(path) => serials_of(&fs::read(path).map_err(|error| unread(path, error))?),
            Self::Folder(path) => names_in(path).map_err(|error| unread(path, error)),
        }
    }
}

/// The folder. Cheap to clone; all clones are the same one.
#[derive(Debug, Clone)]
pub struct RevokedFolder {
    dir: PathBuf,
    own: OwnRefusals,
    /// Those that the old server refused itself: they stay whatever management says.
    always: Arc<Mutex<BTreeSet<SerialNumber>>>,
}

impl RevokedFolder {
    /// Opens it, and makes it where it is missing. What the old server refuses itself is in it after [`Self::follow`].
    ///
    /// # Errors
    /// It cannot be made or read.
    pub fn open(dir: PathBuf, own: OwnRefusals) -> io::Result<Self> {
        prepare(&dir)?;
        let is_this_one = matches!(&own, OwnRefusals::Folder(folder) if is_same_place(folder, &dir));
        let (own, always) = if is_this_one {
            // The operator's server.conf names it by now. What was revoked before that stands nowhere else any more.
            (OwnRefusals::Nowhere, names_in(&dir)?)
        } else {
            (own, BTreeSet::new())
        };
        Ok(Self {
            dir,
            own,
            always: Arc::new(Mutex::new(always)),
        })
    }

    /// Reads again what the old server refuses itself, and refuses that too, and whatever it ever refused.
    ///
    /// # Errors
    /// Why it could not be read or refused, in words.
    pub fn follow(&self) -> Result<(), String> {
        let read = self.own.read().map(|read| self.always().extend(read));
        let always = self.always().clone();
        let written = names_in(&self.dir).or_else(|_lost| prepare(&self.dir).map(|()| BTreeSet::new()));
        let written = written.and_then(|present| self.add(always.difference(&present)));
        written.map_err(|error| format!("{} cannot be written: {error}", self.dir.display()))?;
        read
    }

    /// Refuses these from now on. True when one of them was not refused before.
    pub fn add<'a>(&self, serials: impl IntoIterator<Item = &'a SerialNumber>) -> io::Result<bool> {
        prepare(&self.dir)?;
        let mut is_news = false;
        for serial in serials {
            let mut options = OpenOptions::new();
            let made = options
                .write(true)
                .create_new(true)
                .mode(FILE_MODE)
                .open(self.dir.join(serial.as_str()));
            match made {
                Ok(file) => {
                    // The process's umask may have taken permissions away.
                    file.set_permissions(Permissions::from_mode(FILE_MODE))?;
                    is_news = true;
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Ok(is_news)
    }

    /// Whether it refuses others than these, and those that are refused in any case. A folder that was lost is made again.
    pub fn differs(&self, wanted: &BTreeSet<SerialNumber>) -> io::Result<bool> {
        prepare(&self.dir)?;
        let present = names_in(&self.dir)?;
        Ok(!wanted.union(&self.always()).eq(&present))
    }

    /// Refuses no others than these, and those that are refused in any case. To be called after [`Self::add`].
    pub fn keep_only(&self, wanted: &BTreeSet<SerialNumber>) -> io::Result<()> {
        let always = self.always();
        for serial in names_in(&self.dir)? {
            if !wanted.contains(&serial) && !always.contains(&serial) {
                fs::remove_file(self.dir.join(serial.as_str()))?;
            }
        }
        Ok(())
    }

    fn always(&self) -> MutexGuard<'_, BTreeSet<SerialNumber>> {
        self.always.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn prepare(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir)?;
    fs::set_permissions(dir, Permissions::from_mode(DIR_MODE))
}

/// The serial numbers in a folder. What is none means nothing to OpenVPN either.
fn names_in(dir: &Path) -> io::Result<BTreeSet<SerialNumber>> {
    let mut serials = BTreeSet::new();
    for entry in fs::read_dir(dir)? {
        serials.extend(entry?.file_name().to_str().and_then(|name| name.parse().ok()));
    }
    Ok(serials)
}

/// The serial numbers of a list of an authority, PEM or DER, also of one whose time is over. The error is why it cannot be read, in words.
fn serials_of(list: &[u8]) -> Result<BTreeSet<SerialNumber>, String> {
    let blocks = Pem::iter_from_buffer(list).filter_map(Result::ok);
    let mut ders: Vec<Vec<u8>> = blocks
        .filter(|block| block.label == "X509 CRL")
        .map(|block| block.contents)
        .collect();
    if ders.is_empty() {
        ders.push(list.to_vec());
    }
    let mut serials = BTreeSet::new();
    for der in ders {
        let (_, read) =
            parse_x509_crl(&der).map_err(|_| "the list of revoked certificates (`crl-verify`) is none".to_owned())?;
        for revoked in read.iter_revoked_certificates() {
            let serial = revoked.serial().to_string();
            serials.insert(serial.parse().map_err(|_| {
                format!("the list of revoked certificates has the serial number {serial}, which is too long")
            })?);
        }
    }
    Ok(serials)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `openssl ca -gencrl` with two certificates revoked, the second with the serial number 0x0a1b; it ended in 2021.
    const LIST: &str = include_str!("revoked/ended.crl.pem");

    fn serials(texts: &[&str]) -> BTreeSet<SerialNumber> {
        texts.iter().map(|text| text.parse().expect("a number")).collect()
    }

    /// A folder in `root` for a server that refuses 7 by a folder of its own.
    fn folder(root: &Path) -> RevokedFolder {
        let own = root.join("serials");
        fs::create_dir(&own).expect("made");
        fs::write(own.join("7"), "").expect("written");
        let folder = RevokedFolder::open(root.join("revoked.old"), OwnRefusals::Folder(own)).expect("opened");
        folder.follow().expect("followed");
        folder
    }

    fn all_in(folder: &RevokedFolder) -> BTreeSet<SerialNumber> {
        names_in(&folder.dir).expect("listed")
    }

    #[test]
    fn a_folder_refuses_what_is_wanted_and_what_the_old_server_refused() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = folder(root.path());
        let two = serials(&["7", "258"]);

        assert!(folder.differs(&two).expect("looked"));
        assert!(folder.add(&two).expect("added"));
        assert!(!folder.add(&two).expect("added"), "they are refused already");
        assert!(!folder.differs(&two).expect("looked"));
        fs::write(folder.dir.join("README"), "").expect("written");
        assert!(!folder.differs(&two).expect("looked"), "that is no number");

        let none = BTreeSet::new();
        assert!(folder.differs(&none).expect("looked"));
        folder.keep_only(&none).expect("removed");
        assert_eq!(all_in(&folder), serials(&["7"]), "as the old server did");
        let mode = fs::metadata(&folder.dir).expect("a folder").permissions().mode();
        assert_eq!(mode & 0o777, DIR_MODE, "OpenVPN's account may search it");
    }

    #[test]
    fn what_the_old_server_refuses_later_is_refused_and_what_was_lost_is_put_back() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = folder(root.path());
        let own = root.path().join("serials");
        fs::write(own.join("258"), "").expect("written");
        folder.follow().expect("followed");
        assert_eq!(all_in(&folder), serials(&["7", "258"]));

        let lose_one = || fs::remove_file(folder.dir.join("7"));
        let lose_all = || fs::remove_dir_all(&folder.dir);
        for lose in [&lose_one as &dyn Fn() -> io::Result<()>, &lose_all] {
            lose().expect("lost");
            folder.follow().expect("followed");
            assert_eq!(all_in(&folder), serials(&["7", "258"]));
        }
        // What it refused once stays refused, also where nobody can say so any more.
        fs::remove_dir_all(&own).expect("lost");
        fs::remove_file(folder.dir.join("7")).expect("lost");
        let reason = folder.follow().expect_err("it cannot be read");
        assert!(reason.contains("cannot be read"), "{reason}");
        folder.keep_only(&BTreeSet::new()).expect("removed");
        assert_eq!(all_in(&folder), serials(&["7", "258"]));
    }

    /// As an operator's `server.conf` does from the second start of the agent on.
    #[test]
    fn what_is_in_the_folder_stays_where_the_old_server_names_this_very_folder() {
        let root = tempfile::tempdir().expect("a folder");
        let before = folder(root.path());
        let link = root.path().join("link");
        std::os::unix::fs::symlink(&before.dir, &link).expect("linked");

        let folder = RevokedFolder::open(before.dir.clone(), OwnRefusals::Folder(link)).expect("opened");
        folder.follow().expect("followed");

        folder.add(&serials(&["258"])).expect("added");
        folder.keep_only(&BTreeSet::new()).expect("removed");
        assert_eq!(all_in(&folder), serials(&["7"]));
    }

    #[test]
    fn the_serial_numbers_of_a_list_are_read_although_its_time_is_over() {
        assert_eq!(serials_of(LIST.as_bytes()), Ok(serials(&["1", "2587"])));
        for bad in ["", "-----BEGIN CERTIFICATE-----", "no list"] {
            serials_of(bad.as_bytes()).expect_err(bad);
        }
    }
}
