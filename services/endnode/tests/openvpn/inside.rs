//! Code of a test that runs in a network namespace.

use std::{
    fs::File,
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd as _,
    thread::JoinHandle,
    time::Duration,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use vpnmanager_testbed::net::Namespace;

/// How long a connection may take that is not refused.
const WITHIN: Duration = Duration::from_secs(2);

/// Runs this on a thread inside: this thread alone, and what it starts.
pub(crate) fn inside<T: Send + 'static>(
    machine: &Namespace,
    what: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let namespace = File::open(format!("/run/netns/{}", machine.name)).expect("a namespace");
    std::thread::spawn(move || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("moved");
        what()
    })
}

/// A server that takes connections to this port of a machine, until it is dropped.
pub(crate) fn serve(machine: &Namespace, port: u16) -> TcpListener {
    // Of both families. The kernel takes connections without us.
    let listener = inside(machine, move || TcpListener::bind(("::", port)));
    listener.join().expect("no panic").expect("a free port")
}

/// Whether a machine gets a connection to this place.
pub(crate) fn connects(machine: &Namespace, place: &str) -> bool {
    let place: SocketAddr = place.parse().expect("a place");
    let connection = inside(machine, move || TcpStream::connect_timeout(&place, WITHIN));
    connection.join().expect("no panic").is_ok()
}
