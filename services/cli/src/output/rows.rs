//! Lists for programs, CSV and names; and single lines for who follows something.

use serde_json::Value;
use vpnmanager_runtime::spreadsheet::harmless;

use super::cell::{cell, tidy};
use super::shape::{Column, Shape};

/// A header, and a line for each item, with values as management sends them; no text of others is a formula to a spreadsheet.
pub(super) fn as_csv(shape: &Shape, items: &[Value]) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(shape.columns.iter().map(Column::path))?;
    for item in items {
        writer.write_record(
            shape
                .columns
                .iter()
                .map(|column| raw_cell(item.pointer(column.pointer))),
        )?;
    }
    let bytes = writer
        .into_inner()
        .map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The name of each item, one a line: scripts take a line for a name, so none has two.
pub(super) fn as_names(shape: &Shape, items: &[Value]) -> String {
    let name = |item: &Value| tidy(&raw(item.pointer(shape.name))) + "\n";
    items.iter().map(name).collect()
}

/// The values of the columns in one line.
pub(super) fn as_line(shape: &Shape, item: &Value) -> String {
    let cells = shape
        .columns
        .iter()
        .map(|column| cell(item.pointer(column.pointer), column.look));
    cells.collect::<Vec<_>>().join("  ") + "\n"
}

/// The values of the columns, as CSV without a header.
pub(super) fn as_record(shape: &Shape, item: &Value) -> Result<String, csv::Error> {
    let whole = as_csv(shape, std::slice::from_ref(item))?;
    Ok(whole
        .split_once('\n')
        .map(|(_header, record)| record.to_owned())
        .unwrap_or_default())
}

/// A number may begin as a formula does, and is none.
fn raw_cell(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => harmless(text).into_owned(),
        None | Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => raw(value),
    }
}

fn raw(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_))) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::shape::column;
    use super::*;

    const SHAPE: Shape = Shape {
        name: "/name",
        columns: &[
            column("NAME", "/name"),
            column("QUOTA", "/traffic/bytes"),
            column("ROUTES", "/routes"),
        ],
    };

    #[test]
    fn csv_has_values_as_they_are_and_names_have_a_line_each() {
        let items = [
            json!({ "name": "a,b", "traffic": { "bytes": 5 }, "routes": ["10.0.0.0/8"] }),
            json!({ "name": "c" }),
        ];
        assert_eq!(
            as_csv(&SHAPE, &items).unwrap(),
            "name,traffic.bytes,routes\n\"a,b\",5,\"[\"\"10.0.0.0/8\"\"]\"\nc,,\n"
        );
        assert_eq!(as_names(&SHAPE, &items), "a,b\nc\n");
        assert_eq!(as_names(&SHAPE, &[json!({ "name": "a\nb" })]), "a?b\n");
        assert_eq!(as_record(&SHAPE, &items[1]).unwrap(), "c,,\n");
        assert_eq!(as_line(&SHAPE, &items[0]), "a,b  5  10.0.0.0/8\n");
    }

    #[test]
    fn no_text_of_others_is_a_formula_and_numbers_stay_numbers() {
        let item = json!({ "name": "=HYPERLINK(\"x\")", "traffic": { "bytes": -5 }, "routes": "@x" });
        assert_eq!(as_record(&SHAPE, &item).unwrap(), "\"'=HYPERLINK(\"\"x\"\")\",-5,'@x\n");
        assert_eq!(as_names(&SHAPE, &[item]), "=HYPERLINK(\"x\")\n");
    }
}
