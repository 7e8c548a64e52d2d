//! Finds management and the key.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};
use vpnmanager_runtime::error_chain::chain;
use vpnmanager_runtime::{secret_file, tls};

use super::contexts::{Context, Contexts};
use crate::environment::{path_variable, variable};
use crate::failure::Failure;

/// Flags that say which management is asked, and how.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Management")]
pub(crate) struct ConnectionArgs {
    /// The context to use, from those that login made [env: VPNMANAGER_CONTEXT] [default: the current one]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Where management is, such as https://management.example.org:8080 [env: MANAGEMENT_URL]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) management_url: Option<String>,
    /// File that holds the API key [env: API_KEY_FILE, or API_KEY for the key itself]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) api_key_file: Option<PathBuf>,
    /// File of the CA that signed management's certificate, PEM [env: MANAGEMENT_CA] [default: those that this machine trusts]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) management_ca: Option<PathBuf>,
    /// How long one request may take
    #[arg(long, global = true, value_name = "DURATION", default_value = "90s", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Option<Duration>,
}

/// How to reach management.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Without a slash at its end.
    pub(crate) url: String,
    pub(crate) key: Option<SecretString>,
    /// PEM; `None`: those that this machine trusts.
    pub(crate) authorities: Option<String>,
    pub(crate) timeout: Duration,
}

/// What the environment says.
#[derive(Debug, Default)]
struct Surroundings {
    context: Option<String>,
    management_url: Option<String>,
    api_key: Option<String>,
    api_key_file: Option<PathBuf>,
    management_ca: Option<PathBuf>,
}

impl Surroundings {
    fn read() -> Self {
        Self {
            context: variable("VPNMANAGER_CONTEXT"),
            management_url: variable("MANAGEMENT_URL"),
            api_key: variable("API_KEY"),
            api_key_file: path_variable("API_KEY_FILE"),
            management_ca: path_variable("MANAGEMENT_CA"),
        }
    }
}

/// Finds it in the flags, the environment and the contexts.
pub(crate) fn find(args: &ConnectionArgs) -> Result<Connection, Failure> {
    found(args, &Surroundings::read(), &Contexts::load()?)
}

/// The key of the flags or the environment.
pub(crate) fn given_key(args: &ConnectionArgs) -> Result<Option<SecretString>, Failure> {
    key_of(args, &Surroundings::read())
}

/// The text of a file of CAs, which is one.
fn authorities(file: &Path) -> Result<String, Failure> {
    let unusable = |why: String| Failure::usage(format!("{} cannot be used as a CA: {why}", file.display()));
    let text = fs::read_to_string(file).map_err(|error| unusable(error.to_string()))?;
    tls::check_authorities(text.as_bytes()).map_err(|error| unusable(chain(&error).to_string()))?;
    Ok(text)
}

fn found(args: &ConnectionArgs, around: &Surroundings, contexts: &Contexts) -> Result<Connection, Failure> {
    let url = args.management_url.as_ref().or(around.management_url.as_ref());
    // Who names a management means that one, whatever the current context is.
    let named = args
        .context
        .as_ref()
        .or(around.context.as_ref().filter(|_| args.management_url.is_none()));
    let context = match (named, url) {
        (Some(name), _) => Some(by_name(contexts, name)?),
        (None, Some(url)) => contexts
            .contexts
            .values()
            .find(|context| same_place(&context.management_url, url)),
        (None, None) => contexts.current.as_ref().and_then(|name| contexts.contexts.get(name)),
    };
    // A context that the command line names comes before the variables.
    let url = match (&args.management_url, &args.context, context) {
        (Some(url), _, _) => url,
        (None, Some(_), Some(context)) => &context.management_url,
        (None, _, context) => around
            .management_url
            .as_ref()
            .or(context.map(|context| &context.management_url))
            .ok_or_else(|| {
                Failure::usage("no management is known: `vpnmanager login URL` makes one known, or set MANAGEMENT_URL")
            })?,
    };
    // A key is sent to the management that it is of, and to no other.
    let context = context.filter(|context| same_place(&context.management_url, url));
    let key = match (args.context.is_some(), key_of(args, around)?, context) {
        (true, _, Some(context)) if args.api_key_file.is_none() => Some(key_in(context)),
        (_, Some(given), _) => Some(given),
        (_, None, context) => context.map(key_in),
    };
    let of_variable = around.management_ca.as_ref().filter(|_| args.context.is_none());
    let file = args.management_ca.as_ref().or(of_variable);
    let authorities = match file {
        Some(file) => Some(authorities(file)?),
        None => context.and_then(|context| context.management_ca.clone()),
    };
    Ok(Connection {
        url: url.trim_end_matches('/').to_owned(),
        key,
        authorities,
        timeout: args.timeout.unwrap_or(Duration::from_secs(90)),
    })
}

