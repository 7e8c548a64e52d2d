//! `users.csv`, as `GET /api/users.csv` gives it.

use std::{
    fs::File,
    io::{BufWriter, Write},
};

use sea_orm::DatabaseConnection;
use vpnmanager_nats::ids::NodeId;

use super::files::{ExportError, PAGE};
use crate::{
    domain::users_csv::{HEADER, rows_of},
    ops::users::read::{UserFilter, list_users},
};

/// Writes the living users, and gives how many they are.
pub(super) async fn write(db: &DatabaseConnection, file: File, node: Option<&NodeId>) -> Result<usize, ExportError> {
    let mut file = BufWriter::new(file);
    file.write_all(HEADER.as_bytes())?;
    let filter = UserFilter {
        server_id: node.cloned(),
        ..UserFilter::default()
    };
    let (mut after, mut written) = (None, 0);
    loop {
        let page = list_users(db, &filter, after, PAGE).await?;
        let Some(last) = page.last() else {
            file.flush()?;
            return Ok(written);
        };
        after = Some(last.user.id);
        written += page.len();
        file.write_all(&rows_of(page.iter().map(|view| &view.user))?)?;
    }
}
