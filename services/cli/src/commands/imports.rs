//! `imports`: users of old servers.

use std::io;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;
use serde_json::Value;

use super::report::counts;
use crate::arguments::{Listing, Watch};
use crate::desk::Desk;
use crate::failure::Failure;
use crate::given::given;
use crate::names;
use crate::output::{Look, Shape, column};
use crate::upload::Source;
use crate::values::{Moment, moment};

const IMPORT: Shape = Shape {
    name: "/id",
    columns: &[
        column("IMPORT", "/id"),
        column("NODE", "/server_id"),
        column("SOURCE", "/source"),
        column("BY", "/imported_by"),
        column("FINISHED", "/finished_at").shown(Look::Time),
        column("CREATED", "/counts/created"),
        column("JOINED", "/counts/joined"),
        column("CONFLICTS", "/counts/conflicts"),
        column("OLD CERTIFICATES", "/counts/old_certificates"),
    ],
};

const ENTRY: Shape = Shape {
    name: "/name",
    columns: &[
        column("NAME", "/name"),
        column("USER", "/username"),
        column("OUTCOME", "/outcome"),
        column("WHY", "/reasons"),
        column("FILE", "/file"),
        column("LINE", "/line"),
    ],
};

/// What to do with imports.
#[derive(Debug, Subcommand)]
pub(crate) enum Imports {
    /// List what was imported, the newest first
    #[command(visible_alias = "ls")]
    List(Listing),
    /// Show an import and its report
    Show(Show),
}

/// Which import.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The import
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    watch: Watch,
}

/// What to import, and what becomes of special cases.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// File or folder of an old server: its /etc/openvpn, an easy-rsa folder, an SQLite database, a CSV, or a tar of a folder
    #[arg(value_name = "SOURCE")]
    source: PathBuf,
    /// The node that the source is of
    #[arg(long, value_name = "NODE", add = ArgValueCompleter::new(names::nodes))]
    node: String,
    /// Say what would happen, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Fail when there are conflicts
    #[arg(long)]
    fail_on_conflicts: bool,
    /// Somebody who has the name of a user of another server [default: join]
    #[arg(long, value_parser = ["join", "skip", "rename"])]
    same_name: Option<String>,
    /// A name that no user may have [default: skip]
    #[arg(long, value_parser = ["skip", "replace"])]
    refused_names: Option<String>,
    /// Somebody who has no access any more [default: skip]
    #[arg(long, value_parser = ["skip", "import"])]
    expired: Option<String>,
    /// Several valid certificates of one name [default: keep]
    #[arg(long, value_parser = ["keep", "newest"])]
    two_certificates: Option<String>,
    /// The group of the users that are created
    #[arg(long, value_name = "GROUP", add = ArgValueCompleter::new(names::groups))]
    group: Option<String>,
    /// Until when old certificates are accepted: 90d, a date or a time of RFC 3339 [default: as long as they are valid]
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    old_until: Option<Moment>,
}

impl Imports {
    pub(crate) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::List(listing) => {
                let page = |size: i64, cursor: Option<String>| {
                    given!(desk.api.list_imports().limit(size), cursor = cursor).send()
                };
                desk.list(&IMPORT, listing, page).await
            }
            Self::Show(show) => {
                let find = async || {
                    let request = desk.api.get_import().id(show.id.as_str());
                    desk.api.answer(request.send()).await
                };
                desk.show(&IMPORT, &show.watch, find).await
            }
        }
    }
}

impl Import {
    pub(crate) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let unreadable = |error: io::Error| Failure::usage(format!("cannot read {}: {error}", self.source.display()));
        let source = Source::read(&self.source).map_err(unreadable)?;
        let working = desk.working("Importing");
        let report = desk.api.import_source(source, &self.query()).await?;
        drop(working);
        self.show(desk, &report)?;
        let conflicts = report
            .pointer("/counts/conflicts")
            .and_then(Value::as_u64)
            .unwrap_or_default();
        match conflicts {
            1.. if self.fail_on_conflicts => Err(Failure::failed(format!("there are {conflicts} conflicts"))),
            _ => Ok(()),
        }
    }

    fn query(&self) -> Vec<(&'static str, String)> {
        let name = self.source.file_name().map(|name| name.to_string_lossy().into_owned());
        let until = self.old_until.as_ref().map(Moment::value);
        let parameters = [
            ("node", Some(self.node.clone())),
            ("source", name),
            ("dry_run", self.dry_run.then(|| "true".to_owned())),
            ("same_name", self.same_name.clone()),
            ("refused_names", self.refused_names.clone()),
            ("expired", self.expired.clone()),
            ("two_certificates", self.two_certificates.clone()),
            ("group", self.group.clone()),
            ("old_until", until.as_ref().and_then(Value::as_str).map(str::to_owned)),
        ];
        let given = parameters.into_iter().filter_map(|(name, value)| Some((name, value?)));
        given.collect()
    }

    fn show(&self, desk: &Desk, report: &Value) -> Result<(), Failure> {
        if !desk.output.is_for_people() {
            return desk.print(&desk.output.one(&ENTRY, report)?);
        }
        let entries = report
            .get("entries")
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        if !entries.is_empty() {
            desk.print(&desk.output.list(&ENTRY, entries)?)?;
        }
        let what = if self.dry_run { "Would be: " } else { "" };
        let said = report.get("counts").map(counts).unwrap_or_default();
        desk.print(&format!("{what}{said}\n"))
    }
}
