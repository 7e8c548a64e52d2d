//! `context`.

use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;
use serde_json::json;
use vpnmanager_runtime::process::print;

use crate::connection::Contexts;
use crate::failure::{Failure, Kind};
use crate::names;
use crate::output::{Output, Shape, column};

const CONTEXT: Shape = Shape {
    name: "/name",
    columns: &[
        column("CONTEXT", "/name"),
        column("CURRENT", "/current"),
        column("MANAGEMENT", "/management_url"),
    ],
};

/// What to do with contexts.
#[derive(Debug, Subcommand)]
pub(crate) enum Context {
    /// List the contexts
    #[command(visible_alias = "ls")]
    List,
    /// Use this context from now on
    Use(Named),
    /// Forget a context and its key
    #[command(visible_alias = "rm")]
    Remove(Named),
}

/// One context.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// The context
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(names::contexts))]
    name: String,
}

impl Context {
    pub(crate) fn run(&self, output: &Output) -> Result<(), Failure> {
        let changed = match self {
            Self::List => return list(&Contexts::load()?, output),
            Self::Use(named) => Contexts::change(|contexts| named.become_current(contexts)),
            Self::Remove(named) => Contexts::change(|contexts| named.remove_from(contexts)),
        };
        changed.map(drop)
    }
}

impl Named {
    fn become_current(&self, contexts: &mut Contexts) -> Result<(), Failure> {
        self.check(contexts)?;
        contexts.current = Some(self.name.clone());
        Ok(())
    }

    fn remove_from(&self, contexts: &mut Contexts) -> Result<(), Failure> {
        self.check(contexts)?;
        contexts.contexts.remove(&self.name);
        if contexts.current.as_ref() == Some(&self.name) {
            contexts.current = None;
        }
        Ok(())
    }

    fn check(&self, contexts: &Contexts) -> Result<(), Failure> {
        if contexts.contexts.contains_key(&self.name) {
            return Ok(());
        }
        Err(Failure::new(
            Kind::NotFound,
            format!("there is no context {}", self.name),
        ))
    }
}

/// Without the keys.
fn list(contexts: &Contexts, output: &Output) -> Result<(), Failure> {
    let items: Vec<_> = contexts
        .contexts
        .iter()
        .map(|(name, context)| {
            let is_current = contexts.current.as_ref() == Some(name);
            json!({ "name": name, "current": is_current, "management_url": context.management_url })
        })
        .collect();
    print(&output.list(&CONTEXT, &items)?)?;
    Ok(())
}
