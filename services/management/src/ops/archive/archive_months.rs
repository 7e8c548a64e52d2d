//! The operation: one transaction for each month.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveTime, Utc};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, FromQueryResult, Statement, TransactionTrait,
};
use serde_json::json;
use vpnmanager_secret_file as secret_file;

use super::{
    file::{Contents, FileError, Writing, read_back},
    manifest::Manifest,
};
use crate::{
    domain::{actor::Actor, audit_action::AuditAction, audit_chain::Stretch},
    ops::{
        audit::{self, Entry},
        audit_chain::stretches_of,
        sqlstate::{Meaning, meaning},
    },
};

/// Any constant that nothing else in this database locks; the letters of "arch".
const ARCHIVE_LOCK: i64 = 0x6172_6368;
/// What `audit_log_make_partitions` locks while it is at work; the letters of "audi".
const MAKE_PARTITIONS_LOCK: i64 = 0x6175_6469;
/// Rows that are read at once.
const BATCH: i64 = 5000;
/// A dropped partition locks the whole trail for a moment. Who waits for that lock keeps everybody else waiting, so it waits briefly, often.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '1s'";
const DROP_TRIES: u32 = 15;
const DROP_PAUSE: Duration = Duration::from_secs(1);
const LOCK_FILE: &str = ".audit-archive.lock";

/// What to archive, and where to.
#[derive(Debug, Clone)]
pub struct Order {
    /// All that ended by the beginning of this month.
    pub before: NaiveDate,
    /// The folder; made if it is absent, with mode 0700.
    pub folder: PathBuf,
    /// The name of this management in the trail.
    pub recorder: String,
}

/// A part of the trail that is in a file and no more in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archived {
    /// The file.
    pub path: PathBuf,
    /// What is beside it.
    pub manifest: Manifest,
}

/// Why a month was not archived. What was archived before it stays so; what was not is still in the database.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The month has not ended.
    #[error("the month before {before} is not over: the latest is --before {latest}")]
    NotOver {
        /// What was asked for.
        before: String,
        /// What may be asked for.
        latest: String,
    },
    /// The folder cannot be used.
    #[error("cannot use the folder {}", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another archive is at work in this database or in this folder.
    #[error("another audit-archive is at work here; try again when it is done")]
    Busy,
    /// The file is not what it should be.
    #[error("archiving {partition} failed, its entries are still in the database")]
    File {
        /// The partition.
        partition: String,
        /// Why.
        #[source]
        source: FileError,
    },
    /// What was read back differs from what is in the database.
    #[error("{} does not hold what {partition} holds, whose entries are still in the database", .path.display())]
    Differs {
        /// The file.
        path: PathBuf,
        /// The partition.
        partition: String,
    },
    /// The trail was in use all the time.
    #[error("{partition} is archived in {}, but the trail was in use and it could not be dropped; try again", .path.display())]
    InUse {
        /// The partition.
        partition: String,
        /// The file.
        path: PathBuf,
    },
    /// The database did not answer.
    #[error("the database did not do it; nothing was dropped by this step")]
    Database(#[from] DbErr),
}

/// Moves all partitions that ended before `order.before` into files, the oldest first, and gives what it moved. `db` is a connection of the
/// role that owns the trail. After an interruption at any moment the same call goes on: what is in the database is authoritative until the
/// transaction that drops it has committed, with its entry in the trail.
pub async fn archive_months(db: &DatabaseConnection, order: &Order) -> Result<Vec<Archived>, ArchiveError> {
    refuse_what_is_not_over(db, order.before).await?;
    let _lock = lock_folder(&order.folder)?;
    // Rows that waited for their month in the default partition.
    let sort = Statement::from_string(db.get_database_backend(), "SELECT audit_log_make_partitions(0)");
    db.execute_raw(sort).await?;
    let mut archived = Vec::new();
    while let Some(next) = archive_oldest(db, order).await? {
        archived.push(next);
    }
    Ok(archived)
}

/// The first moment of a month, UTC.
pub fn start_of_month(month: NaiveDate) -> DateTime<Utc> {
    month.with_day(1).unwrap_or(month).and_time(NaiveTime::MIN).and_utc()
}

#[derive(FromQueryResult)]
struct Now {
    now: DateTime<Utc>,
}

/// The database's clock decides, as it does for the entries.
async fn refuse_what_is_not_over(db: &DatabaseConnection, before: NaiveDate) -> Result<(), ArchiveError> {
    let statement = Statement::from_string(db.get_database_backend(), "SELECT now() AS now");
    let now = Now::find_by_statement(statement).one(db).await?;
    let latest = now.map_or(before, |row| row.now.date_naive());
    if start_of_month(before) <= start_of_month(latest) {
        return Ok(());
    }
    let month = |date: NaiveDate| date.format("%Y-%m").to_string();
    Err(ArchiveError::NotOver {
        before: month(before),
        latest: month(latest),
    })
}

