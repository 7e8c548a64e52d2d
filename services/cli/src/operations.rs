//! Which command reaches which operation of the API.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use clap::CommandFactory as _;
use serde_json::Value;

use crate::program::Cli;

/// The name of an operation, and a command that asks for it. Of several commands that do, it is the plainest.
const REACHED: &[(&str, &str)] = &[
    ("batch_users", "batch"),
    ("change_group", "groups update"),
    ("change_old_certificate", "old-certificates update"),
    ("change_pool", "pools update"),
    ("change_user", "users update"),
    ("change_webhook", "webhooks update"),
    ("create_api_key", "api-keys create"),
    ("create_device", "devices create"),
    ("create_group", "groups create"),
    ("create_join_token", "join-tokens create"),
    ("create_pool", "pools create"),
    ("create_profile_link", "users link"),
    ("create_user", "users create"),
    ("create_webhook", "webhooks create"),
    ("delete_device", "devices delete"),
    ("delete_group", "groups delete"),
    ("delete_old_certificate", "old-certificates delete"),
    ("delete_pool", "pools delete"),
    ("delete_user", "users delete"),
    ("delete_webhook", "webhooks delete"),
    ("deregister_endnode", "nodes deregister"),
    ("disable_endnode", "nodes disable"),
    ("discard_endnode_traffic", "nodes discard-traffic"),
    ("drain_endnode", "nodes drain"),
    ("enable_endnode", "nodes enable"),
    ("end_session", "sessions disconnect"),
    ("export_audit", "audit export"),
    ("export_audit_csv", "audit export"),
    ("export_users", "export"),
    ("forgive_user_traffic", "users forgive"),
    ("get_api_key", "api-keys show"),
    ("get_device", "devices show"),
    ("get_device_profile", "users profile"),
    ("get_endnode", "nodes show"),
    ("get_endnode_traffic", "nodes traffic"),
    ("get_endnode_users_reissue", "nodes reissue show"),
    ("get_group", "groups show"),
    ("get_group_traffic", "groups traffic"),
    ("get_health", "status"),
    ("get_import", "imports show"),
    ("get_pool", "pools show"),
    ("get_pool_rollout", "pools rollout show"),
    ("get_user", "users show"),
    ("get_user_profile", "users profile"),
    ("get_user_traffic", "users traffic"),
    ("get_webhook", "webhooks show"),
    ("import_source", "import"),
    ("import_users", "users import"),
    ("list_api_keys", "api-keys list"),
    ("list_audit", "audit list"),
    ("list_certificates", "certificates list"),
    ("list_devices", "devices list"),
    ("list_endnodes", "nodes list"),
    ("list_groups", "groups list"),
    ("list_imports", "imports list"),
    ("list_join_tokens", "join-tokens list"),
    ("list_old_certificates", "old-certificates list"),
    ("list_pools", "pools list"),
    ("list_profile_links", "links list"),
    ("list_session_history", "sessions history"),
    ("list_sessions", "sessions list"),
    ("list_users", "users list"),
    ("list_webhook_deliveries", "webhooks deliveries"),
    ("list_webhooks", "webhooks list"),
    ("move_endnode", "nodes move"),
    ("reissue_device_profile", "devices reissue"),
    ("reissue_endnode_users", "nodes reissue start"),
    ("reissue_user_profile", "users reissue"),
    ("revoke_api_key", "api-keys revoke"),
    ("revoke_join_token", "join-tokens delete"),
    ("revoke_profile_link", "links delete"),
    ("rotate_api_key", "api-keys rotate"),
    ("rotate_webhook_secret", "webhooks rotate-secret"),
    ("start_pool_rollout", "pools rollout start"),
    ("stop_endnode_users_reissue", "nodes reissue stop"),
    ("stop_pool_rollout", "pools rollout stop"),
    ("stream_events", "events follow"),
    ("test_webhook", "webhooks test"),
    ("undrain_endnode", "nodes undrain"),
    ("verify_audit", "audit verify"),
];

/// Operations that no command asks for, and why.
const UNREACHED: &[(&str, &str)] = &[
    (
        "get_life",
        "what restarts management asks for it; status says what is wrong",
    ),
    (
        "get_readiness",
        "a load balancer asks for it; status says what is wrong",
    ),
    (
        "list_endnode_sessions",
        "sessions list --node shows the same, for every node",
    ),
    (
        "list_user_sessions",
        "sessions list --user shows the same, for every user",
    ),
    ("register_endnode", "an agent asks for it, with the key of its node"),
    ("report_endnode_health", "monitoring reports by it, and not people"),
    (
        "tell_endnode_standing",
        "an agent asks for it, with the key of its node",
    ),
];

fn description() -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi/management.json");
    let text = fs::read_to_string(file).expect("the description of the API");
    serde_json::from_str(&text).expect("JSON")
}

fn operations(description: &Value) -> BTreeSet<String> {
    let paths = description["paths"].as_object().expect("paths");
    let operations = paths
        .values()
        .filter_map(Value::as_object)
        .flat_map(|methods| methods.values());
    operations
        .filter_map(|operation| Some(operation.get("operationId")?.as_str()?.to_owned()))
        .collect()
}

/// The code of this crate, without this file.
fn code() -> String {
    let mut code = String::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of code") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("operations.rs") {
                code.push_str(&fs::read_to_string(path).expect("code"));
            }
        }
    }
    code
}

#[test]
fn every_operation_is_reached_or_named_with_the_reason() {
    let named: BTreeSet<String> = REACHED
        .iter()
        .chain(UNREACHED)
        .map(|(operation, _)| (*operation).to_owned())
        .collect();
    let there = operations(&description());
    let forgotten: Vec<_> = there.difference(&named).collect();
    let gone: Vec<_> = named.difference(&there).collect();
    assert!(
        forgotten.is_empty() && gone.is_empty(),
        "forgotten: {forgotten:?}, gone: {gone:?}"
    );
    assert_eq!(
        named.len(),
        REACHED.len() + UNREACHED.len(),
        "an operation is named twice"
    );
}

#[test]
fn every_command_of_the_table_is_there_and_its_operation_is_asked_for() {
    let code = code();
    for (operation, words) in REACHED {
        assert!(code.contains(&format!(".{operation}(")), "nothing asks for {operation}");
        let root = Cli::command();
        let mut command = &root;
        for word in words.split(' ') {
            let found = command.find_subcommand(word);
            command = found.unwrap_or_else(|| panic!("there is no command {words}"));
        }
    }
}

/// The words of every command that does something.
fn commands(command: &clap::Command, words: &str, found: &mut Vec<String>) {
    for inner in command.get_subcommands() {
        let words = format!("{words} {}", inner.get_name()).trim().to_owned();
        if inner.has_subcommands() {
            commands(inner, &words, found);
        } else {
            found.push(words);
        }
    }
}

#[test]
fn every_command_is_in_the_manual() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/command-line.md");
    let manual = fs::read_to_string(file).expect("the manual");
    let mut found = Vec::new();
    commands(&Cli::command(), "", &mut found);
    assert!(found.len() > 60, "{found:?}");
    found.retain(|words| !manual.contains(&format!("`{words}")));
    assert_eq!(found, Vec::<String>::new());
}
