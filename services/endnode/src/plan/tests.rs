mod old;

use std::collections::BTreeSet;

use chrono::TimeDelta;
use proptest::prelude::*;
use vpnmanager_nats::{
    commands::{Protocol, RemoveUser},
    ids::UserKey,
};

use super::*;

fn names(texts: &[&str]) -> Vec<CommonName> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn remotes() -> Vec<Remote> {
    vec![Remote {
        host: "198.18.0.11".parse().unwrap(),
        port: 1194,
        protocol: Protocol::Udp,
    }]
}

fn put(revision: i64, credentials: &[&str]) -> PutUser {
    PutUser {
        credentials: names(credentials),
        ..PutUser::new(
            "n1".parse().unwrap(),
            UserKey(uuid::Uuid::from_u128(1)),
            "alice".parse().unwrap(),
            Revision(revision),
        )
    }
}

fn home(revision: i64, credential: &str) -> PutUser {
    devices(revision, &[credential])
}

/// A user with a profile for each of these.
fn devices(revision: i64, credentials: &[&str]) -> PutUser {
    let names = names(credentials);
    let (first, further) = names.split_first().unwrap();
    let issue = Issue {
        common_name: first.clone(),
        further: further.to_vec(),
        remotes: remotes(),
    };
    PutUser {
        role: Role::Home,
        issue: Some(issue),
        ..put(revision, credentials)
    }
}

fn removed(revision: i64) -> Command {
    let put = put(revision, &[]);
    Command::RemoveUser(RemoveUser {
        node: put.node,
        user_key: put.user_key,
        username: put.username,
        revision: put.revision,
    })
}

fn held(command: Command, credentials: &[(&str, ProfileStage)]) -> Held {
    Held {
        applied: command.revision(),
        command,
        removed_by: None,
        outcome: Some(Outcome::Applied {
            issued: None,
            further: Vec::new(),
            note: None,
        }),
        credentials: credentials
            .iter()
            .map(|(name, stage)| HeldCredential {
                common_name: name.parse().unwrap(),
                stage: stage.clone(),
            })
            .collect(),
    }
}

fn complete() -> ProfileStage {
    ProfileStage::Complete {
        remotes: remotes(),
        checksum: "00".to_owned(),
    }
}

fn changed(plan: Plan) -> Change {
    match plan {
        Plan::Change(change) => change,
        Plan::Refuse { .. } | Plan::Supersede { .. } | Plan::Repeat { .. } => panic!("{plan:?}"),
    }
}

#[test]
fn who_is_let_in_follows_from_the_command_and_the_clock() {
    let now = Utc::now();
    let at = |seconds| Some(now + TimeDelta::seconds(seconds));
    let cases = [
        (put(1, &["a.x"]), true),
        (
            PutUser {
                active: false,
                ..put(1, &["a.x"])
            },
            false,
        ),
        (
            PutUser {
                expires_at: at(1),
                ..put(1, &["a.x"])
            },
            true,
        ),
        (
            PutUser {
                expires_at: at(0),
                ..put(1, &["a.x"])
            },
            false,
        ),
        (
            PutUser {
                expires_at: at(-1),
                ..put(1, &["a.x"])
            },
            false,
        ),
    ];
    for (put, let_in) in cases {
        let change = changed(plan(None, &Command::PutUser(put.clone()), now));
        let (allow, deny) = if let_in {
            (names(&["a.x"]), vec![])
        } else {
            (vec![], names(&["a.x"]))
        };
        assert_eq!(change.access, Access { allow, deny }, "{put:?}");
    }
}

#[test]
fn a_local_delete_refuses_whatever_the_command_says() {
    let held = Held {
        removed_by: Some(IntentId::new()),
        ..held(Command::PutUser(put(1, &["a.x"])), &[("a.x", ProfileStage::Listed)])
    };
    let change = changed(plan(
        Some(&held),
        &Command::PutUser(put(2, &["a.x", "a.y"])),
        Utc::now(),
    ));
    assert_eq!(
        change.access,
        Access {
            allow: vec![],
            deny: names(&["a.x", "a.y"])
        }
    );
}

#[test]
fn only_a_greater_revision_changes_anything() {
    let now = Utc::now();
    let held = held(Command::PutUser(put(2, &["a.x"])), &[("a.x", ProfileStage::Listed)]);
    assert_eq!(
        plan(Some(&held), &removed(1), now),
        Plan::Supersede { holds: Revision(2) }
    );
    let Plan::Repeat {
        access,
        outcome,
        missing,
    } = plan(Some(&held), &Command::PutUser(put(2, &["a.x"])), now)
    else {
        panic!("a repetition changed something");
    };
    assert_eq!(
        (access.allow, outcome, missing),
        (names(&["a.x"]), held.outcome.clone(), None)
    );
    assert_eq!(changed(plan(Some(&held), &removed(3), now)).forget, names(&["a.x"]));
}

