//! The words of one line, as OpenVPN splits it (`parse_line` of its options.c; "Configuration file" in its manual).

/// Parameters of one line; OpenVPN does not look at further ones.
const MOST_WORDS: usize = 16;

/// Why OpenVPN refuses a line. It does not start then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadLine {
    /// A backslash before something else than a blank, a double quote or a backslash.
    Backslash,
    /// A quote that does not end on its line.
    OpenQuote,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Between,
    Bare,
    Quoted,
    /// In single quotes nothing is escaped.
    Literal,
}

/// Blanks part words, `#` and `;` at the begin of a word begin a comment, quotes count at the begin of a word only, and a word
/// ends where its quote does.
pub fn words(line: &str) -> Result<Vec<String>, BadLine> {
    let (mut words, mut word) = (Vec::new(), String::new());
    let (mut state, mut escaped) = (State::Between, false);
    // The end of the line ends a bare word, as a blank does.
    for c in line.chars().chain(['\n']) {
        if c == '\\' && !escaped && state != State::Literal {
            escaped = true;
            continue;
        }
        let (next, stored) = match state {
            State::Between if is_blank(c) => (State::Between, false),
            State::Between if c == '#' || c == ';' => break,
            State::Between if c == '"' && !escaped => (State::Quoted, false),
            State::Between if c == '\'' && !escaped => (State::Literal, false),
            State::Bare if is_blank(c) && !escaped => (State::Between, false),
            State::Quoted if c == '"' && !escaped => (State::Between, false),
            State::Literal if c == '\'' => (State::Between, false),
            State::Between | State::Bare => (State::Bare, true),
            State::Quoted | State::Literal => (state, true),
        };
        if stored {
            if escaped && !(c == '\\' || c == '"' || is_blank(c)) {
                return Err(BadLine::Backslash);
            }
            word.push(c);
        }
        if state != State::Between && next == State::Between {
            words.push(std::mem::take(&mut word));
        }
        (state, escaped) = (next, false);
        if words.len() == MOST_WORDS {
            break;
        }
    }
    match state {
        State::Quoted | State::Literal => Err(BadLine::OpenQuote),
        State::Between | State::Bare => Ok(words),
    }
}

/// As C's `isspace` and the end of the line.
fn is_blank(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\x0b' || c == '\0'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_as_openvpn_splits_them() {
        let cases: [(&str, &[&str]); 14] = [
            ("port 1194", &["port", "1194"]),
            ("\tport\t1194\r", &["port", "1194"]),
            ("key a.key # secret", &["key", "a.key"]),
            ("key a.key ; secret", &["key", "a.key"]),
            ("key a.key# secret", &["key", "a.key#", "secret"]),
            (";port 1194", &[]),
            ("   # port 1194", &[]),
            (
                "push \"route 10.0.0.0 255.0.0.0\"",
                &["push", "route 10.0.0.0 255.0.0.0"],
            ),
            ("ca 'my ca.crt'", &["ca", "my ca.crt"]),
            (r#"ca my" ca".crt"#, &["ca", "my\"", "ca\".crt"]),
            (r#"ca "a"b"#, &["ca", "a", "b"]),
            (r"ca my\ ca.crt", &["ca", "my ca.crt"]),
            (r#"ca "c:\\a \"b\".crt""#, &["ca", "c:\\a \"b\".crt"]),
            (r"ca 'c:\a'", &["ca", "c:\\a"]),
        ];
        for (line, expected) in cases {
            assert_eq!(words(line).expect("a line that OpenVPN takes"), expected, "{line:?}");
        }
        assert_eq!(words(r#"ca """#).expect("read"), ["ca", ""]);
        assert_eq!(words(r"ca c:\a"), Err(BadLine::Backslash));
        assert_eq!(words("ca \"a"), Err(BadLine::OpenQuote));
        assert_eq!(words("ca it's"), Ok(vec!["ca".to_owned(), "it's".to_owned()]));
        assert_eq!(words("ca 'a"), Err(BadLine::OpenQuote));
    }
}
