//! The environment and the flags of both services: lines `NAME=value` and `--flag=value`.

#![no_main]

use std::{collections::BTreeMap, path::Path};

use clap::Subcommand;
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use vpnmanager_endnode::config as endnode;
use vpnmanager_management::config as management;
use vpnmanager_runtime::{
    config::{Cli, Service},
    process::Stop,
};

/// What is a secret in an input has this in it; nothing that is shown may have it.
const MARK: &str = "zq9x";
const SECRETS: [&str; 6] = [
    "API_KEY",
    "JOIN_TOKEN",
    "DATABASE_URL",
    "DATABASE_OWNER_URL",
    "DB_PASSWORD",
    "DB_OWNER_PASSWORD",
];

#[derive(Debug, Subcommand)]
enum Command {
    /// The only one.
    Serve,
}

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut env = BTreeMap::new();
    let mut args = vec!["program".to_owned()];
    for line in text.lines() {
        // Files are left alone.
        let name = line.split('=').next().unwrap_or(line).to_ascii_lowercase();
        if name.contains("file") || name.contains("config") {
            continue;
        }
        match line.split_once('=') {
            Some(_) if line.starts_with('-') => args.push(line.to_owned()),
            Some((name, value)) => drop(env.insert(name.to_owned(), value.to_owned())),
            None => {}
        }
    }
    // Where the mark stands in no secret, it may be shown. Control characters are left out of what is shown.
    let names_mark = |arg: &String| {
        arg.chars()
            .filter(|c| !c.is_control())
            .collect::<String>()
            .contains(MARK)
    };
    let marked = env.iter().filter(|(_, value)| value.contains(MARK));
    let is_secret = !args.iter().any(names_mark) && marked.clone().all(|(name, _)| SECRETS.contains(&name.as_str()));
    let shown = [
        load(&management::SERVICE, &args, &env, management::Config::load::<Command>),
        load(&endnode::SERVICE, &args, &env, endnode::Config::load::<Command>),
    ];
    for shown in shown {
        assert!(!is_secret || !shown.contains(MARK), "{shown}");
    }
});

/// What is shown of the result: why it is refused, or the configuration.
fn load<C: Serialize>(
    service: &Service,
    args: &[String],
    env: &BTreeMap<String, String>,
    load: fn(&Cli<Command>) -> Result<C, Stop>,
) -> String {
    let cli = match service.parse_from::<Command>(args, env.clone(), Path::new("/nowhere")) {
        Ok(cli) => cli,
        Err(stop) => return text_of(stop),
    };
    match load(&cli) {
        Ok(config) => serde_json::to_string(&config).expect("JSON"),
        Err(stop) => text_of(stop),
    }
}

fn text_of(stop: Stop) -> String {
    format!("{stop:?}")
}
