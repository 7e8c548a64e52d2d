//! A list as spreadsheets write it (RFC 4180): with commas, semicolons or tabs between the values, after a line with the names of the columns.

use std::path::Path;

use csv::{ReaderBuilder, StringRecord, Trim};

use super::{
    cells::Cell,
    row::{Columns, UserList},
};
use crate::{error::ReadError, found::Place, limits::MOST_ROWS};

const BYTE_ORDER_MARK: &str = "\u{feff}";
/// A line by which Excel is told the separator.
const HINT: &str = "sep=";
/// The last one counts where a line has as many of each.
const SEPARATORS: [u8; 3] = [b'\t', b';', b','];

pub(crate) fn read_separated(file: &Path, bytes: &[u8]) -> Result<UserList, ReadError> {
    let text = std::str::from_utf8(bytes).map_err(|_| ReadError::NotUtf8 { file: file.to_owned() })?;
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let (separator, text, skipped) = separated(text);
    let failed = |source| ReadError::Csv {
        file: file.to_owned(),
        source,
    };
    let mut reader = ReaderBuilder::new()
        .delimiter(separator)
        .flexible(true)
        .trim(Trim::All)
        .from_reader(text.as_bytes());
    let names: Vec<String> = reader.headers().map_err(failed)?.iter().map(str::to_owned).collect();
    let Some(columns) = Columns::of(&names) else {
        return Err(ReadError::NoUsernames {
            file: file.to_owned(),
            columns: names,
        });
    };
    let mut list = UserList::default();
    list.note_unknown(Place::line(file, skipped + 1), &columns.unknown(&names));
    for (number, record) in reader.records().enumerate() {
        if number == MOST_ROWS {
            return Err(ReadError::TooManyRows { file: file.to_owned() });
        }
        let record = record.map_err(failed)?;
        let line = record.position().map_or(0, csv::Position::line);
        let place = Place::line(file, line + skipped);
        if record.len() > names.len() {
            let text = format!(
                "the row is left out: it has {} values for {} columns",
                record.len(),
                names.len()
            );
            list.remarks.push(place.remark(text));
        } else if !record.iter().all(str::is_empty) {
            list.add(place, &cells(&record), &columns);
        }
    }
    Ok(list)
}

/// The separator, what follows the hint, and how many lines that is further down.
fn separated(text: &str) -> (u8, &str, u64) {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let hint = first.trim_end().strip_prefix(HINT).map(str::as_bytes);
    if let Some([separator]) = hint {
        return (*separator, rest, 1);
    }
    let count = |separator: &u8| first.bytes().filter(|byte| byte == separator).count();
    let separator = SEPARATORS.into_iter().max_by_key(count);
    (separator.unwrap_or(b','), text, 0)
}

fn cells(record: &StringRecord) -> Vec<Cell> {
    let cell = |text: &str| match text {
        "" => Cell::Absent,
        text => Cell::Text(text.to_owned()),
    };
    record.iter().map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> UserList {
        read_separated(Path::new("users.csv"), text.as_bytes()).expect("a list")
    }

    fn users(text: &str) -> Vec<(String, bool, Option<String>)> {
        let users = read(text).users.into_iter();
        users
            .map(|user| (user.name, user.active, user.expires_at.map(|time| time.to_rfc3339())))
            .collect()
    }

    #[test]
    fn lists_are_read_as_spreadsheets_write_them() {
        let end = || Some("2027-01-02T00:00:00+00:00".to_owned());
        let expected = [("alice".to_owned(), true, end()), ("bob".to_owned(), false, None)];
        for text in [
            "username,active,expires_at\nalice,true,2027-01-02\nbob,false,\n",
            "\u{feff}Username;Active;Expires_At\r\nalice;1;2027-01-02\r\nbob;0;never\r\n",
            "sep=;\r\nusername;active;expires_at\r\nalice;yes;2027-01-02 00:00:00\r\nbob;no\r\n;;\r\n",
            "active\tusername\texpires_at\r\t alice \t\"2027-01-02T00:00:00Z\"\rfalse\tbob\t",
            "expires_at,\"username\",active\n\n1798848000,\"alice\",\n\"\",bob,F",
        ] {
            assert_eq!(users(text), expected, "{text:?}");
            let remarks = read(text).remarks;
            assert!(remarks.is_empty(), "{text:?}: {remarks:?}");
        }
    }

    #[test]
    fn a_list_without_usernames_is_refused_with_its_columns() {
        let refused = read_separated(Path::new("users.csv"), b"name;mail\na;b\n").expect_err("no usernames");
        assert_eq!(
            refused.to_string(),
            "users.csv has no column `username`. It has: name, mail"
        );
        let utf16: Vec<u8> = "\u{feff}username\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let refused = read_separated(Path::new("users.csv"), &utf16);
        assert!(matches!(refused, Err(ReadError::NotUtf8 { .. })), "{refused:?}");
        let empty = read_separated(Path::new("users.csv"), b"");
        assert!(matches!(empty, Err(ReadError::NoUsernames { .. })), "{empty:?}");
    }

    #[test]
    fn what_is_not_understood_is_said_and_lets_nobody_in() {
        let list = read(
            "username,active,expires_at,created_at,team\nalice,maybe,,,x\nbob,,soon,,x\n,,,,x\ncarl,,,once,x\na,b,c,d,e,f\n",
        );
        let active: Vec<_> = list
            .users
            .iter()
            .map(|user| (user.name.as_str(), user.active))
            .collect();
        assert_eq!(active, [("alice", false), ("bob", false), ("carl", true)]);
        let remarks: Vec<_> = list
            .remarks
            .iter()
            .map(|remark| (remark.place.line, remark.text.as_str()))
            .collect();
        assert_eq!(
            remarks,
            [
                (Some(1), "these columns are not carried over: team"),
                (
                    Some(2),
                    "the `active` of `alice` says nothing that is understood: the user is taken as suspended"
                ),
                (
                    Some(3),
                    "the `expires_at` of `bob` says nothing that is understood: the user is taken as suspended"
                ),
                (Some(4), "the row is left out: it has no username"),
                (Some(5), "the `created_at` of `carl` is no time, and is left out"),
                (Some(6), "the row is left out: it has 6 values for 5 columns"),
            ]
        );
    }
}
