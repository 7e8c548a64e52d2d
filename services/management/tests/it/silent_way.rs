//! A way to PostgreSQL on which nothing arrives for a while, although nobody closes it: as when a machine or a network is gone.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Carries connections to a database until it is dropped.
pub(crate) struct SilentWay {
    state: watch::Sender<State>,
    _connections: JoinSet<()>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    is_silent: bool,
    /// Connections of earlier ones are silent for ever.
    machine: u32,
}

impl SilentWay {
    /// Carries what goes through the URL that it returns beside it, which leads to the database of this one.
    pub(crate) async fn to(database: &str) -> (Self, String) {
        let (head, tail) = database.split_once('@').expect("a URL with a user");
        let (server, name) = tail.split_once('/').expect("a URL with a database");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("{head}@{}/{name}", listener.local_addr().expect("bound"));
        let (state, states) = watch::channel(State::default());
        let mut connections = JoinSet::new();
        connections.spawn(accept(listener, server.to_owned(), states));
        let way = Self {
            state,
            _connections: connections,
        };
        (way, url)
    }

    /// Carries nothing until it speaks again.
    pub(crate) fn fall_silent(&self) {
        self.state.send_modify(|state| state.is_silent = true);
    }

    /// Goes on with everything.
    pub(crate) fn speak(&self) {
        self.state.send_modify(|state| state.is_silent = false);
    }

    /// Leads to another machine from now on, which knows nothing of the connections that are there.
    pub(crate) fn lead_elsewhere(&self) {
        self.state.send_modify(|state| state.machine += 1);
    }
}

async fn accept(listener: TcpListener, server: String, states: watch::Receiver<State>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(connect(client, server.clone(), states.clone()));
    }
}

async fn connect(client: TcpStream, server: String, states: watch::Receiver<State>) {
    let server = TcpStream::connect(server).await.expect("PostgreSQL listens");
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // The first that ends, ends the connection.
    tokio::select! {
        _ended = carry(from_client, to_server, states.clone()) => {}
        _ended = carry(from_server, to_client, states.clone()) => {}
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut states: watch::Receiver<State>) -> io::Result<()> {
    let machine = states.borrow().machine;
    let mut piece = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut piece).await?;
        let speaks = |state: &State| !state.is_silent && state.machine == machine;
        if states.wait_for(speaks).await.is_err() || read == 0 {
            return Ok(());
        }
        to.write_all(&piece[..read]).await?;
    }
}
