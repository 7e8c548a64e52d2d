//! The audit trail as CSV (RFC 4180), for spreadsheets.

use std::io;

use chrono::{DateTime, Utc};
use csv::{Terminator, WriterBuilder};
use serde_json::Value;
use vpnmanager_entities::audit_log;
use vpnmanager_openapi::time::Timestamp;
use vpnmanager_runtime::spreadsheet::harmless;

/// The columns, as the rows have them, with the end of the line.
pub const HEADER: &str =
    "id,timestamp,reported_at,action,actor,username,server_id,details,ip_address,request_id,before,after\r\n";

/// The rows of these entries, without the header. States are JSON.
pub fn rows_of<'e>(entries: impl IntoIterator<Item = &'e audit_log::Model>) -> io::Result<Vec<u8>> {
    let mut writer = WriterBuilder::new()
        .terminator(Terminator::CRLF)
        .from_writer(Vec::new());
    for entry in entries {
        let time = |time: DateTime<Utc>| Timestamp::from(time).to_string();
        let state = |state: &Option<Value>| state.as_ref().map(Value::to_string).unwrap_or_default();
        let cells = [
            entry.id.to_string(),
            time(entry.timestamp),
            entry.reported_at.map(time).unwrap_or_default(),
            entry.action.clone(),
            entry.actor.clone(),
            entry.username.clone().unwrap_or_default(),
            entry.server_id.clone(),
            entry.details.clone().unwrap_or_default(),
            entry
                .ip_address
                .map(|address| address.ip().to_string())
                .unwrap_or_default(),
            entry.request_id.clone().unwrap_or_default(),
            state(&entry.before),
            state(&entry.after),
        ];
        writer.write_record(cells.iter().map(|cell| harmless(cell).into_owned()))?;
    }
    writer.into_inner().map_err(csv::IntoInnerError::into_error)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_has_the_columns_of_the_header_and_no_formula() {
        let entry = audit_log::Model {
            id: 7,
            timestamp: DateTime::from_timestamp(1_795_000_000, 0).unwrap(),
            action: "openvpn_down".to_owned(),
            username: None,
            details: Some("=1+1, \"two\"\nlines".to_owned()),
            ip_address: Some("192.0.2.7".parse().unwrap()),
            server_id: "node-1".to_owned(),
            actor: "node:node-1".to_owned(),
            request_id: None,
            before: None,
            after: Some(json!({ "reason": "it died" })),
            event_id: None,
            reported_at: None,
        };
        let rows = String::from_utf8(rows_of([&entry]).unwrap()).unwrap();
        let text = format!("{HEADER}{rows}");
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let names = reader.headers().unwrap().clone();
        let row = reader.records().next().unwrap().unwrap();
        let cell = |name: &str| names.iter().zip(&row).find(|(column, _)| *column == name).unwrap().1;
        assert_eq!((row.len(), cell("id"), cell("ip_address")), (12, "7", "192.0.2.7"));
        assert_eq!(cell("details"), "'=1+1, \"two\"\nlines");
        assert_eq!(cell("after"), r#"{"reason":"it died"}"#);
    }
}
