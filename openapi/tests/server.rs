//! The same rules over a real socket.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::time::Duration;

use poem_openapi::payload::PlainText;
use poem_openapi::{OpenApi, OpenApiService};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::server::Bound;

const SOON: Duration = Duration::from_secs(10);

struct Api;

#[OpenApi]
impl Api {
    /// Echo
    #[oai(path = "/echo", method = "post", operation_id = "echo")]
    async fn echo(&self, text: PlainText<String>) -> Result<PlainText<String>, ApiError> {
        Ok(text)
    }
}

async fn exchange(address: std::net::SocketAddr, request: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    // The server may answer and close before it has read everything.
    let _refused = socket.write_all(request).await;
    let mut answer = Vec::new();
    let _reset = tokio::time::timeout(SOON, socket.read_to_end(&mut answer))
        .await
        .unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn two_addresses_are_served_until_stopped_and_chunked_bodies_are_limited() {
    let bound = Bound::new(&["127.0.0.1:0".to_owned(), "127.0.0.1:0".to_owned()])
        .await
        .unwrap();
    let addresses = bound.addresses().to_vec();
    assert_eq!(addresses.len(), 2);
    let (stop, stopped) = oneshot::channel::<()>();
    let app = vpnmanager_openapi::application(OpenApiService::new(Api, "Echo", "1.0.0"), |conventions| conventions);
    let server = bound.serve(app, async { stopped.await.unwrap() }, SOON);

    let client = async {
        for address in &addresses {
            let head = "POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: text/plain\r\n";
            let answer = exchange(*address, format!("{head}content-length: 2\r\n\r\nhi").as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hi"), "{answer}");

            let mut chunked = format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes();
            for _ in 0..17 {
                chunked.extend(b"10000\r\n");
                chunked.extend(vec![b'x'; 0x10000]);
                chunked.extend(b"\r\n");
            }
            chunked.extend(b"0\r\n\r\n");
            let answer = exchange(*address, &chunked).await;
            assert!(
                answer.starts_with("HTTP/1.1 413") && answer.contains("application/problem+json"),
                "{answer}"
            );

            let answer = exchange(
                *address,
                b"GET /echo%00 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
            )
            .await;
            assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        }
        stop.send(()).unwrap();
    };

    let (served, ()) = tokio::time::timeout(SOON, async { tokio::join!(server, client) })
        .await
        .unwrap();
    served.unwrap();
    assert!(TcpStream::connect(addresses[0]).await.is_err());
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let first = Bound::new(&["127.0.0.1:0".to_owned()]).await.unwrap();
    let taken = first.addresses()[0].to_string();
    let error = Bound::new(std::slice::from_ref(&taken)).await.err().unwrap();
    assert!(error.to_string().contains(&taken), "{error}");
    assert!(Bound::new(&[]).await.is_err());
}
