//! The header itself.

use poem::http::HeaderMap;

use crate::problem::ApiError;

/// The header's name, as it is written.
pub(super) const NAME: &str = "Idempotency-Key";

/// What a key must be, in words: the pattern says it to programs.
const EXPECTED: &str = "must be 1 to 255 visible ASCII characters without spaces, such as a UUID";

crate::text_scalar! {
    /// The name that a caller gives a request, so that it is done once however often it is sent: visible ASCII, 255 characters at most. The draft
    /// has it in quotes, as a string of RFC 9651; most clients leave them out, and both are one key.
    pub struct IdempotencyKey {
        format: "idempotency-key",
        pattern: r#"^(?:[!#-~][!-~]{0,254}|"(?:[ !#-\[\]-~]|\\["\\]){1,255}")$"#,
        length: 1..=512,
        example: "8e03978e-40d5-43dd-bc93-6f61a41a81ab",
        check: |text| {
            let is_key = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
            match text.bytes().all(is_key) && without_quotes(text).len() <= 255 {
                true => Ok(()),
                false => Err(EXPECTED.to_owned()),
            }
        },
    }
}

impl IdempotencyKey {
    /// The key that a request has, if it has one.
    ///
    /// # Errors
    /// 400 for one that is no key, and for several.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, ApiError> {
        let mut given = headers.get_all(NAME).iter();
        let Some(first) = given.next() else {
            return Ok(None);
        };
        if given.next().is_some() {
            return Err(ApiError::invalid(NAME, "is given more than once"));
        }
        let text = first.to_str().map_err(|_other| ApiError::invalid(NAME, EXPECTED))?;
        text.parse()
            .map(Some)
            .map_err(|_pattern: String| ApiError::invalid(NAME, EXPECTED))
    }

    /// The key without the quotes: 1 to 255 characters.
    #[must_use]
    pub fn value(&self) -> String {
        without_quotes(self.as_str())
    }
}

/// The content of a quoted string (RFC 9651, section 3.3.3), or the text itself.
fn without_quotes(text: &str) -> String {
    let Some(quoted) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return text.to_owned();
    };
    let mut value = String::with_capacity(quoted.len());
    let mut is_escaped = false;
    for character in quoted.chars() {
        is_escaped = character == '\\' && !is_escaped;
        if !is_escaped {
            value.push(character);
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;

    use super::*;

    fn key_of(values: &[&[u8]]) -> Result<Option<String>, ApiError> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("idempotency-key", HeaderValue::from_bytes(value).unwrap());
        }
        IdempotencyKey::of(&headers).map(|key| key.map(|key| key.value()))
    }

    #[test]
    fn a_key_is_the_same_in_quotes_and_without_them() {
        assert_eq!(key_of(&[]).unwrap(), None);
        for (sent, key) in [
            ("8e03978e-40d5", "8e03978e-40d5"),
            ("\"8e03978e-40d5\"", "8e03978e-40d5"),
            (r#""a \"b\" \\ c""#, r#"a "b" \ c"#),
        ] {
            assert_eq!(key_of(&[sent.as_bytes()]).unwrap().as_deref(), Some(key), "{sent}");
        }
        let longest = "k".repeat(255);
        assert_eq!(key_of(&[longest.as_bytes()]).unwrap(), Some(longest));
    }

    #[test]
    fn what_is_no_key_is_refused_by_name() {
        let too_long = "k".repeat(256);
        let too_long_quoted = format!("\"{too_long}\"");
        let cases: [&[&[u8]]; 10] = [
            &[b""],
            &[b"\""],
            &[b"\"\""],
            &[b"a b"],
            &[b"a\tb"],
            &["\u{e9}".as_bytes()],
            &[b"\"a\"b\""],
            &[too_long.as_bytes()],
            &[too_long_quoted.as_bytes()],
            &[b"a", b"b"],
        ];
        for sent in cases {
            let error = key_of(sent).unwrap_err();
            assert_eq!(error.problem().status, 400, "{sent:?}");
            let errors = &error.problem().errors;
            assert_eq!(errors[0].field, NAME, "{sent:?}");
            assert!(!errors[0].detail.contains('^'), "{sent:?}: {}", errors[0].detail);
        }
    }
}
