//! OpenVPNs that an earlier configuration of the node left: they listen where nobody is told to dial any more, or would be in the way of those
//! that start.

use std::{fs, io, path::Path};

use futures_util::future::join_all;
use rustix::process::geteuid;
use tracing::{error, info, warn};
use vpnmanager_nats::listeners::Listener;
use vpnmanager_runtime::error_chain::chain;

use super::{
    daemon,
    files::ServerFiles,
    found::{Found, STOP_WITHIN},
    launch::Launch,
    log_file,
};
use crate::{
    listening::listener_of,
    openvpn::{server_conf::WRITTEN_BY, written_conf::control_socket_of},
};

/// Ends those in this folder that are none of the `wanted` and whose configuration the agent wrote, with their files, and those of the wanted that listen elsewhere than they should, or
/// beside others with other listeners or addresses. Their clients move to their next server. Returns when they have ended, with the listeners of
/// those that may run all the same: whether they do could not be seen. That is tried again at the next start of the agent.
///
/// # Errors
/// The folder cannot be read. One that is not there has none.
pub async fn end_former(dir: &Path, wanted: &[Launch]) -> io::Result<Vec<Listener>> {
    let moved = wanted.iter().filter(|launch| !daemon::listens_as_wanted(launch));
    let moved: Vec<_> = moved.map(end).collect();
    let is_wanted = |conf: &Path| wanted.iter().any(|wanted| wanted.files.conf == conf);
    let unwanted = match wanted.first() {
        Some(first) => further_in(dir, is_wanted, |files| Launch { files, ..first.clone() })?,
        None => Vec::new(),
    };
    let (_, may_run) = tokio::join!(join_all(moved), remove_all(&unwanted));
    Ok(may_run)
}

/// The same where the agent runs no OpenVPN any more: ends those of all listeners behind the first, whose folders of the allow-list go. What has
/// the files of the first is left alone, and the configuration `kept`, which is the operator's, whoever wrote it. They were started as this
/// program.
///
/// # Errors
/// As [`end_former`].
pub async fn end_further(dir: &Path, binary: &Path, kept: Option<&Path>) -> io::Result<Vec<Listener>> {
    let launch = |files| written(dir, binary, files);
    let kept = kept.and_then(|kept| kept.canonicalize().ok());
    let is_kept = |conf: &Path| kept.is_some() && conf.canonicalize().ok() == kept;
    Ok(remove_all(&further_in(dir, is_kept, launch)?).await)
}

/// Ends the first OpenVPN of this folder, if its configuration is the agent's, and removes its files. True when none runs there any more.
pub async fn end_first(dir: &Path, binary: &Path) -> bool {
    let files = ServerFiles::of(dir, None);
    if !files.conf.exists() || !is_of_agent(&files.conf) {
        return true;
    }
    remove(&written(dir, binary, files)).await
}

/// One that was started with these files, as this program.
fn written(dir: &Path, binary: &Path, files: ServerFiles) -> Launch {
    Launch {
        binary: binary.to_owned(),
        files,
        conf: String::new(),
        // That of the account that it changed to is in its configuration.
        uid: geteuid().as_raw(),
        run_dir: dir.to_owned(),
    }
}

/// Those behind the first whose configuration is in the folder and not kept, as they would be started with their files.
fn further_in(
    dir: &Path,
    is_kept: impl Fn(&Path) -> bool,
    launch: impl Fn(ServerFiles) -> Launch,
) -> io::Result<Vec<(Listener, Launch)>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let listeners = entries.filter_map(|entry| {
        let name = entry.ok()?.file_name();
        listener_of(name.to_str()?.strip_prefix("server")?.strip_suffix(".conf")?)
    });
    let found = listeners.map(|listener| (listener, ServerFiles::of(dir, Some(listener))));
    let found = found.filter(|(_, files)| !is_kept(&files.conf) && is_of_agent(&files.conf));
    Ok(found.map(|(listener, files)| (listener, launch(files))).collect())
}

/// Whether the agent wrote a configuration, in this release or another one. One of an operator may have the same name.
fn is_of_agent(conf: &Path) -> bool {
    match fs::read(conf) {
        Ok(text) => text.starts_with(WRITTEN_BY.as_bytes()),
        Err(error) => {
            warn!(error = %error, file = %conf.display(), "Whether the agent wrote a configuration of OpenVPN could not be read; it is left alone");
            false
        }
    }
}

/// Ends all and removes their files. Gives the listeners of those that may still run.
async fn remove_all(unwanted: &[(Listener, Launch)]) -> Vec<Listener> {
    let removed: Vec<_> = unwanted.iter().map(|(_, launch)| remove(launch)).collect();
    let have_ended = join_all(removed).await;
    let may_run = unwanted.iter().zip(have_ended).filter(|(_, has_ended)| !has_ended);
    may_run.map(|((listener, _), _)| *listener).collect()
}

/// Ends one and removes its files. True when it does not run any more, whatever becomes of these.
async fn remove(unwanted: &Launch) -> bool {
    if !end(unwanted).await {
        return false;
    }
    let ServerFiles {
        conf,
        pid,
        record,
        log,
        said,
    } = unwanted.files.clone();
    let socket = fs::read_to_string(&conf).ok();
    let socket = socket.and_then(|conf| control_socket_of(&conf));
    let others = [pid, record, said, log_file::older(&log), log];
    // The configuration last: as long as it is there, the next start does it again.
    for path in others.into_iter().chain(socket).chain([conf]) {
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                warn!(error = %error, file = %path.display(), "A file of an OpenVPN that is not wanted any more could not be removed");
                return true;
            }
        }
    }
    true
}

