//! Starting OpenVPN as a daemon that outlives the agent.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Stdio,
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout};
use vpnmanager_runtime::secret_file;

use super::{
    apparmor::explained,
    device::tunnel_device_of,
    error::StartError,
    found::Found,
    launch::Launch,
    log_file::{reason, size_of},
};
use crate::{
    openvpn::{
        room::Room,
        server_conf::LISTENERS_LINE,
        tunnel::RunningTunnel,
        written_conf::{room_of, tunnel_of, value},
    },
    programs::bare_command,
};

/// How long OpenVPN may take to check its options and become a daemon.
const DAEMON_WITHIN: Duration = Duration::from_secs(20);
/// How long the daemon may take to write its process id.
const PID_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// The oldest release that knows every option of our configuration but those that it may ignore.
const OLDEST: (u32, u32) = (2, 5);

/// Starts it and returns once the daemon has recorded its process id.
pub(super) async fn start(launch: &Launch) -> Result<Found, StartError> {
    prepare(launch)?;
    check_version(&launch.binary).await?;
    // It faces the network.
    let mut command = bare_command(&launch.binary);
    command.arg("--config").arg(&launch.files.conf);
    command
        .args(["--daemon", "vpnmanager-openvpn", "--writepid"])
        .arg(&launch.files.pid);
    command.arg("--log-append").arg(&launch.files.log);
    // The daemon inherits these descriptors, so they are files and no pipes of ours.
    let said_file = &launch.files.said;
    let said = fs::File::create(said_file).and_then(|file| Ok((file.try_clone()?, file)));
    let (out, err) = said.map_err(|source| StartError::Prepare {
        path: said_file.clone(),
        source,
    })?;
    command.stdin(Stdio::null()).stdout(out).stderr(err);

    let failed = |source| StartError::Run {
        binary: launch.binary.clone(),
        source,
    };
    let log_before = size_of(&launch.files.log);
    let mut starter = command.spawn().map_err(failed)?;
    let status = timeout(DAEMON_WITHIN, starter.wait())
        .await
        .map_err(|_| StartError::Slow)?
        .map_err(failed)?;
    if !status.success() {
        // What it says before it opens its log, such as a wrong option, or else its log.
        let said = reason(said_file, 0).or_else(|| reason(&launch.files.log, log_before));
        return Err(StartError::Refused { said: explained(said) });
    }
    await_daemon(launch, log_before).await
}

/// Whether the running process has the wanted configuration. The file is written only at a start, so it shows what the process was
/// started with.
pub(super) fn conf_is_current(launch: &Launch) -> bool {
    fs::read_to_string(&launch.files.conf).is_ok_and(|text| text == launch.conf)
}

/// The room for clients of the running process, if its configuration can be read.
pub(super) fn running_room(launch: &Launch) -> Option<Room> {
    room_of(&fs::read_to_string(&launch.files.conf).ok()?)
}

/// The tunnel of the running process, whose configuration is another one than the one wanted.
pub(super) fn running_tunnel(launch: &Launch, pid: u32) -> RunningTunnel {
    let conf = fs::read_to_string(&launch.files.conf).ok();
    let tunnel = conf.and_then(|conf| tunnel_of(&conf, || tunnel_device_of(pid)));
    tunnel.map_or(RunningTunnel::Unknown, RunningTunnel::Other)
}

/// Whether clients find the running process where the wanted configuration has it: same port, same transport, and beside others the same listeners
/// with the same slice of the addresses. If its file cannot be read, it is left alone.
pub(super) fn listens_as_wanted(launch: &Launch) -> bool {
    fs::read_to_string(&launch.files.conf).map_or(true, |running| listens_at(&running) == listens_at(&launch.conf))
}

/// The port and the transport of a configuration of ours, and all listeners of its node with its own slice where there are several. `udp` and
/// `udp6` are one transport.
fn listens_at(conf: &str) -> (Option<&str>, Option<&str>, Option<&str>) {
    let all = conf.lines().find_map(|line| line.strip_prefix(LISTENERS_LINE));
    let transport = value(conf, "proto").and_then(|proto| proto.get(..3));
    (value(conf, "port"), transport, all)
}

