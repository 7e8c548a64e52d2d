//! The configuration of an old listener that the agent runs: what the old one says, with what is the agent's. Pure.

use std::{
    fmt::{self, Write as _},
    path::{Path, PathBuf},
};

use vpnmanager_nats::commands::Protocol;
use vpnmanager_openvpn_conf::Source;

use super::{
    carried::{FILES, Fate, fate_of},
    conf::OldConf,
};
use crate::{
    account::AccountName,
    openvpn::server_conf::{ConfPath, InvalidServerConf, ProcessLines, WRITTEN_BY},
};

/// Bytes of a line with its end from which on OpenVPN refuses a file.
const LINE_BYTES: usize = 256;
/// The longest time between two key exchanges, in seconds. With `tran-window 60` it is how long a denied client that ignores every message stays
/// connected while no agent cuts it.
const LONGEST_RENEGOTIATION: u64 = 600;

/// What the agent says in the configuration, and where.
#[derive(Debug, Clone)]
pub struct Ours {
    /// Whether the kernel has IPv6: clients then reach the server over both families, where the old one named neither.
    pub ipv6: bool,
    /// The folder of those who may log in.
    pub allow_dir: ConfPath,
    /// The folder of the serial numbers that are refused.
    pub revoked_dir: ConfPath,
    /// Its management socket.
    pub control_socket: ConfPath,
    /// The only user whose processes may open the socket: the agent's.
    pub control_user: AccountName,
    /// The account that OpenVPN runs as once it has started.
    pub user: AccountName,
    /// Its group.
    pub group: AccountName,
    /// Where the blocks of the old file are written to.
    pub blocks: PathBuf,
}

/// The configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Its text.
    pub text: String,
    /// Files that it names and that are to be written, with their secrets.
    pub files: Vec<(PathBuf, String)>,
}

/// What an old file says cannot be said again.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A path has characters that a configuration cannot carry.
    #[error("`{option}` cannot be carried over")]
    Path {
        /// Which option.
        option: &'static str,
        /// Why.
        #[source]
        source: InvalidServerConf,
    },
    /// With a full path, or in quotes, the line is longer than OpenVPN takes.
    #[error("`{option}` cannot be carried over: its line would be longer than 254 bytes, which OpenVPN does not take")]
    LongLine {
        /// Which option.
        option: String,
    },
}

/// The configuration of the old listener.
///
/// # Errors
/// [`RenderError`] says which line of the old file cannot be said again.
pub fn render(conf: &OldConf, ours: &Ours) -> Result<Rendered, RenderError> {
    let mut out = Rendered {
        text: format!("{WRITTEN_BY} from an older one; changes are overwritten when OpenVPN is next started.\n"),
        files: Vec::new(),
    };
    // Writing into a String cannot fail.
    _ = write_endpoint(&mut out.text, conf, ours.ipv6);
    for said in conf.directives.all() {
        let Some(name) = said.words.first().filter(|name| fate_of(name) == Fate::Carried) else {
            continue;
        };
        let line = match name.as_str() {
            // As OpenVPN calls it from 2.5 on.
            "ncp-ciphers" => format!("data-ciphers {}", line_of(&said.words[1..])),
            _ => line_of(&said.words),
        };
        let line = match said.optional {
            true => format!("setenv opt {line}"),
            false => line,
        };
        push(&mut out.text, name, &line)?;
    }
    if compresses(conf) && !conf.directives.has("allow-compression") {
        // Profiles of the old server may send compressed packets, which later releases refuse by default. None are sent.
        out.text.push_str("allow-compression asym\n");
    }
    for name in FILES {
        write_file(&mut out, name, conf, &ours.blocks)?;
    }
    _ = write_ours(&mut out.text, conf, ours);
    Ok(out)
}

/// Words as they stand in a line: OpenVPN reads the same ones back.
pub(super) fn line_of(words: &[String]) -> String {
    let quoted = |word: &String| {
        let is_plain = |c: char| !c.is_whitespace() && !matches!(c, '"' | '\'' | '\\' | '#' | ';');
        match !word.is_empty() && word.chars().all(is_plain) {
            true => word.clone(),
            false => format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"")),
        }
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

fn push(text: &mut String, option: &str, line: &str) -> Result<(), RenderError> {
    if line.len() + 1 >= LINE_BYTES {
        return Err(RenderError::LongLine {
            option: option.to_owned(),
        });
    }
    text.push_str(line);
    text.push('\n');
    Ok(())
}

