//! What somebody does who has no credential: HTTP requests from addresses of their own.

pub(in crate::attack) mod crowd;
pub(in crate::attack) mod enrolment;
pub(in crate::attack) mod heavy;
pub(in crate::attack) mod keys;
pub(in crate::attack) mod port;
pub(in crate::attack) mod standing;
pub(in crate::attack) mod unfinished;
pub(in crate::attack) mod waits;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::attack::{flood::Offered, scene::Scene, wire::dial};

/// The address of a stranger. The operator has another one.
pub(in crate::attack) const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 66);

/// Where management listens.
pub(in crate::attack) fn management(scene: &Scene) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, scene.stack.state().management_port).into()
}

/// One of several addresses of strangers.
fn address(number: u64, of: u64) -> Ipv4Addr {
    let [a, b, _, d] = ADDRESS.octets();
    Ipv4Addr::new(a, b, u8::try_from(number % of).unwrap_or_default(), d)
}

/// Opens connections from one address and writes the same on each; `at_once` are being opened at a time. Those that are refused are
/// counted.
pub(in crate::attack) async fn open(
    to: SocketAddr,
    count: u64,
    at_once: usize,
    words: &[u8],
) -> (Vec<TcpStream>, Offered) {
    open_from(1, to, count, at_once, words).await
}

/// The same from so many addresses.
pub(in crate::attack) async fn open_from(
    addresses: u64,
    to: SocketAddr,
    count: u64,
    at_once: usize,
    words: &[u8],
) -> (Vec<TcpStream>, Offered) {
    let opened = stream::iter(0..count)
        .map(|number| async move {
            let opening = async {
                let mut stream = dial(to, address(number, addresses)).await?;
                stream.write_all(words).await?;
                Ok::<_, io::Error>(stream)
            };
            timeout(Duration::from_secs(5), opening).await.ok()?.ok()
        })
        .buffer_unordered(at_once);
    let open: Vec<TcpStream> = opened.filter_map(std::future::ready).collect().await;
    let offered = Offered {
        count,
        bytes: count * words.len() as u64,
        refused: count - open.len() as u64,
        ..Offered::default()
    };
    (open, offered)
}

/// Writes one byte on each, now and then, until the other side has closed all of them. Returns how many it has not closed by the
/// deadline.
pub(in crate::attack) async fn drip(mut streams: Vec<TcpStream>, every: Duration, deadline: Duration) -> u64 {
    let begun = Instant::now();
    while !streams.is_empty() && begun.elapsed() < deadline {
        tokio::time::sleep(every).await;
        let mut open = Vec::new();
        for mut stream in streams {
            let mut answer = [0; 1024];
            // An answer, an end and an error all mean that the request is over.
            let is_over =
                !matches!(stream.try_read(&mut answer), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
            if !is_over && stream.write_all(b"x").await.is_ok() {
                open.push(stream);
            }
        }
        streams = open;
    }
    streams.len() as u64
}

/// Waits until the other side has closed all of them, and returns how many it has not closed by the deadline.
pub(in crate::attack) async fn left_open(streams: Vec<TcpStream>, deadline: Duration) -> u64 {
    let begun = Instant::now();
    let mut open = 0;
    for mut stream in streams {
        let rest = deadline.saturating_sub(begun.elapsed()).max(Duration::from_millis(1));
        let mut ignored = Vec::new();
        // An answer and then the end, or only the end.
        if timeout(rest, stream.read_to_end(&mut ignored)).await.is_err() {
            open += 1;
        }
    }
    open
}

/// Requests, some at the same time, on connections that stay open. `ask` returns the status of an answer, or nothing if there was none.
pub(in crate::attack) async fn ask_many<F: Future<Output = Option<u16>>>(
    count: u64,
    at_once: usize,
    ask: impl Fn(u64) -> F,
) -> Offered {
    let begun = Instant::now();
    let statuses: Vec<Option<u16>> = stream::iter(0..count)
        .map(ask)
        .buffer_unordered(at_once)
        .collect()
        .await;
    let mut offered = Offered {
        count,
        seconds: begun.elapsed().as_secs_f64(),
        ..Offered::default()
    };
    for status in statuses {
        offered.answered += u64::from(status.is_some());
        offered.refused += u64::from(status.is_none_or(|status| status >= 400));
        if status.is_some_and(|status| status >= 500 && status != 503) {
            offered
                .wrong
                .push(format!("a request was answered {}", status.unwrap_or_default()));
        }
    }
    offered.wrong.truncate(3);
    offered
}

/// A client with a stranger's address.
pub(in crate::attack) fn client() -> anyhow::Result<reqwest::Client> {
    client_at(ADDRESS)
}

/// Clients with so many addresses of strangers.
fn clients(addresses: u64) -> anyhow::Result<Vec<reqwest::Client>> {
    (0..addresses)
        .map(|number| client_at(address(number, addresses)))
        .collect()
}

fn client_at(address: Ipv4Addr) -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder()
        .local_address(std::net::IpAddr::V4(address))
        .timeout(Duration::from_secs(70))
        .build()?)
}

/// The status of the answer, if there is one.
async fn status(request: reqwest::RequestBuilder) -> Option<u16> {
    request.send().await.ok().map(|answer| answer.status().as_u16())
}
