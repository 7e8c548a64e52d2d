//! The ports that management listens on.

use std::{io, net::SocketAddr};

use vpnmanager_runtime::doctor::{
    Check, Seen, Trouble, Verdict,
    ports::{Holder, Port, Transport, state_of},
};

use super::service::health;
use crate::config::Config;

pub(super) const PORTS: Check =
    Check::new("ports", "The addresses of LISTEN are free, or those of management").after(&["configuration"]);

/// What the kernel calls management: no more than 15 bytes of its name.
const OWN: &str = "vpnmanager-mana";

/// Looks at each address.
pub(super) async fn look(config: &Config) -> Seen {
    let mut seen = Vec::new();
    for listen in &config.listen {
        seen.push((listen.clone(), verdict_of(listen, config).await));
    }
    Seen::each(seen)
}

async fn verdict_of(listen: &str, config: &Config) -> Verdict {
    let address: SocketAddr = match tokio::net::lookup_host(listen).await.map(|mut found| found.next()) {
        Ok(Some(address)) => address,
        Ok(None) | Err(_) => {
            return Verdict::Failed(Trouble::new(
                format!("{listen} is no address of this machine"),
                "its name is not known",
                "ip -brief address",
            ));
        }
    };
    match state_of(address, Transport::Tcp) {
        Port::Free => Verdict::Fine("nobody has it".to_owned()),
        Port::Taken(holder) => judge(holder.as_ref(), is_own(listen, config).await, address.port()),
        Port::Closed(error) => closed(listen, &error, is_own(listen, config).await),
    }
}

/// An account that is not root may not even try a port below 1024, so it cannot see whether the port is free.
fn closed(listen: &str, error: &io::Error, is_own: bool) -> Verdict {
    if is_own {
        return Verdict::Fine("management has it".to_owned());
    }
    if error.kind() == io::ErrorKind::PermissionDenied {
        return Verdict::Skipped {
            why: format!("this account may not listen at {listen}: only root sees how it is with that port"),
            mend: Some("sudo vpnmanager-management doctor".to_owned()),
        };
    }
    Verdict::Failed(Trouble::new(
        format!("{listen} cannot be had: {error}"),
        "it is no address of this machine",
        "ip -brief address",
    ))
}

/// Whether this very replica answers there.
async fn is_own(listen: &str, config: &Config) -> bool {
    let answer = health(config, listen).await;
    answer.is_ok_and(|(_, body)| body["server_id"].as_str() == Some(config.server_id.as_str()))
}

fn judge(holder: Option<&Holder>, is_own: bool, port: u16) -> Verdict {
    match holder {
        _ if is_own => Verdict::Fine("management has it".to_owned()),
        Some(holder) if holder.program == OWN => Verdict::Fine(format!("management has it: {holder}")),
        Some(holder) => Verdict::Failed(Trouble::new(
            format!("{holder} has it"),
            "management cannot listen there",
            format!("systemctl status {}", holder.pid),
        )),
        None => Verdict::Failed(Trouble::new(
            "another program has it",
            "management cannot listen there; only root sees which program it is",
            format!("sudo ss -ltnp 'sport = :{port}'"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_of_another_program_is_a_failure_that_names_it() {
        let holder = |program: &str| Holder {
            pid: 77,
            program: program.to_owned(),
        };
        assert!(matches!(judge(None, true, 80), Verdict::Fine(_)));
        assert!(matches!(judge(Some(&holder(OWN)), false, 80), Verdict::Fine(_)));
        let other = judge(Some(&holder("nginx")), false, 80);
        assert!(matches!(other, Verdict::Failed(trouble) if trouble.found == "nginx (process 77) has it"));
        assert!(matches!(judge(None, false, 80), Verdict::Failed(_)));
    }

    #[test]
    fn a_port_that_this_account_may_not_try_is_not_called_taken() {
        let denied = |is_own| closed("0.0.0.0:443", &io::ErrorKind::PermissionDenied.into(), is_own);
        assert!(matches!(denied(false), Verdict::Skipped { mend: Some(_), .. }));
        assert!(matches!(denied(true), Verdict::Fine(_)));
        let elsewhere = closed("192.0.2.1:443", &io::ErrorKind::AddrNotAvailable.into(), false);
        assert!(matches!(elsewhere, Verdict::Failed(_)));
    }
}
