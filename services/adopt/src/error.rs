//! Why a source is not taken.

use std::{io, path::PathBuf};

use chrono::{DateTime, Utc};

use crate::{
    limits::{MOST_BYTES, MOST_FILES, MOST_ROWS},
    pki::BadCertificate,
};

/// Why a source is not taken. Files are named as they are in the source. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file cannot be read.
    #[error("reading {} failed", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A link to somewhere else.
    #[error("{} leads out of the source: put what it leads to in its place", file.display())]
    LeadsOut {
        /// The link.
        file: PathBuf,
    },
    /// A device, a pipe, a folder in place of a file.
    #[error("{} is no file", file.display())]
    NoFile {
        /// What it is called.
        file: PathBuf,
    },
    /// More than [`MOST_BYTES`].
    #[error("{} has more than {} MiB", file.display(), MOST_BYTES >> 20)]
    TooLarge {
        /// The file.
        file: PathBuf,
    },
    /// More than [`MOST_ROWS`].
    #[error("{} has more than {} rows", file.display(), MOST_ROWS)]
    TooManyRows {
        /// The file.
        file: PathBuf,
    },
    /// More than [`MOST_FILES`].
    #[error("the source has more than {} files and folders", MOST_FILES)]
    TooManyFiles,
    /// Nothing is known of what it is.
    #[error(
        "there is nothing of an OpenVPN server in {}: no SQLite database, no certificate authority with an index.txt, no server.conf, no list (CSV)",
        file.display()
    )]
    Unknown {
        /// The source.
        file: PathBuf,
    },
    /// A file that is named as a SQLite database and is none.
    #[error("{} is no SQLite database", file.display())]
    NotSqlite {
        /// The file.
        file: PathBuf,
    },
    /// Another program keeps readers out of a database.
    #[error("another program holds {} locked: stop it, or take a copy made with `sqlite3 FILE .backup`", file.display())]
    Locked {
        /// The file.
        file: PathBuf,
    },
    /// A database whose newest changes are in a file beside it.
    #[error(
        "the program that wrote {} left changes in a file beside it (-wal or -journal), which can be taken in only by writing: open it once with sqlite3, or take a copy made with `sqlite3 FILE .backup`",
        file.display()
    )]
    Unfinished {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// A database that was cut off or overwritten.
    #[error("the database {} is damaged: {verdict}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// SQLite's finding.
        verdict: String,
    },
    /// A database that computes for ever.
    #[error("reading the database {} takes too long: its columns are expressions", file.display())]
    TooSlow {
        /// The file.
        file: PathBuf,
    },
    /// SQLite refuses.
    #[error("reading the database {} failed", file.display())]
    Sqlite {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// A database of something else.
    #[error("the database {} has no table `users`. It has: {}", file.display(), listed(tables))]
    NoUsers {
        /// The file.
        file: PathBuf,
        /// The tables that it has.
        tables: Vec<String>,
    },
    /// Users without names.
    #[error("{} has no column `username`. It has: {}", file.display(), listed(columns))]
    NoUsernames {
        /// The file.
        file: PathBuf,
        /// The columns that it has.
        columns: Vec<String>,
    },
    /// A list in another encoding.
    #[error("{} is not UTF-8: save it as \"CSV UTF-8\"", file.display())]
    NotUtf8 {
        /// The file.
        file: PathBuf,
    },
    /// A list that is no CSV.
    #[error("reading the list {} failed", file.display())]
    Csv {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: csv::Error,
    },
    /// The certificate of an authority cannot be read.
    #[error("the certificate of the authority, {}, cannot be read", file.display())]
    BadAuthority {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: BadCertificate,
    },
    /// No old certificate is good any more.
    #[error(
        "the certificate authority {subject} ({}) ended at {}: no server and no client takes its certificates any more",
        file.display(),
        not_after.to_rfc3339()
    )]
    AuthorityExpired {
        /// The file.
        file: PathBuf,
        /// Its name.
        subject: String,
        /// When it ended.
        not_after: DateTime<Utc>,
    },
    /// It cannot be told which of them the server trusts.
    #[error(
        "the source has several certificate authorities, {}: read the folder of one of them",
        listed(folders)
    )]
    SeveralAuthorities {
        /// Their folders.
        folders: Vec<String>,
    },
    /// The index is that of another authority than the one that the server trusts.
    #[error(
        "the server of {} trusts another certificate authority than what is in {}: read the one or the other",
        conf.display(),
        listed(folders)
    )]
    OtherAuthority {
        /// The `server.conf`.
        conf: PathBuf,
        /// The folders of authorities.
        folders: Vec<String>,
    },
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}
