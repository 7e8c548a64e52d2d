//! Whether PostgreSQL takes connections, and if not, why. The pool hides it: while a connection is refused it tries again, until its time is
//! over, and then says only that.

use std::{
    fmt,
    io::{self, ErrorKind},
    str::FromStr as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, DbErr, RuntimeErr, TransactionTrait as _,
    sqlx::{
        self, ConnectOptions as _, Connection as _,
        postgres::{PgConnectOptions, PgConnection},
    },
};
use secrecy::{ExposeSecret as _, SecretString};
use vpnmanager_runtime::error_chain::{chain, innermost};

use crate::ops::sqlstate::{Meaning, Resource, is_pool_timeout, meaning, sqlx_cause};

/// How long an attempt to connect may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// For how long nobody tries again.
const REMEMBERED_FOR: Duration = Duration::from_secs(3);
/// For how long the last attempt says why something failed.
const KNOWN_FOR: Duration = Duration::from_secs(10);

/// The `application_name` of connections outside the pool (PostgreSQL manual, `pg_stat_activity`).
pub const WATCHING: &str = "vpnmanager-management watching";

/// The way to PostgreSQL, outside the pool. Cheap to clone; all clones share what was found out. It shows itself without the password.
#[derive(Clone)]
pub struct Reach {
    shared: Arc<Shared>,
}

struct Shared {
    options: PgConnectOptions,
    place: String,
    attempt: tokio::sync::Mutex<()>,
    last: Mutex<Option<(Finding, Instant)>>,
    /// Whether it said that its disk is full, and did not prove since then that it is not.
    is_full: AtomicBool,
}

/// What an attempt to connect found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// PostgreSQL took the connection.
    Takes,
    /// It did not, and this is why, for people: `Connection refused`.
    Refuses(String),
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reach")
            .field("place", &self.shared.place)
            .finish_non_exhaustive()
    }
}

impl Reach {
    /// The way to the database of this URL. Connects to nothing.
    ///
    /// # Errors
    /// [`DbErr::Conn`] if it is no URL of PostgreSQL.
    pub fn to(url: &SecretString) -> Result<Self, DbErr> {
        let options = PgConnectOptions::from_str(url.expose_secret()).map_err(connecting)?;
        Ok(Self {
            shared: Arc::new(Shared {
                place: place_of(&options),
                options: options.application_name(WATCHING).disable_statement_logging(),
                attempt: tokio::sync::Mutex::default(),
                last: Mutex::default(),
                is_full: AtomicBool::default(),
            }),
        })
    }

