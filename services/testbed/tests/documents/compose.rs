//! `docker-compose.yml`, where no container engine checks it.

use std::collections::BTreeMap;

use crate::sources;

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

fn services(file: &str) -> BTreeMap<String, String> {
    let mut services = blocks(&blocks(file, 0)["services"], 2);
    // The line above the first of them.
    services.remove("");
    services
}

#[test]
fn every_service_has_a_bounded_log() {
    let file = sources::read("docker-compose.yml");
    let services = services(&file);
    assert!(services.len() >= 6, "{:?}", services.keys());
    for (name, block) in &services {
        assert!(
            block.contains("    logging: *logging") || block.contains("    <<: *endnode\n"),
            "{name}"
        );
    }
    let blocks = blocks(&file, 0);
    assert!(blocks["x-endnode"].contains("  logging: *logging"));
    let logging = &blocks["x-logging"];
    for word in ["driver: json-file", "max-size:", "max-file:"] {
        assert!(logging.contains(word), "{word}: {logging}");
    }
}

/// A stolen node must not be the operator.
#[test]
fn only_management_and_what_makes_join_tokens_have_the_operators_key() {
    let file = sources::read("docker-compose.yml");
    let holders: Vec<String> = services(&file)
        .into_iter()
        .filter(|(_, block)| block.contains("API_KEY"))
        .map(|(name, _)| name.trim().to_owned())
        .collect();
    assert_eq!(holders, ["join-tokens", "management"]);
    let environment = &blocks(&file, 0)["x-endnode-environment"];
    assert!(
        environment.contains("JOIN_TOKEN_FILE:") && !environment.contains("API_KEY"),
        "{environment}"
    );
}

#[test]
fn no_secret_has_a_default() {
    let file = sources::read("docker-compose.yml");
    for secret in ["API_KEY", "DB_PASSWORD"] {
        assert!(!file.contains(&format!("{secret}:-")), "{secret}");
        assert!(file.contains(&format!("${{{secret}:?")), "{secret}");
    }
}
