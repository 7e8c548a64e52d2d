//! HTTPS: handshakes, versions, certificates that change, and callers who never get further than a handshake.

use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use vpnmanager_openapi::server::HttpConfig;
use vpnmanager_runtime::descriptors;
use vpnmanager_runtime::tls::{Fingerprint, PinnedAuthority};

use crate::running::{HELLO, LAST_HELLO, SOON, connect, exchange, impatience, rest};
use crate::secured::{Ca, Secured, start};

/// One answer with this body, on a connection that stays open.
async fn ask(stream: &mut TlsStream<TcpStream>) -> String {
    stream.write_all(HELLO.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = async {
        while !answer.ends_with("hello") {
            let mut buffer = [0; 4096];
            let length = stream.read(&mut buffer).await.unwrap();
            assert!(length > 0, "closed after {answer}");
            answer.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
        }
    };
    tokio::time::timeout(SOON, read).await.expect("answered");
    answer
}

fn leaf(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone()
}

async fn says_hello(secured: &Secured) {
    let mut stream = secured.http1().await;
    stream.write_all(LAST_HELLO.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = tokio::time::timeout(SOON, stream.read_to_string(&mut answer)).await;
    read.expect("answered in time").unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"),
        "{answer}"
    );
}

#[tokio::test]
async fn both_versions_of_tls_are_spoken_and_http1_without_a_choice() {
    let secured = start(HttpConfig::default()).await;
    for version in [&TLS12, &TLS13] {
        for protocols in [&[&b"http/1.1"[..]][..], &[]] {
            let mut stream = secured.connect(secured.client(protocols, &[version])).await.unwrap();
            let answer = ask(&mut stream).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
    }
    let unknown = secured.connect(secured.client(&[b"spdy/3"], &[&TLS13])).await;
    assert!(unknown.is_err());
}

#[tokio::test]
async fn who_speaks_plain_http_is_told_so() {
    let secured = start(HttpConfig::default()).await;
    let answer = exchange(&secured.running, HELLO).await;
    assert!(
        answer.starts_with("HTTP/1.1 400") && answer.contains("https://"),
        "{answer}"
    );
}

#[tokio::test]
async fn another_certificate_is_served_and_connections_that_are_open_stay() {
    let secured = start(HttpConfig::default()).await;
    let mut open = secured.http1().await;
    ask(&mut open).await;
    secured.served.replace(secured.ca.pair("localhost"));
    let mut newer = secured.http1().await;
    assert_ne!(leaf(&open), leaf(&newer));
    ask(&mut open).await;
    ask(&mut newer).await;
}

#[tokio::test]
async fn half_a_handshake_ends_with_its_connection() {
    let secured = start(impatience()).await;
    for half in [b"".as_slice(), &[22], &[22, 3, 1, 2, 0, 1]] {
        let mut socket = connect(&secured.running, half).await;
        assert_eq!(rest(&mut socket).await, "", "{half:?}");
    }
    // The handshake is done, and no request comes.
    let mut stream = secured.http1().await;
    let mut nothing = Vec::new();
    let _cut_off = tokio::time::timeout(SOON, stream.read_to_end(&mut nothing))
        .await
        .expect("closed");
    assert!(nothing.is_empty());
}

#[tokio::test]
async fn a_thousand_who_send_a_byte_a_second_change_nothing_for_others() {
    let _as_far_as_allowed = descriptors::raise_limit();
    let secured = start(HttpConfig::default()).await;
    let mut slow = Vec::new();
    let mut longest = Duration::ZERO;
    for number in 0..1000 {
        slow.push(connect(&secured.running, [22_u8]).await);
        if number % 50 == 0 {
            let began = Instant::now();
            says_hello(&secured).await;
            longest = longest.max(began.elapsed());
        }
    }
    for _ in 0..3 {
        for socket in &mut slow {
            // Most were cut off to make room.
            let _closed = socket.write_all(&[3]).await;
        }
        let began = Instant::now();
        says_hello(&secured).await;
        longest = longest.max(began.elapsed());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(longest < SOON / 4, "{longest:?}");
}

#[tokio::test]
async fn a_pin_lets_in_its_ca_and_no_other_and_no_other_name() {
    let secured = start(HttpConfig::default()).await;
    let pinned = |ca: &Ca| PinnedAuthority::new(Fingerprint::of(ca.der()));

    let right = pinned(&secured.ca);
    let mut stream = secured.connect(right.client()).await.unwrap();
    ask(&mut stream).await;
    assert_eq!(right.certificate().as_ref(), Some(secured.ca.der()));

    let wrong = pinned(&Ca::new());
    let refused = secured.connect(wrong.client()).await.unwrap_err().to_string();
    assert!(refused.contains("the CA that the join token names"), "{refused}");
    assert!(wrong.certificate().is_none());

    // A chain that ends at the right CA, for somebody else: as a node's certificate is.
    secured.served.replace(secured.ca.pair("other.example"));
    assert!(secured.connect(pinned(&secured.ca).client()).await.is_err());

    // Another CA's certificate with the right one beside it.
    let other = Ca::new();
    let stray = other.pair_with("localhost", &secured.ca);
    secured.served.replace(stray);
    assert!(secured.connect(pinned(&secured.ca).client()).await.is_err());
}
