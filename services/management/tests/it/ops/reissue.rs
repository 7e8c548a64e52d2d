//! New profiles for users that already have one.

use sea_orm::{EntityTrait, QueryFilter, QueryOrder};
use serde_json::json;
use vpnmanager_entities::{audit_log, credential};
use vpnmanager_management::ops::{
    reports::apply_reports::apply_reports,
    users::{
        locked::LivingUserError,
        reissue::{OldProfiles, ReissueError, reissue_profile},
    },
};
use vpnmanager_nats::{
    acks::{Ack, Issued, Outcome},
    device::DeviceName,
};

use super::{actor, applied, create, enrol, reissue_default, view};
use crate::stack::Stack;

async fn credentials(stack: &Stack, user_id: i64) -> Vec<credential::Model> {
    let rows = credential::Entity::find()
        .filter(credential::COLUMN.user_id.eq(user_id))
        .order_by_asc(credential::Column::Id);
    rows.all(&stack.app.db).await.expect("read")
}

#[tokio::test]
async fn a_new_credential_at_the_home_stands_beside_the_old_one_until_that_is_revoked() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    enrol(&stack, "node-2").await;
    let alice = create(&stack, "alice").await;
    let name = "alice".parse().expect("a username");
    let first = credentials(&stack, alice.user.id).await.remove(0);

    let kept = reissue_profile(&stack.app, &actor(), &name, &DeviceName::default(), OldProfiles::Keep)
        .await
        .expect("reissued");

    assert_eq!((kept.user.revision, kept.user.synced), (2, false));
    assert!(kept.placements.iter().all(|placement| placement.wanted_revision == 2));
    let rows = credentials(&stack, alice.user.id).await;
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row.revoked_at.is_none()), "{rows:?}");
    assert_eq!(rows[1].server_id, alice.user.server_id);
    assert_ne!(rows[1].common_name, first.common_name);
    assert!(rows[1].certificate.is_none());

    let revoked = reissue_profile(&stack.app, &actor(), &name, &DeviceName::default(), OldProfiles::Revoke)
        .await
        .expect("reissued");

    assert_eq!(revoked.user.revision, 3);
    let valid: Vec<bool> = credentials(&stack, alice.user.id)
        .await
        .iter()
        .map(|row| row.revoked_at.is_none())
        .collect();
    assert_eq!(valid, [false, false, true]);
    let rows = audit_log::Entity::find()
        .filter(audit_log::COLUMN.action.eq("user_reissued"))
        .order_by_asc(audit_log::Column::Id);
    let rows = rows.all(&stack.app.db).await.expect("read");
    let revisions: Vec<_> = rows
        .iter()
        .map(|row| row.after.as_ref().expect("after")["revision"].clone())
        .collect();
    assert_eq!(revisions, [json!(2), json!(3)]);
    let details = rows[0].details.as_deref().unwrap_or_default();
    assert!(
        details.ends_with("; the older ones stay valid (old_profiles: keep)"),
        "{details}"
    );
    let details = rows[1].details.as_deref().unwrap_or_default();
    assert!(
        details.ends_with("; 2 older ones were revoked (old_profiles: revoke)"),
        "{details}"
    );
}

#[tokio::test]
async fn who_is_not_there_gets_no_profile() {
    let stack = Stack::start().await;
    let name = "nobody".parse().expect("a username");
    let refused = reissue_profile(&stack.app, &actor(), &name, &DeviceName::default(), OldProfiles::Keep).await;
    assert!(
        matches!(refused, Err(ReissueError::User(LivingUserError::UnknownUser))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_late_answer_about_the_profile_before_does_not_put_it_back() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = create(&stack, "alice").await;
    let first = credentials(&stack, alice.user.id).await.remove(0);
    reissue_default(&stack, &alice.user.username).await;
    let second = credentials(&stack, alice.user.id).await.remove(1);
    let issued = async |revision, credential: &credential::Model, checksum: &str| {
        let ack = Ack {
            outcome: Outcome::Applied {
                issued: Some(Issued {
                    common_name: credential.common_name.clone(),
                    profile_path: "/profile.ovpn".to_owned(),
                    profile_checksum: checksum.to_owned(),
                }),
                further: Vec::new(),
                note: None,
            },
            ..applied("node-1", &alice, revision)
        };
        apply_reports(&stack.app, &[ack], &[]).await.expect("recorded");
        view(&stack, "alice").await.expect("there").user
    };
    let user = issued(1, &first, "old").await;
    assert_eq!((user.checksum, user.synced), (None, false));
    let user = issued(2, &second, "new").await;
    assert_eq!((user.checksum.as_deref(), user.synced), (Some("new"), true));
}
