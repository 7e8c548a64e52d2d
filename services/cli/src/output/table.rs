//! A list as a table for people.

use comfy_table::{ContentArrangement, Table, TableStyle};
use serde_json::Value;

use super::cell::cell;
use super::shape::Shape;

/// Lines that are not wider than the terminal, where there is one: long values are broken then, and nothing is left out.
pub(super) fn table(shape: &Shape, items: &[Value], width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_style(TableStyle::new());
    match width {
        Some(width) => {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(width);
        }
        None => {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
    }
    table.set_header(shape.columns.iter().map(|column| column.title).collect::<Vec<_>>());
    for item in items {
        let cells = shape
            .columns
            .iter()
            .map(|column| cell(item.pointer(column.pointer), column.look));
        table.add_row(cells.collect::<Vec<_>>());
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt() + "\n"
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
            column("ACTIVE", "/active"),
            column("DETAIL", "/detail"),
        ],
    };

    #[test]
    fn a_table_has_a_line_for_each_item_where_it_is_no_terminal() {
        let items = [
            json!({ "name": "alice", "active": true, "detail": "x".repeat(200) }),
            json!({ "name": "bob" }),
        ];
        let text = table(&SHAPE, &items, None);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert_eq!(
            lines[0].split_whitespace().collect::<Vec<_>>(),
            ["NAME", "ACTIVE", "DETAIL"]
        );
        assert!(lines[1].ends_with(&"x".repeat(200)), "{text}");
        assert_eq!(lines[2].split_whitespace().collect::<Vec<_>>(), ["bob", "-", "-"]);
    }

    #[test]
    fn a_table_is_not_wider_than_the_terminal() {
        let items = [json!({ "name": "alice", "active": true, "detail": "word ".repeat(40) })];
        let text = table(&SHAPE, &items, Some(60));
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest.is_some_and(|widest| widest <= 60), "{text}");
        assert_eq!(text.matches("word").count(), 40, "{text}");
    }
}
