//! The checks, in their order.

use std::time::Duration;

use vpnmanager_runtime::doctor::{
    Check, Examination, Finding, Seen, clock::time_service, configuration::CONFIGURATION, disk, host_names, log,
};

use super::{audit, authority, bus, bus_files, clock, database, listening, names, nodes, service, streams};
use crate::config::Config;

const NAMES: Check = Check::new("names", "The names in the settings lead to machines")
    .after(&["configuration"])
    .within(Duration::from_secs(10));
const TIME_SERVICE: Check = Check::new("time-service", "A time service keeps the clock");
const DISK: Check = Check::new("disk", "Room on the disks of the state, and how long a write takes")
    .after(&["configuration"])
    .within(Duration::from_secs(15));
const LOG: Check = Check::new("log", "The log of the last hour has no errors").after(&["configuration"]);
/// Less should not be free on the disk of the state: the log and backups need it.
const RESERVE: u64 = 256 << 20;

/// Looks at everything, with the configuration as it was read.
pub(crate) async fn examine(configuration: Seen<Config>) -> Vec<Finding> {
    let mut all = Examination::new();
    let config = all.look(&CONFIGURATION, Some(()), async move |()| configuration).await;
    let config = config.as_ref();
    all.look(&NAMES, config, async |config| host_names::look(names::of(config)).await)
        .await;
    all.look(&TIME_SERVICE, Some(()), async |()| time_service().await).await;
    all.look(&listening::PORTS, config, listening::look).await;
    all.look(&DISK, config, async |config| disk::look(folders(config)).await)
        .await;

    let pki = all.look(&authority::AUTHORITY, config, authority::open).await;
    let db = all.look(&database::DATABASE, config, database::connect).await;
    let db = db.as_ref();
    all.look(&database::VERSION, db, database::version).await;
    all.look(&database::SCHEMA, db, database::schema).await;
    all.look(&database::RIGHTS, db, database::rights).await;
    all.look(&clock::CLOCK, config.zip(db), clock::look).await;
    let of_fleet = config.zip(pki.as_ref()).zip(db);
    all.look(&authority::FLEET, of_fleet, async |((config, pki), db)| {
        authority::is_of_fleet((config, pki, db)).await
    })
    .await;

    let access = all.look(&bus_files::FILES, config, bus_files::open).await;
    all.look(&bus_files::CERTIFICATE, config, bus_files::certificates).await;
    let bus = all.look(&bus::BUS, config, bus::connect).await;
    let bus = bus.as_ref();
    all.look(&bus::VERSION, bus, bus::version).await;
    all.look(&bus::ACCOUNTS, access.as_ref(), bus::accounts).await;
    let topology = all.look(&streams::STREAMS, config.zip(bus), streams::look).await;
    let topology = topology.as_ref();
    all.look(&streams::OF_NODES, topology.zip(db), streams::look_at_nodes)
        .await;
    all.look(&streams::STORAGE, config.zip(topology), streams::prove).await;

    all.look(&nodes::NODES, db, nodes::look).await;
    all.look(&audit::AUDIT, db, audit::look).await;
    all.look(&service::SERVICE, config, service::look).await;
    all.look(&LOG, config, async |config| log::look(log_of(config)).await)
        .await;
    all.findings()
}

/// Those of the state that are there. Before the first start there are none.
fn folders(config: &Config) -> disk::Wanted {
    let folders = [&config.pki.dir, &config.bus.dir, &config.packages_dir];
    let folders = folders.into_iter().filter(|folder| folder.is_dir());
    disk::Wanted {
        folders: folders.cloned().collect(),
        reserve: RESERVE,
    }
}

/// Where the service logs.
fn log_of(config: &Config) -> log::ServiceLog {
    log::ServiceLog {
        file: config.log.file.clone(),
        usual: "/var/log/vpnmanager/management.log".into(),
        unit: "vpnmanager-management",
    }
}