/// An agent of before groups did not keep the group of a command, and management has no other revision to send.
#[test]
fn a_group_that_was_not_kept_is_taken_from_a_command_of_the_same_revision() {
    let now = Utc::now();
    let in_group = |group: Option<&str>| {
        Command::PutUser(PutUser {
            group: group.map(|group| group.parse().unwrap()),
            ..home(1, "a.x")
        })
    };
    let held = |group| held(in_group(group), &[("a.x", complete())]);
    for (kept, told, is_change) in [
        (None, Some("sales"), true),
        (Some("default"), Some("sales"), true),
        (Some("sales"), Some("sales"), false),
        (Some("sales"), None, false),
        (None, Some("default"), false),
        (None, None, false),
    ] {
        let planned = plan(Some(&held(kept)), &in_group(told), now);
        let expected = Change {
            access: Access {
                allow: names(&["a.x"]),
                deny: Vec::new(),
            },
            forget: Vec::new(),
            missing: None,
        };
        let is_so = match planned {
            Plan::Change(change) => is_change && change == expected,
            Plan::Repeat { .. } => !is_change,
            Plan::Refuse { .. } | Plan::Supersede { .. } => false,
        };
        assert!(is_so, "{kept:?}, {told:?}");
    }
}

#[test]
fn a_command_that_only_ends_access_lets_nobody_in_with_a_group() {
    let now = Utc::now();
    let (sales, is_over): (GroupName, _) = ("sales".parse().unwrap(), Some(now));
    let in_group = |group: &GroupName, active, expires_at| {
        Command::PutUser(PutUser {
            group: Some(group.clone()),
            active,
            expires_at,
            ..put(1, &["a.x"])
        })
    };
    for (command, expected) in [
        (in_group(&sales, true, None), Some(&sales)),
        (in_group(&sales, true, Some(now + TimeDelta::hours(1))), Some(&sales)),
        (in_group(&GroupName::default(), true, None), None),
        (in_group(&sales, false, None), None),
        (in_group(&sales, true, is_over), None),
        (removed(1), None),
    ] {
        assert_eq!(let_in_with(&command, now), expected, "{command:?}");
    }
}

#[test]
fn a_profile_is_made_when_it_is_missing_or_names_other_nodes() {
    let now = Utc::now();
    let elsewhere = ProfileStage::Complete {
        remotes: vec![],
        checksum: "00".to_owned(),
    };
    let cases = [
        (ProfileStage::Listed, true),
        (ProfileStage::Keyed, true),
        (elsewhere, true),
        (complete(), false),
        (ProfileStage::Lost, false),
    ];
    for (stage, wanted) in cases {
        let held = held(Command::PutUser(home(1, "a.x")), &[("a.x", stage.clone())]);
        let change = changed(plan(Some(&held), &Command::PutUser(home(2, "a.x")), now));
        let expected = wanted.then(|| MissingProfiles {
            common_names: names(&["a.x"]),
            remotes: remotes(),
        });
        assert_eq!(change.missing, expected, "{stage:?}");
    }
}

#[test]
fn only_the_profiles_that_are_missing_are_made() {
    let held = held(
        Command::PutUser(devices(1, &["a.w", "a.x", "a.y"])),
        &[
            ("a.w", complete()),
            ("a.x", ProfileStage::Keyed),
            ("a.y", ProfileStage::Lost),
        ],
    );
    let command = Command::PutUser(devices(2, &["a.z", "a.y", "a.x", "a.w"]));

    let change = changed(plan(Some(&held), &command, Utc::now()));

    assert_eq!(change.missing.unwrap().common_names, names(&["a.z", "a.x"]));
    let same = Command::PutUser(devices(2, &["a.y", "a.w"]));
    assert_eq!(changed(plan(Some(&held), &same, Utc::now())).missing, None);
}

#[test]
fn an_open_profile_is_taken_up_again_at_the_same_revision() {
    let held = Held {
        outcome: None,
        ..held(
            Command::PutUser(devices(1, &["a.x", "a.y"])),
            &[("a.x", ProfileStage::Keyed), ("a.y", complete())],
        )
    };
    let Plan::Repeat {
        outcome: None,
        missing: Some(missing),
        ..
    } = plan(Some(&held), &Command::PutUser(devices(1, &["a.x", "a.y"])), Utc::now())
    else {
        panic!("the profile was forgotten");
    };
    assert_eq!(missing.common_names, names(&["a.x"]));
}

