//! `events follow`.

use clap::Args;
use clap_complete::ArgValueCompleter;

use super::listening::{Listening, Wanted};
use crate::desk::Desk;
use crate::failure::Failure;
use crate::names;
use crate::output::{Look, Shape, column};

const EVENT: Shape = Shape {
    name: "/data/id",
    columns: &[
        column("ID", "/data/id"),
        column("TIME", "/timestamp").shown(Look::Time),
        column("EVENT", "/type"),
        column("ACTOR", "/data/actor"),
        column("USER", "/data/username"),
        column("SERVER", "/data/server_id"),
        column("ADDRESS", "/data/ip_address"),
        column("DETAILS", "/data/details"),
    ],
};

/// Which events; an event must match all of it.
#[derive(Debug, Args)]
pub(crate) struct Follow {
    /// Only events of this type, such as user_created; repeat it for several, or write a comma list
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    types: Vec<String>,
    /// Only events about users, placements, nodes, pools, groups, sessions, keys, alarms or service; repeat it for several
    #[arg(long = "subject", value_name = "SUBJECT", value_delimiter = ',')]
    subjects: Vec<String>,
    /// Only events about this user; repeat it for several
    #[arg(long = "user", value_name = "USER", value_delimiter = ',', add = ArgValueCompleter::new(names::users))]
    users: Vec<String>,
    /// Only events about this node, or recorded by this replica of management; repeat it for several
    #[arg(long = "server", value_name = "SERVER", value_delimiter = ',', add = ArgValueCompleter::new(names::nodes))]
    servers: Vec<String>,
    /// Only events after this id; 0 for all that the trail has [default: from now on]
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(i64).range(0..))]
    since_id: Option<i64>,
}

impl Follow {
    pub(super) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let wanted = Wanted {
            types: listed(&self.types),
            subjects: listed(&self.subjects),
            users: listed(&self.users),
            servers: listed(&self.servers),
        };
        let mut listening = Listening::new(desk, wanted, self.since_id);
        loop {
            for event in listening.next().await? {
                if !desk.print_on(desk.output.line(&EVENT, &event)?.as_bytes())? {
                    return Ok(());
                }
            }
        }
    }
}

/// As the API has lists in its queries.
fn listed(values: &[String]) -> Option<String> {
    (!values.is_empty()).then(|| values.join(","))
}
