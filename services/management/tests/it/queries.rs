//! Counts what is asked of PostgreSQL, between a management and the server: PostgreSQL's own counts come seconds late.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The code of a request for TLS, which has no type and after which the real start comes (PostgreSQL manual, "Message Formats").
const SSL_REQUEST: [u8; 4] = 80_877_103_u32.to_be_bytes();

/// How often something was asked through one address, which leads to a database. BEGIN and COMMIT count too.
pub(crate) struct Queries {
    count: Arc<AtomicU64>,
    _connections: JoinSet<()>,
}

impl Queries {
    /// Counts what is asked through the URL that it returns beside it, which leads to the database of this one.
    pub(crate) async fn counted(database: &str) -> (Self, String) {
        let (head, tail) = database.split_once('@').expect("a URL with a user");
        let (server, name) = tail.split_once('/').expect("a URL with a database");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("{head}@{}/{name}", listener.local_addr().expect("bound"));
        let count = Arc::default();
        let mut connections = JoinSet::new();
        connections.spawn(accept(listener, server.to_owned(), Arc::clone(&count)));
        let counted = Self {
            count,
            _connections: connections,
        };
        (counted, url)
    }

    pub(crate) fn so_far(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, server: String, count: Arc<AtomicU64>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let server = TcpStream::connect(&server).await.expect("PostgreSQL listens");
        let count = Arc::clone(&count);
        connections.spawn(async move {
            let (from_client, mut to_client) = client.into_split();
            let (mut from_server, to_server) = server.into_split();
            // The first that ends, ends the connection.
            tokio::select! {
                _ended = forward(from_client, to_server, &count) => {}
                _ended = copy(&mut from_server, &mut to_client) => {}
            }
        });
    }
}

async fn forward(from: OwnedReadHalf, mut to: OwnedWriteHalf, count: &AtomicU64) -> io::Result<()> {
    let mut from = BufReader::new(from);
    let mut has_started = false;
    loop {
        let mut message = Vec::new();
        if has_started {
            message.push(from.read_u8().await?);
        }
        let length = from.read_u32().await?;
        message.extend(length.to_be_bytes());
        let body = message.len();
        message.resize(body + length.saturating_sub(4) as usize, 0);
        from.read_exact(&mut message[body..]).await?;
        // A simple query, and the end of an extended one.
        if has_started && matches!(message[0], b'Q' | b'S') {
            count.fetch_add(1, Ordering::Relaxed);
        }
        has_started |= !message[body..].starts_with(&SSL_REQUEST);
        to.write_all(&message).await?;
    }
}
