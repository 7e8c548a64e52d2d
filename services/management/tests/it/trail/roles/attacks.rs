//! What a service that was taken over would try on the trail.

use sea_orm::ConnectionTrait;
use vpnmanager_management::ops::sqlstate::sqlstate;

use super::site::Site;
use crate::trail::{entries, entry_at, text};

/// PostgreSQL manual, appendix A: `insufficient_privilege`.
const NOT_ALLOWED: &str = "42501";

/// What somebody who has taken over the service would try on the trail. `{part}` is a partition, `{owner}` and `{service}` are the roles.
const ATTACKS: &[&str] = &[
    "UPDATE audit_log SET action = 'x'",
    "DELETE FROM audit_log",
    "TRUNCATE audit_log",
    "TRUNCATE users, audit_log CASCADE",
    "UPDATE {part} SET action = 'x'",
    "DELETE FROM {part}",
    "TRUNCATE {part}",
    "INSERT INTO {part} (action, server_id, actor) VALUES ('x', 'x', 'x')",
    "SELECT * FROM {part}",
    "MERGE INTO audit_log USING (SELECT 1) x ON true WHEN MATCHED THEN DELETE",
    "INSERT INTO audit_log (action, server_id, actor, timestamp) VALUES ('x', 'x', 'x', '2020-01-01')",
    "INSERT INTO audit_log (action, server_id, actor, id) VALUES ('x', 'x', 'x', 1)",
    "INSERT INTO audit_log (action, server_id, actor) VALUES ('x', 'x', 'x') ON CONFLICT (id, timestamp) DO UPDATE SET action = 'x'",
    "INSERT INTO audit_log (action, server_id, actor, hash) VALUES ('x', 'x', 'x', '\\x00')",
    "UPDATE audit_chains SET seq = 0",
    "DELETE FROM audit_chains",
    "UPDATE audit_checkpoints SET statement = 'x'",
    "DELETE FROM audit_checkpoints",
    "TRUNCATE audit_checkpoints",
    "DROP TRIGGER audit_log_chained ON audit_log",
    "ALTER TABLE audit_log DISABLE TRIGGER audit_log_chained",
    "CREATE OR REPLACE FUNCTION audit_log_chain() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "COPY audit_log FROM PROGRAM 'true'",
    "COPY audit_log TO PROGRAM 'true'",
    "SELECT setval('audit_log_id_seq', 1)",
    "ALTER SEQUENCE audit_log_id_seq RESTART",
    "SELECT * FROM audit_log FOR UPDATE",
    "BEGIN; LOCK TABLE audit_log IN ACCESS EXCLUSIVE MODE",
    "BEGIN; LOCK TABLE audit_log IN SHARE MODE",
    "DROP TABLE audit_log",
    "DROP TABLE audit_log CASCADE",
    "DROP TABLE {part}",
    "ALTER TABLE audit_log DETACH PARTITION {part}",
    "ALTER TABLE audit_log DISABLE TRIGGER ALL",
    "ALTER TABLE audit_log DISABLE TRIGGER audit_log_append_only",
    "ALTER TABLE {part} DISABLE TRIGGER USER",
    "ALTER TABLE audit_log ALTER COLUMN timestamp DROP DEFAULT",
    "ALTER TABLE audit_log ADD COLUMN x INT",
    "ALTER TABLE audit_log RENAME TO x",
    "ALTER TABLE audit_log SET SCHEMA pg_temp",
    "ALTER TABLE audit_log OWNER TO {service}",
    "ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY x ON audit_log USING (false)",
    "CREATE RULE x AS ON INSERT TO audit_log DO INSTEAD NOTHING",
    "CREATE RULE x AS ON INSERT TO {part} DO INSTEAD NOTHING",
    "CREATE TRIGGER x BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "DROP TRIGGER audit_log_append_only ON audit_log",
    "DROP TRIGGER audit_log_not_truncated ON {part}",
    "CREATE OR REPLACE FUNCTION audit_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
    "ALTER FUNCTION audit_log_is_append_only() SET session_replication_role = 'replica'",
    "DROP FUNCTION audit_log_is_append_only() CASCADE",
    "ALTER FUNCTION audit_log_make_partitions(integer) SECURITY INVOKER",
    "ALTER FUNCTION audit_log_make_partitions(integer) SET search_path = pg_temp",
    "SELECT audit_log_make_partition(now() + interval '90 years')",
    "CREATE UNIQUE INDEX x ON audit_log (action, timestamp)",
    "DROP INDEX audit_log_by_username",
    "CREATE TABLE x () INHERITS (audit_log)",
    "CREATE TABLE x PARTITION OF audit_log FOR VALUES FROM ('2050-01-01') TO ('2051-01-01')",
    "CREATE TABLE x (id INT)",
    "CREATE TEMP TABLE x (id INT)",
    "CREATE FUNCTION now() RETURNS timestamptz LANGUAGE sql AS 'SELECT ''1999-01-01''::timestamptz'",
    "CREATE SCHEMA x",
    "SET session_replication_role = 'replica'",
    "SELECT set_config('session_replication_role', 'replica', false)",
    "ALTER ROLE {service} SET session_replication_role = 'replica'",
    "ALTER DATABASE {service} SET session_replication_role = 'replica'",
    "ALTER SYSTEM SET session_replication_role = 'replica'",
    "SET ROLE {owner}",
    "SET SESSION AUTHORIZATION {owner}",
    "GRANT {owner} TO {service}",
    "GRANT pg_write_all_data TO {service}",
    "GRANT UPDATE ON audit_log TO {service}; UPDATE audit_log SET action = 'x'",
    "ALTER ROLE {service} SUPERUSER",
    "ALTER ROLE {owner} PASSWORD 'x'",
    "CREATE ROLE x SUPERUSER",
    "REASSIGN OWNED BY {owner} TO {service}",
    "DROP OWNED BY {owner}",
    "DROP SCHEMA public CASCADE",
    "DROP DATABASE {service}",
    "ALTER DATABASE {service} OWNER TO {service}",
    "DELETE FROM pg_trigger",
    "UPDATE pg_class SET relowner = 0",
    "CREATE EVENT TRIGGER x ON sql_drop EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE PUBLICATION x FOR TABLE audit_log",
    "DELETE FROM seaql_migrations",
    "DROP TABLE users CASCADE",
    "ALTER TABLE users DISABLE TRIGGER ALL",
    "TRUNCATE users CASCADE",
];

