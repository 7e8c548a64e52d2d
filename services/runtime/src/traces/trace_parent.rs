//! `traceparent` of W3C Trace Context, version 00 (<https://www.w3.org/TR/trace-context/>).

use std::fmt::{self, Display};
use std::str::FromStr;

/// The name of the header.
pub const HEADER: &str = "traceparent";

/// Who caused something: a trace, a span in it, and whether it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    pub(super) trace: u128,
    pub(super) span: u64,
    pub(super) flags: u8,
}

/// It is no `traceparent`; as section 3.2.4 says, it is then as if there were none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no traceparent of W3C Trace Context")]
pub struct InvalidTraceParent;

impl TraceParent {
    /// That of a message or a request, if it has a valid one.
    #[must_use]
    pub fn of(text: Option<&str>) -> Option<Self> {
        text?.parse().ok()
    }
}

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        parse(text).ok_or(InvalidTraceParent)
    }
}

impl Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags)
    }
}

fn parse(text: &str) -> Option<TraceParent> {
    let mut parts = text.split('-');
    let mut next = |digits: usize| {
        let part = parts.next().filter(|part| part.len() == digits)?;
        // The standard has lower case only; from_str_radix would take a sign and capitals.
        let is_hex = part.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        is_hex.then(|| u128::from_str_radix(part, 16).ok())?
    };
    let (version, trace, span, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
    // A later version may have more parts, and none has 255.
    if version == 0xff || (version == 0 && parts.next().is_some()) || trace == 0 || span == 0 {
        return None;
    }
    Some(TraceParent {
        trace,
        span: u64::try_from(span).ok()?,
        flags: u8::try_from(flags).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_valid_one_is_written_as_it_was_read() {
        let parent: TraceParent = VALID.parse().unwrap();
        assert_eq!(parent.to_string(), VALID);
        let later = format!("cc{}-what-the-future-will-be-like", &VALID[2..]);
        assert_eq!(later.parse(), Ok(parent));
    }

    #[test]
    fn what_the_standard_calls_invalid_counts_as_none() {
        for invalid in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceParent::of(Some(invalid)), None, "{invalid}");
        }
        assert_eq!(TraceParent::of(None), None);
    }
}
