//! The MTU of the tunnel devices. OpenVPN gives a device its own, 1500 bytes, each time that it starts; the agent gives it that of the pool.
//!
//! OpenVPN itself goes on taking packets of up to 1500 bytes, so it needs no restart. The device keeps the kernel from sending larger ones to
//! clients than the pool says: it answers whoever sends one, or divides it.

use std::{mem, path::PathBuf, time::Duration};

use futures_util::future::{join_all, pending};
use tokio::time::{Instant, sleep};
use tracing::debug;
use vpnmanager_nats::network::Mtu;
use vpnmanager_runtime::{error_chain::chain, secret_file::SecretFileError};

use super::{
    given_mtus::GivenMtus,
    program::{Program, ProgramError, Wording},
};
use crate::{
    interface::InterfaceName,
    openvpn::{ManagedTunnel, tunnel::Tunnel},
};

/// How long an OpenVPN that runs may be without its device, as it is while it starts.
const SET_UP_WITHIN: Duration = Duration::from_secs(3);
/// Between two looks at a device that is not set up yet.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// What `ip` says of a device that is not there: as it is asked of it, and as it should change it.
const MISSING: [&str; 2] = ["does not exist", "Cannot find device"];

/// How people are told of `ip`.
pub(super) static IP: Wording = Wording {
    name: "ip",
    missing: "ip is not installed: apt-get install iproute2",
    forbidden: "the agent may not change the tunnel device",
    refused: "ip failed:",
};

/// The devices of the OpenVPNs that run.
#[derive(Debug)]
pub(super) struct DeviceMtus {
    /// The program.
    ip: Program,
    /// Those that got another one than OpenVPN's.
    given: GivenMtus,
    /// What they were last seen to have.
    kept: Option<Kept>,
    /// Those that were not set up at the last look.
    awaited: Vec<Awaited>,
}

/// All devices of these processes had this MTU.
#[derive(Debug, PartialEq, Eq)]
struct Kept {
    mtu: Mtu,
    pids: Vec<u32>,
}

/// The device of a process that runs, which it has not set up.
#[derive(Debug)]
struct Awaited {
    pid: u32,
    tunnel: Tunnel,
    /// When it was first looked at in vain.
    since: Instant,
    /// It has not been set up in time.
    is_overdue: bool,
}

/// What a look at a device led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Device {
    /// It has the MTU.
    Kept,
    /// It had another one.
    Set,
    /// OpenVPN has not set it up.
    NotThere,
}

