//! The certificate that a TLS server shows, verified as our programs verify it.

use std::{
    io::{self, Read as _},
    net::{TcpStream, ToSocketAddrs as _},
    sync::Arc,
    time::Duration,
};

use rustls::{ClientConfig, ClientConnection, RootCertStore, pki_types::ServerName};
use thiserror::Error;

use super::certificates::{CertificateError, Life, life_of_der};
use crate::tls::{AuthoritiesError, authorities};

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest greeting before TLS begins: nats-server tells what it can do in one line.
const LONGEST_GREETING: usize = 64 * 1024;

/// A server to shake hands with.
#[derive(Debug, Clone)]
pub struct Server {
    /// Its name, which the certificate must have.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The CAs that may have signed the certificate, PEM.
    pub authorities: Vec<u8>,
    /// Who speaks first.
    pub begins: Begins,
}

/// Who speaks first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    /// The client, as in HTTPS.
    Client,
    /// The server, with a line in the clear, as nats-server does.
    Server,
}

/// Why there was no handshake.
#[derive(Debug, Error)]
pub enum HandshakeError {
    /// The file of CAs cannot be used.
    #[error("the CA cannot be used")]
    Authorities(#[from] AuthoritiesError),
    /// The name is none that a certificate could have.
    #[error("{0:?} is no name of a server")]
    Name(String),
    /// Nobody takes the connection, or it ended.
    #[error("there is no connection")]
    Connection(#[source] io::Error),
    /// The server's certificate is not good, or it speaks no TLS that we know.
    #[error("TLS failed")]
    Tls(#[source] io::Error),
    /// The same before anything was sent.
    #[error("TLS cannot begin")]
    Begin(#[source] rustls::Error),
    /// The certificate cannot be read.
    #[error("the server's certificate cannot be read")]
    Certificate(#[from] CertificateError),
    /// The look did not end.
    #[error("the look was interrupted")]
    Interrupted,
}

/// The life of the server's certificate. It is verified first: an unknown CA, another name and a certificate that ended are errors.
///
/// # Errors
/// [`HandshakeError`] says what failed.
pub async fn life_of_certificate(server: Server) -> Result<Life, HandshakeError> {
    let shaken = tokio::task::spawn_blocking(move || shake(&server)).await;
    shaken.unwrap_or(Err(HandshakeError::Interrupted))
}

fn shake(server: &Server) -> Result<Life, HandshakeError> {
    let roots: RootCertStore = authorities(&server.authorities)?;
    let no_name = |_unclear| HandshakeError::Name(server.host.clone());
    let name = ServerName::try_from(server.host.clone()).map_err(no_name)?;
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut tls = ClientConnection::new(Arc::new(config), name).map_err(HandshakeError::Begin)?;
    let mut socket = connect(server).map_err(HandshakeError::Connection)?;
    if server.begins == Begins::Server {
        hear_greeting(&mut socket).map_err(HandshakeError::Connection)?;
    }
    while tls.is_handshaking() {
        tls.complete_io(&mut socket).map_err(HandshakeError::Tls)?;
    }
    let shown = tls.peer_certificates().and_then(|certificates| certificates.first());
    let certificate = shown.ok_or(CertificateError::Der)?;
    Ok(life_of_der(certificate)?)
}

/// The first address that takes a connection.
fn connect(server: &Server) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (server.host.as_str(), server.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(socket) => {
                socket.set_read_timeout(Some(PATIENCE))?;
                socket.set_write_timeout(Some(PATIENCE))?;
                return Ok(socket);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Reads to the end of the first line, byte by byte: what comes behind it belongs to TLS.
fn hear_greeting(socket: &mut TcpStream) -> io::Result<()> {
    let mut byte = [0];
    for _ in 0..LONGEST_GREETING {
        socket.read_exact(&mut byte)?;
        if byte == *b"\n" {
            return Ok(());
        }
    }
    Err(io::Error::other("what it says first has no end"))
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, net::TcpListener, thread};

    use super::*;

    #[tokio::test]
    async fn what_speaks_no_tls_is_told_apart_from_what_is_not_there() {
        crate::tls::install_crypto_provider();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let speaker = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            socket.write_all(b"INFO {}\r\nnot TLS at all\r\n").unwrap();
            // Until the client has gone.
            _ = socket.read_to_end(&mut Vec::new());
        });
        let server = Server {
            host: "127.0.0.1".to_owned(),
            port,
            authorities: Vec::new(),
            begins: Begins::Server,
        };
        let refused = life_of_certificate(server.clone()).await.unwrap_err();
        assert!(
            matches!(refused, HandshakeError::Authorities(AuthoritiesError::Empty)),
            "{refused:?}"
        );
        hear_greeting(&mut connect(&server).unwrap()).unwrap();
        speaker.join().unwrap();
        let gone = connect(&server).unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::ConnectionRefused);
    }
}
