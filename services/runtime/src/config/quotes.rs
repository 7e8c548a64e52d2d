//! Quotation marks around a value. A shell, systemd and Compose take them away; `docker run --env-file` keeps them.

/// Why a value in quotation marks is refused. The words do not repeat the value.
pub(super) const QUOTED: &str =
    "the quotation marks around it are part of it, as docker run --env-file keeps them: write it without them";

/// Whether a value begins and ends with the same quotation mark.
pub(super) fn is_quoted(value: &str) -> bool {
    ['"', '\''].iter().any(|mark| {
        let rest = value.strip_prefix(*mark);
        rest.is_some_and(|rest| rest.ends_with(*mark))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_pair_of_the_same_marks_around_a_value_counts() {
        for quoted in ["\"a\"", "'a'", "''", "\"\""] {
            assert!(is_quoted(quoted), "{quoted}");
        }
        for other in ["", "a", "\"", "'", "\"a", "a'", "'a\"", "a\"b\"", "[\"a\"]"] {
            assert!(!is_quoted(other), "{other}");
        }
    }
}
