//! `sessions`.

use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;

use crate::arguments::Listing;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::given::given;
use crate::names;
use crate::output::{Look, Shape, column};
use crate::question::Sure;
use crate::values::{Moment, moment};

const SESSION: Shape = Shape {
    name: "/id",
    columns: &[
        column("SESSION", "/id"),
        column("USER", "/username"),
        column("DEVICE", "/device"),
        column("NODE", "/server_id"),
        column("LISTENER", "/listener"),
        column("SINCE", "/since").shown(Look::Time),
        column("FROM", "/real_address"),
        column("ADDRESS", "/virtual_address"),
        column("IN", "/bytes_in").shown(Look::Bytes),
        column("OUT", "/bytes_out").shown(Look::Bytes),
    ],
};

const PAST: Shape = Shape {
    name: "/id",
    columns: &[
        column("SESSION", "/id"),
        column("USER", "/username"),
        column("DEVICE", "/device"),
        column("NODE", "/server_id"),
        column("SINCE", "/since").shown(Look::Time),
        column("ENDED", "/ended_at").shown(Look::Time),
        column("FROM", "/real_address"),
        column("ADDRESS", "/virtual_address"),
        column("IN", "/bytes_in").shown(Look::Bytes),
        column("OUT", "/bytes_out").shown(Look::Bytes),
    ],
};

/// What to do with sessions.
#[derive(Debug, Subcommand)]
pub(crate) enum Sessions {
    /// List who is connected: the nodes are asked
    #[command(visible_alias = "ls")]
    List(List),
    /// List who was connected
    History(History),
    /// End a session; the client may connect again
    Disconnect(Disconnect),
}

/// Which sessions; a session must match all of it.
#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// Only sessions of this user
    #[arg(long, value_name = "USER", add = ArgValueCompleter::new(names::users))]
    user: Option<String>,
    /// Only sessions on this node
    #[arg(long, value_name = "NODE", add = ArgValueCompleter::new(names::nodes))]
    node: Option<String>,
    /// Only sessions with this address, inside the tunnel or outside
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// Only sessions at this listener, such as tcp:443
    #[arg(long, value_name = "LISTENER")]
    listener: Option<String>,
}

/// Which sessions.
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    filter: Filter,
    /// The sessions that were alive then, from the history: a time of RFC 3339, a date, or how long ago, such as 2h
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    at: Option<Moment>,
    #[command(flatten)]
    listing: Listing,
}

/// Which sessions of the past.
#[derive(Debug, Args)]
pub(crate) struct History {
    #[command(flatten)]
    filter: Filter,
    /// Only sessions that were alive then or later
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    from: Option<Moment>,
    /// Only sessions that began before then
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    until: Option<Moment>,
    #[command(flatten)]
    listing: Listing,
}

/// Which session.
#[derive(Debug, Args)]
pub(crate) struct Disconnect {
    /// The session, as the list names it; repeat it for several
    #[arg(value_name = "SESSION", required = true, add = ArgValueCompleter::new(names::sessions))]
    sessions: Vec<String>,
    #[command(flatten)]
    sure: Sure,
}

impl Sessions {
    pub(crate) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(desk).await,
            Self::History(history) => history.run(desk).await,
            Self::Disconnect(disconnect) => disconnect.run(desk).await,
        }
    }
}

impl List {
    async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let filter = &self.filter;
        let page = |size: i64, cursor: Option<String>| {
            let request = given!(
                desk.api.list_sessions().limit(size),
                cursor = cursor,
                username = filter.user.clone(),
                server_id = filter.node.clone(),
                address = filter.address.clone(),
                listener = filter.listener.clone(),
                at = self.at.as_ref().map(Moment::past),
            );
            request.send()
        };
        desk.list(&SESSION, &self.listing, page).await
    }
}

impl History {
    async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let filter = &self.filter;
        let page = |size: i64, cursor: Option<String>| {
            let request = given!(
                desk.api.list_session_history().limit(size),
                cursor = cursor,
                username = filter.user.clone(),
                server_id = filter.node.clone(),
                address = filter.address.clone(),
                listener = filter.listener.clone(),
                from = self.from.as_ref().map(Moment::past),
                until = self.until.as_ref().map(Moment::past),
            );
            request.send()
        };
        desk.list(&PAST, &self.listing, page).await
    }
}

impl Disconnect {
    async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        for session in &self.sessions {
            let deed = async { Ok::<_, Failure>(format!("end the session {session}; its client may connect again")) };
            if !self.sure.agrees(deed).await? {
                continue;
            }
            let request = desk.api.end_session().id(session.as_str());
            let ended = desk.api.answer(request.send()).await;
            ended.map_err(|failure| failure.of(session))?;
            desk.note(&format!("Ended {session}"));
        }
        Ok(())
    }
}
