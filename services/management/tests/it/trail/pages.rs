//! Reading the trail: which months and which indexes a page needs, and that pages join.

use chrono::{DateTime, Utc};
use poem::http::StatusCode;
use sea_orm::{DatabaseConnection, QueryTrait as _};
use vpnmanager_management::{
    domain::audit_action::AuditAction,
    ops::{
        housekeeping::make_audit_partitions,
        read_audit::{AuditFilter, query},
    },
};

use super::{entry_at, number};
use crate::database::{fresh_database, plan_of, run};
use crate::stack::{Stack, WithKey as _, json_of};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

/// The plan of a page.
async fn plan(db: &DatabaseConnection, filter: &AuditFilter, before: Option<i64>) -> String {
    plan_of(db, query(filter, before, 101).build(db.get_database_backend())).await
}

#[tokio::test]
async fn a_page_reads_the_months_that_were_asked_for_and_by_an_index() {
    let url = fresh_database().await;
    let cluster = vpnmanager_testbed::postgres::shared().await.expect("PostgreSQL");
    let name = url
        .rsplit('/')
        .next()
        .and_then(|rest| rest.split('?').next())
        .expect("a name");
    let db = cluster.connect(name).await.expect("connected");
    for month in 1..=12 {
        entry_at(&db, &format!("'2020-{month:02}-15'"), "user_created").await;
    }
    make_audit_partitions(&db).await.expect("made");
    run(
        &db,
        "INSERT INTO audit_log (timestamp, action, username, server_id, actor)
         SELECT '2020-06-01'::timestamptz + i * interval '1 minute', 'openvpn_up', 'user-' || i % 100, 'node-' || i % 10, 'system'
         FROM generate_series(1, 5000) i; ANALYZE",
    )
    .await;
    let partitions = number(&db, "SELECT count(*) FROM audit_log_partitions()").await;
    assert_eq!(partitions, 12 + 4);

    let in_june = AuditFilter {
        since: Some(at("2020-06-02T00:00:00Z")),
        until: Some(at("2020-06-09T00:00:00Z")),
        ..AuditFilter::default()
    };
    let june = plan(&db, &in_june, None).await;
    assert!(
        june.contains("audit_log_2020_06") && !june.contains("audit_log_2020_07"),
        "{june}"
    );
    assert!(!june.contains("audit_log_default"), "{june}");

    let filters = [
        AuditFilter::default(),
        in_june,
        AuditFilter {
            username: Some("user-7".to_owned()),
            ..AuditFilter::default()
        },
        AuditFilter {
            server_id: Some("node-7".to_owned()),
            ..AuditFilter::default()
        },
        AuditFilter {
            action: Some(AuditAction::NodeCloned),
            ..AuditFilter::default()
        },
    ];
    for filter in filters {
        for before in [None, Some(2000)] {
            let plan = plan(&db, &filter, before).await;
            assert!(!plan.contains("Seq Scan"), "{filter:?}: {plan}");
        }
    }
}

#[tokio::test]
async fn pages_join_over_months_in_the_order_of_recording() {
    let stack = Stack::start().await;
    let db = &stack.app.db;
    for day in ["2020-05-05", "2020-03-03", "2020-04-04", "2020-03-03"] {
        entry_at(db, &format!("'{day}'"), "user_created").await;
    }
    make_audit_partitions(db).await.expect("made");
    let client = stack.client();
    let (mut ids, mut next) = (Vec::new(), "/api/audit?limit=1&until=2021-01-01T00:00:00Z".to_owned());
    loop {
        let page = json_of(client.get(&next).admin().send().await, StatusCode::OK).await;
        ids.extend(
            page["items"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|item| item["id"].as_i64().expect("an id")),
        );
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        next = format!("/api/audit?limit=1&until=2021-01-01T00:00:00Z&cursor={cursor}");
    }
    assert_eq!(ids, [4, 3, 2, 1]);
}
