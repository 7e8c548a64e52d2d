//! Variables in capitals: settings, and those of `make`, tests and the environment file of `make up`.

use std::collections::BTreeSet;

use crate::{markdown, settings, sources};

/// Names that others define.
const OF_OTHERS: [&str; 15] = [
    "CREDENTIALS_DIRECTORY",
    "CURL_CA_BUNDLE",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "INSTA_UPDATE",
    "NO_COLOR",
    "NO_PROXY",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SDK_DISABLED",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "SOURCE_DATE_EPOCH",
];

/// Where names other than settings are defined.
fn other_sources() -> Vec<String> {
    let mut paths: Vec<String> = [
        "Makefile",
        ".ci/run",
        ".env.example",
        "docker-compose.yml",
        "deploy/Dockerfile",
        "deploy/compose/ha.yml",
        "deploy/compose/node.yml",
        "services/testbed/prerequisites.sh",
    ]
    .map(str::to_owned)
    .into();
    for folder in [
        "services/testbed/src",
        "services/cli/src",
        "nats/src",
        "nats/tests",
        "openapi/src",
    ] {
        paths.extend(sources::files_below(folder, "rs"));
    }
    paths
}

/// Every name that the documents may use.
fn known() -> BTreeSet<String> {
    let mut known = settings::variables();
    for path in other_sources() {
        known.extend(names(&sources::read(&path)));
    }
    known.extend(node_variables(&sources::read("services/testbed/src/stack/env_file.rs")));
    known.extend(OF_OTHERS.iter().map(|name| (*name).to_owned()));
    known
}

/// `NODE_N_URL` and its like, which the environment file is made of in pieces.
fn node_variables(env_file: &str) -> Vec<String> {
    let pieces = env_file
        .split("add(\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    pieces
        .flat_map(|piece| ["N", "1"].map(|node| format!("NODE_{node}_{piece}")))
        .collect()
}

/// The names of several words in capitals: `API_KEY`.
fn names(text: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_part(c));
    let is_name = |word: &&str| {
        let capitals = word
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        capitals && word.contains('_') && word.starts_with(|c: char| c.is_ascii_uppercase()) && !word.ends_with('_')
    };
    words.filter(is_name).map(str::to_owned).collect()
}

/// The names in a document's code that nobody defines.
fn unknown(document: &str, known: &BTreeSet<String>) -> Vec<String> {
    let code = markdown::code(document);
    let named = code.iter().flat_map(|code| names(&code.text));
    named.filter(|name| !known.contains(name)).collect()
}

#[test]
fn every_variable_in_the_manual_exists() {
    let known = known();
    for page in sources::manual() {
        assert_eq!(unknown(&page.text, &known), Vec::<String>::new(), "{}", page.path);
    }
}

#[test]
fn a_variable_that_does_not_exist_is_found() {
    let document =
        "`API_KEY`, `API_KEY_FILE`, `DB_HOTS=x` and NOT_CODE\n```sh\nexport BUS_PUBLIC_URL=tls://x $NODE_1_URL\n```\n";
    assert_eq!(unknown(document, &known()), ["DB_HOTS", "BUS_PUBLIC_URL"]);
}
