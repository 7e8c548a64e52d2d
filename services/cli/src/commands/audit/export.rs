//! `audit export`.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use vpnmanager_runtime::error_chain::chain;
use vpnmanager_runtime::secret_file::{NewFile, SecretFileError};

use super::filter::{Filter, narrowed};
use crate::desk::Desk;
use crate::failure::Failure;
use crate::output::tidy;
use crate::parts::Parts;
use crate::values::{Moment, moment};

/// How long management may need for the next part: it reads the entries page by page.
const SILENCE: Duration = Duration::from_secs(90);

/// Which entries, and where to.
#[derive(Debug, Args)]
pub(crate) struct Export {
    #[command(flatten)]
    filter: Filter,
    /// Only entries from then on: 2h (ago), a date or a time of RFC 3339
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    since: Option<Moment>,
    /// Only entries from before then
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    until: Option<Moment>,
    /// File to write, for your eyes only (0600), which must not be there yet; without it the entries are printed
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// jsonl, a line for each entry, which can be verified; or csv for spreadsheets [default: csv where the file is called so, otherwise jsonl]
    #[arg(long, value_name = "FORMAT", value_parser = ["jsonl", "csv"])]
    format: Option<String>,
}

impl Export {
    pub(super) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let Some(file) = &self.file else {
            return into_output(desk, self.begin(desk).await?).await;
        };
        if file.symlink_metadata().is_ok() {
            return Err(Failure::usage(format!("{} is there already", shown(file))));
        }
        let _working = desk.working("Writing");
        into_file(self.begin(desk).await?, file).await?;
        desk.note(&format!("Wrote {}", shown(file)));
        Ok(())
    }

    async fn begin<'desk>(&self, desk: &'desk Desk) -> Result<Parts<'desk>, Failure> {
        let since = self.since.as_ref().map(Moment::past);
        let until = self.until.as_ref().map(Moment::past);
        if self.is_csv() {
            let request = narrowed!(desk.api.export_audit_csv(), self.filter, since, until);
            return desk.api.parts(SILENCE, request.send()).await;
        }
        let request = narrowed!(desk.api.export_audit(), self.filter, since, until);
        desk.api.parts(SILENCE, request.send()).await
    }

    fn is_csv(&self) -> bool {
        match &self.format {
            Some(format) => format == "csv",
            None => self.file.as_ref().and_then(|file| file.extension()) == Some(OsStr::new("csv")),
        }
    }
}

/// Until somebody reads no further.
async fn into_output(desk: &Desk, mut parts: Parts<'_>) -> Result<(), Failure> {
    while let Some(part) = parts.next().await? {
        if !desk.print_on(&part)? {
            break;
        }
    }
    Ok(())
}

/// The file has its name only when all of it is there: a part of a trail looks like a whole one.
async fn into_file(mut parts: Parts<'_>, path: &Path) -> Result<(), Failure> {
    let unwritable = |error: SecretFileError| Failure::failed(chain(&error).to_string());
    let mut file = NewFile::begin(path).map_err(unwritable)?;
    while let Some(part) = parts.next().await? {
        file.write_all(&part)
            .map_err(|error| Failure::failed(format!("cannot write {}: {error}", shown(path))))?;
    }
    file.keep(path).map_err(unwritable)
}

fn shown(path: &Path) -> String {
    tidy(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_follows_the_name_of_the_file() {
        for (file, format, is_csv) in [
            (None, None, false),
            (None, Some("csv"), true),
            (Some("audit.csv"), None, true),
            (Some("audit.jsonl"), None, false),
            (Some("audit.csv"), Some("jsonl"), false),
        ] {
            let export = Export {
                filter: Filter {
                    user: None,
                    server: None,
                    action: None,
                },
                since: None,
                until: None,
                file: file.map(PathBuf::from),
                format: format.map(str::to_owned),
            };
            assert_eq!(export.is_csv(), is_csv, "{file:?} {format:?}");
        }
    }
}
