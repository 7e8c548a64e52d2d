//! Imports of what old servers left.

mod amended;
mod large;
mod placed;
mod sessions;

use std::path::Path;
use std::sync::LazyLock;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{EntityTrait as _, QueryOrder as _};
use vpnmanager_adopt::found::{Found, FoundCertificate, FoundUser, Place};
use vpnmanager_entities::old_certificate;
use vpnmanager_management::{
    domain::{
        actor::Actor,
        audit_action::AuditAction,
        import::{policies::Policies, report::Report},
    },
    ops::{
        import::{
            import_source::import_source,
            order::{ImportError, Order},
            read::{get_import, list_imports},
            source::SourceRead,
        },
        publications::claim::claim,
        users::create::CreateUserError,
    },
};
use vpnmanager_nats::{
    commands::{Command, PutUser},
    old_certificates::SerialNumber,
};

use super::{audited, fleet, node, unpublish, view};
use crate::{database::number, stack::Stack};

/// In 100 days, at a whole second as ends of certificates are. The same for all, so that a source that is made twice is the same.
static NOT_AFTER: LazyLock<DateTime<Utc>> =
    LazyLock::new(|| DateTime::from_timestamp(Utc::now().timestamp(), 0).expect("a time") + TimeDelta::days(100));

/// Somebody with a certificate of this name that is valid for 100 days.
fn certified(name: &str, serial: u32) -> FoundUser {
    let certificate = FoundCertificate {
        common_name: name.to_owned(),
        serial: serial.to_string().parse().expect("a serial number"),
        not_after: *NOT_AFTER,
        is_revoked: false,
    };
    FoundUser {
        certificates: vec![certificate],
        ..uncertified(name)
    }
}

fn uncertified(name: &str) -> FoundUser {
    FoundUser::new(name.to_owned(), Place::file(Path::new("index.txt")))
}

fn source(users: Vec<FoundUser>) -> SourceRead {
    SourceRead {
        found: Found {
            kinds: vec!["easy-rsa 3".to_owned()],
            users,
            ..Found::default()
        },
        sha256: "0a".repeat(32),
    }
}

/// Imports a source of that node as it is, or tries it.
async fn ask(
    stack: &Stack,
    id: &str,
    read: &SourceRead,
    policies: &Policies,
    is_trial: bool,
) -> Result<Report, ImportError> {
    let (node, actor) = (node(id), Actor::command());
    let order = Order {
        node: &node,
        source: "/etc/openvpn",
        read,
        policies,
        actor: &actor,
        is_trial,
    };
    import_source(&stack.app.db, &stack.app.config.placement_rules(), &order, &|_| {}).await
}

pub(crate) async fn import(stack: &Stack, id: &str, read: &SourceRead) -> Report {
    ask(stack, id, read, &Policies::default(), false)
        .await
        .expect("imported")
}

/// Imports somebody with a certificate of that name.
pub(crate) async fn import_one(stack: &Stack, id: &str, name: &str) -> Report {
    import(stack, id, &source(vec![certified(name, 1)])).await
}

/// The certificates that are not revoked, as node and name.
async fn accepted(stack: &Stack) -> Vec<String> {
    let rows = old_certificate::Entity::find()
        .order_by_asc(old_certificate::Column::Id)
        .all(&stack.app.db)
        .await
        .expect("read");
    rows.iter()
        .filter(|row| row.revoked_at.is_none())
        .map(|row| format!("{} {}", row.server_id, row.common_name))
        .collect()
}

/// What each node is to hold, from the beginning.
async fn commands(stack: &Stack) -> Vec<PutUser> {
    unpublish(stack).await;
    let claims = claim(&stack.app.db).await.expect("claimed");
    let puts = claims.into_iter().map(|claim| match claim.publication.command.body {
        Command::PutUser(put) => put,
        Command::RemoveUser(remove) => panic!("{remove:?}"),
    });
    puts.collect()
}

