//! One entry of the allow-list.

use std::{
    fs::{self, File, Metadata, Permissions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink},
    path::Path,
};

use vpnmanager_nats::ids::CommonName;

use super::told::Told;
use crate::{
    groups::{Layout, Place, Places, Seat},
    listening::ListenerNumber,
    pushed_file::{PushedFile, PushedFileError, TARGET},
    pushed_groups::PushedGroups,
};

const FILE_MODE: u32 = 0o644;

/// What entries are.
#[derive(Debug, Clone)]
pub(super) enum Form {
    /// Empty files.
    EmptyFile,
    /// What was told of each.
    Told(Told),
    /// What OpenVPN pushes to clients, and which addresses it gives them.
    Pushing(Pushing),
}

/// Where entries lead that push something.
#[derive(Debug, Clone)]
pub(super) struct Pushing {
    /// To all members of the group `default`.
    pub(super) pushed: PushedFile,
    /// To the members of another one.
    pub(super) groups: PushedGroups,
    /// Who is one.
    pub(super) places: Places,
}

/// Somebody who is to be let in.
#[derive(Debug)]
pub(super) struct Arrival<'a> {
    /// Her credential.
    pub(super) name: &'a CommonName,
    /// Where she logs in.
    pub(super) seat: Seat,
    /// Whether no entry must be made for now: there is no address for her, or the firewall does not hold whoever has it.
    pub(super) is_held_back: bool,
}

/// What the entry of one credential in the folder of one listener should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// An empty file.
    EmptyFile,
    /// A link to [`TARGET`].
    Link,
    /// A file that says this, such as which fixed address it has.
    Text(String),
    /// Nothing: there is no address for it, or nothing was told of it.
    Nothing,
}

/// What is at the place of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// An entry as it should be.
    Ours,
    /// One of another mode of the agent, or of an earlier release: it lets in too.
    OtherForm,
    /// Something else. OpenVPN may let in with it.
    Altered,
    /// Nothing.
    Missing,
}

impl Form {
    /// One look for all listeners at where this credential logs in.
    pub(super) fn arrival<'a>(&self, name: &'a CommonName) -> Arrival<'a> {
        let (seat, is_held_back) = match self {
            Self::EmptyFile | Self::Told(_) => (Seat::Dynamic, false),
            Self::Pushing(pushing) => {
                let seat = pushing.places.seat_of(name);
                let is_held_back = match &seat {
                    Seat::Dynamic => false,
                    Seat::Fixed(place) => !pushing.places.holds(place),
                    Seat::Waiting => true,
                };
                (seat, is_held_back)
            }
        };
        Arrival {
            name,
            seat,
            is_held_back,
        }
    }

    /// What the entry of whoever arrives should be in the folder of this listener.
    pub(super) fn wanted(&self, arrival: &Arrival<'_>, number: ListenerNumber) -> Wanted {
        match (self, &arrival.seat) {
            (Self::EmptyFile, _) => Wanted::EmptyFile,
            (Self::Told(told), _) => told.of(arrival.name).map_or(Wanted::Nothing, Wanted::Text),
            (Self::Pushing(_), Seat::Dynamic) => Wanted::Link,
            (Self::Pushing(pushing), Seat::Fixed(place)) => Wanted::Text(pushing.text(place, number)),
            (Self::Pushing(_), Seat::Waiting) => Wanted::Nothing,
        }
    }

    /// Makes what the entry of whoever has this seat leads to, where that is missing.
    pub(super) fn ensure_target(&self, seat: &Seat) -> Result<(), PushedFileError> {
        match (self, seat) {
            (Self::Pushing(pushing), Seat::Fixed(place)) => pushing.groups.ensure(&place.group),
            (Self::Pushing(_), Seat::Dynamic | Seat::Waiting) | (Self::EmptyFile | Self::Told(_), _) => Ok(()),
        }
    }
}

impl Pushing {
    /// The place that the text of an entry in the folder of this listener says; `None` for a text that is none of ours.
    pub(super) fn place_in(&self, text: &str, number: ListenerNumber) -> Option<Place> {
        let first = text.lines().next()?;
        let address = first.strip_prefix("ifconfig-push ")?.split(' ').next()?;
        let host = self.layout(number).host_of(address.parse().ok()?)?;
        let path = Path::new(text.lines().next_back()?.strip_prefix("config \"")?.strip_suffix('"')?);
        let group = path.file_name()?.to_str()?.parse().ok()?;
        let place = Place { group, host };
        (self.text(&place, number) == text).then_some(place)
    }

