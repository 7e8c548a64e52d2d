//! What an error of the database means: from its SQLSTATE (PostgreSQL manual, appendix A), or from its kind where PostgreSQL said nothing.
//! The only place that looks at either. Who tries again, and what callers are told, follows from the meaning.

use std::io::ErrorKind;

use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};

/// What an error of the database means for whoever wanted something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The transaction was rolled back as a whole: another one won, or this process stood still in the middle of it.
    Lost,
    /// Somebody else holds what is needed.
    InUse,
    /// A value cannot be stored, whoever tries and whenever.
    BadValue,
    /// What was to be stored contradicts what is there: a name that is taken, a row that is gone.
    Contradiction,
    /// The database takes no changes, as a standby does, or one that an operator or a failover made read-only.
    ReadOnly,
    /// The database has no more of something.
    Exhausted(Resource),
    /// It took longer than it may, and was ended.
    TooSlow,
    /// The database cannot be reached, does not let this role in, or ended the connection.
    Away,
    /// The role of the service lacks a right.
    NotAllowed,
    /// Anything else: a mistake of ours.
    Fault,
}

/// What a database may run out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Room on its disk.
    Disk,
    /// Memory.
    Memory,
    /// Connections: of the server, of the database or of the role.
    Connections,
    /// Another limit of its configuration.
    Limit,
}

/// The beginnings of SQLSTATEs and what they mean; of two that fit, the longer one counts. Whatever is not listed is [`Meaning::Fault`].
const MEANINGS: [(&str, Meaning); 23] = [
    // Connection exceptions. PgBouncer says most of what it has to say with 08P01.
    ("08", Meaning::Away),
    // Data exceptions.
    ("22", Meaning::BadValue),
    // Integrity constraint violations; of those a value alone violates NOT NULL and CHECK.
    ("23", Meaning::Contradiction),
    ("23502", Meaning::BadValue),
    ("23514", Meaning::BadValue),
    ("25006", Meaning::ReadOnly),
    // A transaction that idled for too long, because this process stood still: it was rolled back before anybody asked for its end. The
    // connection has ended, the next one is another.
    ("25P03", Meaning::Lost),
    // A transaction that took too long. The connection has ended.
    ("25P04", Meaning::TooSlow),
    // Invalid authorisation: the role or its password.
    ("28", Meaning::Away),
    // There is no such database.
    ("3D000", Meaning::Away),
    // Serialization failure and deadlock.
    ("40001", Meaning::Lost),
    ("40P01", Meaning::Lost),
    ("42501", Meaning::NotAllowed),
    // Insufficient resources.
    ("53", Meaning::Exhausted(Resource::Limit)),
    ("53100", Meaning::Exhausted(Resource::Disk)),
    ("53200", Meaning::Exhausted(Resource::Memory)),
    ("53300", Meaning::Exhausted(Resource::Connections)),
    // Object in use, and a lock that was not to be had.
    ("55006", Meaning::InUse),
    ("55P03", Meaning::InUse),
    // Operator intervention: shut down, crashed, starting, dropped, idle for too long.
    ("57", Meaning::Away),
    // Cancelled, as `statement_timeout` does it.
    ("57014", Meaning::TooSlow),
    // Errors of the system below, and of its files.
    ("58", Meaning::Away),
    // A page or an index that is damaged.
    ("XX001", Meaning::Away),
];

impl Meaning {
    /// The meaning of a SQLSTATE.
    pub fn of_code(code: &str) -> Self {
        let known = MEANINGS.iter().filter(|(head, _)| code.starts_with(head));
        known
            .max_by_key(|(head, _)| head.len())
            .map_or(Self::Fault, |(_, meaning)| *meaning)
    }

    /// Whether the whole transaction may succeed if it is run again at once.
    pub fn is_worth_another_try(self) -> bool {
        match self {
            Self::Lost | Self::InUse => true,
            // One that is away is so for longer than a few tries, and whoever waits holds a place.
            Self::BadValue
            | Self::Contradiction
            | Self::ReadOnly
            | Self::Exhausted(_)
            | Self::TooSlow
            | Self::Away
            | Self::NotAllowed
            | Self::Fault => false,
        }
    }

    /// Whether the database rejects what was to be stored itself, so that it is useless to try again.
    pub fn is_about_data(self) -> bool {
        match self {
            Self::BadValue | Self::Contradiction => true,
            Self::Lost
            | Self::InUse
            | Self::ReadOnly
            | Self::Exhausted(_)
            | Self::TooSlow
            | Self::Away
            | Self::NotAllowed
            | Self::Fault => false,
        }
    }
}

/// What the error means.
pub fn meaning(error: &DbErr) -> Meaning {
    use sqlx::Error::{Database, Io, PoolClosed, PoolTimedOut, Protocol, Tls, WorkerCrashed};
    let is_connecting = matches!(error, DbErr::Conn(_) | DbErr::ConnectionAcquire(_));
    // Whatever keeps a connection from being made, nothing can be asked.
    let otherwise = if is_connecting { Meaning::Away } else { Meaning::Fault };
    let Some(cause) = sqlx_cause(error) else {
        return otherwise;
    };
    if let Database(said) = cause {
        let found = said.code().map_or(Meaning::Fault, |code| Meaning::of_code(&code));
        let is_told = !is_connecting || matches!(found, Meaning::Exhausted(_));
        return if is_told { found } else { Meaning::Away };
    }
    let is_away = matches!(
        cause,
        Io(_) | Tls(_) | Protocol(_) | PoolTimedOut | PoolClosed | WorkerCrashed
    );
    if is_away { Meaning::Away } else { otherwise }
}

