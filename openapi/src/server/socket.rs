//! A socket that says what its connection is waiting for.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::Connection;
use super::handshake::Protocol;
use super::stream::Stream;
use super::unread_head;

/// A stream whose connection is told of every byte. Within TLS these are the bytes of HTTP: a record that does not get complete is none.
#[derive(Debug)]
pub(super) struct Socket {
    stream: Stream,
    connection: Arc<Connection>,
    protocol: Protocol,
    /// What is left of an answer that goes out in place of hyper's: the last one of its connection.
    in_place: Option<Bytes>,
}

impl Socket {
    pub(super) fn new(stream: Stream, protocol: Protocol, connection: Arc<Connection>) -> Self {
        Self {
            stream,
            connection,
            protocol,
            in_place: None,
        }
    }

    pub(super) fn into_stream(self) -> Stream {
        self.stream
    }

    /// Writes the answer that goes out in place of these bytes, where there is one, and says that they were taken. Without a request, what
    /// hyper writes is its answer to a head that it does not read.
    fn replace(&mut self, cx: &mut Context<'_>, bytes: &[u8], length: usize) -> Option<Poll<io::Result<usize>>> {
        if self.in_place.is_none() && self.protocol == Protocol::Http1 && self.connection.is_silent() {
            self.in_place = unread_head::with_body(bytes).map(Bytes::from);
        }
        let rest = self.in_place.as_mut()?;
        while rest.has_remaining() {
            match Pin::new(&mut self.stream).poll_write(cx, rest) {
                Poll::Ready(Ok(written)) => rest.advance(written),
                Poll::Ready(Err(error)) => return Some(Poll::Ready(Err(error))),
                Poll::Pending => return Some(Poll::Pending),
            }
        }
        Some(Poll::Ready(Ok(length)))
    }

    fn wrote(&self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match outcome {
            Poll::Pending => self.connection.unread(),
            Poll::Ready(_) => self.connection.written(),
        }
        outcome
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.connection.heard();
        }
        outcome
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = match self.replace(cx, buf, buf.len()) {
            Some(outcome) => outcome,
            None => Pin::new(&mut self.stream).poll_write(cx, buf),
        };
        self.wrote(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = bufs
            .iter()
            .find(|buf| !buf.is_empty())
            .map_or(&[] as &[u8], |buf| &**buf);
        let outcome = match self.replace(cx, first, bufs.iter().map(|buf| buf.len()).sum()) {
            Some(outcome) => outcome,
            None => Pin::new(&mut self.stream).poll_write_vectored(cx, bufs),
        };
        self.wrote(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Called when all that there was to write was written.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        match outcome {
            // TLS keeps some of an answer that the caller does not read.
            Poll::Pending => self.connection.unread(),
            Poll::Ready(_) => self.connection.flushed(),
        }
        outcome
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
