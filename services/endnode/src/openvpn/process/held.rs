//! A process held by a descriptor: no reused process id can be mistaken for it.

use std::{io, os::fd::OwnedFd};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::{Interest, unix::AsyncFd};

/// A process, which need not be a child of ours.
#[derive(Debug)]
pub(super) struct Held(AsyncFd<OwnedFd>);

impl Held {
    /// The process that has this id now; `None` where there is none.
    pub(super) fn open(pid: u32) -> io::Result<Option<Self>> {
        let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
            return Ok(None);
        };
        match pidfd_open(raw, PidfdFlags::NONBLOCK) {
            Ok(descriptor) => Ok(Some(Self(watched(descriptor)?))),
            Err(rustix::io::Errno::SRCH) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns when it has ended.
    pub(super) async fn exited(&self) {
        // Only a closed reactor fails here, and then the agent itself is ending.
        _ = self.0.readable().await;
    }

    /// Sends a signal. One that has ended needs none.
    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.0, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[expect(
    deprecated,
    reason = "its successor is unsafe only for what is not an OwnedFd: this one stays open and the same"
)]
fn watched(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(descriptor, Interest::READABLE)
}