/// Whether the pool gave no connection in time. It does not say why: it may have tried to connect, or all of its connections were in use.
pub fn is_pool_timeout(error: &DbErr) -> bool {
    matches!(error, DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))
        || matches!(sqlx_cause(error), Some(sqlx::Error::PoolTimedOut))
}

/// Whether TLS kept a connection from being made: there is none, or a certificate is not accepted. The library tells a handshake that failed
/// as an I/O error about data that are not valid; nothing else of a connection is told so.
pub fn is_about_tls(error: &DbErr) -> bool {
    match sqlx_cause(error) {
        Some(sqlx::Error::Tls(_)) => true,
        Some(sqlx::Error::Io(cause)) => cause.kind() == ErrorKind::InvalidData,
        Some(_) | None => false,
    }
}

/// The SQLSTATE of an error; `None` if the error is not an answer of PostgreSQL.
pub fn sqlstate(error: &DbErr) -> Option<String> {
    let said = sqlx_cause(error)?.as_database_error()?;
    said.code().map(|code| code.into_owned())
}

/// The error of the library that speaks with PostgreSQL, which sea-orm's does not give as its source.
pub(crate) fn sqlx_cause(error: &DbErr) -> Option<&sqlx::Error> {
    let (DbErr::Exec(RuntimeErr::SqlxError(cause))
    | DbErr::Query(RuntimeErr::SqlxError(cause))
    | DbErr::Conn(RuntimeErr::SqlxError(cause))) = error
    else {
        return None;
    };
    Some(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sqlstate_has_one_meaning_and_the_longer_beginning_counts() {
        use Meaning::{Away, BadValue, Contradiction, Exhausted, Fault, InUse, Lost, NotAllowed, ReadOnly, TooSlow};
        // (SQLSTATE, meaning, tried again at once, about the data)
        let cases = [
            ("08006", Away, false, false),
            ("08P01", Away, false, false),
            ("22001", BadValue, false, true),
            ("22021", BadValue, false, true),
            ("23502", BadValue, false, true),
            ("23503", Contradiction, false, true),
            ("23505", Contradiction, false, true),
            ("23514", BadValue, false, true),
            ("25006", ReadOnly, false, false),
            ("25001", Fault, false, false),
            ("25P02", Fault, false, false),
            ("25P03", Lost, true, false),
            ("25P04", TooSlow, false, false),
            ("28000", Away, false, false),
            ("28P01", Away, false, false),
            ("3D000", Away, false, false),
            ("40001", Lost, true, false),
            ("40P01", Lost, true, false),
            ("40002", Fault, false, false),
            ("42501", NotAllowed, false, false),
            ("42P01", Fault, false, false),
            ("53000", Exhausted(Resource::Limit), false, false),
            ("53100", Exhausted(Resource::Disk), false, false),
            ("53200", Exhausted(Resource::Memory), false, false),
            ("53300", Exhausted(Resource::Connections), false, false),
            ("55000", Fault, false, false),
            ("55006", InUse, true, false),
            ("55P03", InUse, true, false),
            ("57014", TooSlow, false, false),
            ("57P01", Away, false, false),
            ("57P02", Away, false, false),
            ("57P03", Away, false, false),
            ("57P05", Away, false, false),
            ("58000", Away, false, false),
            ("58030", Away, false, false),
            ("XX000", Fault, false, false),
            ("XX001", Away, false, false),
            ("P0001", Fault, false, false),
        ];
        for (code, expected, again, about_data) in cases {
            let found = Meaning::of_code(code);
            assert_eq!(
                (found, found.is_worth_another_try(), found.is_about_data()),
                (expected, again, about_data),
                "{code}"
            );
        }
    }

    #[test]
    fn an_error_without_an_answer_of_postgresql_means_that_it_is_away_unless_it_is_ours() {
        let sqlx = |error: sqlx::Error| RuntimeErr::SqlxError(error.into());
        let refused = || sqlx(sqlx::Error::Io(ErrorKind::ConnectionRefused.into()));
        let cases = [
            (DbErr::ConnectionAcquire(ConnAcquireErr::Timeout), Meaning::Away, true),
            (
                DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed),
                Meaning::Away,
                false,
            ),
            (DbErr::Conn(sqlx(sqlx::Error::PoolTimedOut)), Meaning::Away, true),
            (DbErr::Conn(refused()), Meaning::Away, false),
            (DbErr::Exec(refused()), Meaning::Away, false),
            (DbErr::Query(sqlx(sqlx::Error::WorkerCrashed)), Meaning::Away, false),
            (DbErr::Query(sqlx(sqlx::Error::RowNotFound)), Meaning::Fault, false),
            (DbErr::Conn(sqlx(sqlx::Error::RowNotFound)), Meaning::Away, false),
            (DbErr::Json("no JSON".to_owned()), Meaning::Fault, false),
        ];
        for (error, expected, hides_why) in cases {
            assert_eq!(
                (meaning(&error), is_pool_timeout(&error)),
                (expected, hides_why),
                "{error:?}"
            );
        }
    }
}
