//! A profile of AppArmor for OpenVPN: it keeps OpenVPN from files that it does not name, such as those of the agent.

use std::path::Path;

/// Where distributions have it; Ubuntu from 25.04 on.
const PROFILE: &str = "/etc/apparmor.d/openvpn";
/// What OpenVPN says of a file that it may not open.
const REFUSALS: [&str; 2] = ["Permission denied", "Error opening configuration file"];

/// What an OpenVPN said that did not start, and on a machine with a profile for it where to look, if that may be the cause. One that may not
/// write its log either says nothing.
pub(super) fn explained(said: Option<String>) -> String {
    explained_by(said.unwrap_or_default(), Path::new(PROFILE))
}

fn explained_by(said: String, profile: &Path) -> String {
    let is_refused = said.is_empty() || REFUSALS.iter().any(|refusal| said.contains(refusal));
    if !is_refused || !profile.exists() {
        return said;
    }
    let said = match said.is_empty() {
        true => "it said nothing",
        false => said.as_str(),
    };
    format!(
        "{said}. AppArmor may keep it from the files of the agent ({}): see \"AppArmor\" in docs/deployment.md",
        profile.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_silence_and_refusals_lead_to_the_profile_and_only_where_there_is_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let profile = folder.path().join("openvpn");
        let texts = [
            "",
            "Options error: In [CMD-LINE]:1: Error opening configuration file: server.conf",
            "Cannot open the file: Permission denied (errno=13)",
        ];
        for text in texts {
            assert_eq!(explained_by(text.to_owned(), &profile), text, "there is no profile");
        }
        std::fs::write(&profile, "").expect("written");
        for text in texts {
            let said = explained_by(text.to_owned(), &profile);
            assert!(said.contains("\"AppArmor\" in docs/deployment.md"), "{said}");
            assert!(said.starts_with(text), "{said}");
        }
        assert!(explained_by(String::new(), &profile).starts_with("it said nothing. "));
        let other = "TCP/UDP: Socket bind failed on local address [undef]: Address already in use";
        assert_eq!(explained_by(other.to_owned(), &profile), other);
    }
}
