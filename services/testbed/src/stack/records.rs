//! Reads what a stack has written, without its services.

use std::{collections::BTreeSet, fs, io};

use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr};

use super::{Node, Stack};

impl Stack {
    /// One connection to management's database.
    ///
    /// # Errors
    /// When PostgreSQL does not answer.
    pub async fn connect_database(&self) -> Result<DatabaseConnection, DbErr> {
        let mut options = ConnectOptions::new(self.state.database_url());
        options.max_connections(1).sqlx_logging(false);
        Database::connect(options).await
    }
}

impl Node<'_> {
    /// The common names on the allow-list of this node.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn allow_list(&self) -> io::Result<BTreeSet<String>> {
        let names = fs::read_dir(self.allow_dir())?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect()
    }
}
