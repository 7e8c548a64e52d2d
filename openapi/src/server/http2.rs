//! HTTP/2 on one connection: several requests at once, each within the times and sizes that hold for a request of HTTP/1, and all of them
//! within the numbers that hold for connections.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use poem::http::request::Parts;
use poem::http::uri::Authority;
use poem::http::{HeaderValue, StatusCode, Uri, header};
use poem::web::RemoteAddr;
use poem::{Endpoint, Response};
use tokio_util::sync::CancellationToken;

use super::connections::{Asked, Entry, Full};
use super::ends::Ends;
use super::framing::{self, LONGEST_HEAD, MOST_HEADERS};
use super::handshake::Protocol;
use super::socket::Socket;
use super::stream::Stream;
use crate::middleware::problems;
use crate::problem::Problem;

/// Requests at once in one connection.
const REQUESTS: u32 = 32;

/// Requests that were reset and not yet looked at; more end the connection (CVE-2023-44487).
const RESETS: usize = 20;

/// Bytes of a body that a caller may send ahead of the operation, for one request and for the connection.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 256 << 10;

/// Bytes of an answer that are kept for a caller who does not read them, for one request.
const KEPT: usize = 64 << 10;

/// The most bytes of an answer that are handed over at once. So one whose caller reads nothing is known by what it does not ask for.
const PIECE: usize = 16 << 10;

