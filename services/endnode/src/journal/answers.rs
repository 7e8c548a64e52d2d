//! Answers to requests of the local API with an `Idempotency-Key`, known for a day.

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{OptionalExtension as _, params};
use vpnmanager_openapi::idempotency::{Claim, Kept, KeyedRequest};

use super::{columns::micros, error::JournalError, records::Records};

/// How long a request is known.
const KNOWN_FOR: TimeDelta = TimeDelta::hours(24);
/// The most requests that are known.
const MOST: i64 = 10_000;
/// The most bytes of their answers.
const MOST_BYTES: i64 = 16 << 20;

/// What the journal knows of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Nothing: it is claimed now.
    Nothing,
    /// Nothing, and no further request can be known.
    NoRoom,
    /// It was claimed with this number, and not answered.
    Claimed(i64),
    /// It was answered with this, sealed; `None`: the answer was too long to be kept.
    Answered(Option<Vec<u8>>),
    /// Its key was given to another request.
    Another,
}

impl Records<'_> {
    /// Claims a request with the number `claim`, if nothing is known of it.
    pub fn claim_request(&self, request: &KeyedRequest, claim: i64, now: DateTime<Utc>) -> Result<Known, JournalError> {
        self.connection
            .prepare_cached("DELETE FROM answers WHERE claimed_at < ?1")?
            .execute([micros(now - KNOWN_FOR)])?;
        if let Some(known) = self.known_request(request)? {
            return Ok(known);
        }
        let (requests, bytes): (i64, i64) = self
            .connection
            .prepare_cached("SELECT count(*), coalesce(sum(length(answer)), 0) FROM answers")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if requests >= MOST || bytes >= MOST_BYTES {
            return Ok(Known::NoRoom);
        }
        let insert = "INSERT INTO answers (key_hash, fingerprint, claim, claimed_at) VALUES (?1, ?2, ?3, ?4)";
        self.connection.prepare_cached(insert)?.execute(params![
            request.key_hash,
            request.fingerprint,
            claim,
            micros(now)
        ])?;
        Ok(Known::Nothing)
    }

    /// Keeps the answer to a request that was claimed, or forgets the request.
    pub fn settle_request(&self, claim: &Claim, kept: &Kept) -> Result<(), JournalError> {
        let answer = match kept {
            Kept::Answer(answer) => Some(answer),
            Kept::TooLarge => None,
            Kept::Nothing => {
                self.connection
                    .prepare_cached("DELETE FROM answers WHERE claim = ?1")?
                    .execute([claim.id])?;
                return Ok(());
            }
        };
        self.connection
            .prepare_cached("UPDATE answers SET answered = 1, answer = ?2 WHERE claim = ?1")?
            .execute(params![claim.id, answer])?;
        Ok(())
    }

    fn known_request(&self, request: &KeyedRequest) -> Result<Option<Known>, JournalError> {
        let select = "SELECT fingerprint = ?2, answered, claim, answer FROM answers WHERE key_hash = ?1";
        let mut statement = self.connection.prepare_cached(select)?;
        let known = statement.query_row(params![request.key_hash, request.fingerprint], |row| {
            let (is_same, is_answered): (bool, bool) = (row.get(0)?, row.get(1)?);
            Ok(match (is_same, is_answered) {
                (false, _) => Known::Another,
                (true, true) => Known::Answered(row.get(3)?),
                (true, false) => Known::Claimed(row.get(2)?),
            })
        });
        Ok(known.optional()?)
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::journal::schema;

    fn journal() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection).unwrap();
        connection
    }

    fn request(key: u8, fingerprint: u8) -> KeyedRequest {
        KeyedRequest {
            caller: "operator".to_owned(),
            key_hash: [key; 32],
            fingerprint: [fingerprint; 32],
        }
    }

    fn claim(request: KeyedRequest, id: i64) -> Claim {
        Claim { request, id }
    }

    #[test]
    fn a_request_is_claimed_once_and_answered_as_it_was_settled() {
        let connection = journal();
        let records = Records {
            connection: &connection,
        };
        let now = Utc::now();
        let look = |key, fingerprint, id| records.claim_request(&request(key, fingerprint), id, now).unwrap();
        assert_eq!(look(1, 1, 7), Known::Nothing);
        assert_eq!(look(1, 1, 8), Known::Claimed(7));
        assert_eq!(look(1, 2, 8), Known::Another);

        let settle = |key, id, kept| records.settle_request(&claim(request(key, 1), id), &kept).unwrap();
        settle(1, 7, Kept::Answer(vec![5]));
        assert_eq!(look(1, 1, 9), Known::Answered(Some(vec![5])));
        assert_eq!(look(2, 1, 10), Known::Nothing);
        settle(2, 10, Kept::TooLarge);
        assert_eq!(look(2, 1, 11), Known::Answered(None));
        assert_eq!(look(3, 1, 12), Known::Nothing);
        settle(3, 12, Kept::Nothing);
        assert_eq!(look(3, 1, 13), Known::Nothing, "it is done again");
    }

    #[test]
    fn a_request_is_known_for_a_day() {
        let connection = journal();
        let records = Records {
            connection: &connection,
        };
        let begun = Utc::now();
        let look = |id, after: TimeDelta| records.claim_request(&request(1, 1), id, begun + after).unwrap();
        assert_eq!(look(1, TimeDelta::zero()), Known::Nothing);
        assert_eq!(look(2, KNOWN_FOR), Known::Claimed(1));
        assert_eq!(look(3, KNOWN_FOR + TimeDelta::seconds(1)), Known::Nothing);
    }

    #[test]
    fn requests_and_the_bytes_of_their_answers_have_a_bound_and_what_is_known_stays_so() {
        let connection = journal();
        let records = Records {
            connection: &connection,
        };
        let now = Utc::now();
        records.claim_request(&request(1, 1), 1, now).unwrap();
        let large = vec![0; usize::try_from(MOST_BYTES).unwrap()];
        records
            .settle_request(&claim(request(1, 1), 1), &Kept::Answer(large.clone()))
            .unwrap();
        let look = |key, id| records.claim_request(&request(key, 1), id, now).unwrap();
        assert_eq!(look(2, 2), Known::NoRoom);
        assert_eq!(look(1, 2), Known::Answered(Some(large)));

        records
            .settle_request(&claim(request(1, 1), 1), &Kept::TooLarge)
            .unwrap();
        let fill = "
            WITH RECURSIVE numbers (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1)
            INSERT INTO answers (key_hash, fingerprint, claim, claimed_at)
            SELECT CAST(n AS BLOB), x'00', n, ?2 FROM numbers";
        connection.execute(fill, params![MOST - 1, micros(now)]).unwrap();
        assert_eq!(look(2, -1), Known::Nothing);
        assert_eq!(look(3, -2), Known::NoRoom);
    }
}
