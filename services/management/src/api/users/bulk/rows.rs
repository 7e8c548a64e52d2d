//! Reads CSV (RFC 4180): a header, then a row for each user.

use csv::{ByteRecord, Reader, ReaderBuilder};
use vpnmanager_nats::bounded::shortened;
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_runtime::names::nearest;

use super::entry::{Action, End, Entry};
use super::limits::{
    BYTES, DEVICES, DOWN, PERIOD, REACH_AND_ROUTES, RESET_DAY, SESSION_EXCESS, SESSIONS, Said, SaidLimits, SaidQuota,
    UP,
};
use super::lines::Lines;
use crate::api::users::reissue::OldProfiles;
use crate::domain::users_csv::OWN;

/// The most rows of a file.
const MOST_ROWS: usize = 100_000;
/// What spreadsheets begin a file of UTF-8 with.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// The longest name of a column that is repeated to the caller, in characters.
const LONGEST_NAME: usize = 100;
/// What is in the cell of an own limit that is taken away.
const OF_GROUP: &str = "group";

/// A row, or what is wrong with it as a row.
#[derive(Debug)]
pub(super) struct Row {
    /// The line that it begins on, from 1.
    pub(super) line: u32,
    /// The name in it, as it is written there.
    pub(super) username: String,
    pub(super) entry: Result<Entry, ApiError>,
}

/// Reads all rows. An error is one of the whole file.
pub(super) fn read(text: &[u8]) -> Result<Vec<Row>, ApiError> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
    let mut lines = Lines::of(text);
    let mut record = ByteRecord::new();
    if !next(&mut reader, &mut record)? {
        return Err(ApiError::invalid("body", "is empty: its first line names the columns"));
    }
    let header = Header::of(&record)?;
    let mut rows = Vec::new();
    while next(&mut reader, &mut record)? {
        if rows.len() == MOST_ROWS {
            return Err(ApiError::invalid(
                "body",
                format!("must have {MOST_ROWS} rows at most: split it, each part with the header"),
            ));
        }
        let byte = record.position().map_or(0, csv::Position::byte);
        rows.push(header.row(lines.at(byte), &record));
    }
    if rows.is_empty() {
        return Err(ApiError::invalid("body", "has no row after the header"));
    }
    Ok(rows)
}

fn next(reader: &mut Reader<&[u8]>, record: &mut ByteRecord) -> Result<bool, ApiError> {
    let found = reader.read_byte_record(record);
    found.map_err(|error| ApiError::invalid("body", format!("is no CSV: {error}")))
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Username,
    Action,
    Active,
    ExpiresAt,
    ServerId,
    Group,
    Devices,
    Sessions,
    SessionExcess,
    QuotaBytes,
    QuotaPeriod,
    QuotaResetDay,
    SpeedUp,
    SpeedDown,
    ReachAndRoutes,
    Device,
    OldProfiles,
    MadeBefore,
    /// Something that the export says and nobody can set.
    Synced,
    CreatedAt,
    Checksum,
    OverQuota,
}

impl Column {
    const ALL: [(&'static str, Self); 22] = [
        ("username", Self::Username),
        ("action", Self::Action),
        ("active", Self::Active),
        ("expires_at", Self::ExpiresAt),
        ("server_id", Self::ServerId),
        ("group", Self::Group),
        (DEVICES, Self::Devices),
        (SESSIONS, Self::Sessions),
        (SESSION_EXCESS, Self::SessionExcess),
        (BYTES, Self::QuotaBytes),
        (PERIOD, Self::QuotaPeriod),
        (RESET_DAY, Self::QuotaResetDay),
        (UP, Self::SpeedUp),
        (DOWN, Self::SpeedDown),
        (REACH_AND_ROUTES, Self::ReachAndRoutes),
        ("device", Self::Device),
        ("old_profiles", Self::OldProfiles),
        ("made_before", Self::MadeBefore),
        ("synced", Self::Synced),
        ("created_at", Self::CreatedAt),
        ("checksum", Self::Checksum),
        ("over_quota", Self::OverQuota),
    ];

    fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find_map(|(known, column)| (known == name).then_some(column))
    }
}

/// The columns in their order.
struct Header(Vec<Column>);

