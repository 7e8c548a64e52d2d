//! An OpenVPN that the agent did not start, at the management socket that one of its own would have.

use std::{io::ErrorKind, path::Path, time::Duration};

use tokio::{net::UnixStream, time::sleep};

use super::{held::Held, launch::Launch};
use crate::openvpn::written_conf::control_socket_of;

/// Between two looks at one that cannot be watched.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Whoever listens at that socket.
#[derive(Debug)]
pub(super) struct Other {
    /// `None` where it is not seen which process it is.
    process: Option<Held>,
}

impl Other {
    /// That in the place of the one that is to be started, if there is one.
    pub(super) async fn in_place_of(launch: &Launch) -> Option<Self> {
        Self::at(&control_socket_of(&launch.conf)?).await
    }

    async fn at(socket: &Path) -> Option<Self> {
        let process = match UnixStream::connect(socket).await {
            // The connection ends at once: OpenVPN talks to one at a time, and that should be who cuts its clients.
            Ok(connection) => holder_of(&connection),
            // It has others to talk to.
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(_) => return None,
        };
        Some(Self { process })
    }

    /// Returns when it has ended, or may have.
    pub(super) async fn ended(&self) {
        match &self.process {
            Some(process) => process.exited().await,
            None => sleep(LOOK_AGAIN).await,
        }
    }
}

/// Who listens at the other end.
fn holder_of(connection: &UnixStream) -> Option<Held> {
    let pid = connection.peer_cred().ok()?.pid()?;
    Held::open(pid.try_into().ok()?).ok()?
}

#[cfg(test)]
mod tests {
    use tokio::net::{UnixListener, UnixSocket};

    use super::*;

    #[tokio::test]
    async fn one_is_there_while_somebody_listens() {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("node-1.old.sock");
        assert!(Other::at(&socket).await.is_none());
        let listener = UnixListener::bind(&socket).expect("bound");
        let other = Other::at(&socket).await.expect("it listens");
        assert!(other.process.is_some(), "it is this process");
        drop(listener);
        assert!(Other::at(&socket).await.is_none(), "what a dead one left is no answer");
    }

    #[tokio::test]
    async fn one_that_has_no_time_is_there_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("node-1.old.sock");
        let socket = UnixSocket::new_stream().expect("a socket");
        socket.bind(&path).expect("bound");
        let _listener = socket.listen(0).expect("it listens");
        let mut waiting = Vec::new();
        while let Ok(connection) = UnixStream::connect(&path).await {
            waiting.push(connection);
        }
        let other = Other::at(&path).await.expect("it listens");
        assert!(!waiting.is_empty() && other.process.is_none());
    }
}
