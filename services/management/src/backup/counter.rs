//! Counts and hashes the parts of a backup, the same way when it is written and when it is read.

use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::HEXLOWER;

use super::manifest::{Part, part_of};

/// The parts so far.
#[derive(Default)]
pub(super) struct Counter {
    done: Vec<Part>,
    current: Option<Current>,
}

struct Current {
    name: String,
    bytes: u64,
    rows: Option<u64>,
    context: Context,
}

impl Current {
    fn new(name: &str, is_rows: bool) -> Self {
        Self {
            name: name.to_owned(),
            bytes: 0,
            rows: is_rows.then_some(0),
            context: Context::new(&SHA256),
        }
    }

    fn into_part(self) -> Part {
        Part {
            name: self.name,
            bytes: self.bytes,
            sha256: HEXLOWER.encode(self.context.finish().as_ref()),
            rows: self.rows,
        }
    }
}

impl Counter {
    /// Counts an entry. Entries of one part follow each other.
    pub(super) fn count(&mut self, entry: &str, bytes: &[u8]) {
        let (name, is_rows) = part_of(entry);
        let goes_on = self.current.as_ref().is_some_and(|current| current.name == name);
        if !goes_on {
            self.done.extend(self.current.take().map(Current::into_part));
        }
        let current = self.current.get_or_insert_with(|| Current::new(name, is_rows));
        current.bytes += bytes.len() as u64;
        current.context.update(bytes);
        if let Some(rows) = &mut current.rows {
            // COPY writes a row in a line, and a line feed in a value as \n.
            *rows += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        }
    }

    /// All parts.
    pub(super) fn finish(mut self) -> Vec<Part> {
        self.done.extend(self.current.take().map(Current::into_part));
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_a_table_count_as_if_they_were_one() {
        let mut pieces = Counter::default();
        pieces.count("database/users/000001", b"1\talice\n2\tb");
        pieces.count("database/users/000002", b"ob\n");
        pieces.count("database/pools/000001", b"");
        pieces.count("pki/ca.pem", b"one\ntwo\n");
        let pieces = pieces.finish();

        let mut whole = Counter::default();
        whole.count("database/users/000001", b"1\talice\n2\tbob\n");
        assert_eq!(pieces[..1], whole.finish());
        let counted: Vec<_> = pieces.iter().map(|part| (part.name.as_str(), part.rows)).collect();
        assert_eq!(
            counted,
            [
                ("database/users", Some(2)),
                ("database/pools", Some(0)),
                ("pki/ca.pem", None)
            ]
        );
    }
}