#[tokio::test]
async fn users_are_created_with_their_certificates_and_the_same_source_changes_nothing() {
    let stack = fleet(2).await;
    stack.end_tasks().await;
    let suspended = FoundUser {
        active: false,
        created_at: DateTime::from_timestamp(1_600_000_000, 0),
        ..certified("bob", 2)
    };
    let seen = FoundUser {
        last_access: DateTime::from_timestamp(1_700_000_000, 0),
        ..certified("alice", 1)
    };
    let read = source(vec![seen, suspended, uncertified("carol")]);

    let report = import(&stack, "node-1", &read).await;

    let counts = report.counts;
    assert_eq!((counts.created, counts.old_certificates), (3, 2), "{report:?}");
    assert_eq!(accepted(&stack).await, ["node-1 alice", "node-1 bob"]);
    let bob = view(&stack, "bob").await.expect("there").user;
    assert_eq!((bob.active, bob.server_id.as_str()), (false, "node-1"));
    assert_eq!((bob.created_at.timestamp(), bob.last_access), (1_600_000_000, None));
    let alice = view(&stack, "alice").await.expect("there").user;
    assert_eq!(alice.last_access, DateTime::from_timestamp(1_700_000_000, 0));
    assert_eq!(audited(&stack, AuditAction::UserCreated).await.len(), 3);
    assert_eq!(audited(&stack, AuditAction::UsersImported).await.len(), 1);
    let recorded = get_import(&stack.app.db, report.id.expect("recorded")).await;
    assert_eq!(recorded.expect("read").expect("there").report.counts, counts);

    let again = import(&stack, "node-1", &read).await;

    assert_eq!((again.id, again.counts.unchanged), (None, 3), "{again:?}");
    assert_eq!(list_imports(&stack.app.db, None, 10).await.expect("read").len(), 1);
    assert_eq!(number(&stack.app.db, "SELECT max(revision) FROM users").await, 1);
}

#[tokio::test]
async fn a_trial_says_the_same_and_changes_nothing() {
    let stack = fleet(1).await;
    stack.end_tasks().await;
    let read = source(vec![certified("alice", 1), certified("alice", 2)]);
    let policies = Policies::default();

    let trial = ask(&stack, "node-1", &read, &policies, true).await.expect("tried");
    assert_eq!(number(&stack.app.db, "SELECT count(*) FROM users").await, 0);
    assert_eq!(number(&stack.app.db, "SELECT count(*) FROM imports").await, 0);
    assert!(audited(&stack, AuditAction::UserCreated).await.is_empty());

    let done = ask(&stack, "node-1", &read, &policies, false).await.expect("imported");
    assert_eq!((trial.id, done.id.is_some()), (None, true));
    assert_eq!(trial, Report { id: None, ..done });
}

#[tokio::test]
async fn what_concerns_all_users_is_an_error_and_leaves_nothing() {
    let stack = fleet(1).await;
    stack.end_tasks().await;
    let read = source(vec![certified("alice", 1)]);
    let unknown = Policies {
        group: "nobody".parse().expect("a group"),
        ..Policies::default()
    };
    let refused = ask(&stack, "node-1", &read, &unknown, false).await;
    assert!(
        matches!(refused, Err(ImportError::Create(CreateUserError::UnknownGroup(_)))),
        "{refused:?}"
    );
    let refused = ask(&stack, "node-9", &read, &Policies::default(), false).await;
    assert!(matches!(refused, Err(ImportError::UnknownNode(_))), "{refused:?}");
    let passed = Policies {
        old_until: Some(Utc::now() - TimeDelta::hours(1)),
        ..Policies::default()
    };
    let refused = ask(&stack, "node-1", &read, &passed, false).await;
    assert!(matches!(refused, Err(ImportError::OldUntilPassed)), "{refused:?}");
    for table in ["users", "old_certificates", "imports"] {
        let rows = format!("SELECT count(*) FROM {table}");
        assert_eq!(number(&stack.app.db, &rows).await, 0, "{table}");
    }
}

#[tokio::test]
async fn a_node_is_told_of_its_own_old_certificates_alone() {
    let stack = fleet(2).await;
    stack.end_tasks().await;
    let old_until = Utc::now() + TimeDelta::days(30);
    let policies = Policies {
        old_until: Some(old_until),
        ..Policies::default()
    };
    let mut read = source(vec![certified("alice", 2)]);
    let alice = &mut read.found.users[0];
    let lost = FoundCertificate {
        serial: "1".parse().expect("a serial number"),
        is_revoked: true,
        ..alice.certificates[0].clone()
    };
    alice.certificates.insert(0, lost);
    ask(&stack, "node-1", &read, &policies, false).await.expect("imported");

    let puts = commands(&stack).await;

    assert_eq!(puts.len(), 2, "{puts:?}");
    for put in puts {
        if put.node == node("node-1") {
            let [old] = put.old_certificates.as_slice() else {
                panic!("{put:?}");
            };
            assert_eq!(old.common_name.as_str(), "alice");
            assert_eq!(old.expires_at.expect("an end").timestamp(), old_until.timestamp());
            let revoked: SerialNumber = "1".parse().expect("a serial number");
            assert_eq!(old.revoked, [revoked]);
        } else {
            assert_eq!(put.old_certificates, []);
        }
        assert_eq!(put.credentials.len(), 1, "the new profile works on both");
    }
}
