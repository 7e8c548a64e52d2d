//! Rust source as tokens: no comments, no blanks.

use std::iter::Peekable;
use std::str::Chars;

/// One token and its line, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) line: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A keyword, an identifier or a number.
    Word(String),
    /// The content of a string literal.
    Text(String),
    /// `::`.
    Separator,
    /// Any other character.
    Sign(char),
}

impl Token {
    /// The word, where this is one.
    pub(crate) fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(word) => Some(word),
            Kind::Text(_) | Kind::Separator | Kind::Sign(_) => None,
        }
    }

    pub(crate) fn is_sign(&self, sign: char) -> bool {
        self.kind == Kind::Sign(sign)
    }

    pub(crate) fn is_separator(&self) -> bool {
        self.kind == Kind::Separator
    }
}

/// All tokens of a file.
pub(crate) fn tokenize(source: &str) -> Vec<Token> {
    let mut reader = Reader {
        rest: source.chars().peekable(),
        line: 1,
    };
    let mut tokens = Vec::new();
    loop {
        let line = reader.line;
        let Some(first) = reader.next() else {
            return tokens;
        };
        if let Some(kind) = reader.token(first) {
            tokens.push(Token { kind, line });
        }
    }
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    line: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.next();
        self.line += usize::from(next == Some('\n'));
        next
    }

    fn next_if(&mut self, wanted: impl FnOnce(char) -> bool) -> Option<char> {
        let fits = self.rest.peek().copied().is_some_and(wanted);
        if fits { self.next() } else { None }
    }

    fn token(&mut self, first: char) -> Option<Kind> {
        match first {
            blank if blank.is_whitespace() => None,
            '/' if self.next_if(|it| it == '/').is_some() => {
                while self.next_if(|it| it != '\n').is_some() {}
                None
            }
            '/' if self.next_if(|it| it == '*').is_some() => {
                self.skip_block_comment();
                None
            }
            '"' => Some(Kind::Text(self.text())),
            '\'' => self.character_or_lifetime(),
            ':' if self.next_if(|it| it == ':').is_some() => Some(Kind::Separator),
            start if is_word(start) => Some(self.word(start)),
            sign => Some(Kind::Sign(sign)),
        }
    }

    fn skip_block_comment(&mut self) {
        let mut depth = 1;
        while depth > 0
            && let Some(next) = self.next()
        {
            if next == '*' && self.next_if(|it| it == '/').is_some() {
                depth -= 1;
            } else if next == '/' && self.next_if(|it| it == '*').is_some() {
                depth += 1;
            }
        }
    }

    fn text(&mut self) -> String {
        let mut text = String::new();
        while let Some(next) = self.next() {
            match next {
                '"' => break,
                '\\' => text.extend(self.next()),
                other => text.push(other),
            }
        }
        text
    }

    fn raw_text(&mut self, hashes: usize) -> String {
        let end = format!("\"{}", "#".repeat(hashes));
        let mut text = String::new();
        while !text.ends_with(&end)
            && let Some(next) = self.next()
        {
            text.push(next);
        }
        text.truncate(text.len().saturating_sub(end.len()));
        text
    }

    /// Neither is of interest.
    fn character_or_lifetime(&mut self) -> Option<Kind> {
        if self.next_if(|it| it == '\\').is_some() {
            self.next();
            while self.next_if(|it| it != '\'').is_some() {}
            self.next();
        } else {
            self.next();
            if self.next_if(|it| it == '\'').is_none() {
                while self.next_if(is_word).is_some() {}
            }
        }
        None
    }

    fn word(&mut self, start: char) -> Kind {
        let mut word = start.to_string();
        while let Some(next) = self.next_if(is_word) {
            word.push(next);
        }
        let raw = matches!(word.as_str(), "r" | "br" | "cr");
        if (raw || matches!(word.as_str(), "b" | "c")) && self.next_if(|it| it == '"').is_some() {
            return Kind::Text(if raw { self.raw_text(0) } else { self.text() });
        }
        if raw {
            let mut hashes = 0;
            while self.next_if(|it| it == '#').is_some() {
                hashes += 1;
            }
            if hashes > 0 && self.next_if(|it| it == '"').is_some() {
                return Kind::Text(self.raw_text(hashes));
            }
            // `r#type`: the word follows.
        }
        Kind::Word(word)
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The tokens without the items under `#[cfg(test)]`.
pub(crate) fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    let mut kept = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        if starts_test(&tokens[at..]) {
            at = end_of_item(&tokens, at);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

fn starts_test(tokens: &[Token]) -> bool {
    let attribute = ["#", "[", "cfg", "(", "test", ")", "]"];
    tokens.len() > attribute.len()
        && tokens.iter().zip(attribute).all(|(token, wanted)| match &token.kind {
            Kind::Word(word) => word == wanted,
            Kind::Sign(sign) => wanted.len() == 1 && wanted.starts_with(*sign),
            Kind::Text(_) | Kind::Separator => false,
        })
}

/// The place after the item that begins with the attributes at `at`.
fn end_of_item(tokens: &[Token], mut at: usize) -> usize {
    while tokens.get(at).is_some_and(|token| token.is_sign('#')) {
        at = end_of_group(tokens, at + 1);
    }
    let words = tokens[at..].iter().take(6).filter_map(Token::word);
    let is_import = words.into_iter().any(|word| word == "use");
    while let Some(token) = tokens.get(at) {
        match token.kind {
            Kind::Sign(';') => return at + 1,
            Kind::Sign('{') if !is_import => return end_of_group(tokens, at),
            Kind::Sign('{' | '(' | '[') => at = end_of_group(tokens, at),
            Kind::Word(_) | Kind::Text(_) | Kind::Separator | Kind::Sign(_) => at += 1,
        }
    }
    at
}

/// The place after the bracket that closes the one at `at`.
fn end_of_group(tokens: &[Token], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token.kind {
            Kind::Sign('{' | '(' | '[') => depth += 1,
            Kind::Sign('}' | ')' | ']') => depth = depth.saturating_sub(1),
            Kind::Word(_) | Kind::Text(_) | Kind::Separator | Kind::Sign(_) => {}
        }
        if depth == 0 {
            break;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<String> {
        let tokens = without_tests(tokenize(source));
        tokens.iter().filter_map(Token::word).map(str::to_owned).collect()
    }

    #[test]
    fn comments_literals_and_lifetimes_hold_no_words() {
        let source = "a /* b /* c */ d */ 'x' '\\'' '\\u{41}' &'e f // g\n \"h \\\" i\" r#\"j\"# b\"k\" l";
        assert_eq!(words(source), ["a", "f", "l"]);
    }

    #[test]
    fn test_items_are_left_out_whatever_their_shape() {
        let source = "a\n#[cfg(test)] mod b { fn c() {} }\n#[cfg(test)] use d::{e, f};\n#[cfg(test)]\n#[x] mod g;\nh";
        assert_eq!(words(source), ["a", "h"]);
    }

    #[test]
    fn lines_are_counted_through_comments_and_texts() {
        let tokens = tokenize("a /*\n*/ \"\n\"\nb");
        assert_eq!(tokens.last().map(|token| token.line), Some(4));
    }
}
