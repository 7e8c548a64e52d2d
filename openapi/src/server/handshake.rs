//! The beginning of a connection: whether it is TLS, and which HTTP is spoken in it.

use std::sync::Arc;

use rustls::ServerConfig;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use super::stream::Stream;
use super::tls::HTTP_2;

/// The first byte of everything that begins a handshake (RFC 8446, section 5.1: the type of its record).
const HANDSHAKE: u8 = 22;

/// The answer to whoever speaks HTTP where HTTPS is served. He would see a broken connection and no reason.
const NOT_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncache-control: no-store\r\n\
    content-type: application/problem+json\r\ncontent-length: 120\r\n\r\n\
    {\"type\":\"about:blank\",\"title\":\"Bad Request\",\"status\":400,\"detail\":\"this port speaks HTTPS: begin the URL with https://\"}";

/// What was accepted.
#[derive(Debug)]
pub(super) enum Accepted {
    /// In the clear.
    Plain(TcpStream),
    /// A handshake is to come.
    Tls(TcpStream, Arc<ServerConfig>),
    /// Of this machine.
    Local(UnixStream),
}

/// Which HTTP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// What came of the beginning.
#[derive(Debug)]
pub(super) enum Opened {
    /// Requests can come.
    Ready(Stream, Protocol),
    /// The caller was told why there are none, and may still send.
    Refused(Stream),
    /// There is nobody to talk to.
    Gone,
}

impl Accepted {
    /// Shakes hands where that is to be done. However long the caller takes: who waits for a head watches the time.
    pub(super) async fn open(self) -> Opened {
        match self {
            Self::Plain(stream) => Opened::Ready(Stream::Tcp(stream), Protocol::Http1),
            Self::Local(stream) => Opened::Ready(Stream::Unix(stream), Protocol::Http1),
            Self::Tls(stream, tls) => shake_hands(stream, tls).await,
        }
    }
}

async fn shake_hands(mut stream: TcpStream, tls: Arc<ServerConfig>) -> Opened {
    let mut first = [0];
    if !matches!(stream.peek(&mut first).await, Ok(1)) {
        return Opened::Gone;
    }
    if first != [HANDSHAKE] {
        return match stream.write_all(NOT_TLS).await {
            Ok(()) => Opened::Refused(Stream::Tcp(stream)),
            Err(_gone) => Opened::Gone,
        };
    }
    match TlsAcceptor::from(tls).accept(stream).await {
        Ok(stream) => {
            let protocol = match stream.get_ref().1.alpn_protocol() {
                Some(HTTP_2) => Protocol::Http2,
                Some(_) | None => Protocol::Http1,
            };
            Opened::Ready(Stream::Tls(Box::new(stream)), protocol)
        }
        Err(error) => {
            // Whoever scans ports causes as many as he likes.
            debug!(error = %error, "A TLS handshake failed");
            Opened::Gone
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_plain_http_is_a_whole_problem() {
        let text = std::str::from_utf8(NOT_TLS).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let length = format!("content-length: {}", body.len());
        assert!(head.contains(&length), "{length}");
        let problem: crate::problem::Problem = serde_json::from_str(body).unwrap();
        assert_eq!(problem.status, 400);
    }
}
