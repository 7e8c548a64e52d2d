//! What a role may do beyond its work: it is named, and taken back.

use vpnmanager_management::schema::powers_over_the_trail;

use super::site::Site;
use crate::{database::run, trail::text};

#[tokio::test]
async fn what_gives_a_role_power_over_the_trail_is_named() {
    let site = Site::make().await;
    site.migrate().await;
    let powers = async |role: &str| {
        let db = site.connect(role).await;
        let (name, powers) = powers_over_the_trail(&db).await.expect("read");
        assert_eq!(name, role);
        powers.join(", ")
    };
    assert_eq!(powers(&site.service).await, "");
    let of_owner = powers(&site.owner).await;
    assert!(
        of_owner.contains("owns audit_log") && of_owner.contains("owns the schema or the database"),
        "{of_owner}"
    );

    for (give, take, power) in [
        (
            "GRANT {owner} TO {service}",
            "REVOKE {owner} FROM {service}",
            "owns audit_log",
        ),
        (
            "ALTER DATABASE {service} OWNER TO {service}",
            "ALTER DATABASE {service} OWNER TO {owner}; GRANT CONNECT ON DATABASE {service} TO {service}",
            "owns the schema or the database",
        ),
        (
            "GRANT TRUNCATE ON audit_log TO {service}",
            "REVOKE TRUNCATE ON audit_log FROM {service}",
            "may change or empty",
        ),
        (
            "GRANT UPDATE ON audit_log_default TO {service}",
            "REVOKE UPDATE ON audit_log_default FROM {service}",
            "may change or empty",
        ),
        (
            "ALTER TABLE audit_log_default OWNER TO {service}",
            "ALTER TABLE audit_log_default OWNER TO {owner}",
            "owns audit_log",
        ),
        (
            "GRANT CREATE ON SCHEMA public TO {service}",
            "REVOKE CREATE ON SCHEMA public FROM {service}",
            "may make functions",
        ),
        (
            "ALTER ROLE {service} CREATEROLE",
            "ALTER ROLE {service} NOCREATEROLE",
            "may make roles",
        ),
        (
            "ALTER ROLE {service} SUPERUSER",
            "ALTER ROLE {service} NOSUPERUSER",
            "superuser",
        ),
    ] {
        let sql = |text: &str| text.replace("{owner}", &site.owner).replace("{service}", &site.service);
        run(&site.admin, &sql(give)).await;
        let found = powers(&site.service).await;
        assert!(found.contains(power), "{give}: {found}");
        run(&site.admin, &sql(take)).await;
    }
    assert_eq!(powers(&site.service).await, "");
}

#[tokio::test]
async fn rights_that_were_given_once_too_often_are_taken_back() {
    let site = Site::make().await;
    site.migrate().await;
    let rights = format!(
        "SELECT string_agg(relname || ' ' || privilege_type, ', ' ORDER BY relname, privilege_type)
         FROM pg_class CROSS JOIN LATERAL aclexplode(relacl)
         WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace AND grantee = '{}'::regrole",
        site.service
    );
    let before = text(&site.admin, &rights).await;
    run(
        &site.admin,
        &format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {}", site.service),
    )
    .await;
    assert_ne!(text(&site.admin, &rights).await, before);

    site.migrate().await;

    assert_eq!(text(&site.admin, &rights).await, before);
}
