//! The numbers of lines in a text, for who looks for them in an editor.

/// Counts lines up to a place, and further.
pub(super) struct Lines<'t> {
    text: &'t [u8],
    at: usize,
    line: u32,
}

impl<'t> Lines<'t> {
    pub(super) fn of(text: &'t [u8]) -> Self {
        Self { text, at: 0, line: 1 }
    }

    /// The line of the first byte at or after this one that ends no line. Places only grow.
    pub(super) fn at(&mut self, byte: u64) -> u32 {
        let byte = usize::try_from(byte).unwrap_or(usize::MAX).min(self.text.len());
        while self.at < byte || matches!(self.text.get(self.at), Some(b'\r' | b'\n')) {
            self.step();
        }
        self.line
    }

    fn step(&mut self) {
        let ends_line = match self.text.get(self.at) {
            Some(b'\n') => true,
            Some(b'\r') => self.text.get(self.at + 1) != Some(&b'\n'),
            Some(_) | None => false,
        };
        self.line += u32::from(ends_line);
        self.at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_with_each_kind_of_end() {
        for text in ["a\nb\n\nc", "a\r\nb\r\n\r\nc", "a\rb\r\rc"] {
            let place = |part: char| text.find(part).expect("there") as u64;
            let mut lines = Lines::of(text.as_bytes());
            let numbers = ['a', 'b', 'c'].map(|part| lines.at(place(part)));
            assert_eq!(numbers, [1, 2, 4], "{text:?}");
        }
        // Between the two characters of an end.
        assert_eq!(Lines::of(b"a\r\nb").at(2), 2);
        assert_eq!(Lines::of(b"a\n").at(7), 2);
    }
}
