//! The OpenVPNs that an agent runs for the listeners behind its first.

use std::{fs, os::unix::ffi::OsStrExt as _, path::Path};

use crate::process::Identity;

/// Those whose files are in this folder, in the order of the files' names: `openvpn.tcp443.pid` names the one that was started with
/// `server.tcp443.conf`. A pid file of one that has ended may name another process by now.
pub(super) fn further_openvpns(dir: &Path) -> Vec<Identity> {
    // A folder that is not there yet has no processes.
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let marks = entries.filter_map(|entry| {
        let name = entry.ok()?.file_name();
        let mark = name.to_str()?.strip_prefix("openvpn.")?.strip_suffix(".pid")?;
        Some(mark.to_owned())
    });
    let mut marks: Vec<String> = marks.collect();
    marks.sort();
    marks.iter().filter_map(|mark| openvpn_of(dir, mark)).collect()
}

fn openvpn_of(dir: &Path, mark: &str) -> Option<Identity> {
    let process = Identity::from_pid_file(&dir.join(format!("openvpn.{mark}.pid"))).ok()?;
    has_configuration(process, &dir.join(format!("server.{mark}.conf"))).then_some(process)
}

/// Whether a process was started with `--config` and this file.
fn has_configuration(process: Identity, conf: &Path) -> bool {
    let line = fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
    let arguments: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    let wanted = [b"--config".as_slice(), conf.as_os_str().as_bytes()];
    arguments.windows(2).any(|pair| pair == wanted)
}

#[cfg(test)]
mod tests {
    use std::{
        process::{Child, Command, Stdio},
        time::Duration,
    };

    use super::*;
    use crate::{
        scratch::{Medium, Scratch},
        wait,
    };

    /// A process with this argument behind `--config`, noted as that of a listener.
    async fn runs(dir: &Path, mark: &str, conf: &Path) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", "read line", "sh", "--config"]).arg(conf);
        let child = command.stdin(Stdio::piped()).spawn().unwrap();
        let process = Identity::of(child.id().cast_signed()).unwrap();
        wait::until(Duration::from_secs(5), "the process", async || {
            has_configuration(process, conf)
        })
        .await
        .unwrap();
        fs::write(dir.join(format!("openvpn.{mark}.pid")), format!("{}\n", process.pid)).unwrap();
        child
    }

    #[tokio::test]
    async fn only_what_was_started_with_the_configuration_of_its_listener_is_its_openvpn() {
        let scratch = Scratch::guarded(Medium::Memory).unwrap();
        let (dir, elsewhere) = (scratch.dir(), Path::new("/nowhere"));
        assert_eq!(further_openvpns(&dir.join("none")), []);
        let own = runs(dir, "tcp443", &dir.join("server.tcp443.conf")).await;
        let others = [
            runs(dir, "tcp80", &dir.join("server.tcp443.conf")).await,
            runs(dir, "udp53", &elsewhere.join("server.udp53.conf")).await,
        ];
        for (name, pid) in [("openvpn.pid", own.id()), ("openvpn.tcp8443.pid", u32::MAX)] {
            fs::write(dir.join(name), pid.to_string()).unwrap();
        }

        let found: Vec<u32> = further_openvpns(dir)
            .iter()
            .map(|process| process.pid.cast_unsigned())
            .collect();

        assert_eq!(found, [own.id()]);
        for mut child in others.into_iter().chain([own]) {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        scratch.remove();
    }
}
