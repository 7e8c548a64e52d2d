//! Random bytes as a change of something valid: what is random from the start never gets past the first check.

/// Bytes of an edit before its text: which part, what to do, where (two bytes), how many bytes are taken out.
const HEAD: usize = 5;

/// What stands in `input` about one of several texts.
#[derive(Debug, Clone, Copy)]
pub struct Edit<'i> {
    /// The text that is changed.
    pub part: u8,
    whole: bool,
    at: usize,
    taken: usize,
    put: &'i [u8],
}

impl<'i> Edit<'i> {
    /// Reads one; `None` for an input that is too short.
    pub fn read(input: &'i [u8]) -> Option<Self> {
        let (head, put) = input.split_at_checked(HEAD)?;
        Some(Self {
            part: head[0],
            whole: head[1] % 4 == 0,
            at: usize::from(u16::from_le_bytes([head[2], head[3]])),
            taken: usize::from(head[4]),
            put,
        })
    }

    /// The text with the change; `None` if it is no text any more.
    pub fn of(&self, text: &str) -> Option<String> {
        if self.whole {
            return String::from_utf8(self.put.to_vec()).ok();
        }
        let mut bytes = text.as_bytes().to_vec();
        let at = self.at.min(bytes.len());
        let end = at.saturating_add(self.taken).min(bytes.len());
        bytes.splice(at..end, self.put.iter().copied());
        String::from_utf8(bytes).ok()
    }
}
