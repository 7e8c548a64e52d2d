//! `bus-init`: makes everything that a new NATS server needs before it starts.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde::{Deserialize, Serialize};
use vpnmanager_nats::security::bus_files::init::BusInit;
use vpnmanager_runtime::config::Cli;
use vpnmanager_runtime::process::Stop;

use super::folder::Folder;

/// Where streams are kept, below the folder of the bus.
const STORE: &str = "store";

/// The flags of `bus-init`.
#[derive(Debug, Args)]
pub struct BusInitArgs {
    /// Folder for the files, made with mode 0700; BUS_DIR when not given
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// Where the server listens for management and nodes
    // A string, because it replaces the service's flag of the same name, which is a string.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:4222")]
    listen: String,
    /// Where the server answers monitoring requests; must be a loopback address
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8222")]
    monitor: SocketAddr,
    /// Folder for the server's streams; "store" in the folder of the bus when not given
    #[arg(long, value_name = "FOLDER")]
    store_dir: Option<PathBuf>,
    /// DNS name or address by which management and nodes reach the server; repeat it for each; those of the last run when none is given
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,
    /// Also let clients connect without TLS: for development on one machine
    #[arg(long)]
    allow_plaintext: bool,
    /// The most GiB that the server stores or reserves for streams; it reserves 1 for 64 nodes
    #[arg(long, value_name = "GIB", default_value_t = BusInit::DEFAULT_MAX_STORE >> 30, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    max_store: u64,
}

/// The settings that this command reads.
#[derive(Deserialize, Serialize)]
struct BusDir {
    bus: Folder,
}

/// Makes the files of a new bus. If the folder holds a bus already, keeps its keys and renders its configuration again.
pub(super) fn bus_init(cli: &Cli<impl Sized>, args: &BusInitArgs) -> Result<(), Stop> {
    let listen = args.listen.parse().map_err(|_unclear| {
        Stop::Usage(format!(
            "error: --listen {:?} is not an address and port such as 0.0.0.0:4222\n",
            args.listen
        ))
    })?;
    let dir = match &args.dir {
        Some(dir) => dir.clone(),
        None => cli.load::<BusDir>()?.bus.dir,
    };
    let init = BusInit {
        store_dir: args.store_dir.clone().unwrap_or_else(|| dir.join(STORE)),
        dir,
        listen,
        monitor: args.monitor,
        hosts: args.host.clone(),
        allow_plaintext: args.allow_plaintext,
        max_store: args.max_store << 30,
    };
    let summary = init.run().context("making the files of the bus failed")?;
    let warning = small_disk(&init.store_dir, init.max_store);
    Err(Stop::Done(format!("{summary}\n{}", warning.unwrap_or_default())))
}

/// What to say when the disk has less than the room that the server may use.
fn small_disk(store_dir: &Path, max_store: u64) -> Option<String> {
    let existing = store_dir.ancestors().find(|folder| folder.exists())?;
    let disk = rustix::fs::statvfs(existing).ok()?;
    let size = disk.f_blocks.saturating_mul(disk.f_frsize);
    (size < max_store).then(|| {
        format!(
            "  Its disk has {} GiB, less than --max-store {}: watch it, nats-server stores nothing more when it is full.\n",
            size >> 30,
            max_store >> 30
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_is_smaller_than_the_room_is_told() {
        let dir = tempfile::tempdir().expect("a folder").path().join("not/yet/made");
        let told = small_disk(&dir, 1 << 60).expect("told");
        assert!(told.contains("less than --max-store 1073741824"), "{told}");
        assert_eq!(small_disk(&dir, 1), None);
    }
}
