//! HTTP/1 on one connection.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use poem::{Endpoint, Response};
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::ends::Ends;
use super::framing::{self, LONGEST_HEAD, MOST_HEADERS};
use super::handshake::Protocol;
use super::socket::Socket;
use super::stream::Stream;
use crate::middleware::problems;

/// Answers request after request; gives the socket when no more are to be answered and the caller may still be there.
pub(super) async fn exchange<E>(
    stream: Stream,
    ends: Ends,
    connection: &Arc<Connection>,
    app: Arc<E>,
    stopping: CancellationToken,
) -> Option<Stream>
where
    E: Endpoint<Output = Response> + 'static,
{
    let socket = Socket::new(stream, Protocol::Http1, connection.clone());
    let service = service_fn(|request: hyper::Request<Incoming>| {
        connection.requested();
        let checked = framing::check(&request);
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(connection.clone());
        let (app, connection) = (app.clone(), connection.clone());
        let (local, scheme) = (ends.local.clone(), ends.scheme.clone());
        let client = checked.and_then(|()| ends.client(&mut parts));
        Box::pin(async move {
            let remote = match client {
                Ok(client) => client,
                Err(problem) => {
                    connection.answered();
                    let refused: hyper::Response<_> = problems::refuse(&problem).into();
                    return Ok(refused.map(|body| Watched { body, connection }));
                }
            };
            let request = hyper::Request::from_parts(parts, body);
            let response: hyper::Response<_> = app.get_response((request, local, remote, scheme).into()).await.into();
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
