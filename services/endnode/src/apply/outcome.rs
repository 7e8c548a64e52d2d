//! The answer to a command that is applied: it follows from what the journal holds.

use std::path::Path;

use vpnmanager_nats::{
    acks::{FurtherIssued, Issued, Outcome},
    commands::{Command, Issue},
    ids::CommonName,
};

use crate::{
    plan::{Held, HeldCredential, ProfileStage, issue_of},
    profile_file::profile_path,
    some_of::some_of,
};

/// What an operator should know about the only credential of a user that has no profile here and never will.
const LOST: &str = "the credential is let in, but its profile cannot be made here: another key has its certificate, \
     or management does not certify it any more. The device needs another one (POST \
     /api/users/{username}/devices/{device}/reissue of management)";

/// The same where the user has several devices. It follows the names of those credentials.
const DEVICES_LOST: &str = "let in, but without a profile here: another key has the certificate, or management does not certify the \
     credential any more. The device needs another one (POST /api/users/{username}/devices/{device}/reissue of management)";

/// The answer to a command whose profiles, if it wants any, were made or can never be made.
pub(super) fn outcome_of(held: Option<&Held>, command: &Command, profiles: &Path) -> Outcome {
    let removed = held.is_some_and(|held| held.removed_by.is_some()) && matches!(command, Command::PutUser(_));
    let note = removed.then(|| "deleted on the node itself; management has not carried that out yet".to_owned());
    let Some(issue) = issue_of(command) else {
        return Outcome::Applied {
            issued: None,
            further: Vec::new(),
            note,
        };
    };
    let credentials = held.map(|held| held.credentials.as_slice()).unwrap_or_default();
    Outcome::Applied {
        issued: issued(credentials, &issue.common_name, profiles),
        further: issue
            .further
            .iter()
            .filter_map(|name| further_issued(credentials, name))
            .collect(),
        note: lost_note(credentials, issue).or(note),
    }
}

fn issued(credentials: &[HeldCredential], name: &CommonName, profiles: &Path) -> Option<Issued> {
    checksum_of(credentials, name).map(|checksum| Issued {
        common_name: name.clone(),
        profile_path: profile_path(profiles, name).display().to_string(),
        profile_checksum: checksum.to_owned(),
    })
}

fn further_issued(credentials: &[HeldCredential], name: &CommonName) -> Option<FurtherIssued> {
    checksum_of(credentials, name).map(|checksum| FurtherIssued {
        common_name: name.clone(),
        profile_checksum: checksum.to_owned(),
    })
}

fn checksum_of<'a>(credentials: &'a [HeldCredential], name: &CommonName) -> Option<&'a str> {
    match stage_of(credentials, name)? {
        ProfileStage::Complete { checksum, .. } => Some(checksum.as_str()),
        ProfileStage::Listed | ProfileStage::Keyed | ProfileStage::Lost => None,
    }
}

fn stage_of<'a>(credentials: &'a [HeldCredential], name: &CommonName) -> Option<&'a ProfileStage> {
    let found = credentials.iter().find(|credential| credential.common_name == *name);
    found.map(|credential| &credential.stage)
}

fn lost_note(credentials: &[HeldCredential], issue: &Issue) -> Option<String> {
    let is_lost = |name: &&CommonName| stage_of(credentials, name) == Some(&ProfileStage::Lost);
    let lost: Vec<&str> = issue.common_names().filter(is_lost).map(CommonName::as_str).collect();
    if lost.is_empty() {
        return None;
    }
    if issue.further.is_empty() {
        return Some(LOST.to_owned());
    }
    Some(format!("{}: {DEVICES_LOST}", some_of(&lost)))
}

#[cfg(test)]
mod tests {
    use vpnmanager_nats::{
        bounded::TEXT,
        commands::{PutUser, Role},
        device::MOST_DEVICES,
        ids::{IntentId, Revision, UserKey},
    };

    use super::*;

    fn command(names: &[CommonName]) -> Command {
        let (first, further) = names.split_first().unwrap();
        Command::PutUser(PutUser {
            role: Role::Home,
            credentials: names.to_vec(),
            issue: Some(Issue {
                common_name: first.clone(),
                further: further.to_vec(),
                remotes: Vec::new(),
            }),
            ..PutUser::new(
                "n1".parse().unwrap(),
                UserKey(uuid::Uuid::from_u128(1)),
                "alice".parse().unwrap(),
                Revision(1),
            )
        })
    }