    /// Where PostgreSQL is: host and port, or the folder of its socket and the port.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.shared.place
    }

    /// Makes a connection outside the pool.
    ///
    /// # Errors
    /// [`DbErr::Conn`] with the cause; one that takes longer than `patience` is an I/O error that says so.
    pub async fn open(&self, patience: Duration) -> Result<PgConnection, DbErr> {
        let connected = tokio::time::timeout(patience, self.shared.options.connect()).await;
        let too_late = || {
            sqlx::Error::Io(io::Error::new(
                ErrorKind::TimedOut,
                format!("no answer within {patience:?}"),
            ))
        };
        connected.unwrap_or_else(|_| Err(too_late())).map_err(connecting)
    }

    /// The same, and closes it.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn connect(&self, patience: Duration) -> Result<(), DbErr> {
        let connection = self.open(patience).await?;
        // The server ends one that is not closed in time.
        let _closed = tokio::time::timeout(patience, connection.close()).await;
        Ok(())
    }

    /// Finds out whether PostgreSQL takes connections, within 2 s. One attempt at a time; its result serves everybody for 3 s.
    pub async fn look(&self) -> Finding {
        let _one_at_a_time = self.shared.attempt.lock().await;
        if let Some(finding) = self.found_within(REMEMBERED_FOR) {
            return finding;
        }
        let finding = match self.connect(PATIENCE).await {
            Ok(()) => Finding::Takes,
            Err(error) => Finding::Refuses(root_cause(&error)),
        };
        *self.shared.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((finding.clone(), Instant::now()));
        finding
    }

    /// Notes that an operation failed for want of room on the database's disk. Others may succeed for long: they find room in pages that
    /// are there.
    pub fn note(&self, error: &DbErr) {
        if meaning(error) == Meaning::Exhausted(Resource::Disk) {
            self.shared.is_full.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the database has room again, after it had [none](Self::note): it is asked for a sort that needs a file of 1 MB.
    ///
    /// # Errors
    /// What the database says.
    pub async fn prove_room(&self, db: &DatabaseConnection) -> Result<(), DbErr> {
        if !self.shared.is_full.load(Ordering::Relaxed) {
            return Ok(());
        }
        let transaction = db.begin().await?;
        let sort = "SET LOCAL work_mem = '64kB';
                    SELECT repeat(md5(number::text), 8) FROM generate_series(1, 4000) AS t (number) ORDER BY 1 OFFSET 4000";
        transaction.execute_unprepared(sort).await?;
        transaction.rollback().await?;
        self.shared.is_full.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// What to tell people of an operation that failed because the database is away: where it is, and why it does not answer, as the last
    /// attempt to connect found, else as the error says.
    #[must_use]
    pub fn explain(&self, error: &DbErr) -> String {
        match self.found_within(KNOWN_FOR) {
            Some(Finding::Refuses(cause)) => self.away(&cause),
            Some(Finding::Takes) if is_pool_timeout(error) => format!(
                "the database at {} answers, but all connections of this replica are in use; try again",
                self.place()
            ),
            Some(Finding::Takes) | None => self.away(&root_cause(error)),
        }
    }

    /// The same for an operation that did not end in time.
    #[must_use]
    pub fn explain_silence(&self, patience: Duration) -> String {
        match self.found_within(KNOWN_FOR) {
            Some(Finding::Refuses(cause)) => self.away(&cause),
            Some(Finding::Takes) | None => self.away(&format!("no answer within {patience:?}")),
        }
    }

    /// What to log of an error: the same if the database is away, else the error with its causes.
    #[must_use]
    pub fn explain_any(&self, error: &DbErr) -> String {
        self.note(error);
        match meaning(error) {
            Meaning::Away => self.explain(error),
            Meaning::Lost
            | Meaning::InUse
            | Meaning::BadValue
            | Meaning::Contradiction
            | Meaning::ReadOnly
            | Meaning::Exhausted(_)
            | Meaning::TooSlow
            | Meaning::NotAllowed
            | Meaning::Fault => chain(error).to_string(),
        }
    }

    /// The error, and before it what to tell people if it comes of a database that is away. [Looks](Self::look) first.
    pub async fn with_cause(&self, error: anyhow::Error) -> anyhow::Error {
        let of_database = error.chain().find_map(|cause| cause.downcast_ref::<DbErr>());
        of_database.inspect(|error| self.note(error));
        let Some(away) = of_database.filter(|error| meaning(error) == Meaning::Away).cloned() else {
            return error;
        };
        let _finding = self.look().await;
        error.context(self.explain(&away))
    }

    fn away(&self, cause: &str) -> String {
        format!("the database at {} does not answer: {cause}", self.place())
    }

    fn found_within(&self, age: Duration) -> Option<Finding> {
        let last = self.shared.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (finding, at) = last.as_ref()?;
        (at.elapsed() < age).then(|| finding.clone())
    }
}

fn connecting(error: sqlx::Error) -> DbErr {
    DbErr::Conn(RuntimeErr::SqlxError(error.into()))
}

fn place_of(options: &PgConnectOptions) -> String {
    let port = options.get_port();
    if let Some(folder) = options.get_socket() {
        return format!("{} (port {port})", folder.display());
    }
    match options.get_host() {
        host if host.contains(':') && !host.starts_with('[') => format!("[{host}]:{port}"),
        host => format!("{host}:{port}"),
    }
}

/// What the database's library found, without the layers around it.
fn root_cause(error: &DbErr) -> String {
    match sqlx_cause(error) {
        Some(cause) => innermost(cause),
        None => innermost(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_shown_without_the_password() {
        let cases = [
            ("postgres://u:hush@db.example.org:6432/d", "db.example.org:6432"),
            ("postgres://u:hush@[2001:db8::1]:5432/d", "[2001:db8::1]:5432"),
            (
                "postgres://u:hush@localhost:5432/d?host=/run/postgresql",
                "/run/postgresql (port 5432)",
            ),
        ];
        for (url, place) in cases {
            let reach = Reach::to(&url.into()).expect("a URL");
            assert_eq!(reach.place(), place);
            assert!(!format!("{reach:?}").contains("hush"), "{reach:?}");
        }
    }

    #[test]
    fn the_cause_is_the_innermost_error_in_its_own_words() {
        let refused = sqlx::Error::Io(io::Error::from_raw_os_error(111));
        assert_eq!(root_cause(&connecting(refused)), "Connection refused");
    }
}
