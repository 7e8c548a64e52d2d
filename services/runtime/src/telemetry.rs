//! Logs: to stderr for people or for machines, and where configured to a file that starts anew each day.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use serde::{Deserialize, Serialize};
use tracing_appender::non_blocking::WorkerGuard;
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::Setting;

/// Libraries that say at `info` or `warn` what nobody must act on.
const QUIETED: &str = "sqlx::postgres::notice=warn,async_nats=warn";

/// Daily files that are kept.
const KEPT_FILES: usize = 14;

/// The settings of [`LogConfig`], for a service's list of tables.
pub const SETTINGS: &[Setting] = &[
    Setting::new("log.format", "LOG_FORMAT", "How log lines look", "human or json").default("human"),
    Setting::new(
        "log.level",
        "LOG_LEVEL",
        "What is logged",
        "a level (error, warn, info, debug, trace) or a filter such as info,vpnmanager_nats=debug",
    )
    .default("info"),
    Setting::new(
        "log.file",
        "LOG_FILE",
        "Also log into this file, rotated daily",
        "the path of a file",
    ),
];

/// The `log` section of a service's configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogConfig {
    /// LOG_FORMAT: `human` or `json`, on stderr. The file is always JSON in `json` and plain text in `human`.
    pub format: LogFormat,
    /// LOG_LEVEL: a level, or a comma list of `target=level`.
    pub level: String,
    /// LOG_FILE: also written here. Each day (UTC) has a file of its own with the date appended to the name; this name is a link to
    /// the current one, and 14 days are kept.
    pub file: Option<PathBuf>,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// Keeps the log file's writer alive; dropping it writes what is still buffered.
#[must_use = "dropping it stops the log file"]
#[derive(Debug)]
pub struct LogGuard {
    _writer: Option<WorkerGuard>,
}

/// Starts logging for the whole process, panics included. Under a systemd unit with `LogsDirectory=vpnmanager` and no file
/// configured, the file is `/var/log/vpnmanager/<name>.log`.
pub fn init(config: &LogConfig, name: &str) -> anyhow::Result<LogGuard> {
    let mut layers = vec![layer(config.format, std::io::stderr)];
    let mut guard = None;
    if let Some(file) = config
        .file
        .clone()
        .or_else(|| file_under_systemd(logs_directory()?, name))
    {
        let (writer, worker) = tracing_appender::non_blocking(daily(&file)?);
        layers.push(layer(config.format, writer));
        guard = Some(worker);
    }
    tracing_subscriber::registry()
        .with(layers)
        .with(filter(&config.level)?)
        .try_init()
        .context("logging was already started")?;
    log_panics();
    Ok(LogGuard { _writer: guard })
}

/// The folder that systemd made for the unit's logs (systemd.exec(5), `LogsDirectory=`).
#[expect(clippy::disallowed_methods, reason = "systemd speaks to its services by variables")]
fn logs_directory() -> Option<OsString> {
    std::env::var_os("LOGS_DIRECTORY")
}

/// In the first of the unit's folders, which are separated by colons.
fn file_under_systemd(folders: OsString, name: &str) -> Option<PathBuf> {
    let folder = std::env::split_paths(&folders).next()?;
    (!folder.as_os_str().is_empty()).then(|| folder.join(format!("{name}.log")))
}

/// The service's filter with the quieted libraries in front, so that the operator's own words win.
fn filter(level: &str) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(format!("{QUIETED},{level}")).with_context(|| format!("log.level {level:?} is not a log filter"))
}

fn layer<W>(format: LogFormat, writer: W) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'w> tracing_subscriber::fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    let base = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
    match format {
        LogFormat::Human => base.boxed(),
        LogFormat::Json => base.json().flatten_event(true).boxed(),
    }
}

fn daily(file: &Path) -> anyhow::Result<RollingFileAppender> {
    let name = file.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| anyhow!("log.file {} is not the path of a file", file.display()))?;
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    // The link takes this name; what somebody else wrote there must not be lost for it.
    if std::fs::symlink_metadata(file).is_ok_and(|found| found.is_file() && found.len() > 0) {
        return Err(anyhow!(
            "log.file {} is a file from elsewhere: move it away",
            file.display()
        ));
    }
    RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix(name)
        .latest_symlink(name)
        .max_log_files(KEPT_FILES)
        .build(folder)
        .with_context(|| format!("cannot log into {}", file.display()))
}

/// A panic's message goes where all other logs go.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(panic.location = location, panic.message = message, "Panicked");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_under_systemd_lies_in_the_first_folder_of_the_unit() {
        let file = |folders: &str| file_under_systemd(folders.into(), "management");
        let expected = Some(PathBuf::from("/var/log/vpnmanager/management.log"));
        assert_eq!(file("/var/log/vpnmanager"), expected);
        assert_eq!(file("/var/log/vpnmanager:/var/log/other"), expected);
        assert_eq!(file(""), None);
    }

    #[test]
    fn a_level_and_a_list_of_targets_are_filters_and_nonsense_is_not() {
        assert!(filter("info").is_ok());
        assert!(filter("warn,vpnmanager_nats=debug").is_ok());
        assert!(filter("info,vpnmanager_nats=loud").is_err());
    }

    #[test]
    fn the_name_is_a_link_to_the_file_of_the_day() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("service.log");

        for line in ["first", "second"] {
            let mut writer = daily(&file).unwrap();
            std::io::Write::write_all(&mut writer, line.as_bytes()).unwrap();
        }

        assert_eq!(std::fs::read_to_string(&file).unwrap(), "firstsecond");
        let target = std::fs::read_link(&file).unwrap();
        assert!(target.to_str().unwrap().contains("service.log.20"), "{target:?}");
    }

    #[test]
    fn a_file_from_elsewhere_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("service.log");
        std::fs::write(&file, "old").unwrap();

        assert!(daily(&file).is_err());

        assert_eq!(std::fs::read_to_string(&file).unwrap(), "old");
    }
}