/// Makes the folder if it is absent, keeps others out of it while the file is open, and removes what a killed run left behind.
fn lock_folder(folder: &Path) -> Result<File, ArchiveError> {
    let failed = |source| ArchiveError::Folder {
        folder: folder.to_owned(),
        source,
    };
    let mut folders = DirBuilder::new();
    folders.recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let lock = options.open(folder.join(LOCK_FILE)).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(ArchiveError::Busy),
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    for entry in fs::read_dir(folder).map_err(failed)?.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if secret_file::unfinished(&name).is_some_and(|name| name.starts_with("audit-")) {
            fs::remove_file(entry.path()).map_err(failed)?;
        }
    }
    Ok(lock)
}

#[derive(Debug, FromQueryResult)]
struct Partition {
    name: String,
    quoted: String,
    /// Empty for the first.
    starts_at: Option<DateTime<Utc>>,
    ends_at: DateTime<Utc>,
}

impl Partition {
    /// `audit-2026-01`; `audit-up-to-2025-12` for the first partition, which holds what is older than the months.
    fn archive_name(&self) -> String {
        match self.starts_at {
            Some(start) => format!("audit-{}", start.format("%Y-%m")),
            None => format!(
                "audit-up-to-{}",
                (self.ends_at - Duration::from_secs(1)).format("%Y-%m")
            ),
        }
    }

    /// The month, for people.
    fn months(&self) -> String {
        self.archive_name()
            .trim_start_matches("audit-")
            .replace("up-to-", "up to ")
    }
}

async fn archive_oldest(db: &DatabaseConnection, order: &Order) -> Result<Option<Archived>, ArchiveError> {
    let transaction = db.begin().await?;
    if !try_lock(&transaction).await? {
        return Err(ArchiveError::Busy);
    }
    let Some(partition) = oldest(&transaction, start_of_month(order.before)).await? else {
        return Ok(None);
    };
    // Who began to write in that month must end first; nobody begins any more.
    let lock = format!("LOCK TABLE {} IN SHARE MODE", partition.quoted);
    transaction.execute_unprepared(&lock).await?;
    let (path, manifest) = write(&transaction, &partition, &order.folder).await?;
    wait_until_no_partitions_are_made(&transaction).await?;
    let entry = Entry::new(&Actor::command(), AuditAction::AuditArchived, &order.recorder)
        .details(format!(
            "{}: {} entries are in {}, and no more in the database",
            partition.months(),
            manifest.rows,
            manifest.file
        ))
        .after(json!(manifest));
    audit::record_one(&transaction, entry).await?;
    drop_partition(&transaction, &partition, &path).await?;
    transaction.commit().await?;
    Ok(Some(Archived { path, manifest }))
}

#[derive(FromQueryResult)]
struct Locked {
    is_locked: bool,
}

async fn try_lock(transaction: &DatabaseTransaction) -> Result<bool, DbErr> {
    let sql = format!("SELECT pg_try_advisory_xact_lock({ARCHIVE_LOCK}) AS is_locked");
    let statement = Statement::from_string(transaction.get_database_backend(), sql);
    let locked = Locked::find_by_statement(statement).one(transaction).await?;
    Ok(locked.is_some_and(|row| row.is_locked))
}

/// Until the end of the transaction. Who makes partitions reads the default partition and then looks at each of the others; who drops one
/// locks it, and then the default partition: without an order, each would wait for the other.
async fn wait_until_no_partitions_are_made(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    let sql = format!("SELECT pg_advisory_xact_lock({MAKE_PARTITIONS_LOCK})");
    transaction.execute_unprepared(&sql).await.map(drop)
}

async fn oldest(transaction: &DatabaseTransaction, before: DateTime<Utc>) -> Result<Option<Partition>, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "SELECT name, format('%I', name) AS quoted, NULLIF(starts_at, '-infinity') AS starts_at, ends_at
         FROM audit_log_partitions() WHERE ends_at <= $1 ORDER BY ends_at LIMIT 1",
        [before.into()],
    );
    Partition::find_by_statement(statement).one(transaction).await
}

#[derive(FromQueryResult)]
struct Line {
    id: i64,
    line: String,
}

#[derive(FromQueryResult)]
struct Count {
    rows: i64,
    first_id: Option<i64>,
    last_id: Option<i64>,
}

