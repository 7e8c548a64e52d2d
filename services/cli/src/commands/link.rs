//! Making a link to a profile.

use clap::Args;
use serde_json::Value;

use crate::client::types;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::output::{Look, Shape, column};
use crate::values::in_one_unit;

const MADE: Shape = Shape {
    name: "/id",
    columns: &[
        column("ID", "/id"),
        column("EXPIRES", "/expires_at").shown(Look::Time),
        column("USES", "/uses"),
        column("URL", "/url"),
    ],
};

/// How long and how often a link is good.
#[derive(Debug, Args)]
pub(crate) struct LinkArgs {
    /// How long it is valid, up to 7 days [default: 1h]
    #[arg(long, value_name = "DURATION", value_parser = in_one_unit)]
    ttl: Option<String>,
    /// How often it hands out the profile [default: once]
    #[arg(long, value_name = "NUMBER")]
    uses: Option<u64>,
}

/// Makes one and prints it: it is shown only once.
pub(crate) async fn make(desk: &Desk, user: &str, device: &str, args: &LinkArgs) -> Result<(), Failure> {
    let body = types::NewProfileLink::builder()
        .ttl(args.ttl.clone().map(Value::from))
        .uses(args.uses.map(Value::from));
    let request = desk.api.create_profile_link().username(user).device(device).body(body);
    let answer = desk.api.answer(request.send()).await?;
    desk.print(&desk.output.one(&MADE, &answer)?)
}
