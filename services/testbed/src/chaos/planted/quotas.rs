//! What quotas and limits of groups leave in the trail.

use super::*;

/// Alice used up a quota, was let in again, lost a session for the limit of her group, and was forgiven what she used.
fn with_quota() -> Fleet {
    let mut fleet = in_order();
    let inventory = &mut fleet.inventory;
    inventory.users[0].revision = 5;
    for placement in &mut inventory.placements {
        placement.wanted_revision = 5;
        placement.applied_revision = 5;
    }
    for node in &mut fleet.nodes {
        let held = node.journal.as_mut().unwrap().users.get_mut("key-a").unwrap();
        held.revision = 5;
        held.applied_revision = 5;
    }
    let mut refused = audited("user_over_quota", "alice", Some((3, true)), Some((4, true)));
    let mut lifted = audited("user_quota_lifted", "alice", Some((4, true)), Some((5, true)));
    for over in [&mut refused.after, &mut lifted.before] {
        over.as_mut().unwrap()["over_quota_since"] = json!("2027-01-15T08:00:00Z");
    }
    let mut limited = audited("session_limited", "alice", None, None);
    limited.after = Some(json!({ "session": "node-1.1795000000.7" }));
    fleet.trail.extend([
        audited("user_near_quota", "alice", None, None),
        refused,
        lifted,
        limited,
        audited("user_quota_lifted", "alice", Some((5, true)), Some((5, true))),
    ]);
    fleet
}

#[test]
fn a_fleet_with_a_quota_has_nothing_to_tell() {
    assert_eq!(with_quota().told(), Vec::<String>::new());
}

#[test]
fn a_change_by_a_quota_that_the_audit_trail_does_not_account_for_is_told() {
    each_is_told_of(
        with_quota,
        &[
            ("user_over_quota of alice from", |fleet| {
                fleet.trail[7].after.as_mut().unwrap()["over_quota_since"] = json!(null);
            }),
            ("user_over_quota of alice from", |fleet| {
                fleet.trail[7].after.as_mut().unwrap()["revision"] = json!(3);
            }),
            ("user_quota_lifted of alice from", |fleet| drop(fleet.trail.remove(7))),
            ("user_quota_lifted of alice from", |fleet| {
                fleet.trail[8].after.as_mut().unwrap()["revision"] = json!(4);
            }),
            ("user_quota_lifted of alice from", |fleet| {
                fleet.trail[10].after.as_mut().unwrap()["revision"] = json!(6);
            }),
        ],
    );
}
