//! `users profile`, `users link`, `users import` and `users export`.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;
use clap_complete::ArgValueCompleter;
use serde_json::Value;

use super::named::Named;
use crate::commands::link::{LinkArgs, make};
use crate::commands::report::{ROW_FAILURE, counts};
use crate::commands::secret::To;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::given::given;
use crate::management_program::become_it;
use crate::names;
use crate::output::tidy;

/// Where a device is not named.
const USUAL_DEVICE: &str = "default";

/// Whose profile, and where it goes.
#[derive(Debug, Args)]
pub(crate) struct Profile {
    #[command(flatten)]
    named: Named,
    /// The device
    #[arg(long, value_name = "DEVICE", default_value = USUAL_DEVICE)]
    device: String,
    #[command(flatten)]
    to: To,
}

/// For whom.
#[derive(Debug, Args)]
pub(crate) struct Link {
    #[command(flatten)]
    named: Named,
    /// The device
    #[arg(long, value_name = "DEVICE", default_value = USUAL_DEVICE)]
    device: String,
    #[command(flatten)]
    link: LinkArgs,
}

/// From where.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// CSV file with a header, or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Which users, and where to.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// File to write; without it the list is printed
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Only users in this group
    #[arg(long, value_name = "GROUP", add = ArgValueCompleter::new(names::groups))]
    group: Option<String>,
    /// Only users whose home is this node
    #[arg(long, value_name = "NODE", add = ArgValueCompleter::new(names::nodes))]
    node: Option<String>,
    /// Only users who are not suspended, or with false only those who are
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    active: Option<bool>,
    /// Folder for files that other programs read: the users, and their certificates as easy-rsa has them. Runs vpnmanager-management export
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["file", "group", "active"])]
    dir: Option<PathBuf>,
}

impl Profile {
    pub(super) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let user = self.named.user.as_str();
        let profile = if self.device == USUAL_DEVICE {
            desk.api.text(desk.api.get_user_profile().username(user).send()).await?
        } else {
            let request = desk
                .api
                .get_device_profile()
                .username(user)
                .device(self.device.as_str());
            desk.api.text(request.send()).await?
        };
        self.to.hand_over(desk, "the profile, a secret,", &profile)
    }
}

impl Link {
    pub(super) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        make(desk, &self.named.user, &self.device, &self.link).await
    }
}

impl Import {
    pub(super) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let csv = read(&self.file)
            .map_err(|error| Failure::usage(format!("cannot read {}: {error}", self.file.display())))?;
        let working = desk.working("Creating users");
        let answer = desk.api.import_users(csv).await?;
        drop(working);
        let failures = answer
            .get("failures")
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        if !desk.output.is_for_people() {
            desk.print(&desk.output.one(&ROW_FAILURE, &answer)?)?;
        } else {
            desk.note(&counts(&answer));
        }
        if failures.is_empty() {
            return Ok(());
        }
        if desk.output.is_for_people() {
            desk.print(&desk.output.list(&ROW_FAILURE, failures)?)?;
        }
        Err(Failure::failed(format!("{} rows were not done", failures.len())))
    }
}

impl Export {
    /// Becomes the program that writes such files, where they are wanted. It returns only where that cannot be.
    pub(crate) fn run_here(&self) -> Option<Failure> {
        let folder = self.dir.as_ref()?;
        let mut arguments = vec![OsString::from("--dir"), folder.into()];
        if let Some(node) = &self.node {
            arguments.extend([OsString::from("--node"), node.into()]);
        }
        let elsewhere = "run `vpnmanager-management export` where management runs, which has the database";
        Some(become_it("export", arguments, elsewhere))
    }

    pub(crate) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let request = given!(
            desk.api.export_users(),
            group = self.group.clone(),
            server_id = self.node.clone(),
            active = self.active,
        );
        let csv = desk.api.text(request.send()).await?;
        match &self.file {
            Some(file) => write(desk, file, &csv),
            None => desk.print(&csv),
        }
    }
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    if file != Path::new("-") {
        return fs::read(file);
    }
    let mut csv = Vec::new();
    io::stdin().lock().read_to_end(&mut csv)?;
    Ok(csv)
}

fn write(desk: &Desk, file: &Path, csv: &str) -> Result<(), Failure> {
    fs::write(file, csv).map_err(|error| Failure::failed(format!("cannot write {}: {error}", file.display())))?;
    desk.note(&format!("Wrote {}", tidy(&file.display().to_string())));
    Ok(())
}
