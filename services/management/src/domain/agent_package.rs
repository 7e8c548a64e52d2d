//! Packages of the agent, as management hands them out to machines that become nodes.

use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;

/// The release whose agent is handed out: that of management.
pub const RELEASE: &str = env!("CARGO_PKG_VERSION");

const PACKAGE: &str = "vpnmanager-endnode";
const EXTENSION: &str = ".deb";

/// A package of this release. A name from outside becomes one before it is part of a path, so it can lead nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentPackage {
    /// The kind of machine that it is for.
    pub architecture: Architecture,
    /// The same release was packed so often: the last part of Debian's version.
    pub revision: u32,
}

/// The kinds of machine that we are built for, by their names in Debian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Architecture {
    /// x86_64.
    Amd64,
    /// aarch64.
    Arm64,
}

/// The name is none of a package that is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a package of the agent of release {}", RELEASE)]
pub struct NoAgentPackage;

impl Architecture {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// As dpkg calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

impl fmt::Display for AgentPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { architecture, revision } = self;
        write!(f, "{PACKAGE}_{RELEASE}-{revision}_{}{EXTENSION}", architecture.name())
    }
}

impl FromStr for AgentPackage {
    type Err = NoAgentPackage;

    fn from_str(name: &str) -> Result<Self, NoAgentPackage> {
        let rest = name.strip_suffix(EXTENSION).ok_or(NoAgentPackage)?;
        let (version, kind) = rest.rsplit_once('_').ok_or(NoAgentPackage)?;
        let architecture = Architecture::ALL.into_iter().find(|known| known.name() == kind);
        let (_, revision) = version.rsplit_once('-').ok_or(NoAgentPackage)?;
        let package = Self {
            architecture: architecture.ok_or(NoAgentPackage)?,
            revision: revision.parse().map_err(|_no_number| NoAgentPackage)?,
        };
        // All that was not looked at, and each other way to write a number.
        if package.to_string() != name {
            return Err(NoAgentPackage);
        }
        Ok(package)
    }
}

/// The newest of each architecture.
#[must_use]
pub fn newest(packages: impl IntoIterator<Item = AgentPackage>) -> Vec<AgentPackage> {
    let mut newest: Vec<AgentPackage> = packages.into_iter().collect();
    newest.sort_unstable_by_key(|package| (package.architecture, Reverse(package.revision)));
    newest.dedup_by_key(|package| package.architecture);
    newest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(architecture: Architecture, revision: u32) -> AgentPackage {
        AgentPackage { architecture, revision }
    }

    #[test]
    fn a_name_is_taken_as_a_whole_or_not_at_all() {
        let name = format!("vpnmanager-endnode_{RELEASE}-12_arm64.deb");
        assert_eq!(name.parse(), Ok(package(Architecture::Arm64, 12)));
        for wrong in [
            String::new(),
            "vpnmanager-endnode.deb".to_owned(),
            format!("vpnmanager-endnode_{RELEASE}_amd64.deb"),
            format!("vpnmanager-endnode_{RELEASE}-+1_amd64.deb"),
            format!("vpnmanager-endnode_{RELEASE}-01_amd64.deb"),
            format!("vpnmanager-endnode_{RELEASE}-1_riscv64.deb"),
            format!("vpnmanager-endnode_{RELEASE}-1_amd64.deb.part"),
            format!("vpnmanager-management_{RELEASE}-1_amd64.deb"),
            format!("../vpnmanager-endnode_{RELEASE}-1_amd64.deb"),
            "vpnmanager-endnode_9999.0.0-1_amd64.deb".to_owned(),
            format!("vpnmanager-endnode_{RELEASE}-4294967296_amd64.deb"),
        ] {
            assert_eq!(wrong.parse::<AgentPackage>(), Err(NoAgentPackage), "{wrong}");
        }
    }

    #[test]
    fn the_newest_of_each_architecture_is_found() {
        let (old, new) = (package(Architecture::Amd64, 9), package(Architecture::Amd64, 10));
        let other = package(Architecture::Arm64, 1);
        assert_eq!(newest([old, other, new]), [new, other]);
        assert_eq!(newest([]), []);
    }
}