    fn text(&self, place: &Place, number: ListenerNumber) -> String {
        text_of(&self.layout(number), place, &self.groups.path_of(&place.group))
    }

    fn layout(&self, number: ListenerNumber) -> Layout {
        self.places.layout().beside(number)
    }
}

/// What the entry of a credential with a fixed address says. The path is quoted: what a quoted path cannot hold keeps the agent from starting
/// (`ConfPath`).
fn text_of(layout: &Layout, place: &Place, pushes: &Path) -> String {
    let address = layout.address(place.host);
    let ipv4 = format!("ifconfig-push {address} {}\n", layout.network().mask());
    let ipv6 = layout.address6(place.host).zip(layout.network6());
    let ipv6 = ipv6.map(|(address, network)| format!("ifconfig-ipv6-push {address}/{}\n", network.prefix_length()));
    format!("{ipv4}{}config \"{}\"\n", ipv6.unwrap_or_default(), pushes.display())
}

impl Wanted {
    /// What is there. Nothing is an error of the kind [`io::ErrorKind::NotFound`].
    pub(super) fn look(&self, place: &Path) -> io::Result<Entry> {
        match self {
            Self::Link => look_for_link(place),
            Self::EmptyFile => look_for_empty_file(place),
            Self::Text(text) => look_for_text(place, text),
            Self::Nothing => fs::symlink_metadata(place).map(|_| Entry::Altered),
        }
    }

    /// Whether what is there may let in with more than this entry would. One of another mode pushes nothing, and gives any address.
    pub(super) fn is_loosened_by(&self, found: Entry) -> bool {
        match (found, self) {
            (Entry::Ours | Entry::Missing, _) => false,
            (Entry::OtherForm, Self::Link | Self::EmptyFile) => false,
            (Entry::OtherForm, Self::Text(_) | Self::Nothing) | (Entry::Altered, _) => true,
        }
    }

    /// Makes an entry where nothing is, if that can be done in one step. False if it cannot, or something has come there.
    pub(super) fn make_at_once(&self, place: &Path) -> io::Result<bool> {
        match self {
            Self::Link => match symlink(TARGET, place) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(error),
            },
            Self::EmptyFile | Self::Text(_) | Self::Nothing => Ok(false),
        }
    }

    /// Makes an entry at a place of our own, to be moved to its own.
    pub(super) fn make(&self, staged: &Path) -> io::Result<()> {
        match self {
            Self::Link => symlink(TARGET, staged),
            Self::EmptyFile => write(staged, ""),
            Self::Text(text) => write(staged, text),
            Self::Nothing => Ok(()),
        }
    }
}

/// Mostly a link is there, which costs one call of the system.
fn look_for_link(place: &Path) -> io::Result<Entry> {
    match fs::read_link(place) {
        Ok(target) if target == Path::new(TARGET) => Ok(Entry::Ours),
        Ok(_) => Ok(Entry::Altered),
        // It is no link.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            let is_of_before = is_empty_file(&fs::symlink_metadata(place)?);
            Ok(if is_of_before { Entry::OtherForm } else { Entry::Altered })
        }
        Err(error) => Err(error),
    }
}

fn look_for_empty_file(place: &Path) -> io::Result<Entry> {
    let found = fs::symlink_metadata(place)?;
    if is_empty_file(&found) {
        return Ok(Entry::Ours);
    }
    let is_link = found.is_symlink() && fs::read_link(place)? == Path::new(TARGET);
    Ok(if is_link { Entry::OtherForm } else { Entry::Altered })
}

/// A link in the place of such a file would free its credential of the rules of its group.
fn look_for_text(place: &Path, text: &str) -> io::Result<Entry> {
    let found = fs::symlink_metadata(place)?;
    if is_empty_file(&found) {
        return Ok(Entry::OtherForm);
    }
    let is_ours = is_file_of_ours(&found) && fs::read(place)? == text.as_bytes();
    Ok(if is_ours { Entry::Ours } else { Entry::Altered })
}

fn is_file_of_ours(found: &Metadata) -> bool {
    found.is_file() && found.mode() & 0o777 == FILE_MODE
}

fn is_empty_file(found: &Metadata) -> bool {
    is_file_of_ours(found) && found.len() == 0
}

fn write(place: &Path, text: &str) -> io::Result<()> {
    let mut options = File::options();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE)
        .open(place)?;
    // The process's umask may have taken permissions away.
    file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    file.write_all(text.as_bytes())
}