#[test]
fn a_command_whose_last_profile_another_one_made_has_still_to_be_answered() {
    let held = Held {
        outcome: None,
        ..held(Command::PutUser(home(1, "a.x")), &[("a.x", complete())])
    };
    let Plan::Repeat {
        outcome: None,
        missing: Some(missing),
        ..
    } = plan(Some(&held), &Command::PutUser(home(1, "a.x")), Utc::now())
    else {
        panic!("the answer was forgotten");
    };
    assert!(missing.common_names.is_empty());
}

#[test]
fn commands_that_contradict_themselves_are_refused() {
    let no_remotes = Some(Issue {
        common_name: "a.x".parse().unwrap(),
        further: vec![],
        remotes: vec![],
    });
    let many: Vec<String> = (0..=MOST_DEVICES).map(|number| format!("a.{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(contradiction(&Command::PutUser(devices(1, &many[1..]))).is_none());
    let cases = [
        PutUser {
            role: Role::Standby,
            ..home(1, "a.x")
        },
        PutUser {
            credentials: names(&["a.y"]),
            ..home(1, "a.x")
        },
        PutUser {
            credentials: names(&["a.x"]),
            ..devices(1, &["a.x", "a.y"])
        },
        devices(1, &["a.x", "a.y", "a.y"]),
        devices(1, &["a.x", "a.x"]),
        devices(1, &many),
        PutUser {
            issue: no_remotes,
            ..home(1, "a.x")
        },
    ];
    for put in cases {
        assert!(
            matches!(
                plan(None, &Command::PutUser(put.clone()), Utc::now()),
                Plan::Refuse { .. }
            ),
            "{put:?}"
        );
    }
}

/// What the journal makes of a plan, and the allow-list of both.
#[derive(Default)]
struct Model {
    held: Option<Held>,
    allowed: BTreeSet<CommonName>,
}

impl Model {
    fn take(&mut self, command: &Command, now: DateTime<Utc>) {
        let (access, forget) = match plan(self.held.as_ref(), command, now) {
            Plan::Refuse { .. } | Plan::Supersede { .. } => return,
            Plan::Repeat { access, .. } => (access, Vec::new()),
            Plan::Change(change) => {
                let mut credentials = self.held.take().map(|held| held.credentials).unwrap_or_default();
                credentials.retain(|credential| !change.forget.contains(&credential.common_name));
                if let Command::PutUser(put) = command {
                    for name in &put.credentials {
                        if !credentials.iter().any(|credential| credential.common_name == *name) {
                            credentials.push(HeldCredential {
                                common_name: name.clone(),
                                stage: ProfileStage::Listed,
                            });
                        }
                    }
                }
                self.held = Some(Held {
                    credentials,
                    ..held(command.clone(), &[])
                });
                (change.access, change.forget)
            }
        };
        for name in access.deny.iter().chain(&forget) {
            self.allowed.remove(name);
        }
        self.allowed.extend(access.allow);
    }
}

fn any_command() -> impl Strategy<Value = Command> {
    let credentials = proptest::sample::subsequence(vec!["a.w", "a.x", "a.y", "a.z"], 0..=4);
    (
        1_i64..12,
        any::<bool>(),
        any::<bool>(),
        proptest::option::of(-5_i64..5),
        credentials,
    )
        .prop_map(|(revision, is_removed, active, expires, credentials)| {
            if is_removed && revision % 3 == 0 {
                return removed(revision);
            }
            let expires_at = expires.map(|seconds| DateTime::UNIX_EPOCH + TimeDelta::seconds(1000 + seconds));
            Command::PutUser(PutUser {
                active,
                expires_at,
                ..put(revision, &credentials)
            })
        })
}

proptest! {
    #[test]
    fn any_order_and_repetition_ends_in_the_newest_state(commands in proptest::collection::vec(any_command(), 1..12), seed in any::<u64>()) {
        let now = DateTime::UNIX_EPOCH + TimeDelta::seconds(1000);
        // A revision means one state.
        let mut known: Vec<Command> = Vec::new();
        for command in commands {
            if known.iter().all(|other| other.revision() != command.revision()) {
                known.push(command);
            }
        }
        let newest = known.iter().max_by_key(|command| command.revision()).unwrap().clone();
        let mut shuffled: Vec<Command> = known.iter().chain(&known).cloned().collect();
        fastrand::Rng::with_seed(seed).shuffle(&mut shuffled);

        let (mut model, mut direct) = (Model::default(), Model::default());
        for command in &shuffled {
            model.take(command, now);
        }
        direct.take(&newest, now);

        prop_assert_eq!(&model.allowed, &direct.allowed);
        prop_assert_eq!(model.held.map(|held| held.command), Some(newest));
    }
}
