//! What users may need of an agent, and agents of earlier releases do not do.
//!
//! An older agent ignores what it does not know in what it is told, so nothing fails, and nobody would notice. An agent says of itself which
//! release it is of. What a release has added is recorded here when it is added, and nowhere else.

use std::fmt;

/// Something that agents do since some release, and that users may depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feature {
    /// The old listener of the node lets in the certificates of the server that it took over.
    OldCertificates,
}

impl Feature {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::OldCertificates];

    /// The word for it in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OldCertificates => "old_certificates",
        }
    }

    /// The first release whose agents do it.
    pub fn since(self) -> Release {
        match self {
            Self::OldCertificates => Release(0, 2, 0),
        }
    }

    /// What an agent without it does, for people.
    pub fn effect(self) -> &'static str {
        match self {
            Self::OldCertificates => "it lets nobody in by an old certificate",
        }
    }
}

/// A release of VPN Manager: its major and minor number, and that of the patch. What comes before it (`0.2.0-rc.1`) counts as the release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release(u64, u64, u64);

impl Release {
    /// The release of an agent; `None` if it does not say one, such as where monitoring speaks for the node.
    fn of(agent_version: &str) -> Option<Self> {
        let (numbers, _) = agent_version.split_once(['-', '+']).unwrap_or((agent_version, ""));
        let numbers: Vec<u64> = numbers
            .split('.')
            .map(|part| part.parse().ok())
            .collect::<Option<_>>()?;
        match numbers[..] {
            [major, minor, patch] => Some(Self(major, minor, patch)),
            _ => None,
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(major, minor, patch) = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// Whether an agent that says this version of itself lacks a feature. One that says no release is not judged.
pub fn lacks(agent_version: &str, feature: Feature) -> bool {
    Release::of(agent_version).is_some_and(|release| release < feature.since())
}

/// That an agent of this version lacks what users of its node need, and what to do, for people; `None`: it lacks nothing of it.
pub fn outdated(agent_version: &str, unmet: &[Feature]) -> Option<String> {
    let newest = unmet.iter().map(|feature| feature.since()).max()?;
    let effects: Vec<&str> = unmet.iter().map(|feature| feature.effect()).collect();
    Some(format!(
        "its agent is of release {agent_version}, which is too old for some of its users ({}): install an agent of release {newest} or newer",
        effects.join("; ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_releases_before_a_feature_lack_it() {
        for older in ["0.1.0", "0.1.99", "0.1.0-rc.1", "0.0.1+local"] {
            assert!(lacks(older, Feature::OldCertificates), "{older}");
        }
        for newer in ["0.2.0", "0.2.0-rc.1", "0.10.0", "1.0.0"] {
            assert!(!lacks(newer, Feature::OldCertificates), "{newer}");
        }
    }

    #[test]
    fn what_names_no_release_is_not_judged() {
        for odd in [
            "",
            "0.1",
            "0.1.0.0",
            "v0.1.0",
            "0.1.x",
            "-1.0.0",
            "monitoring",
            "0.1.99999999999999999999",
        ] {
            assert!(!lacks(odd, Feature::OldCertificates), "{odd:?}");
        }
    }

    #[test]
    fn every_feature_is_known_to_the_agents_of_this_release() {
        for feature in Feature::ALL {
            assert!(!lacks(env!("CARGO_PKG_VERSION"), feature), "{feature:?}");
        }
    }

    #[test]
    fn a_person_is_told_what_is_missing_and_what_to_install() {
        assert_eq!(outdated("0.1.0", &[]), None);
        assert_eq!(
            outdated("0.1.0", &Feature::ALL).as_deref(),
            Some(
                "its agent is of release 0.1.0, which is too old for some of its users (it lets nobody in by an old certificate): install an \
                 agent of release 0.2.0 or newer"
            )
        );
    }
}
