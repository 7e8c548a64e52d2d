//! Imports about users who are there.

use vpnmanager_management::{
    domain::{
        audit_action::AuditAction,
        import::policies::{Policies, SameName},
    },
    ops::{
        old_certificates::{
            change::change_old_certificate, list::list_old_certificates, locked::Named,
            revoke_one::revoke_old_certificate,
        },
        users::remove::remove_user,
    },
};
use vpnmanager_nats::username::Username;

use super::{accepted, ask, certified, commands, import, import_one, source};
use crate::{
    database::number,
    ops::{actor, audited, node, view},
    stack::Stack,
};

fn named(id: &str, common_name: &str) -> Named {
    Named {
        node: node(id),
        common_name: common_name.parse().expect("a common name"),
    }
}

fn alice() -> Username {
    "alice".parse().expect("a username")
}

/// A fleet of two where each user is on one node, and alice is imported from node-1.
async fn with_alice() -> Stack {
    let stack = Stack::start_with(&[("PLACEMENT_REPLICAS", "1")]).await;
    for id in ["node-1", "node-2"] {
        stack.enrol(id).await;
    }
    stack.end_tasks().await;
    import_one(&stack, "node-1", "alice").await;
    stack
}

#[tokio::test]
async fn who_is_on_two_servers_is_one_user_who_is_placed_on_both() {
    let stack = with_alice().await;

    let report = import_one(&stack, "node-2", "alice").await;

    assert_eq!(
        (report.counts.joined, report.counts.old_certificates),
        (1, 1),
        "{report:?}"
    );
    assert_eq!(accepted(&stack).await, ["node-1 alice", "node-2 alice"]);
    let user = view(&stack, "alice").await.expect("there");
    let mut nodes: Vec<&str> = user
        .placements
        .iter()
        .map(|placement| placement.server_id.as_str())
        .collect();
    nodes.sort_unstable();
    assert_eq!((nodes, user.user.revision), (vec!["node-1", "node-2"], 2));
    assert_eq!(audited(&stack, AuditAction::OldCertificateAdded).await.len(), 1);
    let puts = commands(&stack).await;
    assert!(puts.iter().all(|put| put.old_certificates.len() == 1), "{puts:?}");

    let again = import_one(&stack, "node-2", "alice").await;
    assert_eq!(again.counts.unchanged, 1, "{again:?}");
}

#[tokio::test]
async fn another_user_of_that_name_is_renamed_once() {
    let stack = with_alice().await;
    let policies = Policies {
        same_name: SameName::Rename,
        ..Policies::default()
    };
    let read = source(vec![certified("alice", 1)]);
    for (created, unchanged) in [(1, 0), (0, 1)] {
        let report = ask(&stack, "node-2", &read, &policies, false).await.expect("imported");
        assert_eq!(
            (report.counts.created, report.counts.unchanged),
            (created, unchanged),
            "{report:?}"
        );
    }
    assert!(view(&stack, "alice-node-2").await.is_some());
}

#[tokio::test]
async fn what_the_old_authority_revokes_is_revoked_by_the_next_import_at_once() {
    let stack = with_alice().await;
    let mut revoked = certified("alice", 1);
    revoked.certificates[0].is_revoked = true;

    let report = import(&stack, "node-1", &source(vec![revoked])).await;

    assert_eq!(report.counts.changed, 1, "{report:?}");
    assert!(accepted(&stack).await.is_empty());
    let urgent = "SELECT count(*) FROM placements WHERE urgent_since IS NOT NULL";
    assert_eq!(number(&stack.app.db, urgent).await, 1);
    assert_eq!(audited(&stack, AuditAction::OldCertificateRevoked).await.len(), 1);
}

#[tokio::test]
async fn the_end_of_a_certificate_is_changed_once_and_a_shorter_time_is_urgent() {
    let stack = with_alice().await;
    let end = chrono::DateTime::from_timestamp(1_900_000_000, 0);
    for revision in [2, 2] {
        let changed =
            change_old_certificate(&stack.app, &actor(), &alice(), &named("node-1", "alice"), Some(end)).await;
        assert_eq!(changed.expect("changed").expires_at, end);
        assert_eq!(view(&stack, "alice").await.expect("there").user.revision, revision);
    }
    let urgent = "SELECT count(*) FROM placements WHERE urgent_since IS NOT NULL";
    assert_eq!(number(&stack.app.db, urgent).await, 1);
    assert_eq!(audited(&stack, AuditAction::OldCertificateChanged).await.len(), 1);
}

#[tokio::test]
async fn a_certificate_that_was_revoked_here_does_not_come_back_with_the_source() {
    let stack = with_alice().await;
    revoke_old_certificate(&stack.app, &actor(), &alice(), &named("node-1", "alice"))
        .await
        .expect("revoked");
    assert!(
        list_old_certificates(&stack.app.db, &alice())
            .await
            .expect("read")
            .is_empty()
    );
    revoke_old_certificate(&stack.app, &actor(), &alice(), &named("node-1", "alice"))
        .await
        .unwrap_err();

    let report = import_one(&stack, "node-1", "alice").await;

    assert_eq!(report.counts.skipped, 1, "{report:?}");
    assert!(accepted(&stack).await.is_empty());
    let puts = commands(&stack).await;
    assert_eq!((puts.len(), puts[0].old_certificates.len()), (1, 0));
}

#[tokio::test]
async fn a_user_who_is_removed_takes_the_certificates_along_for_ever() {
    let stack = with_alice().await;
    remove_user(&stack.app, &actor(), &alice()).await.expect("removed");
    assert!(accepted(&stack).await.is_empty());

    let report = import_one(&stack, "node-1", "alice").await;
    assert_eq!((report.counts.skipped, report.counts.created), (1, 0), "{report:?}");
}

#[tokio::test]
async fn whom_another_server_keeps_out_is_not_let_in_there_by_having_access_here() {
    let stack = with_alice().await;
    let mut read = source(vec![certified("alice", 1)]);
    read.found.users[0].active = false;
    for _ in 0..2 {
        let report = import(&stack, "node-2", &read).await;
        assert_eq!((report.counts.conflicts, report.id), (1, None), "{report:?}");
        assert_eq!(accepted(&stack).await, ["node-1 alice"]);
    }
    read.found.users[0].active = true;
    let end = chrono::DateTime::from_timestamp(1_900_000_000, 0);
    read.found.users[0].expires_at = end;
    let report = import(&stack, "node-2", &read).await;
    assert_eq!(report.counts.joined, 1, "{report:?}");
    let ends: Vec<_> = list_old_certificates(&stack.app.db, &alice()).await.expect("read");
    let ends: Vec<_> = ends.iter().map(|old| old.expires_at).collect();
    assert_eq!(ends, [None, end]);
}