impl Header {
    fn of(record: &ByteRecord) -> Result<Self, ApiError> {
        let mut columns = Vec::new();
        for cell in record {
            let name = String::from_utf8_lossy(cell);
            let column = Column::named(&name).ok_or_else(|| unknown(&name))?;
            if columns.contains(&column) {
                return Err(ApiError::invalid(name, "is there twice"));
            }
            columns.push(column);
        }
        if columns.contains(&Column::Username) {
            Ok(Self(columns))
        } else {
            Err(ApiError::invalid(
                "username",
                "is missing: the header must have this column",
            ))
        }
    }

    fn row(&self, line: u32, record: &ByteRecord) -> Row {
        let username = self.cell(record, Column::Username).unwrap_or_default();
        let entry = if record.len() == self.0.len() {
            self.entry(username.clone(), record)
        } else {
            let (found, wanted) = (record.len(), self.0.len());
            Err(ApiError::bad_request(format!(
                "the row has another number of cells ({found}) than the header ({wanted})"
            )))
        };
        Row { line, username, entry }
    }

    fn entry(&self, username: String, record: &ByteRecord) -> Result<Entry, ApiError> {
        let action = match self.cell(record, Column::Action).as_deref() {
            None | Some("create") => Action::Create,
            Some("change") => Action::Change,
            Some("remove") => Action::Remove,
            Some("reissue") => Action::Reissue,
            Some(_) => {
                return Err(ApiError::invalid(
                    "action",
                    "must be one of create, change, remove, reissue",
                ));
            }
        };
        // Spreadsheets write TRUE.
        let active = self.cell(record, Column::Active).map(|text| text.to_ascii_lowercase());
        let active = match active.as_deref() {
            None => None,
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(_) => return Err(ApiError::invalid("active", "must be one of true, false")),
        };
        let expires_at = match self.cell(record, Column::ExpiresAt) {
            None => End::LeftOut,
            Some(text) if text == "never" => End::Never,
            Some(text) => End::At(text),
        };
        let old_profiles = match self.cell(record, Column::OldProfiles).as_deref() {
            None => None,
            Some("keep") => Some(OldProfiles::Keep),
            Some("revoke") => Some(OldProfiles::Revoke),
            Some(_) => return Err(ApiError::invalid("old_profiles", "must be one of keep, revoke")),
        };
        Ok(Entry {
            action,
            username,
            active,
            expires_at,
            server_id: self.cell(record, Column::ServerId),
            group: self.cell(record, Column::Group),
            limits: SaidLimits {
                devices: self.said(record, Column::Devices),
                sessions: self.said(record, Column::Sessions),
                session_excess: self.said(record, Column::SessionExcess),
                traffic: self.quota(record),
                up: self.said(record, Column::SpeedUp),
                down: self.said(record, Column::SpeedDown),
                has_untold_lists: self.has_untold_lists(record)?,
                ..SaidLimits::default()
            },
            device: self.cell(record, Column::Device),
            old_profiles,
            made_before: self.cell(record, Column::MadeBefore),
        })
    }

    /// The own limit in the cell of this column.
    fn said(&self, record: &ByteRecord, column: Column) -> Said<String> {
        let text = self.cell(record, column)?;
        Some((text != OF_GROUP).then_some(text))
    }

    /// The own quota, in three cells; for the word that takes it away one is enough.
    fn quota(&self, record: &ByteRecord) -> Said<SaidQuota> {
        let quota = SaidQuota {
            bytes: self.cell(record, Column::QuotaBytes),
            period: self.cell(record, Column::QuotaPeriod),
            reset_day: self.cell(record, Column::QuotaResetDay),
        };
        match quota {
            SaidQuota {
                bytes: None,
                period: None,
                reset_day: None,
            } => None,
            SaidQuota {
                bytes: Some(text),
                period: None,
                reset_day: None,
            } if text == OF_GROUP => Some(None),
            quota => Some(Some(quota)),
        }
    }

    /// Whether the user has own reach or routes where the file comes from.
    fn has_untold_lists(&self, record: &ByteRecord) -> Result<bool, ApiError> {
        match self.cell(record, Column::ReachAndRoutes).as_deref() {
            None => Ok(false),
            Some(OWN) => Ok(true),
            Some(_) => Err(ApiError::invalid(REACH_AND_ROUTES, "must be own, or empty")),
        }
    }

    /// What is in the cell of this column; `None` if there is nothing.
    fn cell(&self, record: &ByteRecord, column: Column) -> Option<String> {
        let at = self.0.iter().position(|known| *known == column)?;
        let cell = record.get(at).filter(|cell| !cell.is_empty())?;
        Some(String::from_utf8_lossy(cell).into_owned())
    }
}

