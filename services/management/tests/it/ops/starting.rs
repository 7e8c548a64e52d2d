//! Starting a replica while others start or run.

use sea_orm::{EntityTrait, PaginatorTrait};
use vpnmanager_entities::{api_key, certificate_authority};
use vpnmanager_management::{
    ops::keys::bootstrap::{BootstrapError, bootstrap},
    pki::Pki,
};
use vpnmanager_testbed::postgres;

use crate::database::connect;
use crate::stack::{ADMIN_KEY, Stack};

#[tokio::test]
async fn four_replicas_may_bring_an_empty_database_up_to_date_at_once() {
    let cluster = postgres::shared().await.expect("PostgreSQL");
    let name = format!("empty_{}", uuid::Uuid::now_v7().simple());
    let url = cluster.create_database(&name).await.expect("a database");
    let mut connections = Vec::new();
    for _ in 0..4 {
        connections.push(connect(&url).await);
    }
    let migrations = connections.iter().map(vpnmanager_migration::run);
    for result in futures_util::future::join_all(migrations).await {
        result.expect("migrated");
    }
    assert_eq!(
        certificate_authority::Entity::find()
            .count(&connections[0])
            .await
            .expect("counted"),
        0
    );
}

#[tokio::test]
async fn a_replica_with_another_authority_is_refused_and_a_new_key_replaces_the_first() {
    let stack = Stack::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let other = Pki::load_or_create(&folder.path().join("pki")).expect("an authority");
    let refused = bootstrap(&stack.app.db, &ADMIN_KEY.into(), &other).await;
    assert!(
        matches!(refused, Err(BootstrapError::ForeignAuthority { .. })),
        "{refused:?}"
    );

    bootstrap(&stack.app.db, &"another-key".into(), &stack.app.pki)
        .await
        .expect("prepared");
    assert_eq!(api_key::Entity::find().count(&stack.app.db).await.expect("counted"), 1);
}