/// True when it does not run any more.
async fn end(launch: &Launch) -> bool {
    match Found::look_for(launch) {
        Ok(Some(process)) => {
            info!(
                openvpn.pid = process.pid(),
                openvpn.conf = %launch.files.conf.display(),
                "Stopping an OpenVPN: this node has other listeners, or other addresses for them, than when it was started"
            );
            process.stop(STOP_WITHIN).await;
            true
        }
        Ok(None) => true,
        Err(failure) => {
            error!(
                error = %chain(&failure),
                openvpn.conf = %launch.files.conf.display(),
                "Whether an OpenVPN of an earlier configuration runs could not be seen"
            );
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        process::{Child, Command, Stdio},
        time::Duration,
    };

    use vpnmanager_testbed::wait;

    use super::*;

    fn launch(dir: &Path, beside: Option<&str>) -> Launch {
        let beside = beside.map(|listener| listener.parse().expect("a listener"));
        Launch {
            binary: "openvpn".into(),
            files: ServerFiles::of(dir, beside),
            conf: "port 1194\nproto udp\n".to_owned(),
            uid: 0,
            run_dir: dir.to_owned(),
        }
    }

    fn names_in(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn only_the_files_of_listeners_that_are_not_wanted_go() {
        let dir = tempfile::tempdir().expect("a folder");
        let wanted = [launch(dir.path(), None), launch(dir.path(), Some("tcp:443"))];
        let kept = [
            "ca.crt",
            "openvpn.log",
            "openvpn.pid",
            "openvpn.tcp443.log",
            "server.conf",
            "server.mine.conf",
            "server.tcp443.conf",
            "server.tcp80.conf",
            "server.tcp8443.conf.old",
        ];
        let socket = dir.path().join("n1.udp53.sock");
        let gone = [
            "n1.udp53.sock",
            "openvpn.udp53.log",
            "openvpn.udp53.log.1",
            "openvpn.udp53.pid",
            "openvpn.udp53.process",
            "openvpn.udp53.start",
            "server.udp53.conf",
        ];
        for name in kept.iter().chain(&gone) {
            fs::write(dir.path().join(name), "").expect("written");
        }
        let conf = format!(
            "{WRITTEN_BY}; changes are lost.\nport 53\nmanagement \"{}\" unix\n",
            socket.display()
        );
        fs::write(dir.path().join("server.udp53.conf"), conf).expect("written");

        let may_run = end_former(dir.path(), &wanted).await.expect("read");

        assert_eq!(may_run, []);
        assert_eq!(names_in(dir.path()), kept);
        let none = dir.path().join("none");
        assert_eq!(end_former(&none, &wanted).await.expect("there is none"), []);
        let no_folder = dir.path().join("ca.crt");
        assert!(end_former(&no_folder, &wanted).await.is_err());
    }

    /// What has the arguments of such an OpenVPN, and writes its log.
    async fn stands_in(launch: &Launch) -> Child {
        let log = File::create(&launch.files.log).expect("a log");
        let mut command = Command::new("sh");
        command
            .args(["-c", "read line", "sh", "--config"])
            .arg(&launch.files.conf);
        let child = command.stdin(Stdio::piped()).stdout(log).spawn().expect("sh");
        let is_found = async || Found::look_for(launch).expect("look").is_some();
        wait::until(Duration::from_secs(5), "the process", is_found)
            .await
            .expect("found");
        child
    }

    #[tokio::test]
    async fn where_the_agent_runs_none_all_behind_the_first_end_and_the_operators_own_stays() {
        let dir = tempfile::tempdir().expect("a folder");
        let [further, operators] = ["tcp:443", "udp:53"].map(|listener| Launch {
            binary: "sh".into(),
            uid: geteuid().as_raw(),
            ..launch(dir.path(), Some(listener))
        });
        for name in ["server.conf", "openvpn.log", "server.tcp443.conf", "server.udp53.conf"] {
            fs::write(dir.path().join(name), format!("{WRITTEN_BY}.\nport 443\n")).expect("written");
        }
        let (mut ended, mut kept) = (stands_in(&further).await, stands_in(&operators).await);

        let may_run = end_further(dir.path(), Path::new("sh"), Some(&operators.files.conf)).await;

        assert_eq!(may_run.expect("read"), []);
        assert!(!ended.wait().expect("ended").success(), "by a signal");
        assert!(kept.try_wait().expect("asked").is_none(), "it runs");
        let expected = [
            "openvpn.log",
            "openvpn.udp53.log",
            "openvpn.udp53.process",
            "server.conf",
            "server.udp53.conf",
        ];
        assert_eq!(names_in(dir.path()), expected);
        kept.kill().expect("kill");
        kept.wait().expect("wait");
    }
    #[tokio::test]
    async fn an_operators_file_of_such_a_name_stays_and_so_does_who_runs_with_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let operators = Launch {
            binary: "sh".into(),
            uid: geteuid().as_raw(),
            ..launch(dir.path(), Some("tcp:443"))
        };
        let text = format!("port 443\n{WRITTEN_BY} in another line\n");
        fs::write(&operators.files.conf, text).expect("written");
        let mut runs = stands_in(&operators).await;
        let wanted = [Launch {
            binary: "sh".into(),
            ..launch(dir.path(), None)
        }];

        let managed = end_former(dir.path(), &wanted).await.expect("read");
        let further = end_further(dir.path(), Path::new("sh"), None).await.expect("read");

        assert_eq!((managed, further), (Vec::new(), Vec::new()));
        assert!(runs.try_wait().expect("asked").is_none(), "it runs");
        let expected = ["openvpn.tcp443.log", "openvpn.tcp443.process", "server.tcp443.conf"];
        assert_eq!(names_in(dir.path()), expected);
        runs.kill().expect("kill");
        runs.wait().expect("wait");
    }
}
