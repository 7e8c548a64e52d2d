//! The list of migrations.

use sea_orm_migration::{prelude::*, sea_orm::ConnectionTrait};

/// The migration of that name, from the file of that name.
macro_rules! sql {
    ($name:literal) => {
        SqlMigration {
            name: $name,
            sql: include_str!(concat!($name, ".sql")),
        }
    };
}

/// The migrations, in order. Each is a file of SQL beside this one; one that was released never changes.
pub(crate) const MIGRATIONS: &[SqlMigration] = &[
    sql!("m20261122_000001_initial"),
    sql!("m20261128_000005_budgets"),
    sql!("m20261128_000010_enrolment"),
    sql!("m20261128_000011_node_revocations"),
    sql!("m20261128_000012_local_requests"),
    sql!("m20261128_000020_audit_partitions"),
    sql!("m20261128_000030_node_totals"),
    sql!("m20261128_000031_urgent"),
    sql!("m20261128_000032_node_faults"),
    sql!("m20261128_000033_asked_pool"),
    sql!("m20261128_000034_heard_since"),
    sql!("m20261128_000035_hearing"),
    sql!("m20261128_000036_emptied"),
    sql!("m20261129_000040_marked_upto"),
    sql!("m20261129_000041_leaving"),
    sql!("m20261129_000042_urgent_newest"),
    sql!("m20261129_000043_endpoint_changed"),
    sql!("m20261129_000044_totals_search_path"),
    sql!("m20261129_000045_former_pool"),
    sql!("m20261129_000046_turns"),
    sql!("m20261129_000047_late_since"),
    sql!("m20261129_000048_pools"),
    sql!("m20261129_000049_profile_links"),
    sql!("m20261129_000050_devices"),
    sql!("m20261129_000051_session_history"),
    sql!("m20261130_000052_groups"),
    sql!("m20261130_000053_session_limits"),
    sql!("m20261130_000054_quotas"),
    sql!("m20261130_000055_own_limits"),
    sql!("m20261130_000056_node_reissues"),
    sql!("m20261130_000057_quota_settled"),
    sql!("m20261201_000058_listeners"),
    sql!("m20261201_000059_client_directives"),
    sql!("m20261201_000060_rollouts"),
    sql!("m20261201_000061_own_rules"),
    sql!("m20261201_000062_bus_key_since"),
    sql!("m20261202_000063_old_certificates"),
    sql!("m20261202_000064_restorations"),
    sql!("m20261203_000065_api_key_roles"),
    sql!("m20261203_000066_audit_chain"),
    sql!("m20261203_000067_idempotency_keys"),
    sql!("m20261203_000068_webhooks"),
    sql!("m20261203_000069_certificates"),
    sql!("m20261203_000070_authorities"),
];

/// A migration that runs one file of SQL.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SqlMigration {
    pub(crate) name: &'static str,
    pub(crate) sql: &'static str,
}

impl MigrationName for SqlMigration {
    fn name(&self) -> &str {
        self.name
    }
}

#[async_trait::async_trait]
impl MigrationTrait for SqlMigration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(self.sql).await.map(drop)
    }
}
