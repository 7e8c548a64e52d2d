//! That the machine forwards packets, and what its firewall has of the pool's network.

use vpnmanager_nats::network::{Nat, Network};
use vpnmanager_runtime::{
    doctor::{Check, Seen, Trouble},
    error_chain::chain,
};

use super::machine::NO_OPENVPN;
use crate::{
    config::{Config, OpenvpnMode},
    enrolled::Enrolled,
    journal::peek,
    network::firewall_table,
    sysctls::{FORWARDS_IPV4, FORWARDS_IPV6, Sysctls, name_of},
};

pub(super) const FORWARDING: Check =
    Check::new("forwarding", "The machine forwards packets of clients").after(&["identity"]);
pub(super) const FIREWALL: Check = Check::new(
    "firewall",
    "The firewall has the rules of the agent, with NAT where the pool asks for it",
)
.after(&["identity"]);

/// What management told of the network of the pool.
enum Told {
    /// The node is to make it so.
    Network(Box<Network>),
    /// There is nothing to look at, for this reason.
    Nothing(String),
}

fn told(config: &Config, enrolled: &Enrolled) -> Result<Told, Seen> {
    if config.openvpn.mode != OpenvpnMode::Managed {
        return Ok(Told::Nothing(NO_OPENVPN.to_owned()));
    }
    let journal = enrolled.dir.journal();
    match peek(&journal, |records| records.network()) {
        Ok(Some(pool)) => Ok(match pool.network {
            Some(network) => Told::Network(Box::new(network)),
            None => Told::Nothing(format!("the pool {} leaves the network of its nodes alone", pool.pool)),
        }),
        Ok(None) => Ok(Told::Nothing(
            "management has told nothing of the network of the pool yet".to_owned(),
        )),
        Err(error) => Err(Seen::failed(Trouble::new(
            format!("{} cannot be read", journal.display()),
            chain(&error).to_string(),
            format!("ls -l {}", journal.display()),
        ))),
    }
}

/// Looks at the switches of the kernel.
pub(super) async fn forwarding((config, enrolled): (&Config, &Enrolled)) -> Seen {
    match told(config, enrolled) {
        Ok(Told::Network(_)) => {}
        Ok(Told::Nothing(why)) => return Seen::skipped(why),
        Err(seen) => return seen,
    }
    let sysctls = Sysctls::new("/proc/sys".into());
    let wanted = [
        (FORWARDS_IPV4, true),
        (FORWARDS_IPV6, config.openvpn.network6.is_some()),
    ];
    let mut wanted = wanted.into_iter().filter(|(_, is_wanted)| *is_wanted);
    let Some((off, _)) = wanted.find(|(switch, _)| !sysctls.is(switch, "1")) else {
        return Seen::fine("the machine forwards", ());
    };
    let name = name_of(off);
    Seen::failed(Trouble::new(
        format!("the machine does not forward: {name} is not 1"),
        "clients reach the node and nothing behind it; the agent sets it where it may",
        format!("sysctl -w {name}=1"),
    ))
}

/// Looks at the table of the agent. Whether each of its rules is there the agent sees to itself, and says in its health.
pub(super) async fn firewall((config, enrolled): (&Config, &Enrolled)) -> Seen {
    let network = match told(config, enrolled) {
        Ok(Told::Network(network)) => network,
        Ok(Told::Nothing(why)) => return Seen::skipped(why),
        Err(seen) => return seen,
    };
    let table = match firewall_table().await {
        Ok(table) => table,
        Err(why) => {
            let mend = "apt-get install nftables; systemctl restart vpnmanager-endnode";
            return Seen::failed(Trouble::new("the firewall cannot be looked at", why, mend));
        }
    };
    judge(table.as_deref(), network.nat)
}

fn judge(table: Option<&str>, nat: Nat) -> Seen {
    let mend = "systemctl restart vpnmanager-endnode";
    let Some(table) = table else {
        return Seen::failed(Trouble::new(
            "the firewall has no rules of the agent (table inet vpnmanager)",
            "another program emptied the firewall, or the agent does not run",
            mend,
        ));
    };
    if nat == Nat::Masquerade && !table.contains("masquerade") {
        return Seen::failed(Trouble::new(
            "the firewall does not give clients' packets the address of the node",
            "the pool asks for NAT: without it nothing behind the node answers",
            mend,
        ));
    }
    Seen::fine("the table inet vpnmanager is there", ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_is_gone_and_one_without_nat_are_told() {
        let said = |table, nat| format!("{:?}", judge(table, nat));
        let (masked, plain) = ("chain nat { masquerade }", "chain forward { accept }");
        assert!(said(None, Nat::None).contains("no rules of the agent"));
        assert!(said(Some(plain), Nat::Masquerade).contains("asks for NAT"));
        assert!(said(Some(plain), Nat::None).contains("Fine"));
        assert!(said(Some(masked), Nat::Masquerade).contains("Fine"));
    }
}
