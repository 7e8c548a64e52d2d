//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use poem::http::uri::Scheme;
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Endpoint, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::connections::Entry;
use super::framing::{self, LONGEST_HEAD, MOST_HEADERS};
use super::proxies::TrustedProxies;
use super::socket::Socket;
use crate::middleware::problems;

/// A caller that still sends while it is refused may go on for this long, so that the answer reaches it: closing at once would reset the
/// connection (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(1);

/// Who talks to whom.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) local: SocketAddr,
    pub(super) peer: SocketAddr,
    /// Those who may talk for others.
    pub(super) proxies: Arc<TrustedProxies>,
}

/// Serves HTTP/1 on a connection until either side ends it, its time is over, or the server has stopped.
pub(super) async fn serve<E>(stream: TcpStream, ends: Ends, entry: Entry, app: Arc<E>, stopping: CancellationToken)
where
    E: Endpoint<Output = Response> + 'static,
{
    let connection = &entry.connection;
    tokio::select! {
        biased;
        () = connection.closed() => {}
        rest = exchange(stream, ends, connection, app, stopping) => {
            if let Some(stream) = rest {
                tokio::select! {
                    () = connection.closed() => {}
                    () = linger(stream) => {}
                }
            }
        }
    }
}

/// Answers request after request; gives the socket when no more are to be answered and the caller may still be there.
async fn exchange<E>(
    stream: TcpStream,
    ends: Ends,
    connection: &Arc<Connection>,
    app: Arc<E>,
    stopping: CancellationToken,
) -> Option<TcpStream>
where
    E: Endpoint<Output = Response> + 'static,
{
    let socket = Socket::new(stream, connection.clone());
    let service = service_fn(|mut request: hyper::Request<Incoming>| {
        connection.requested();
        request.extensions_mut().insert(connection.clone());
        let (app, connection) = (app.clone(), connection.clone());
        let local = LocalAddr(ends.local.into());
        let client = framing::check(&request).and_then(|()| ends.proxies.client(ends.peer, request.headers()));
        Box::pin(async move {
            let remote = match client {
                Ok(client) => RemoteAddr(client.into()),
                Err(problem) => {
                    connection.answered();
                    let refused: hyper::Response<_> = problems::refuse(&problem).into();
                    return Ok(refused.map(|body| Watched { body, connection }));
                }
            };
            let request = (request, local, remote, Scheme::HTTP).into();
            let response: hyper::Response<_> = app.get_response(request).await.into();
            connection.answered();
            Ok::<_, Infallible>(response.map(|body| Watched { body, connection }))
        })
    });
    let mut server = http1::Builder::new()
        // The time of a head is watched by `Connections`.
        .header_read_timeout(None)
        .max_buf_size(LONGEST_HEAD)
        .max_headers(MOST_HEADERS)
        .serve_connection(TokioIo::new(socket), service);
    let mut told = false;
    let ended = loop {
        tokio::select! {
            ended = poll_fn(|cx| server.poll_without_shutdown(cx)) => break ended,
            () = stopping.cancelled(), if !told => {
                told = true;
                Pin::new(&mut server).graceful_shutdown();
            }
        }
    };
    // An error of the socket leaves nobody to talk to; one of the request was answered.
    let is_gone = ended.is_err_and(|error| !error.is_parse());
    (!is_gone).then(|| server.into_parts().io.into_inner().into_stream())
}

/// Says that nothing more is sent, and reads what the caller still sends, for [`LINGER`] at most.
async fn linger(mut stream: TcpStream) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut discarded = [0; 4096];
    let read_all = async { while let Ok(1..) = stream.read(&mut discarded).await {} };
    let _over = tokio::time::timeout(LINGER, read_all).await;
}

/// A body that tells its connection when all of it has been taken.
struct Watched<B> {
    body: B,
    connection: Arc<Connection>,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Watched<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Watched<B> {
    fn drop(&mut self) {
        self.connection.sent();
    }
}