/// First, where the agent looks for what a running server listens at. A server that named no address answers on all of them, over both families.
fn write_endpoint(out: &mut String, conf: &OldConf, ipv6: bool) -> fmt::Result {
    writeln!(out, "port {}", conf.port())?;
    let told = conf.directives.argument("proto").unwrap_or("udp");
    let names_family = told.contains(['4', '6']) || conf.directives.has("local");
    let protocol = conf.protocol();
    match (protocol, ipv6 && !names_family) {
        (Protocol::Udp, true) => writeln!(out, "proto udp6")?,
        (Protocol::Tcp, true) => writeln!(out, "proto tcp6-server")?,
        (Protocol::Udp, false) => writeln!(out, "proto {}", line_of(&[told.to_owned()]))?,
        (Protocol::Tcp, false) => {
            let server = told.replace("-client", "-server");
            let server = match server.as_str() {
                "tcp" | "tcp4" | "tcp6" => format!("{server}-server"),
                _ => server,
            };
            writeln!(out, "proto {}", line_of(&[server]))?;
        }
    }
    let answers_where_dialled = conf.directives.has("local") || conf.directives.has("multihome");
    if protocol == Protocol::Udp && !answers_where_dialled {
        writeln!(out, "multihome")?;
    }
    Ok(())
}

/// Whether the old server says how packets are compressed, and not that they are not.
fn compresses(conf: &OldConf) -> bool {
    let lzo = conf.directives.has("comp-lzo") && conf.directives.argument("comp-lzo") != Some("no");
    let other = conf.directives.argument("compress");
    lzo || other.is_some_and(|kind| !kind.starts_with("stub") && kind != "migrate")
}

/// A file by its full path; the content of a block by that of a file of the agent's.
fn write_file(out: &mut Rendered, name: &'static str, conf: &OldConf, blocks: &Path) -> Result<(), RenderError> {
    let Some(source) = conf.directives.source(name) else {
        return Ok(());
    };
    let further = conf.directives.arguments(name).get(1..).unwrap_or_default();
    let path = match source {
        Source::File(_) if name == "dh" && conf.directives.argument(name) == Some("none") => {
            out.text.push_str("dh none\n");
            return Ok(());
        }
        Source::File(path) => path,
        Source::Inline(text) => {
            let path = block_file(blocks, name);
            out.files.push((path.clone(), text));
            path
        }
    };
    let path = ConfPath::new(&path).map_err(|source| RenderError::Path { option: name, source })?;
    let line = match line_of(further).as_str() {
        "" => format!("{name} {path}"),
        further => format!("{name} {path} {further}"),
    };
    push(&mut out.text, name, &line)
}

/// The files in this folder that blocks of an old file would be written to, whichever it has.
pub fn block_files(blocks: &Path) -> impl Iterator<Item = PathBuf> {
    FILES.into_iter().map(move |name| block_file(blocks, name))
}

fn block_file(blocks: &Path, name: &str) -> PathBuf {
    blocks.join(format!("{name}.pem"))
}

fn write_ours(out: &mut String, conf: &OldConf, ours: &Ours) -> fmt::Result {
    // The allow-list: no file, no login, at each handshake and rekey.
    writeln!(out, "client-config-dir {}", ours.allow_dir)?;
    writeln!(out, "ccd-exclusive")?;
    // A folder of serial numbers: a list would end, and lock everybody out.
    writeln!(out, "crl-verify {} dir", ours.revoked_dir)?;
    writeln!(out, "max-clients {}", conf.max_clients())?;
    // As for the listeners of the fleet (`server_conf.rs`).
    writeln!(out, "hand-window 20")?;
    writeln!(out, "ignore-unknown-option disable-dco")?;
    writeln!(out, "disable-dco")?;
    let told = conf.directives.argument("reneg-sec").and_then(|text| text.parse().ok());
    let seconds = told.filter(|seconds: &u64| (1..=LONGEST_RENEGOTIATION).contains(seconds));
    writeln!(out, "reneg-sec {}", seconds.unwrap_or(LONGEST_RENEGOTIATION))?;
    writeln!(out, "tran-window 60")?;
    let process = ProcessLines {
        control_socket: &ours.control_socket,
        control_user: &ours.control_user,
        user: &ours.user,
        group: &ours.group,
    };
    process.write(out)
}

#[cfg(test)]
mod tests;
