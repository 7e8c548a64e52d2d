//! `login`: makes a management known.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use clap::Args;
use console::Term;
use secrecy::{ExposeSecret as _, SecretString};
use vpnmanager_runtime::loopback::is_in_the_clear;

use crate::api::Api;
use crate::connection::{Connection, ConnectionArgs, Context, Contexts, find, given_key};
use crate::failure::Failure;

/// Which management.
#[derive(Debug, Args)]
pub(crate) struct Login {
    /// Where management is, such as https://management.example.org:8080 [default: as the flags and the environment say]
    #[arg(value_name = "URL")]
    url: Option<String>,
    /// What you call it: the name of the context
    #[arg(long, value_name = "NAME", default_value = "default")]
    name: String,
}

impl Login {
    /// Tries the key and keeps it. It is read from `--api-key-file`, the environment, the terminal (without an echo) or standard input.
    pub(crate) async fn run(&self, args: &ConnectionArgs) -> Result<(), Failure> {
        let mut args = args.clone();
        args.management_url = self.url.clone().or(args.management_url);
        let key = match given_key(&args)? {
            Some(key) => key,
            None => asked()?,
        };
        let found = find(&args)?;
        let connection = Connection {
            key: Some(key.clone()),
            ..found
        };
        warn_in_the_clear(&connection.url)?;
        let api = Api::new(&connection)?;
        api.answer(api.list_pools().limit(1).send()).await?;
        let context = Context {
            management_url: connection.url.clone(),
            api_key: key.expose_secret().to_owned(),
            management_ca: connection.authorities,
        };
        let file = Contexts::change(|contexts| {
            contexts.contexts.insert(self.name.clone(), context);
            contexts.current = Some(self.name.clone());
            Ok(())
        })?;
        let (name, url) = (&self.name, &connection.url);
        writeln!(
            io::stderr(),
            "The key is good. Wrote the context {name} for {url} to {}",
            file.display()
        )?;
        Ok(())
    }
}

fn asked() -> Result<SecretString, Failure> {
    let key = if io::stdin().is_terminal() {
        let terminal = Term::stderr();
        terminal.write_str("API key: ")?;
        terminal.read_secure_line()?
    } else {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        line
    };
    match key.trim() {
        "" => Err(Failure::usage(
            "there is no API key: type it, or name a file with --api-key-file",
        )),
        key => Ok(SecretString::from(key)),
    }
}

/// Whoever listens on the way has the key then.
fn warn_in_the_clear(url: &str) -> io::Result<()> {
    if is_in_the_clear(url) {
        writeln!(
            io::stderr(),
            "warning: {url} is plain HTTP: whoever listens on the way sees the key"
        )?;
    }
    Ok(())
}
