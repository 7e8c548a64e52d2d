//! OpenVPN's log: why it ended, and how large it may grow.
//!
//! Each packet of a stranger may cost a line. OpenVPN outlives the agent and keeps the file open for appending, so it can be given
//! neither a pipe of ours nor another file: what is too much is copied beside it, and the file is cut to nothing.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Bytes that the log may have, and that are kept of an older one.
const MOST: u64 = 4 << 20;
/// Between two looks at its size.
const LOOK: Duration = Duration::from_secs(1);

/// Of the end of a log so much is looked at.
const TAIL_BYTES: u64 = 16 << 10;
const TAIL_LINES: usize = 3;
/// OpenVPN logs this right after the message that made it end.
const AFTER_THE_REASON: &str = "Exiting due to fatal error";

/// Keeps the log small while the agent runs. While it does not, `mute` in the configuration slows its growth.
#[derive(Debug)]
pub struct LogKeeper {
    log_file: PathBuf,
}

impl LogKeeper {
    /// Keeps this log.
    pub fn new(log_file: PathBuf) -> Self {
        Self { log_file }
    }

    /// Looks each second, until cancelled.
    pub async fn run(self, cancel: CancellationToken) {
        let mut was_well = true;
        while cancel.run_until_cancelled(sleep(LOOK)).await.is_some() {
            let outcome = rotate(&self.log_file, MOST);
            if let Err(error) = &outcome
                && was_well
            {
                warn!(error = %error, "OpenVPN's log could not be made smaller");
            }
            was_well = outcome.is_ok();
        }
    }
}

/// Cuts a log that is larger than `most`. Its end stays in `<name>.1`, as far as the disk has room: the log is cut in any case.
fn rotate(log_file: &Path, most: u64) -> io::Result<()> {
    let size = match fs::metadata(log_file) {
        Ok(file) => file.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if size <= most {
        return Ok(());
    }
    let mut log = OpenOptions::new().read(true).write(true).open(log_file)?;
    let copied = copy_end(&mut log, size.saturating_sub(most), &older(log_file), most);
    // Lines that OpenVPN writes between the copy and here are lost.
    log.set_len(0)?;
    copied
}

fn copy_end(log: &mut File, from: u64, to: &Path, most: u64) -> io::Result<()> {
    log.seek(SeekFrom::Start(from))?;
    let mut options = OpenOptions::new();
    let mut kept = options.write(true).create(true).truncate(true).mode(0o600).open(to)?;
    io::copy(&mut log.take(most), &mut kept).map(drop)
}

/// Where the end of a log is kept that was cut.
pub(super) fn older(log_file: &Path) -> PathBuf {
    let mut name = log_file.as_os_str().to_owned();
    name.push(".1");
    name.into()
}

/// Bytes of a log; 0 of one that is not there.
pub(super) fn size_of(log_file: &Path) -> u64 {
    fs::metadata(log_file).map_or(0, |file| file.len())
}

/// Why OpenVPN ended, from the end of a file that it wrote: the message before it said that it ends, or else the last lines. What stands in the
/// first `before` bytes is about an earlier process, unless the file was cut since it had so many. `None` where there is nothing behind them.
pub(super) fn reason(file: &Path, before: u64) -> Option<String> {
    let end = end_of(file, before).unwrap_or_default();
    let lines: Vec<&str> = end.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let told = lines
        .iter()
        .rposition(|line| line.ends_with(AFTER_THE_REASON))
        .and_then(|at| lines.get(at.checked_sub(1)?));
    let is_cause = |line: &&&str| line.contains("Options error") && !line.contains("Please correct these errors");
    let refused = || lines.iter().rfind(is_cause);
    if let Some(line) = told.or_else(refused) {
        return Some((*line).to_owned());
    }
    let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    (!last.is_empty()).then(|| last.join(" | "))
}

fn end_of(file: &Path, before: u64) -> io::Result<String> {
    let mut file = File::open(file)?;
    let size = file.metadata()?.len();
    let own = if before > size { 0 } else { before };
    file.seek(SeekFrom::Start(size.saturating_sub(TAIL_BYTES).max(own)))?;
    let mut end = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut end)?;
    Ok(String::from_utf8_lossy(&end).into_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_line_that_says_why_is_found() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("openvpn.log");
        let cases = [
            ("", None),
            ("a\nb\n\nc\nd\n", Some("b | c | d")),
            (
                "OpenVPN 2.6.3\nSocket bind failed: Address already in use\nExiting due to fatal error\nClosing TUN/TAP interface\nnet_iface_del\nx\ny\n",
                Some("Socket bind failed: Address already in use"),
            ),
            (
                "Options error: no such option\nOptions error: Please correct these errors.\nUse --help for more information.\n",
                Some("Options error: no such option"),
            ),
        ];
        for (log, expected) in cases {
            fs::write(&file, log).expect("written");
            assert_eq!(reason(&file, 0).as_deref(), expected, "{log:?}");
        }
        assert_eq!(reason(&dir.path().join("none"), 0), None);
    }

    #[test]
    fn what_an_earlier_process_wrote_is_no_reason() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("openvpn.log");
        assert_eq!(size_of(&file), 0);
        let earlier = "Cannot allocate TUN/TAP dev dynamically\nExiting due to fatal error\n";
        fs::write(&file, earlier).expect("written");
        let before = size_of(&file);
        assert_eq!(reason(&file, before), None);

        fs::write(&file, format!("{earlier}Initialization Sequence Completed\n")).expect("written");
        assert_eq!(
            reason(&file, before).as_deref(),
            Some("Initialization Sequence Completed")
        );
        // The log was cut since.
        fs::write(&file, "killed\n").expect("written");
        assert_eq!(reason(&file, before).as_deref(), Some("killed"));
    }

    #[test]
    fn a_large_log_is_cut_under_the_hands_of_its_writer_and_its_end_is_kept() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("openvpn.log");
        let mut writer = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&file)
            .expect("opened");
        writer.write_all(b"0123456789").expect("written");
        rotate(&file, 10).expect("looked at");
        assert_eq!(fs::read(&file).expect("read"), b"0123456789");

        writer.write_all(b"abc").expect("written");
        rotate(&file, 10).expect("rotated");
        writer.write_all(b"new").expect("written");

        assert_eq!(fs::read(&file).expect("read"), b"new");
        assert_eq!(fs::read(older(&file)).expect("read"), b"3456789abc");
        rotate(&dir.path().join("none"), 10).expect("a log that is not there yet");
    }
}
