//! Texts of others in files for spreadsheets.

use std::borrow::Cow;

/// A cell that no spreadsheet takes for a formula (OWASP, CSV Injection).
pub fn harmless(cell: &str) -> Cow<'_, str> {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_begins_as_a_formula_begins_with_an_apostrophe() {
        for cell in ["alice", "", "2026-11-30", "[\"=1\"]", "a=1"] {
            assert_eq!(harmless(cell), cell);
        }
        for begin in ["=", "+", "-", "@", "\t", "\r"] {
            let cell = format!("{begin}1");
            assert_eq!(harmless(&cell), format!("'{cell}"));
        }
    }
}
