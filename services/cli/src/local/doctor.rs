//! `doctor`: looks at the way to management, at the key and at the nodes.

use clap::Args;
use serde_json::Value;
use vpnmanager_runtime::doctor::{conclude, for_people};
use vpnmanager_runtime::process::print;

use crate::connection::Connection;
use crate::doctor::{Way, run};
use crate::failure::Failure;
use crate::output::{Output, Shape, column};

const CHECK: Shape = Shape {
    name: "/id",
    columns: &[
        column("CHECK", "/id"),
        column("OF", "/of"),
        column("OUTCOME", "/outcome"),
        column("FOUND", "/found"),
        column("WHY", "/why"),
        column("MEND", "/mend"),
    ],
};

/// How much to tell.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Tell the details too, such as the addresses of names
    #[arg(long)]
    details: bool,
}

impl Doctor {
    /// Looks at everything, and tells it. It fails where a check did.
    pub(crate) async fn run(&self, connection: Connection, output: &Output) -> Result<(), Failure> {
        let way = Way {
            url: connection.url,
            key: connection.key,
            authorities: connection.authorities,
        };
        let report = run(&way).await;
        let text = if output.is_for_people() {
            for_people(&report, self.details)
        } else {
            let whole = serde_json::to_value(&report).map_err(|error| Failure::failed(error.to_string()))?;
            let checks = whole.get("checks").and_then(Value::as_array);
            output.several(&CHECK, &whole, checks.map(Vec::as_slice).unwrap_or_default())?
        };
        print(&text)?;
        conclude(&report).map_err(|error| Failure::failed(error.to_string()))
    }
}