fn by_name<'contexts>(contexts: &'contexts Contexts, name: &str) -> Result<&'contexts Context, Failure> {
    contexts.contexts.get(name).ok_or_else(|| {
        let names: Vec<&str> = contexts.contexts.keys().map(String::as_str).collect();
        let known = if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        };
        Failure::usage(format!("there is no context {name}; there are: {known}"))
    })
}

fn same_place(one: &str, other: &str) -> bool {
    one.trim_end_matches('/') == other.trim_end_matches('/')
}

fn key_in(context: &Context) -> SecretString {
    SecretString::from(context.api_key.clone())
}

fn key_of(args: &ConnectionArgs, around: &Surroundings) -> Result<Option<SecretString>, Failure> {
    let read = |file: &Path| secret_file::read(file).map_err(|error| Failure::usage(chain(&error).to_string()));
    let key = match (&args.api_key_file, &around.api_key, &around.api_key_file) {
        (Some(file), _, _) => Some(read(file)?),
        (None, Some(key), _) => Some(SecretString::from(key.trim())),
        (None, None, Some(file)) => Some(read(file)?),
        (None, None, None) => None,
    };
    Ok(key.filter(|key| !key.expose_secret().is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contexts() -> Contexts {
        let context = |host: &str| Context {
            management_url: format!("https://{host}/"),
            api_key: format!("key-of-{host}"),
            management_ca: None,
        };
        Contexts {
            current: Some("prod".to_owned()),
            contexts: [("prod".to_owned(), context("prod")), ("lab".to_owned(), context("lab"))].into(),
        }
    }

    fn shown(args: &ConnectionArgs, around: &Surroundings) -> (String, Option<String>) {
        let connection = found(args, around, &contexts()).unwrap();
        (connection.url, connection.key.map(|key| key.expose_secret().to_owned()))
    }

    #[test]
    fn flags_come_before_the_environment_and_that_before_the_current_context() {
        let (mut args, mut around) = (ConnectionArgs::default(), Surroundings::default());
        let key = |host: &str| Some(format!("key-of-{host}"));
        assert_eq!(shown(&args, &around), ("https://prod".to_owned(), key("prod")));
        around.context = Some("lab".to_owned());
        assert_eq!(shown(&args, &around), ("https://lab".to_owned(), key("lab")));
        around = Surroundings {
            management_url: Some("http://127.0.0.1:8080".to_owned()),
            api_key: Some("own".to_owned()),
            ..Surroundings::default()
        };
        assert_eq!(
            shown(&args, &around),
            ("http://127.0.0.1:8080".to_owned(), Some("own".to_owned()))
        );
        args.context = Some("lab".to_owned());
        assert_eq!(shown(&args, &around), ("https://lab".to_owned(), key("lab")));
    }

    #[test]
    fn a_context_of_the_command_line_comes_before_the_ca_of_a_variable() {
        let around = Surroundings {
            management_ca: Some(PathBuf::from("/nonexistent/ca.pem")),
            ..Surroundings::default()
        };
        let args = ConnectionArgs {
            context: Some("lab".to_owned()),
            ..ConnectionArgs::default()
        };
        assert_eq!(found(&args, &around, &contexts()).unwrap().authorities, None);
        assert!(found(&ConnectionArgs::default(), &around, &contexts()).is_err());
    }

    #[test]
    fn a_key_of_a_context_is_not_sent_to_another_management() {
        let args = ConnectionArgs {
            management_url: Some("http://elsewhere".to_owned()),
            ..ConnectionArgs::default()
        };
        assert_eq!(
            shown(&args, &Surroundings::default()),
            ("http://elsewhere".to_owned(), None)
        );
        let args = ConnectionArgs {
            management_url: Some("https://lab".to_owned()),
            ..ConnectionArgs::default()
        };
        assert_eq!(
            shown(&args, &Surroundings::default()),
            ("https://lab".to_owned(), Some("key-of-lab".to_owned()))
        );
    }

    #[test]
    fn an_unknown_context_and_no_management_at_all_are_told() {
        let args = ConnectionArgs {
            context: Some("gone".to_owned()),
            ..ConnectionArgs::default()
        };
        let told = found(&args, &Surroundings::default(), &contexts())
            .unwrap_err()
            .to_string();
        assert_eq!(told, "there is no context gone; there are: lab, prod");
        let told = found(
            &ConnectionArgs::default(),
            &Surroundings::default(),
            &Contexts::default(),
        )
        .unwrap_err();
        assert!(told.to_string().contains("vpnmanager login"), "{told}");
    }
}
