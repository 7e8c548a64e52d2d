//! The checks, in their order.

use std::{path::PathBuf, time::Duration};

use vpnmanager_runtime::doctor::{
    Check, Examination, Finding, Seen, clock::time_service, configuration::CONFIGURATION, disk, host_names, log,
};

use super::{agent, bus, identity, lists, login, machine, management, names, network, ports, server_conf};
use crate::config::Config;

const NAMES: Check = Check::new("names", "The names in the settings lead to machines")
    .after(&["configuration"])
    .within(Duration::from_secs(10));
const TIME_SERVICE: Check = Check::new("time-service", "A time service keeps the clock");
const DISK: Check = Check::new("disk", "Room on the disk of the state, and how long a write takes")
    .after(&["identity"])
    .within(Duration::from_secs(15));

const LOG: Check = Check::new("log", "The log of the last hour has no errors").after(&["configuration"]);

/// Looks at everything, with the configuration as it was read, and the profile to log in with.
pub(super) async fn examine(configuration: Seen<Config>, profile: Option<PathBuf>) -> Vec<Finding> {
    let mut all = Examination::new();
    let config = all.look(&CONFIGURATION, Some(()), async move |()| configuration).await;
    let config = config.as_ref();
    all.look(&machine::PRIVILEGES, config, machine::privileges).await;
    let enrolled = all.look(&identity::IDENTITY, config, identity::look).await;
    let enrolled = enrolled.as_ref();
    let both = config.zip(enrolled);
    all.look(&NAMES, config, async |config| {
        host_names::look(names::of(config, enrolled)).await
    })
    .await;
    all.look(&TIME_SERVICE, Some(()), async |()| time_service().await).await;

    let way = config.map(|config| (config, enrolled));
    let told = all.look(&management::MANAGEMENT, way, management::look).await;
    all.look(&management::CLOCK, told, management::clock).await;
    all.look(&management::STANDING, both, management::standing).await;
    all.look(&bus::BUS, enrolled, bus::look).await;
    all.look(&identity::CERTIFICATE, enrolled, identity::certificate).await;
    all.look(&DISK, both, async |(config, enrolled)| {
        let wanted = disk::Wanted {
            folders: vec![enrolled.dir.root().to_owned()],
            reserve: config.disk_reserve.0,
        };
        disk::look(wanted).await
    })
    .await;

    all.look(&machine::PROGRAM, config, machine::program).await;
    all.look(&machine::TUNNEL_DEVICE, config, machine::tunnel_device).await;
    all.look(&server_conf::SERVER_CONF, both, server_conf::look).await;
    all.look(&ports::PORTS, both, ports::look).await;
    all.look(&network::FORWARDING, both, network::forwarding).await;
    all.look(&network::FIREWALL, both, network::firewall).await;
    all.look(&lists::ALLOW_LIST, both, lists::look).await;
    all.look(&agent::AGENT, config, agent::look).await;
    all.look(&LOG, config, async |config| {
        let log = log::ServiceLog {
            file: config.log.file.clone(),
            usual: "/var/log/vpnmanager/endnode.log".into(),
            unit: "vpnmanager-endnode",
        };
        log::look(log).await
    })
    .await;

    let pings = all
        .look(&login::LOGIN, config, async |config| login::look(config, profile).await)
        .await;
    all.look(&login::PING, pings, async |pings| Seen::each(pings)).await;
    all.findings()
}