#[tokio::test]
async fn a_service_that_owns_nothing_can_do_nothing_to_what_is_in_the_trail() {
    let site = Site::make().await;
    site.migrate().await;
    entry_at(&site.admin, "now()", "user_created").await;
    entry_at(&site.admin, "now() + interval '9 years'", "user_created").await;
    let shape = "SELECT string_agg(tgrelid::regclass || tgname || tgenabled::text, ' ' ORDER BY tgrelid, tgname) FROM pg_trigger";
    let before = (entries(&site.admin).await, text(&site.admin, shape).await);
    let parts = text(
        &site.admin,
        "SELECT string_agg(inhrelid::regclass::text, ' ') FROM pg_inherits WHERE inhparent = 'audit_log'::regclass",
    )
    .await;
    let mut otherwise = Vec::new();
    for attack in ATTACKS {
        let parts: Vec<&str> = if attack.contains("{part}") {
            parts.split(' ').collect()
        } else {
            vec![""]
        };
        for part in parts {
            let sql = attack
                .replace("{part}", part)
                .replace("{owner}", &site.owner)
                .replace("{service}", &site.service);
            // Each has a session of its own, so that none leans on what an earlier one set.
            let service = site.connect(&site.service).await;
            let refused = service.execute_unprepared(&sql).await.expect_err(&sql);
            if sqlstate(&refused).as_deref() != Some(NOT_ALLOWED) {
                otherwise.push(format!("{sql}: {refused}"));
            }
            service.close().await.expect("closed");
        }
    }
    assert!(
        otherwise.is_empty(),
        "refused, but not for want of a right: {otherwise:#?}"
    );
    assert_eq!((entries(&site.admin).await, text(&site.admin, shape).await), before);
}
