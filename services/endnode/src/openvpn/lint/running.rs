//! What is known of the OpenVPN that runs with the file.

use super::command_line::CommandLine;

/// The OpenVPN that runs with a file, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Running {
    /// Its release, once it has answered on its management socket.
    pub release: Option<Release>,
    /// What it was started with, where that can be seen.
    pub command_line: Option<CommandLine>,
}

impl Running {
    /// The process that answers on the management socket, with the version that it says.
    pub fn of(pid: u32, version: Option<&str>) -> Self {
        Self {
            release: version.and_then(Release::parse),
            command_line: CommandLine::of(pid),
        }
    }
}

/// A release of OpenVPN, such as 2.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    major: u32,
    minor: u32,
}

impl Release {
    pub(super) const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// From what OpenVPN says of itself, such as `2.6.14` or `2.7_rc1`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(['.', '_']);
        Some(Self {
            major: numbers.next()?.parse().ok()?,
            minor: numbers.next()?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_and_compared_as_numbers() {
        assert_eq!(Release::parse("2.6.14"), Some(Release::new(2, 6)));
        assert_eq!(Release::parse("2.7_rc1"), Some(Release::new(2, 7)));
        assert_eq!(Release::parse("2"), None);
        assert_eq!(Release::parse("git"), None);
        assert!(Release::new(2, 10) > Release::new(2, 9));
    }
}
