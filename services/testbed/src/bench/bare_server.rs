//! An HTTP server that does nothing: it answers 401 to whatever it is asked.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

const ANSWER: &[u8] = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";

/// Serves as long as `tasks` do.
pub(super) async fn serve(tasks: &mut JoinSet<()>) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .context("cannot listen on the loopback")?;
    let address = listener.local_addr()?;
    tasks.spawn(async move {
        let mut open = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            open.spawn(answer(stream));
            // Those that are done.
            while open.try_join_next().is_some() {}
        }
    });
    Ok(address)
}

/// Takes requests without a body, each after the answer to the one before, until the other side has closed.
async fn answer(mut stream: TcpStream) {
    let mut heard = Vec::new();
    while stream.read_buf(&mut heard).await.is_ok_and(|read| read > 0) {
        if heard.ends_with(b"\r\n\r\n") {
            heard.clear();
            if stream.write_all(ANSWER).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_request_of_a_connection_is_answered() {
        let mut tasks = JoinSet::new();
        let address = serve(&mut tasks).await.unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        for _ in 0..2 {
            for part in ["GET / HTTP/1.1\r\nhost: a\r\n", "\r\n"] {
                stream.write_all(part.as_bytes()).await.unwrap();
            }
            let mut heard = vec![0; ANSWER.len()];
            stream.read_exact(&mut heard).await.unwrap();
            assert_eq!(heard, ANSWER);
        }
    }
}
