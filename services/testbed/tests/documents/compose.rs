//! The compose files, where no container engine checks them.

use std::collections::BTreeMap;

use crate::sources;

const SINGLE: &str = "docker-compose.yml";
const HA: &str = "deploy/compose/ha.yml";
const NODE: &str = "deploy/compose/node.yml";

/// What stands below each key with this indentation.
fn blocks(text: &str, indent: usize) -> BTreeMap<String, String> {
    let mut blocks: BTreeMap<String, String> = BTreeMap::new();
    let mut name = String::new();
    for line in text.lines() {
        let key = line.trim_start();
        let is_key = line.len() - key.len() == indent && !key.starts_with('#') && key.contains(':');
        if is_key {
            name = key.split(':').next().unwrap_or_default().to_owned();
        }
        let block = blocks.entry(name.clone()).or_default();
        block.push_str(line);
        block.push('\n');
    }
    blocks
}

/// A compose file: what is at its top, and its services.
struct File {
    top: BTreeMap<String, String>,
    services: BTreeMap<String, String>,
}

impl File {
    fn read(path: &str) -> Self {
        let top = blocks(&sources::read(path), 0);
        let mut services = blocks(&top["services"], 2);
        // The line above the first of them.
        services.remove("");
        Self { top, services }
    }

    /// Whether a block has this, itself or by what it merges: `<<: *nats` is what `x-nats` has.
    fn has(&self, block: &str, what: &str) -> bool {
        let merged = block.lines().filter_map(|line| line.trim().strip_prefix("<<: *"));
        let mut merged = merged.filter_map(|name| self.top.get(&format!("x-{name}")));
        block.contains(what) || merged.any(|block| self.has(block, what))
    }

    fn services_with(&self, what: &str) -> Vec<&str> {
        let with = self.services.iter().filter(|(_, block)| self.has(block, what));
        with.map(|(name, _)| name.trim()).collect()
    }
}

#[test]
fn every_service_has_a_bounded_log_and_no_more_rights_than_it_needs() {
    for path in [SINGLE, HA] {
        let file = File::read(path);
        let all = file.services_with("");
        assert!(all.len() >= 7, "{path}: {all:?}");
        for wanted in [
            "logging: *logging",
            "read_only: true",
            "cap_drop: [ALL]",
            "security_opt: [\"no-new-privileges:true\"]",
        ] {
            assert_eq!(file.services_with(wanted), all, "{path}: {wanted}");
        }
        let logging = &file.top["x-logging"];
        for word in ["driver: json-file", "max-size:", "max-file:"] {
            assert!(logging.contains(word), "{path}: {word}: {logging}");
        }
    }
}

/// A stolen node must not be the operator.
#[test]
fn only_management_and_what_makes_join_tokens_have_the_operators_key() {
    for (path, holders) in [
        (SINGLE, ["join-tokens", "management"].as_slice()),
        (HA, ["join-tokens", "management-1", "management-2"].as_slice()),
    ] {
        let file = File::read(path);
        assert_eq!(file.services_with("API_KEY:"), holders, "{path}");
        assert!(file.services["endnode"].contains("- join:/run/join\n"), "{path}");
    }
}

#[test]
fn no_secret_has_a_default() {
    let secrets = ["API_KEY", "DB_PASSWORD", "REPLICATION_PASSWORD"];
    for (path, secrets) in [(SINGLE, &secrets[..2]), (HA, &secrets[..])] {
        let text = sources::read(path);
        for secret in secrets {
            assert!(!text.contains(&format!("{secret}:-")), "{path}: {secret}");
            assert!(text.contains(&format!("${{{secret}:?")), "{path}: {secret}");
        }
    }
}

/// Three files have nodes, and one of them says why a node needs these.
#[test]
fn nodes_have_the_same_rights_in_all_files() {
    let line_of = |path: &str, service: &str, key: &str| {
        let file = File::read(path);
        let line = file.services[service].lines().find(|line| line.trim().starts_with(key));
        line.map(str::to_owned)
    };
    for key in ["cap_add:", "net.ipv4.ip_forward:", "- /dev/net/tun", "- /run"] {
        let single = line_of(SINGLE, "endnode", key);
        assert!(single.is_some(), "{key}");
        assert_eq!(line_of(HA, "endnode", key), single);
        assert_eq!(line_of(NODE, "node", key), single);
    }
    let file = File::read(NODE);
    let node = &file.services["node"];
    for wanted in [
        "read_only: true",
        "cap_drop: [ALL]",
        "no-new-privileges:true",
        "max-size:",
        "secrets: [join-token]",
    ] {
        assert!(node.contains(wanted), "{wanted}");
    }
    assert!(!node.contains("API_KEY"));
}
