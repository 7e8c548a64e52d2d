//! Where secrets go.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;
use vpnmanager_runtime::error_chain::chain;
use vpnmanager_runtime::secret_file::{self, NewFile};

use crate::desk::Desk;
use crate::failure::Failure;
use crate::output::Shape;

/// Where a secret goes.
#[derive(Debug, Args)]
pub(crate) struct To {
    /// File to write, for your eyes only (0600); without it the secret is printed
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl To {
    /// Looks whether the file can be written, before there is a secret that is shown only once.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        if file.is_dir() {
            return Err(Failure::usage(format!("{} is a folder", file.display())));
        }
        // It is removed again when it is dropped.
        let tried = NewFile::begin(file).map(drop);
        tried.map_err(|error| Failure::usage(chain(&error).to_string()))
    }

    /// Writes a secret there, or prints it.
    pub(crate) fn hand_over(&self, desk: &Desk, what: &str, secret: &str) -> Result<(), Failure> {
        let Some(file) = &self.file else {
            return desk.print(secret);
        };
        secret_file::write(file, secret).map_err(|error| Failure::failed(chain(&error).to_string()))?;
        desk.note(&format!("Wrote {what} to {}", file.display()));
        Ok(())
    }

    /// The same for one that the answer has where the shape has its name: the file has the secret alone, and what is printed the rest, too.
    pub(crate) fn hand_over_of(&self, desk: &Desk, what: &str, shape: &Shape, answer: &Value) -> Result<(), Failure> {
        if self.file.is_none() {
            return desk.print(&desk.output.one(shape, answer)?);
        }
        let secret = answer
            .pointer(shape.name)
            .and_then(Value::as_str)
            .ok_or_else(|| Failure::failed("management's answer has no secret"))?;
        self.hand_over(desk, what, &format!("{secret}\n"))
    }
}
