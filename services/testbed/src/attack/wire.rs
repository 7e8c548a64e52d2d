//! A connection to the bus that speaks NATS's text protocol byte by byte. A thief is not bound to a client library: this one neither
//! slows itself down, nor reconnects, nor hides what the server says. <https://docs.nats.io/reference/reference-protocols/nats-protocol>

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use data_encoding::BASE64URL_NOPAD;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Mutex as AsyncMutex, Notify},
    task::JoinSet,
    time::timeout,
};

use super::credential::Credential;

/// How long the server may take to answer what a client says while it connects.
const GREETING: Duration = Duration::from_secs(10);
/// How long a write may be stuck.
const STUCK: Duration = Duration::from_secs(20);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    /// The server cannot be reached, or closed the connection.
    #[error("the bus did not take the connection")]
    Io(#[from] io::Error),
    /// The server did not answer.
    #[error("the bus did not answer within {}", humantime::format_duration(GREETING))]
    Silent,
    /// The server refused.
    #[error("the bus refused the connection: {0}")]
    Refused(String),
    /// The server's greeting is not the one that is expected.
    #[error("the bus greeted with something else than INFO")]
    Greeting,
    /// The seed is none.
    #[error("the seed cannot sign")]
    Seed(#[from] nkeys::error::Error),
}

/// What came from the server.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Messages.
    pub(super) messages: AtomicU64,
    /// Messages that say that something is refused or unavailable.
    pub(super) refusals: AtomicU64,
    /// Errors of the server.
    pub(super) errors: AtomicU64,
    last_error: Mutex<Option<String>>,
    pongs: AtomicU64,
    closed: AtomicBool,
    changed: Notify,
}

/// A connection. Dropping it closes it.
#[derive(Debug)]
pub(super) struct Wire {
    writer: Arc<AsyncMutex<OwnedWriteHalf>>,
    seen: Arc<Seen>,
    _reader: JoinSet<()>,
}

impl Wire {
    /// Connects with a credential, without TLS, as only a bus for tests allows.
    pub(super) async fn connect(address: SocketAddr, credential: &Credential) -> Result<Self, WireError> {
        Self::connect_as(address, credential, "thief").await
    }

    /// As [`Wire::connect`], with a name for the connection.
    pub(super) async fn connect_as(
        address: SocketAddr,
        credential: &Credential,
        name: &str,
    ) -> Result<Self, WireError> {
        timeout(GREETING, Self::greet(address, credential, name))
            .await
            .map_err(|_| WireError::Silent)?
    }

    async fn greet(address: SocketAddr, credential: &Credential, name: &str) -> Result<Self, WireError> {
        let (reader, mut writer) = dial(address, Ipv4Addr::LOCALHOST).await?.into_split();
        let mut reader = BufReader::new(reader);
        let mut line = String::new();
        reader.read_line(&mut line).await?;
        let info = line.strip_prefix("INFO ").ok_or(WireError::Greeting)?;
        let info: serde_json::Value = serde_json::from_str(info).map_err(|_| WireError::Greeting)?;
        let nonce = info["nonce"].as_str().ok_or(WireError::Greeting)?;
        let signature = BASE64URL_NOPAD.encode(&credential.key.sign(nonce.as_bytes())?);
        let hello = serde_json::json!({
            "jwt": credential.jwt, "sig": signature, "name": name, "lang": "wire", "version": "1", "protocol": 1,
            "verbose": false, "pedantic": false, "headers": true, "no_responders": true,
        });
        writer
            .write_all(format!("CONNECT {hello}\r\nPING\r\n").as_bytes())
            .await?;
        let seen = Arc::new(Seen::default());
        let writer = Arc::new(AsyncMutex::new(writer));
        let mut tasks = JoinSet::new();
        tasks.spawn(listen(reader, Arc::clone(&writer), Arc::clone(&seen)));
        let wire = Self {
            writer,
            seen,
            _reader: tasks,
        };
        if wire.pong(1).await {
            return Ok(wire);
        }
        Err(WireError::Refused(
            wire.last_error().unwrap_or_else(|| "closed".to_owned()),
        ))
    }

    /// Writes whole frames.
    pub(super) async fn write(&self, frames: &[u8]) -> io::Result<()> {
        let write = async { self.writer.lock().await.write_all(frames).await };
        let stuck = || io::Error::new(io::ErrorKind::TimedOut, "the bus reads no more");
        timeout(STUCK, write).await.map_err(|_| stuck())?
    }

    /// Waits until the server has taken everything that was written; false if it closed the connection or is too slow.
    pub(super) async fn taken(&self, deadline: Duration) -> bool {
        let before = self.seen.pongs.load(Ordering::Acquire);
        self.write(b"PING\r\n").await.is_ok() && timeout(deadline, self.pong(before + 1)).await.unwrap_or(false)
    }

