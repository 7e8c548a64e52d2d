//! `make` targets and their variables.

use std::collections::BTreeSet;

use crate::{markdown, sources};

/// What the Makefile has.
struct Makefile {
    text: String,
    targets: BTreeSet<String>,
}

impl Makefile {
    fn read() -> Self {
        let text = sources::read("Makefile");
        let is_name = |name: &&str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        let targets = text.lines().filter(|line| !line.starts_with(['\t', ' ', '.', '#']));
        let targets = targets.filter_map(|line| line.split_once(':'));
        let targets = targets.flat_map(|(names, _)| names.split(' ').filter(is_name).map(str::to_owned));
        Self {
            targets: targets.collect(),
            text: text.clone(),
        }
    }

    /// What of a `make` command is not there: its target, or a variable that no recipe reads.
    fn missing(&self, command: &str) -> Vec<String> {
        let words: Vec<&str> = command
            .split_whitespace()
            .take_while(|word| !word.starts_with('#'))
            .collect();
        let starts = |at: usize| at == 0 || matches!(words[at - 1], "&&" | ";" | "||" | "sudo" | "exec");
        let mut missing = Vec::new();
        for at in (0..words.len()).filter(|at| words[*at] == "make" && starts(*at)) {
            for word in &words[at + 1..] {
                let is_target = |word: &str| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
                match word.split_once('=') {
                    Some((name, _)) if !self.text.contains(&format!("$({name})")) => missing.push((*word).to_owned()),
                    Some(_) => {}
                    None if word.starts_with('-') || word.starts_with('.') => {}
                    None if is_target(word) && !self.targets.contains(*word) => missing.push((*word).to_owned()),
                    None if is_target(word) => {}
                    None => break,
                }
            }
        }
        missing
    }
}

#[test]
fn every_make_target_in_the_manual_exists() {
    let makefile = Makefile::read();
    assert!(makefile.targets.contains("quick-start"), "{:?}", makefile.targets);
    let mut missing = Vec::new();
    let mut seen = 0;
    for page in sources::manual() {
        for code in markdown::code(&page.text) {
            seen += usize::from(code.text.trim_start().starts_with("make "));
            missing.extend(
                makefile
                    .missing(&code.text)
                    .into_iter()
                    .map(|word| format!("{}: make {word}", page.path)),
            );
        }
    }
    assert_eq!(missing, Vec::<String>::new());
    assert!(seen > 10, "only {seen} commands were found");
}

#[test]
fn a_target_and_a_variable_that_do_not_exist_are_found() {
    let makefile = Makefile::read();
    assert_eq!(
        makefile.missing("make up NODES=3 NAME=x   # and more"),
        Vec::<String>::new()
    );
    assert_eq!(makefile.missing("cd x && make dwn"), ["dwn"]);
    assert_eq!(makefile.missing("make up NODEZ=3"), ["NODEZ=3"]);
    assert_eq!(makefile.missing("apt-get install make gone"), Vec::<String>::new());
}