/// A device has not the MTU that the pool says.
#[derive(Debug, thiserror::Error)]
pub(super) enum MtuError {
    #[error(transparent)]
    Ip(#[from] ProgramError),
    #[error("OpenVPN runs and has not set up its tunnel device {device}")]
    NotSetUp { device: InterfaceName },
    #[error("cannot note which tunnel devices get another MTU")]
    Note(#[source] SecretFileError),
}

impl DeviceMtus {
    /// With this program; `noted` is the file that says which devices got another MTU than OpenVPN's. Changes nothing yet.
    pub(super) fn new(program: PathBuf, noted: PathBuf) -> Self {
        Self {
            ip: Program::new(program, &IP),
            given: GivenMtus::read(noted),
            kept: None,
            awaited: Vec::new(),
        }
    }

    /// Gives the device of each OpenVPN that runs this MTU, where it has another one. True when somebody else had changed one of them. One that
    /// is not set up is not waited for: [`Self::set_up`] says when to look again.
    ///
    /// # Errors
    /// The first of them. The other devices have the MTU. That a device is not set up is an error once its OpenVPN has run so for 3 s.
    pub(super) async fn keep(&mut self, servers: &[ManagedTunnel], mtu: Mtu) -> Result<bool, MtuError> {
        let running: Vec<(&ManagedTunnel, u32, Tunnel)> = servers
            .iter()
            .filter_map(|server| Some((server, server.pid()?, server.running()?)))
            .collect();
        let wanted = Kept {
            mtu,
            pids: running.iter().map(|(_, pid, _)| *pid).collect(),
        };
        if mtu != Mtu::USUAL {
            // Before they get it: an agent that dies in between leaves a note too much, and not one too few.
            let devices = running.iter().map(|(_, pid, tunnel)| (&tunnel.device, *pid));
            if let Err(error) = self.given.note(devices) {
                self.await_none();
                return Err(MtuError::Note(error));
            }
        }
        let was_so = self.kept.take().is_some_and(|kept| kept == wanted);
        let looks: Vec<_> = running.iter().map(|(_, _, tunnel)| self.ensure(tunnel, mtu)).collect();
        let looks = join_all(looks).await;
        let before = mem::take(&mut self.awaited);
        let mut is_set = false;
        let mut failure = None;
        for ((server, pid, tunnel), device) in running.into_iter().zip(looks) {
            if server.pid() != Some(pid) {
                // It ended meanwhile, and its device with it.
                continue;
            }
            match device {
                Ok(found @ (Device::Kept | Device::Set)) => {
                    is_set |= found == Device::Set;
                    if mtu == Mtu::USUAL {
                        self.given.forget(&tunnel.device);
                    }
                }
                Ok(Device::NotThere) => {
                    let awaited = Awaited::after(&before, pid, tunnel);
                    if awaited.is_overdue {
                        failure.get_or_insert(MtuError::NotSetUp {
                            device: awaited.tunnel.device.clone(),
                        });
                    }
                    self.awaited.push(awaited);
                }
                Err(error) => {
                    failure.get_or_insert(error);
                }
            }
        }
        if let Some(error) = failure {
            return Err(error);
        }
        if self.awaited.is_empty() {
            self.kept = Some(wanted);
        }
        Ok(is_set && was_so)
    }

    /// The pool says nothing of it: a device that got another one from this agent, or from an earlier run of it, gets that of OpenVPN. All others
    /// are left alone. Where that cannot be done nobody lacks anything; it is tried again at the next look.
    pub(super) async fn give_back(&mut self, servers: &[ManagedTunnel]) {
        self.kept = None;
        self.await_none();
        for server in servers {
            let Some((pid, tunnel)) = server.pid().zip(server.running()) else {
                continue;
            };
            if !self.given.has(&tunnel.device, pid) {
                continue;
            }
            match self.ensure(&tunnel, Mtu::USUAL).await {
                Ok(Device::Kept | Device::Set) => self.given.forget(&tunnel.device),
                Ok(Device::NotThere) => {}
                Err(error) => debug!(
                    error = %chain(&error),
                    device = %tunnel.device,
                    "Could not give a tunnel device the MTU of OpenVPN"
                ),
            }
        }
    }

    /// Nothing is to be set on a device that is not set up yet.
    pub(super) fn await_none(&mut self) {
        self.awaited.clear();
    }

    /// Returns when a device that was not set up at the last [`Self::keep`] is, or should be. Never, where there is none.
    pub(super) async fn set_up(&self) {
        let awaited: Vec<&Awaited> = self.awaited.iter().filter(|awaited| !awaited.is_overdue).collect();
        if awaited.is_empty() {
            return pending().await;
        }
        loop {
            sleep(LOOK_EVERY).await;
            for awaited in &awaited {
                let is_late = awaited.since.elapsed() >= SET_UP_WITHIN;
                if is_late || !matches!(self.look_at(&awaited.tunnel).await, Ok(None)) {
                    return;
                }
            }
        }
    }

    async fn ensure(&self, tunnel: &Tunnel, mtu: Mtu) -> Result<Device, MtuError> {
        let Some(found) = self.look_at(tunnel).await? else {
            return Ok(Device::NotThere);
        };
        if found == mtu.bytes() {
            return Ok(Device::Kept);
        }
        let bytes = mtu.to_string();
        let set = ["link", "set", "dev", tunnel.device.as_str(), "mtu", bytes.as_str()];
        match self.ip.run(&set, "", &MISSING).await? {
            Some(_printed) => Ok(Device::Set),
            None => Ok(Device::NotThere),
        }
    }

    /// The MTU of a device; `None` until OpenVPN has set it up.
    async fn look_at(&self, tunnel: &Tunnel) -> Result<Option<u16>, MtuError> {
        let show = ["address", "show", "dev", tunnel.device.as_str()];
        let printed = self.ip.run(&show, "", &MISSING).await?;
        Ok(printed.and_then(|printed| mtu_of(&printed, tunnel.network6.is_some())))
    }
}

impl Awaited {
    /// That of this process, after these of the look before.
    fn after(before: &[Self], pid: u32, tunnel: Tunnel) -> Self {
        let earlier = before.iter().find(|awaited| awaited.pid == pid);
        let since = earlier.map_or_else(Instant::now, |awaited| awaited.since);
        Self {
            pid,
            tunnel,
            since,
            is_overdue: since.elapsed() >= SET_UP_WITHIN,
        }
    }
}

/// The MTU of a device as `ip address show` prints it. `None` until it has its addresses: OpenVPN sets the MTU before each of them, that of
/// IPv6 last, and not again (`do_ifconfig_ipv4` and `do_ifconfig_ipv6` of its tun.c). The kernel gives devices addresses of IPv6 too, but none
/// that is global.
fn mtu_of(printed: &str, has_ipv6: bool) -> Option<u16> {
    let has_address = |family: &str| {
        let of_family = |line: &str| line.split_whitespace().next() == Some(family);
        printed
            .lines()
            .any(|line| of_family(line) && line.contains(" scope global"))
    };
    if !has_address("inet") || (has_ipv6 && !has_address("inet6")) {
        return None;
    }
    let mut words = printed.split_whitespace().skip_while(|word| *word != "mtu");
    words.nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests;