    /// What came from the server.
    pub(super) fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Whether the server closed the connection.
    pub(super) fn is_closed(&self) -> bool {
        self.seen.closed.load(Ordering::Acquire)
    }

    /// The last error of the server.
    pub(super) fn last_error(&self) -> Option<String> {
        let last = self.seen.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
    }

    /// Waits until the server closes the connection; false at the deadline.
    pub(super) async fn closed(&self, deadline: Duration) -> bool {
        let closed = self.until(|seen| seen.closed.load(Ordering::Acquire));
        timeout(deadline, closed).await.is_ok()
    }

    /// Waits until so many messages came; false at the deadline, or if the connection is closed before.
    pub(super) async fn messages(&self, count: u64, deadline: Duration) -> bool {
        let came =
            self.until(|seen| seen.messages.load(Ordering::Acquire) >= count || seen.closed.load(Ordering::Acquire));
        timeout(deadline, came).await.is_ok() && self.seen.messages.load(Ordering::Acquire) >= count
    }

    async fn pong(&self, number: u64) -> bool {
        self.until(|seen| seen.pongs.load(Ordering::Acquire) >= number || seen.closed.load(Ordering::Acquire))
            .await;
        self.seen.pongs.load(Ordering::Acquire) >= number
    }

    async fn until(&self, is_so: impl Fn(&Seen) -> bool) {
        loop {
            let changed = self.seen.changed.notified();
            if is_so(&self.seen) {
                return;
            }
            changed.await;
        }
    }
}

/// A TCP connection from one of this machine's own addresses.
pub(super) async fn dial(address: SocketAddr, from: Ipv4Addr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Reads until the server closes the connection, and answers its pings.
async fn listen(mut reader: BufReader<OwnedReadHalf>, writer: Arc<AsyncMutex<OwnedWriteHalf>>, seen: Arc<Seen>) {
    // Whether it closed or broke, there is nothing more to read.
    let _ = read_all(&mut reader, &writer, &seen).await;
    seen.closed.store(true, Ordering::Release);
    seen.changed.notify_waiters();
}

async fn read_all(
    reader: &mut BufReader<OwnedReadHalf>,
    writer: &AsyncMutex<OwnedWriteHalf>,
    seen: &Seen,
) -> io::Result<()> {
    let (mut line, mut payload) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        if line.starts_with(b"PING") {
            writer.lock().await.write_all(b"PONG\r\n").await?;
        } else if line.starts_with(b"PONG") {
            seen.pongs.fetch_add(1, Ordering::Release);
        } else if line.starts_with(b"-ERR") {
            seen.errors.fetch_add(1, Ordering::Relaxed);
            let text = String::from_utf8_lossy(&line)
                .trim()
                .trim_start_matches("-ERR ")
                .to_owned();
            *seen.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
        } else if line.starts_with(b"MSG ") || line.starts_with(b"HMSG ") {
            payload.resize(length(&line)? + 2, 0);
            reader.read_exact(&mut payload).await?;
            if is_refusal(&payload) {
                seen.refusals.fetch_add(1, Ordering::Relaxed);
            }
            seen.messages.fetch_add(1, Ordering::Release);
        }
        seen.changed.notify_waiters();
    }
}

/// The length of the payload: the last word of the line, after the length of the headers if there are any.
fn length(line: &[u8]) -> io::Result<usize> {
    let text = String::from_utf8_lossy(line);
    let last = text.split_whitespace().next_back().and_then(|word| word.parse().ok());
    last.ok_or_else(|| io::Error::other("a message without a length"))
}

/// Whether an answer refuses: management's words for it, JetStream's errors, and "no responders" (status 503).
fn is_refusal(payload: &[u8]) -> bool {
    let text = String::from_utf8_lossy(payload);
    ["\"refused\"", "\"unavailable\"", "\"error\"", "NATS/1.0 503"]
        .iter()
        .any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::{is_refusal, length};

    #[test]
    fn the_length_is_the_last_word_with_headers_and_without() {
        assert_eq!(length(b"MSG _INBOX.n.1 1 17\r\n").unwrap(), 17);
        assert_eq!(length(b"MSG _INBOX.n.1 1 reply.to 17\r\n").unwrap(), 17);
        assert_eq!(length(b"HMSG _INBOX.n.1 1 16 20\r\n").unwrap(), 20);
        assert!(length(b"MSG\r\n").is_err());
    }

    #[test]
    fn a_refusal_is_told_from_an_answer() {
        assert!(is_refusal(br#"{"v":1,"answer":"refused","reason":"expiry"}"#));
        assert!(is_refusal(b"NATS/1.0 503\r\n\r\n"));
        assert!(!is_refusal(br#"{"v":1,"answer":"accepted"}"#));
    }
}
