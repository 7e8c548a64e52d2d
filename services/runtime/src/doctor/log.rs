//! What a service logged lately.

use std::{
    fs::File,
    io::{self, ErrorKind, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::check::{Seen, Trouble};

/// So much of the end of a log is read.
const TAIL: u64 = 1 << 20;
/// What is older was seen before, or does not matter any more.
const LATELY: Duration = Duration::from_secs(60 * 60);
/// As many characters of a moment as whole seconds have: `2026-11-30T23:03:01`.
const SECONDS: usize = 19;

/// The log of a service.
#[derive(Debug, Clone)]
pub struct ServiceLog {
    /// LOG_FILE.
    pub file: Option<PathBuf>,
    /// Where its unit has it log when that is not set.
    pub usual: PathBuf,
    /// The name of its unit.
    pub unit: &'static str,
}

/// Looks for errors of the last hour. Where there is no file, the journal of the machine has them.
pub async fn look(log: ServiceLog) -> Seen {
    let is_given = log.file.is_some();
    let file = log.file.unwrap_or(log.usual);
    let shown = file.display();
    let journal = format!("journalctl -u {} -p warning -n 50", log.unit);
    match tail_of(&file) {
        Ok(tail) => judge(&file, &tail, SystemTime::now()),
        Err(error) if !is_given && error.kind() == ErrorKind::NotFound => {
            Seen::skipped_until("LOG_FILE is not set: the log is in the journal of the machine", journal)
        }
        Err(error) => {
            let trouble = Trouble::new(
                format!("the log {shown} cannot be read: {error}"),
                "the service has not run with this setting yet, or the file is not for this account",
                format!("ls -l {shown}; {journal}"),
            );
            Seen::warning(trouble, ())
        }
    }
}

fn tail_of(file: &Path) -> io::Result<String> {
    let mut file = File::open(file)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn judge(file: &Path, tail: &str, now: SystemTime) -> Seen {
    let since = now.checked_sub(LATELY).unwrap_or(SystemTime::UNIX_EPOCH);
    let since = humantime::format_rfc3339_seconds(since).to_string();
    let errors: Vec<&str> = tail
        .lines()
        .filter(|line| is_error(line) && is_since(line, &since))
        .collect();
    let shown = file.display();
    match errors.last() {
        None => Seen::fine(format!("no error in the last hour ({shown})"), ()),
        Some(last) => Seen::warning(
            Trouble::new(
                format!("{} errors in the last hour", errors.len()),
                (*last).to_owned(),
                format!("grep ERROR {shown} | tail -n 20"),
            ),
            (),
        ),
    }
}

/// In the words for people and in those for machines.
fn is_error(line: &str) -> bool {
    line.contains(" ERROR ") || line.contains(r#""level":"ERROR""#)
}

fn is_since(line: &str, since: &str) -> bool {
    let moment = line.split_once(r#""timestamp":""#).map_or(line, |(_, rest)| rest);
    match (moment.get(..SECONDS), since.get(..SECONDS)) {
        (Some(moment), Some(since)) => moment >= since,
        (Some(_) | None, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_last_hour_are_told_in_both_forms() {
        // 2026-11-30T23:00:00Z.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_796_079_600);
        let said = |line: &str| format!("{:?}", judge(Path::new("x.log"), line, now));
        for told in [
            "2026-11-30T22:30:00.123456Z ERROR management: The bus is not connected",
            r#"{"timestamp":"2026-11-30T22:30:00.1Z","level":"ERROR","message":"The bus is not connected"}"#,
        ] {
            assert!(
                said(told).contains("1 errors") && said(told).contains("The bus is not connected"),
                "{told}"
            );
        }
        for fine in [
            "",
            "2026-11-30T21:59:59.9Z ERROR management: long ago",
            "2026-11-30T22:30:00.1Z  WARN management: nothing",
            "ERROR",
        ] {
            assert!(said(fine).contains("Fine"), "{fine}");
        }
    }

    #[tokio::test]
    async fn only_a_log_that_was_asked_for_is_missed() {
        let folder = tempfile::tempdir().unwrap();
        let log = |file: Option<PathBuf>| ServiceLog {
            file,
            usual: folder.path().join("usual.log"),
            unit: "example",
        };
        let unset = format!("{:?}", look(log(None)).await);
        assert!(
            unset.contains("Skipped") && unset.contains("journalctl -u example"),
            "{unset}"
        );
        let missing = format!("{:?}", look(log(Some(folder.path().join("own.log")))).await);
        assert!(missing.contains("Warning"), "{missing}");
    }
}
