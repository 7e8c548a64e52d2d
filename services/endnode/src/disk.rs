//! The room on the disk of the state folder: a journal without room takes no change, and the node then drifts.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

/// An amount of bytes, written `256MiB`: a number, then B, KiB, MiB, GiB or TiB; without a unit bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(pub u64);

/// Not an amount of bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no size such as 256MiB")]
pub struct InvalidByteSize(String);

/// Units with how often 1024 is in them.
const UNITS: [(&str, u32); 6] = [("TiB", 4), ("GiB", 3), ("MiB", 2), ("KiB", 1), ("B", 0), ("", 0)];

impl FromStr for ByteSize {
    type Err = InvalidByteSize;

    fn from_str(text: &str) -> Result<Self, InvalidByteSize> {
        let parse = || {
            let (number, power) = UNITS
                .iter()
                .find_map(|(unit, power)| Some((text.strip_suffix(unit)?, *power)))?;
            let number: u64 = number.trim_end().parse().ok()?;
            number.checked_mul(1024_u64.pow(power))
        };
        parse().map(Self).ok_or_else(|| InvalidByteSize(text.to_owned()))
    }
}

impl fmt::Display for ByteSize {
    /// In the largest unit that loses nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |power: u32| self.0 > 0 && self.0.is_multiple_of(1024_u64.pow(power));
        let (unit, power) = UNITS.iter().find(|(_, power)| fits(*power)).unwrap_or(&("B", 0));
        write!(f, "{}{unit}", self.0 / 1024_u64.pow(*power))
    }
}

impl TryFrom<String> for ByteSize {
    type Error = InvalidByteSize;

    fn try_from(text: String) -> Result<Self, InvalidByteSize> {
        text.parse()
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.to_string()
    }
}

/// The disk of a folder, and what should be free on it.
#[derive(Debug, Clone)]
pub struct Disk {
    folder: PathBuf,
    reserve: ByteSize,
}

impl Disk {
    /// The disk of this folder; less than `reserve` is an alarm.
    pub fn new(folder: &Path, reserve: ByteSize) -> Self {
        Self {
            folder: folder.to_owned(),
            reserve,
        }
    }

    /// Bytes that may still be written. `None` when the system does not say.
    pub fn free(&self) -> Option<u64> {
        vpnmanager_runtime::doctor::disk::free(&self.folder).ok()
    }

    /// The alarm, in words.
    pub fn fault(&self) -> Option<String> {
        let free = self.free().filter(|free| *free < self.reserve.0)?;
        Some(format!(
            "the disk of {} is almost full: {} MiB are free, and {} are reserved",
            self.folder.display(),
            free >> 20,
            self.reserve
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes, written) in [
            ("0", 0, "0B"),
            ("1000", 1000, "1000B"),
            ("1KiB", 1024, "1KiB"),
            ("256MiB", 256 << 20, "256MiB"),
            ("2 GiB", 2 << 30, "2GiB"),
        ] {
            let size: ByteSize = text.parse().expect("a size");
            assert_eq!((size.0, size.to_string().as_str()), (bytes, written), "{text}");
        }
        for bad in ["", "MiB", "1MB", "-1", "1.5GiB", "99999999TiB"] {
            assert!(bad.parse::<ByteSize>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_disk_with_less_than_its_reserve_is_an_alarm() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(Disk::new(folder.path(), ByteSize(0)).fault(), None);
        let alarm = Disk::new(folder.path(), ByteSize(u64::MAX)).fault().expect("an alarm");
        assert!(
            alarm.starts_with(&format!("the disk of {} is almost full", folder.path().display())),
            "{alarm}"
        );
    }
}
