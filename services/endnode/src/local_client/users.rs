//! `vpnmanager-endnode users`.

use std::path::PathBuf;
use std::slice;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vpnmanager_nats::username::Username;
use vpnmanager_runtime::config::Cli;
use vpnmanager_runtime::doctor::Format;
use vpnmanager_runtime::process::{self, Stop};
use vpnmanager_runtime::tls;

use super::ask::{Agent, AskError};
use super::table::table;

/// Where the unit of our package has the socket.
const USUAL_SOCKET: &str = "/run/vpnmanager/endnode.api.sock";
const USERS: &str = "/api/users";

/// What to do with users of this node.
#[derive(Debug, Args)]
pub struct UsersArgs {
    #[command(subcommand)]
    action: Action,
    /// How users are printed
    #[arg(
        short,
        long,
        global = true,
        value_name = "FORMAT",
        value_enum,
        default_value = "text"
    )]
    output: Format,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the users that this node holds, and those who wait for management
    List,
    /// Show a user as this node knows it
    Show {
        /// The user's name
        username: Username,
    },
    /// Create a user whose home this node is; management decides, or does so later where it is away
    Create {
        /// The user's name
        username: Username,
        /// When the user's access ends, such as 2027-03-01T00:00:00Z
        #[arg(long, value_name = "TIME")]
        expires_at: Option<String>,
    },
    /// Delete a user: refused and cut here at once, and everywhere as soon as management hears of it
    Delete {
        /// The user's name
        username: Username,
        /// Yes, delete her
        #[arg(long)]
        yes: bool,
    },
}

/// The settings that this command reads.
#[derive(Deserialize, Serialize)]
struct Place {
    api_socket: Option<PathBuf>,
}

/// Asks the agent, and prints what it answers.
///
/// # Errors
/// [`Stop`] with exit code 1 where the agent is away or refuses, and with 2 where the command line is wrong.
pub fn users(cli: &Cli<impl Sized>, args: &UsersArgs) -> Result<(), Stop> {
    let place: Place = cli.load()?;
    if let Action::Delete { username, yes: false } = &args.action {
        return Err(Stop::Usage(format!(
            "error: {username} would be cut off everywhere, for ever: say --yes\n"
        )));
    }
    tls::install_crypto_provider();
    let socket = place.api_socket.unwrap_or_else(|| PathBuf::from(USUAL_SOCKET));
    let agent = Agent { socket: &socket };
    let text = process::block_on(args.run(&agent))?.map_err(anyhow::Error::from)?;
    Err(Stop::Done(text))
}

impl UsersArgs {
    async fn run(&self, agent: &Agent<'_>) -> Result<String, AskError> {
        let one = match &self.action {
            Action::List => return Ok(self.all(agent.list(USERS).await?)),
            Action::Show { username } => agent.ask(Method::GET, &path_of(username), None).await?,
            Action::Create { username, expires_at } => {
                let mut user = json!({ "username": username });
                if let Some(end) = expires_at {
                    user["expires_at"] = json!(end);
                }
                agent.ask(Method::POST, USERS, Some(&user)).await?
            }
            Action::Delete { username, .. } => agent.ask(Method::DELETE, &path_of(username), None).await?,
        };
        Ok(match self.output {
            Format::Text => table(slice::from_ref(&one)),
            Format::Json => format!("{one:#}\n"),
        })
    }

    fn all(&self, users: Vec<Value>) -> String {
        match self.output {
            Format::Text => table(&users),
            Format::Json => format!("{:#}\n", Value::from(users)),
        }
    }
}

/// No character of a username means anything in a path.
fn path_of(username: &Username) -> String {
    format!("{USERS}/{username}")
}