/// A caller that is gone without a word is found out within twice this.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Answers requests until no more are to be answered.
pub(super) async fn exchange<E>(stream: Stream, ends: Ends, entry: &Entry, app: Arc<E>, stopping: CancellationToken)
where
    E: Endpoint<Output = Response> + 'static,
{
    entry.connection.multiplex();
    let socket = Socket::new(stream, Protocol::Http2, entry.connection.clone());
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (mut parts, body) = request.into_parts();
        let begun = begin(entry, &ends, &mut parts);
        let (app, local, scheme) = (app.clone(), ends.local.clone(), ends.scheme.clone());
        Box::pin(async move {
            let (asked, remote) = match begun {
                Ok(begun) => begun,
                Err(problem) => {
                    let refused: hyper::Response<_> = refuse(&problem).into();
                    return Ok(refused.map(|body| Pieces::of(body, None)));
                }
            };
            let request = hyper::Request::from_parts(parts, body);
            let response: hyper::Response<_> = app.get_response((request, local, remote, scheme).into()).await.into();
            asked.request.answered();
            Ok::<_, Infallible>(response.map(|body| Pieces::of(body, Some(asked))))
        })
    });
    let server = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(REQUESTS)
        .max_header_list_size(u32::try_from(LONGEST_HEAD).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESETS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(KEPT)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .serve_connection(TokioIo::new(socket), service);
    let mut server = pin!(server);
    let mut told = false;
    loop {
        tokio::select! {
            // How it ended concerns nobody who is still there.
            _ended = &mut server => break,
            () = stopping.cancelled(), if !told => {
                told = true;
                server.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Counts a request, says whose it is, and gives it the form that one of HTTP/1 has.
fn begin(entry: &Entry, ends: &Ends, parts: &mut Parts) -> Result<(Asked, RemoteAddr), Box<Problem>> {
    let asked = entry.ask().map_err(no_room)?;
    as_http1(parts)?;
    let remote = ends.client(parts)?;
    parts.extensions.insert(asked.request.clone());
    Ok((asked, remote))
}

/// What HTTP/2 calls `:authority` becomes `Host`, and the target the path. A request that names two hosts is refused (RFC 9113, section 8.3.1).
fn as_http1(parts: &mut Parts) -> Result<(), Box<Problem>> {
    // A browser may write each cookie in a line of its own (RFC 9113, section 8.2.3), and sends those of all ports of the host.
    let cookies = parts.headers.get_all(header::COOKIE).iter().count();
    if parts.headers.len() - cookies.saturating_sub(1) > MOST_HEADERS {
        let detail = format!("the head of the request has more than {MOST_HEADERS} header lines");
        return Err(Box::new(Problem::of(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            detail,
        )));
    }
    if let Some(authority) = parts.uri.authority().map(Authority::as_str) {
        let host = HeaderValue::from_str(authority);
        let host =
            host.map_err(|_impossible| framing::wrong("is not a host name or an address, with or without a port"))?;
        let said = parts.headers.get(header::HOST);
        if said.is_some_and(|said| !said.as_bytes().eq_ignore_ascii_case(host.as_bytes())) {
            return Err(framing::wrong("is not the :authority of the request"));
        }
        if said.is_none() {
            parts.headers.insert(header::HOST, host);
        }
    }
    framing::check_host(&parts.headers, parts.version)?;
    if let Some(target) = parts.uri.path_and_query().cloned() {
        parts.uri = Uri::from(target);
    }
    Ok(())
}

fn no_room(_full: Full) -> Box<Problem> {
    let detail = "too many requests are in progress; try again in a second";
    Box::new(Problem::of(StatusCode::SERVICE_UNAVAILABLE, detail))
}

fn refuse(problem: &Problem) -> Response {
    let mut response = problems::refuse(problem);
    // HTTP/2 has no such header (RFC 9113, section 8.2.2).
    response.headers_mut().remove(header::CONNECTION);
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// A body in pieces, with the place of its request among those that are counted.
struct Pieces<B> {
    body: B,
    /// What is left of what the body gave.
    rest: Bytes,
    asked: Option<Asked>,
}

impl<B> Pieces<B> {
    fn of(body: B, asked: Option<Asked>) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            asked,
        }
    }

    fn piece(&mut self) -> Frame<Bytes> {
        let length = self.rest.len().min(PIECE);
        Frame::data(self.rest.split_to(length))
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Pieces<B> {
    type Data = Bytes;
    type Error = B::Error;

    /// Called when there is room for more.
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = if self.rest.is_empty() {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        self.rest = data;
                        Poll::Ready(Some(Ok(self.piece())))
                    }
                    Err(trailers) => Poll::Ready(Some(Ok(trailers))),
                },
                Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        } else {
            Poll::Ready(Some(Ok(self.piece())))
        };
        if let Some(asked) = &self.asked {
            match frame {
                // Until it is asked for more, it waits for the caller; while there is nothing to send, the caller waits for it.
                Poll::Ready(_) => asked.request.gave_more(),
                Poll::Pending => asked.request.written(),
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let body = self.body.size_hint();
        let rest = u64::try_from(self.rest.len()).unwrap_or(u64::MAX);
        let mut whole = SizeHint::new();
        if let Some(upper) = body.upper() {
            whole.set_upper(upper.saturating_add(rest));
        }
        whole.set_lower(body.lower().saturating_add(rest));
        whole
    }
}

#[cfg(test)]
mod tests {
    use poem::http::Request;

    use super::*;

    fn parts(uri: &str, hosts: &[&str]) -> Parts {
        let mut request = Request::builder().uri(uri).version(poem::http::Version::HTTP_2);
        for host in hosts {
            request = request.header(header::HOST, *host);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_request_names_one_host_and_has_the_form_of_http1() {
        for (uri, hosts) in [
            ("https://vpn.example/api?x=1", [].as_slice()),
            ("https://vpn.example/api?x=1", &["vpn.example"]),
            ("https://vpn.example/api?x=1", &["VPN.example"]),
            ("/api?x=1", &["vpn.example"]),
        ] {
            let mut parts = parts(uri, hosts);
            as_http1(&mut parts).unwrap();
            assert_eq!(parts.uri, "/api?x=1", "{uri} {hosts:?}");
            assert_eq!(parts.headers.get_all(header::HOST).iter().count(), 1);
        }
        for (uri, hosts) in [
            ("https://vpn.example/", ["other.example"].as_slice()),
            ("https://vpn.example/", &["vpn.example", "other.example"]),
            ("https://user@vpn.example/", &[]),
            ("/", &[]),
        ] {
            let refused = as_http1(&mut parts(uri, hosts)).unwrap_err();
            assert_eq!(refused.errors[0].field, "Host", "{uri} {hosts:?}");
        }
        let mut browser = parts("https://vpn.example/", &[]);
        for _ in 0..=MOST_HEADERS {
            browser.headers.append(header::COOKIE, HeaderValue::from_static("a=b"));
        }
        as_http1(&mut browser).unwrap();
        let mut many = parts("https://vpn.example/", &[]);
        for _ in 0..=MOST_HEADERS {
            many.headers.append("x-many", HeaderValue::from_static("1"));
        }
        assert_eq!(as_http1(&mut many).unwrap_err().status, 431);
    }
}