fn prepare(launch: &Launch) -> Result<(), StartError> {
    // What they say is about an earlier process.
    for path in [&launch.files.pid, &launch.files.record] {
        match fs::remove_file(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(StartError::Prepare {
                    path: path.clone(),
                    source,
                });
            }
        }
    }
    fs::create_dir_all(&launch.run_dir)
        .and_then(|()| fs::set_permissions(&launch.run_dir, Permissions::from_mode(0o750)))
        .map_err(|source| StartError::Prepare {
            path: launch.run_dir.clone(),
            source,
        })?;
    secret_file::write_unsynced(&launch.files.conf, &launch.conf).map_err(StartError::Conf)
}

async fn await_daemon(launch: &Launch, log_before: u64) -> Result<Found, StartError> {
    let deadline = Instant::now() + PID_WITHIN;
    while Instant::now() < deadline {
        if launch.files.pid.exists()
            && let Some(process) = Found::look_for(launch)?
        {
            return Ok(process.that_logs_behind(log_before));
        }
        sleep(LOOK_EVERY).await;
    }
    Err(StartError::Ended {
        log: explained(reason(&launch.files.log, log_before)),
    })
}

/// Our configuration needs options of 2.5. A version that cannot be read is tried.
pub(super) async fn check_version(binary: &Path) -> Result<(), StartError> {
    let output = bare_command(binary).arg("--version").stdin(Stdio::null()).output();
    let output = timeout(DAEMON_WITHIN, output).await.map_err(|_| StartError::Slow)?;
    let output = output.map_err(|source| StartError::Run {
        binary: binary.to_owned(),
        source,
    })?;
    match version_of(&String::from_utf8_lossy(&output.stdout)) {
        Some(found) if found < OLDEST => Err(StartError::TooOld {
            found: format!("{}.{}", found.0, found.1),
        }),
        Some(_) | None => Ok(()),
    }
}

/// Major and minor number, from `OpenVPN 2.6.14 x86_64-pc-linux-gnu ...`.
fn version_of(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.strip_prefix("OpenVPN ")?.split(['.', '_', ' ']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_port_or_transport_or_others_beside_it_are_another_listener() {
        let running = "mode server\nport 1194\nproto udp\nmax-clients 10\n";
        let same = listens_at(running);
        assert_eq!(same, (Some("1194"), Some("udp"), None));
        assert_eq!(listens_at("# Written by us\nport 1194\nproto udp6\nmultihome\n"), same);
        let several = "# listeners: udp:1194,tcp:443 of 10.8.0.0/17\nport 1194\nproto udp\n";
        for other in ["port 443\nproto udp\n", "port 1194\nproto tcp6-server\n", several] {
            assert_ne!(listens_at(other), same, "{other}");
        }
        assert_eq!(listens_at(several).2, Some("udp:1194,tcp:443 of 10.8.0.0/17"));
    }

    #[test]
    fn beside_others_another_network_is_another_listener_and_alone_it_waits_for_the_next_start() {
        let lines = "port 1194\nproto udp\n";
        let of = |listeners: &str, networks: &str| format!("# listeners: {listeners} of {networks}\n{lines}");
        let both = "udp:1194,tcp:443";
        let running = of(both, "10.8.0.0/17 fd00:8::/65");
        assert_eq!(listens_at(&running), listens_at(&of(both, "10.8.0.0/17 fd00:8::/65")));
        for other in [
            of(both, "10.9.0.0/17 fd00:8::/65"),
            of(both, "10.8.0.0/18 fd00:8::/65"),
            of(both, "10.8.0.0/17 fd00:9::/65"),
            of(both, "10.8.0.0/17"),
            of("udp:1194,tcp:80", "10.8.0.0/17 fd00:8::/65"),
        ] {
            assert_ne!(listens_at(&other), listens_at(&running), "{other}");
        }
        let alone = |network: &str| format!("{lines}server {network} 255.255.0.0 nopool\n");
        assert_eq!(listens_at(&alone("10.8.0.0")), listens_at(&alone("10.9.0.0")));
    }

    #[test]
    fn the_version_is_read_from_what_openvpn_says() {
        assert_eq!(
            version_of("OpenVPN 2.6.14 x86_64-pc-linux-gnu [SSL (OpenSSL)]"),
            Some((2, 6))
        );
        assert_eq!(version_of("OpenVPN 2.4_rc2 x86_64"), Some((2, 4)));
        assert_eq!(version_of("OpenVPN 2.10 x86_64"), Some((2, 10)));
        assert!((2, 4) < OLDEST && (2, 5) >= OLDEST && (2, 10) >= OLDEST && (3, 0) >= OLDEST);
    }
}
