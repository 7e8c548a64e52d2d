//! A TCP proxy between the nodes and the bus that can delay traffic: `netem` would do this too, but many kernels do not have it.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::Instant,
};
use vpnmanager_testbed::{ports, stack::BusPorts};

/// The most pieces that are delayed in one direction of one connection.
const ON_THE_WAY: usize = 256;
const PIECE: usize = 64 * 1024;

/// Delays the traffic between nodes and the bus. It ends when it is dropped.
#[derive(Debug)]
pub(super) struct BusProxy {
    pub(super) ports: BusPorts,
    delays: Delays,
    connections: JoinSet<()>,
}

/// The delay in each direction, by the address of the node.
#[derive(Debug, Clone, Default)]
struct Delays(Arc<Mutex<HashMap<IpAddr, Duration>>>);

impl BusProxy {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await;
        let listener = listener.context("no port for the proxy")?;
        let ports = BusPorts {
            server: ports::free()?,
            public: listener.local_addr()?.port(),
        };
        let delays = Delays::default();
        let mut connections = JoinSet::new();
        connections.spawn(accept(listener, ports.server, delays.clone()));
        Ok(Self {
            ports,
            delays,
            connections,
        })
    }

    /// Takes connections on another port from now on, and none on the one before. Returns the port.
    pub(super) async fn move_away(&mut self) -> anyhow::Result<u16> {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await;
        let listener = listener.context("no port for the proxy")?;
        self.ports.public = listener.local_addr()?.port();
        self.connections.shutdown().await;
        self.connections
            .spawn(accept(listener, self.ports.server, self.delays.clone()));
        Ok(self.ports.public)
    }

    /// Delays the traffic of this node by `delay` in each direction from now on.
    pub(super) fn delay(&self, node: Ipv4Addr, delay: Duration) {
        self.delays.map().insert(node.into(), delay);
    }

    pub(super) fn be_quick(&self, node: Ipv4Addr) {
        self.delays.map().remove(&node.into());
    }
}

impl Delays {
    fn map(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, Duration>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, node: IpAddr) -> Duration {
        self.map().get(&node).copied().unwrap_or_default()
    }
}

async fn accept(listener: TcpListener, server: u16, delays: Delays) {
    let mut connections = JoinSet::new();
    loop {
        // A failed accept affects only one caller.
        if let Ok((client, from)) = listener.accept().await {
            connections.spawn(connect(client, from, server, delays.clone()));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn connect(client: TcpStream, from: SocketAddr, server: u16, delays: Delays) {
    // The caller's connection is closed, as it would be without the proxy.
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = carry(from_client, to_server, from.ip(), &delays) => {}
        () = carry(from_server, to_client, from.ip(), &delays) => {}
    }
}

/// Carries one direction until one end closes.
async fn carry(from: impl AsyncRead + Unpin, to: impl AsyncWrite + Unpin, node: IpAddr, delays: &Delays) {
    let (pieces, due) = mpsc::channel(ON_THE_WAY);
    tokio::select! {
        () = read(from, pieces, node, delays) => {}
        () = write(to, due) => {}
    }
}

async fn read(mut from: impl AsyncRead + Unpin, pieces: mpsc::Sender<(Instant, Bytes)>, node: IpAddr, delays: &Delays) {
    let mut buffer = BytesMut::with_capacity(PIECE);
    while let Ok(1..) = from.read_buf(&mut buffer).await {
        let due = Instant::now() + delays.of(node);
        if pieces.send((due, buffer.split().freeze())).await.is_err() {
            return;
        }
        buffer.reserve(PIECE);
    }
}

async fn write(mut to: impl AsyncWrite + Unpin, mut due: mpsc::Receiver<(Instant, Bytes)>) {
    while let Some((at, piece)) = due.recv().await {
        tokio::time::sleep_until(at).await;
        if to.write_all(&piece).await.is_err() {
            return;
        }
    }
}