    fn complete(checksum: &str) -> ProfileStage {
        ProfileStage::Complete {
            remotes: Vec::new(),
            checksum: checksum.to_owned(),
        }
    }

    fn held(of: &[(&CommonName, ProfileStage)]) -> Held {
        let names: Vec<CommonName> = of.iter().map(|(name, _)| (*name).clone()).collect();
        let credential = |(name, stage): &(&CommonName, ProfileStage)| HeldCredential {
            common_name: (*name).clone(),
            stage: stage.clone(),
        };
        Held {
            command: command(&names),
            removed_by: None,
            outcome: None,
            applied: Revision(0),
            credentials: of.iter().map(credential).collect(),
        }
    }

    fn outcome(held: &Held) -> (Option<Issued>, Vec<FurtherIssued>, Option<String>) {
        match outcome_of(Some(held), &held.command, Path::new("/profiles")) {
            Outcome::Applied { issued, further, note } => (issued, further, note),
            other @ (Outcome::Failed { .. } | Outcome::Refused { .. } | Outcome::Superseded { .. }) => {
                panic!("{other:?}")
            }
        }
    }

    fn name(text: &str) -> CommonName {
        text.parse().unwrap()
    }

    #[test]
    fn each_profile_that_is_there_is_told() {
        let (laptop, phone, tablet) = (name("alice.laptop"), name("alice.phone"), name("alice.tablet"));
        let held = held(&[
            (&laptop, complete("1a")),
            (&phone, ProfileStage::Lost),
            (&tablet, complete("3c")),
        ]);

        let (issued, further, note) = outcome(&held);

        let issued = issued.unwrap();
        assert_eq!((issued.common_name, issued.profile_checksum.as_str()), (laptop, "1a"));
        assert_eq!(issued.profile_path, "/profiles/alice.laptop.ovpn");
        let of_tablet = FurtherIssued {
            common_name: tablet,
            profile_checksum: "3c".to_owned(),
        };
        assert_eq!(further, [of_tablet]);
        let note = note.unwrap();
        assert!(
            note.starts_with("alice.phone: let in") && note.contains("/devices/{device}/reissue"),
            "{note}"
        );
    }

    #[test]
    fn the_first_may_be_lost_and_the_further_ones_there() {
        let (laptop, phone) = (name("alice.laptop"), name("alice.phone"));
        let (issued, further, note) = outcome(&held(&[(&laptop, ProfileStage::Lost), (&phone, complete("2b"))]));
        assert_eq!((issued, further.len()), (None, 1));
        assert!(note.unwrap().starts_with("alice.laptop: "));
    }

    #[test]
    fn the_only_credential_needs_no_name() {
        let (issued, further, note) = outcome(&held(&[(&name("alice.laptop"), ProfileStage::Lost)]));
        assert_eq!((issued, further, note.as_deref()), (None, Vec::new(), Some(LOST)));
    }

    #[test]
    fn a_local_delete_is_told_unless_there_is_worse() {
        let laptop = name("alice.laptop");
        let removed = |stage| Held {
            removed_by: Some(IntentId::new()),
            ..held(&[(&laptop, stage)])
        };
        let (_, _, note) = outcome(&removed(complete("1a")));
        assert!(note.unwrap().starts_with("deleted on the node itself"));
        let (_, _, note) = outcome(&removed(ProfileStage::Lost));
        assert_eq!(note.as_deref(), Some(LOST));
    }

    #[test]
    fn the_note_about_the_most_devices_is_not_cut() {
        let names: Vec<CommonName> = (10..10 + MOST_DEVICES)
            .map(|number| name(&format!("{}{number}", "a".repeat(CommonName::MAX_LENGTH - 2))))
            .collect();
        let lost: Vec<(&CommonName, ProfileStage)> = names.iter().map(|name| (name, ProfileStage::Lost)).collect();

        let (_, _, note) = outcome(&held(&lost));

        let note = note.unwrap();
        assert!(note.contains(" and 13 more: let in"), "{note}");
        assert!(note.chars().count() <= TEXT, "{} characters", note.chars().count());
    }
}
