//! What is said where nothing is wrong.

use super::site::Site;
use crate::{
    process::{run, text},
    stack::ADMIN_KEY,
};

/// The ids, in the order of the checks. Operators and programs rely on them.
const IDS: [&str; 24] = [
    "configuration",
    "names",
    "time-service",
    "ports",
    "disk",
    "authority",
    "database",
    "database-version",
    "database-schema",
    "database-rights",
    "clock",
    "fleet",
    "bus-files",
    "bus-certificate",
    "bus",
    "bus-version",
    "bus-accounts",
    "bus-streams",
    "bus-nodes",
    "bus-storage",
    "nodes",
    "audit",
    "service",
    "log",
];

#[tokio::test]
async fn where_all_is_well_no_check_fails_and_the_command_ends_with_0() {
    let site = Site::start().await;
    let examined = site.examine(&[]).await;
    let ids: Vec<&str> = examined.checks().filter_map(|check| check["id"].as_str()).collect();
    assert_eq!(ids, IDS);
    assert_eq!(examined.ids("failed"), [""; 0], "{:#}", examined.report);
    assert_eq!(examined.code, Some(0));
    // The role of tests is a superuser, no node has enrolled, and machines of tests need no time service.
    for id in examined.ids("warning") {
        assert!(
            ["database-rights", "nodes", "time-service"].contains(&id),
            "{:#}",
            examined.report
        );
    }
}

#[tokio::test]
async fn the_settings_are_told_one_by_one_and_secrets_never() {
    let site = Site::start().await;
    let with_password = site.database.replace("//vpnmanager@", "//vpnmanager:hush-hush@");
    assert_ne!(with_password, site.database);
    let changed = [("DATABASE_URL", with_password.as_str()), ("DB_HOTS", "x")];
    let output = run(&["doctor", "--details"], &site.settings(&changed)).await;
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for part in [
        "bus.url (NATS_URL) is [\"tls://",
        "from environment variable NATS_URL",
        "api_key (API_KEY) is \"********\"",
        "from the default",
        "DB_HOTS (did you mean DB_HOST?)",
        "ok, ",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // Not on a terminal.
    assert!(
        !said.contains('\x1b') && !said.contains("hush-hush") && !said.contains(ADMIN_KEY),
        "{said}"
    );
}

#[tokio::test]
async fn a_wrong_flag_ends_with_2() {
    let output = run(&["doctor", "-o", "xml"], &[]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("xml"), "{}", text(&output.stderr));
}
