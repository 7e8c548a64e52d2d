//! One connection, from its first byte to its last.

use std::sync::Arc;
use std::time::Duration;

use poem::{Endpoint, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use super::connections::Entry;
use super::ends::Ends;
use super::handshake::{Accepted, Opened, Protocol};
use super::stream::Stream;
use super::{http1, http2};

/// A caller that still sends while it is refused may go on for this long, so that the answer reaches it: closing at once would reset the
/// connection (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(1);

/// Serves HTTP on a connection until either side ends it, its time is over, or the server has stopped.
pub(super) async fn serve<E>(accepted: Accepted, ends: Ends, entry: Entry, app: Arc<E>, stopping: CancellationToken)
where
    E: Endpoint<Output = Response> + 'static,
{
    let connection = &entry.connection;
    let exchanged = async {
        match accepted.open().await {
            Opened::Ready(stream, Protocol::Http1) => http1::exchange(stream, ends, connection, app, stopping).await,
            Opened::Ready(stream, Protocol::Http2) => {
                http2::exchange(stream, ends, &entry, app, stopping).await;
                None
            }
            Opened::Refused(stream) => Some(stream),
            Opened::Gone => None,
        }
    };
    tokio::select! {
        biased;
        () = connection.closed() => {}
        rest = exchanged => {
            if let Some(stream) = rest {
                tokio::select! {
                    () = connection.closed() => {}
                    () = linger(stream) => {}
                }
            }
        }
    }
}

/// Says that nothing more is sent, and reads what the caller still sends, for [`LINGER`] at most.
async fn linger(mut stream: Stream) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut discarded = [0; 4096];
    let read_all = async { while let Ok(1..) = stream.read(&mut discarded).await {} };
    let _over = tokio::time::timeout(LINGER, read_all).await;
}