fn unknown(name: &str) -> ApiError {
    let shown = shortened(name, LONGEST_NAME);
    let known = Column::ALL.map(|(known, _)| known);
    let detail = if name.contains([';', '\t']) {
        "is no column: separate the columns with commas".to_owned()
    } else if let Some(nearest) = nearest(&shown, &known) {
        format!("is no column; did you mean `{nearest}`?")
    } else {
        format!("is no column; those that are: {}", known.join(", "))
    };
    let field = if shown.is_empty() { "header".to_owned() } else { shown };
    ApiError::invalid(field, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> (String, String) {
        let error = read(text.as_bytes()).expect_err("refused");
        let wrong = error.problem().errors.first().expect("a field").clone();
        (wrong.field, wrong.detail)
    }

    #[test]
    fn rows_are_read_as_spreadsheets_write_them() {
        let text = "\u{feff}\"active\",username,expires_at\r\nTRUE,\"alice\",\"never\"\r\n\r\n,\"b\r\nb\",2030-01-01T00:00:00Z\r\nfalse,carol\r\n";
        let rows = read(text.as_bytes()).expect("rows");
        let found: Vec<(u32, &str)> = rows.iter().map(|row| (row.line, row.username.as_str())).collect();
        assert_eq!(found, [(2, "alice"), (4, "b\r\nb"), (6, "carol")]);
        let alice = rows[0].entry.as_ref().expect("an entry");
        assert_eq!(
            (alice.action, alice.active, &alice.expires_at),
            (Action::Create, Some(true), &End::Never)
        );
        let other = rows[1].entry.as_ref().expect("an entry");
        assert_eq!(
            (other.active, &other.expires_at),
            (None, &End::At("2030-01-01T00:00:00Z".to_owned()))
        );
        assert!(rows[2].entry.is_err(), "a cell is missing");
    }

    #[test]
    fn own_limits_are_given_left_out_and_taken_away_by_their_cells() {
        let text = "username,limits.devices,limits.session_excess,limits.traffic.bytes,limits.traffic.period\n\
                    a,2,,,\nb,group,newest_ends,1000,day\nc,,,group,\nd,,,,week\n";
        let rows = read(text.as_bytes()).expect("rows");
        let limits = |row: usize| rows[row].entry.as_ref().expect("an entry").limits.clone();
        let owned = |text: &str| text.to_owned();
        let quota = |bytes: Option<&str>, period: &str| {
            Some(Some(SaidQuota {
                bytes: bytes.map(str::to_owned),
                period: Some(period.to_owned()),
                reset_day: None,
            }))
        };
        let nothing = SaidLimits::default();
        for (row, expected) in [
            SaidLimits {
                devices: Some(Some(owned("2"))),
                ..nothing.clone()
            },
            SaidLimits {
                devices: Some(None),
                session_excess: Some(Some(owned("newest_ends"))),
                traffic: quota(Some("1000"), "day"),
                ..nothing.clone()
            },
            SaidLimits {
                traffic: Some(None),
                ..nothing.clone()
            },
            // It is refused, because it says no bytes.
            SaidLimits {
                traffic: quota(None, "week"),
                ..nothing
            },
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(limits(row), expected);
        }
    }

    #[test]
    fn a_header_that_is_not_good_is_refused_with_the_column() {
        for (text, field, detail) in [
            ("", "body", "is empty"),
            ("username\n", "body", "no row"),
            ("action\ncreate\n", "username", "is missing"),
            ("username,expire_at\na,\n", "expire_at", "did you mean `expires_at`?"),
            ("username,note\na,\n", "note", "those that are: username, action"),
            ("username,username\na,\n", "username", "is there twice"),
            ("username;active\na;true\n", "username;active", "with commas"),
            ("username,\na,\n", "header", "is no column"),
        ] {
            let (found, said) = refused(text);
            assert_eq!(found, field, "{text:?}");
            assert!(said.contains(detail), "{text:?}: {said}");
        }
    }

    #[test]
    fn a_file_has_100_000_rows_at_most() {
        let text = format!("username\n{}", "a\n".repeat(MOST_ROWS));
        assert_eq!(read(text.as_bytes()).expect("rows").len(), MOST_ROWS);
        assert_eq!(refused(&format!("{text}b\n")).0, "body");
    }
}