/// Writes the file and its manifest, and reads both back.
async fn write(
    transaction: &DatabaseTransaction,
    partition: &Partition,
    folder: &Path,
) -> Result<(PathBuf, Manifest), ArchiveError> {
    let failed = |source: FileError| ArchiveError::File {
        partition: partition.name.clone(),
        source,
    };
    let name = partition.archive_name();
    let mut writing = Writing::begin(folder, &name).map_err(failed)?;
    // Times in the file are in UTC, whatever the role's settings say.
    transaction
        .execute_unprepared(
            "SET LOCAL timezone = 'UTC'; SET LOCAL statement_timeout = 0; \
             SET LOCAL idle_in_transaction_session_timeout = 0",
        )
        .await?;
    let mut last = i64::MIN;
    loop {
        let lines = read_lines(transaction, partition, last).await?;
        let Some(end) = lines.last().map(|line| line.id) else {
            break;
        };
        last = end;
        for line in &lines {
            writing.line(&line.line).map_err(failed)?;
        }
    }
    let written = writing.finish().map_err(failed)?;
    let (path, contents) = written.keep(folder, &name).map_err(failed)?;
    let count = count(transaction, partition).await?;
    let chains = stretches_of(transaction, &partition.quoted).await?;
    let manifest = manifest(partition, &path, &contents, &count, chains);
    let beside = beside(&path);
    let mut text = serde_json::to_string_pretty(&manifest).map_err(|error| DbErr::Json(error.to_string()))?;
    text.push('\n');
    secret_file::write(&beside, &text).map_err(|error| failed(error.into()))?;
    let is_whole = read_back(&path).map_err(failed)? == contents
        && u64::try_from(count.rows) == Ok(contents.lines)
        && fs::read_to_string(&beside).is_ok_and(|read| read == text);
    if !is_whole {
        return Err(ArchiveError::Differs {
            path,
            partition: partition.name.clone(),
        });
    }
    Ok((path, manifest))
}

/// `audit-2026-01.jsonl.gz` has `audit-2026-01.manifest.json` beside it.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{}.manifest.json", name.trim_end_matches(".jsonl.gz")))
}

fn manifest(partition: &Partition, path: &Path, contents: &Contents, count: &Count, chains: Vec<Stretch>) -> Manifest {
    Manifest {
        file: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        partition: partition.name.clone(),
        starts_at: partition.starts_at,
        ends_at: partition.ends_at,
        rows: contents.lines,
        first_id: count.first_id,
        last_id: count.last_id,
        sha256: contents.sha256.clone(),
        bytes: contents.bytes,
        content_sha256: contents.content_sha256.clone(),
        chains,
    }
}

async fn read_lines(transaction: &DatabaseTransaction, partition: &Partition, after: i64) -> Result<Vec<Line>, DbErr> {
    let sql = format!(
        "SELECT p.id, row_to_json(p)::text AS line FROM (SELECT * FROM {} WHERE id > $1 ORDER BY id LIMIT $2) p ORDER BY p.id",
        partition.quoted
    );
    let statement =
        Statement::from_sql_and_values(transaction.get_database_backend(), sql, [after.into(), BATCH.into()]);
    Line::find_by_statement(statement).all(transaction).await
}

async fn count(transaction: &DatabaseTransaction, partition: &Partition) -> Result<Count, DbErr> {
    let sql = format!(
        "SELECT count(*) AS rows, min(id) AS first_id, max(id) AS last_id FROM {}",
        partition.quoted
    );
    let statement = Statement::from_string(transaction.get_database_backend(), sql);
    let count = Count::find_by_statement(statement).one(transaction).await?;
    count.ok_or_else(|| DbErr::RecordNotFound(partition.name.clone()))
}

/// Drops the partition as soon as nobody reads or writes the trail for a moment.
async fn drop_partition(
    transaction: &DatabaseTransaction,
    partition: &Partition,
    path: &Path,
) -> Result<(), ArchiveError> {
    let drop_table = format!("DROP TABLE {}", partition.quoted);
    transaction.execute_unprepared(LOCK_TIMEOUT).await?;
    for _ in 0..DROP_TRIES {
        let savepoint = transaction.begin().await?;
        match savepoint.execute_unprepared(&drop_table).await {
            Ok(_) => {
                savepoint.commit().await?;
                return Ok(());
            }
            Err(error) if meaning(&error) == Meaning::InUse => {
                savepoint.rollback().await?;
                tokio::time::sleep(DROP_PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(ArchiveError::InUse {
        partition: partition.name.clone(),
        path: path.to_owned(),
    })
}
