//! The bus: whether it lets management in, what it is, and its accounts.

use std::time::Duration;

use vpnmanager_nats::{
    connect::{self, Bus, Identity},
    security::{bus_files::open::BusFiles, revoke::knows_account},
    storage::{self, ServerHealth},
    topology::check_version,
};
use vpnmanager_runtime::{
    doctor::{Check, Seen, Trouble},
    error_chain::chain,
};

use super::bus_files::renewal;
use crate::{
    bus_access::BusAccess,
    bus_reach::{BusFault, BusReach},
    config::Config,
    start::bus_address,
};

/// Of a cluster, addresses that take no connection cost 5 s each before one is found that does.
pub(super) const BUS: Check = Check::new("bus", "The bus lets management in")
    .after(&["configuration"])
    .within(Duration::from_secs(40));
pub(super) const VERSION: Check = Check::new("bus-version", "nats-server is new enough").after(&["bus"]);
pub(super) const ACCOUNTS: Check = Check::new("bus-accounts", "The bus has the accounts of this fleet, and is well")
    .after(&["bus-files", "bus-version"])
    .within(Duration::from_secs(40));

/// Tries each address, as the service does when it is not connected, and connects.
pub(super) async fn connect(config: &Config) -> Seen<Bus> {
    let (address, files) = (bus_address(&config.bus), BusFiles::new(&config.bus.dir));
    let reach = BusReach::to(address.clone(), files.management_creds_path());
    if let Some(fault) = reach.look().await {
        return refused(&fault, config);
    }
    let identity = Identity::Credentials(files.management_creds_path());
    match connect::connect(&address, "vpnmanager-management doctor", identity).await {
        Ok(bus) => Seen::fine(format!("the bus at {} lets management in", reach.place()), bus),
        Err(error) => Seen::failed(Trouble::new(
            format!("the bus at {} does not let management in", reach.place()),
            chain(&error).to_string(),
            "systemctl status vpnmanager-nats",
        )),
    }
}

fn refused(fault: &BusFault, config: &Config) -> Seen<Bus> {
    let BusFault { causes, advice } = fault;
    let dir = config.bus.dir.display();
    let mend = if causes.contains("its name is not known") {
        "cat /etc/resolv.conf".to_owned()
    } else if causes.contains("TLS failed") {
        renewal(config)
    } else if causes.contains("refuses the credential") || causes.contains("management.creds") {
        format!("ls -l {dir}; nats-server -c {dir}/nats-server.conf -t")
    } else {
        "systemctl restart vpnmanager-nats".to_owned()
    };
    Seen::failed(Trouble::new(
        format!("the bus takes no connection: {causes}"),
        advice.clone(),
        mend,
    ))
}

/// Looks at the version that the server told when it was connected.
pub(super) async fn version(bus: &Bus) -> Seen {
    let version = bus.client.server_info().version;
    match check_version(&version) {
        Ok(()) => Seen::fine(format!("nats-server {version}"), ()),
        Err(error) => Seen::failed(Trouble::new(
            format!("nats-server {version} is too old"),
            error.to_string(),
            "nats-server --version; systemctl status vpnmanager-nats",
        )),
    }
}

/// Asks as the system user, whose account is another one.
pub(super) async fn accounts(access: &BusAccess) -> Seen {
    let system = match access.connect_as_system().await {
        Ok(system) => system,
        Err(error) => {
            return Seen::failed(Trouble::new(
                "the bus does not let the system user in",
                chain(&error).to_string(),
                "systemctl restart vpnmanager-nats",
            ));
        }
    };
    let account = &access.authority().account;
    if !knows_account(&system.client, account).await {
        return Seen::failed(Trouble::new(
            format!("the bus does not know the account of the nodes ({})", account.as_str()),
            "no node can connect; management tells the bus of it at every start",
            "systemctl restart vpnmanager-management",
        ));
    }
    judge(&storage::health(&system.client).await)
}

fn judge(servers: &[ServerHealth]) -> Seen {
    let restart = "systemctl restart vpnmanager-nats";
    let ill = servers.iter().filter_map(|ServerHealth { server, fault }| {
        let fault = fault.as_deref()?;
        Some(format!("{server} says of itself: {fault}"))
    });
    let ill: Vec<String> = ill.collect();
    if !ill.is_empty() {
        return Seen::failed(Trouble::new(
            ill.join("; "),
            "it may store nothing, or not answer",
            restart,
        ));
    }
    if servers.is_empty() {
        let trouble = Trouble::new(
            "the bus has the accounts, and none of its servers says how it is",
            "the system user may not ask, or the bus is very slow",
            "systemctl status vpnmanager-nats",
        );
        return Seen::warning(trouble, ());
    }
    Seen::fine(
        format!(
            "the bus has the account of the nodes and the system account; {} of its servers say that they are well",
            servers.len()
        ),
        (),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_cluster_each_server_is_heard() {
        let server = |name: &str, fault: Option<&str>| ServerHealth {
            server: name.to_owned(),
            fault: fault.map(str::to_owned),
        };
        let said = |servers: &[ServerHealth]| format!("{:?}", judge(servers));
        let well = said(&[server("n1", None), server("n2", None)]);
        assert!(well.contains("Fine") && well.contains("2 of its servers"), "{well}");
        let ill = said(&[server("n1", None), server("n2", Some("the disk is full"))]);
        assert!(
            ill.contains("Failed") && ill.contains("n2 says of itself: the disk is full"),
            "{ill}"
        );
        assert!(said(&[]).contains("Warning"));
    }
}
