//! The ports that OpenVPN listens on.

use std::{
    fs,
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use vpnmanager_nats::commands::Protocol;
use vpnmanager_runtime::doctor::{
    Check, Seen, Trouble, Verdict,
    ports::{Holder, Port, Transport, state_of},
};

use super::machine::NO_OPENVPN;
use crate::{
    config::{Config, OpenvpnMode},
    enrolled::Enrolled,
    listening::{ListenerNumber, Listening},
    openvpn::process::ServerFiles,
};

pub(super) const PORTS: Check =
    Check::new("ports", "OpenVPN listens on the ports of the node, and nobody else").after(&["identity"]);

/// Looks at each listener.
pub(super) async fn look((config, enrolled): (&Config, &Enrolled)) -> Seen {
    if config.openvpn.mode == OpenvpnMode::None {
        return Seen::skipped(NO_OPENVPN);
    }
    let listening = config.listening();
    let verdicts = listening.iter().enumerate().map(|(number, one)| {
        let files = ServerFiles::of(&enrolled.dir.openvpn(), ListenerNumber(number).beside(one.listener));
        let noted = fs::read_to_string(&files.pid).ok();
        let own = noted.and_then(|pid| pid.trim().parse().ok());
        (one.to_string(), verdict_of(one, own, config.openvpn.mode))
    });
    Seen::each(verdicts.collect::<Vec<_>>())
}

fn verdict_of(one: Listening, own: Option<u32>, mode: OpenvpnMode) -> Verdict {
    let transport = match one.listener.protocol {
        Protocol::Udp => Transport::Udp,
        Protocol::Tcp => Transport::Tcp,
    };
    judge(of_both_families(one.port.get(), transport), own, mode)
}

/// One that listens over IPv6 alone leaves the port of IPv4 free.
fn of_both_families(port: u16, transport: Transport) -> Port {
    let state = |any: IpAddr| state_of(SocketAddr::new(any, port), transport);
    match state(Ipv4Addr::UNSPECIFIED.into()) {
        Port::Free => match state(Ipv6Addr::UNSPECIFIED.into()) {
            taken @ Port::Taken(_) => taken,
            // Where the kernel has no IPv6, nobody has that.
            Port::Free | Port::Closed(_) => Port::Free,
        },
        seen @ (Port::Taken(_) | Port::Closed(_)) => seen,
    }
}

fn judge(port: Port, own: Option<u32>, mode: OpenvpnMode) -> Verdict {
    let restart = "systemctl restart vpnmanager-endnode; journalctl -u vpnmanager-endnode -n 50";
    match port {
        Port::Free => Verdict::Failed(Trouble::new(
            "nobody listens there",
            "no client can connect: OpenVPN does not run",
            restart,
        )),
        Port::Taken(Some(holder)) if is_own(&holder, own, mode) => Verdict::Fine(format!("{holder} listens there")),
        Port::Taken(Some(holder)) => Verdict::Failed(Trouble::new(
            format!("{holder} has it"),
            "it is not the OpenVPN of this node, which cannot listen there",
            format!("systemctl status {}", holder.pid),
        )),
        Port::Taken(None) => Verdict::Skipped {
            why: "somebody listens there; only root sees who".to_owned(),
            mend: Some("sudo vpnmanager-endnode doctor".to_owned()),
        },
        Port::Closed(error) if error.kind() == ErrorKind::PermissionDenied => Verdict::Skipped {
            why: "this account may not listen there: only root sees how it is with that port".to_owned(),
            mend: Some("sudo vpnmanager-endnode doctor".to_owned()),
        },
        Port::Closed(error) => Verdict::Failed(Trouble::new(
            format!("it cannot be had: {error}"),
            "the system lets nobody listen there",
            "ip -brief address",
        )),
    }
}

/// The agent notes the process that it started. That of an operator only has its name.
fn is_own(holder: &Holder, own: Option<u32>, mode: OpenvpnMode) -> bool {
    match mode {
        OpenvpnMode::Managed => Some(holder.pid) == own,
        OpenvpnMode::External | OpenvpnMode::None => holder.program.contains("openvpn"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_process_that_the_agent_started_is_its_own() {
        let taken = |program: &str| {
            Port::Taken(Some(Holder {
                pid: 7,
                program: program.to_owned(),
            }))
        };
        let managed = |port, own| judge(port, own, OpenvpnMode::Managed);
        assert!(matches!(managed(taken("openvpn"), Some(7)), Verdict::Fine(_)));
        assert!(matches!(managed(taken("openvpn"), Some(8)), Verdict::Failed(_)));
        assert!(matches!(managed(taken("dnsmasq"), None), Verdict::Failed(_)));
        assert!(matches!(managed(Port::Free, Some(7)), Verdict::Failed(_)));
        assert!(matches!(managed(Port::Taken(None), Some(7)), Verdict::Skipped { .. }));
        let denied = managed(Port::Closed(ErrorKind::PermissionDenied.into()), Some(7));
        assert!(matches!(denied, Verdict::Skipped { .. }));
        let external = judge(taken("openvpn"), None, OpenvpnMode::External);
        assert!(matches!(external, Verdict::Fine(_)));
    }

    #[test]
    fn one_that_listens_over_one_family_alone_is_seen() {
        let ipv4 = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = ipv4.local_addr().unwrap().port();
        assert!(matches!(of_both_families(port, Transport::Udp), Port::Taken(Some(_))));
        drop(ipv4);
        let Ok(ipv6) = std::net::UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)) else {
            eprintln!("skipped the half for IPv6: the kernel has none");
            return;
        };
        let port = ipv6.local_addr().unwrap().port();
        assert!(matches!(of_both_families(port, Transport::Udp), Port::Taken(Some(_))));
    }
}
