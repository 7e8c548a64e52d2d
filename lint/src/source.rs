//! What one file declares, imports and names.

use std::collections::BTreeSet;

use crate::tokens::{Kind, Token};

/// The inline modules around a place in a file, outermost first.
pub(crate) type Scope = Vec<String>;

/// One file, read.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// `mod x;`
    pub(crate) files: Vec<(Scope, String)>,
    /// `mod x { .. }`, each with its own name at the end.
    pub(crate) inline: Vec<Scope>,
    pub(crate) imports: Vec<Import>,
    /// Paths of two or more parts outside imports.
    pub(crate) mentions: Vec<Mention>,
    /// Items, by module.
    pub(crate) defined: BTreeSet<(Scope, String)>,
    /// Every word outside imports.
    pub(crate) words: BTreeSet<String>,
}

/// One name that a `use` brings in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) scope: Scope,
    pub(crate) path: Vec<String>,
    /// The name here; `None` for `*`.
    pub(crate) name: Option<String>,
    pub(crate) public: bool,
    pub(crate) line: usize,
}

/// One path in code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mention {
    pub(crate) scope: Scope,
    pub(crate) path: Vec<String>,
    pub(crate) line: usize,
}

const ITEMS: [&str; 9] = [
    "struct",
    "enum",
    "trait",
    "fn",
    "type",
    "const",
    "static",
    "union",
    "macro_rules",
];

impl Source {
    /// Reads a file's tokens.
    pub(crate) fn read(tokens: &[Token]) -> Self {
        let mut reader = Reader {
            tokens,
            at: 0,
            blocks: Vec::new(),
            source: Self::default(),
        };
        while reader.at < tokens.len() {
            reader.step();
        }
        reader.source
    }
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    /// The open braces; those of inline modules with their names.
    blocks: Vec<Option<String>>,
    source: Source,
}

impl Reader<'_> {
    fn word(&self, at: usize) -> Option<&str> {
        self.tokens.get(at)?.word()
    }

    fn is_sign(&self, at: usize, sign: char) -> bool {
        self.tokens.get(at).is_some_and(|token| token.is_sign(sign))
    }

    fn scope(&self) -> Scope {
        self.blocks.iter().flatten().cloned().collect()
    }

    fn step(&mut self) {
        let token = &self.tokens[self.at];
        match &token.kind {
            Kind::Sign('{') => self.blocks.push(None),
            Kind::Sign('}') => drop(self.blocks.pop()),
            Kind::Word(word) => return self.step_word(word.clone()),
            Kind::Text(_) | Kind::Separator | Kind::Sign(_) => {}
        }
        self.at += 1;
    }

    fn step_word(&mut self, word: String) {
        match word.as_str() {
            "use" if !self.is_sign(self.at + 1, '<') => return self.read_import(),
            "mod" => return self.read_module(),
            // `pub(in crate::x)` names a module and uses nothing of it.
            "pub" if self.is_sign(self.at + 1, '(') => {
                while !self.is_sign(self.at, ')') && self.at < self.tokens.len() {
                    self.at += 1;
                }
                return;
            }
            _ => {}
        }
        if ITEMS.contains(&word.as_str()) && self.blocks.iter().all(Option::is_some) {
            let name = self.at + 1 + usize::from(self.is_sign(self.at + 1, '!'));
            if let Some(name) = self.word(name) {
                let item = (self.scope(), name.to_owned());
                self.source.defined.insert(item);
            }
        }
        self.read_path(word);
    }

    fn read_path(&mut self, first: String) {
        let (line, is_inside_path) = (
            self.tokens[self.at].line,
            self.at > 0 && self.tokens[self.at - 1].is_separator(),
        );
        let mut path = vec![first];
        self.at += 1;
        while self.tokens.get(self.at).is_some_and(Token::is_separator)
            && let Some(part) = self.word(self.at + 1)
        {
            path.push(part.to_owned());
            self.at += 2;
        }
        self.source.words.extend(path.iter().cloned());
        if path.len() > 1 && !is_inside_path {
            let scope = self.scope();
            self.source.mentions.push(Mention { scope, path, line });
        }
    }

    fn read_module(&mut self) {
        let Some(name) = self.word(self.at + 1).map(str::to_owned) else {
            self.at += 1;
            return;
        };
        if self.is_sign(self.at + 2, '{') {
            self.blocks.push(Some(name));
            self.source.inline.push(self.scope());
        } else if self.is_sign(self.at + 2, ';') {
            self.source.files.push((self.scope(), name));
        }
        self.at += 3;
    }

    fn read_import(&mut self) {
        let public = self.is_public();
        self.at += 1;
        self.read_import_tree(&[], public);
        while self.at < self.tokens.len() && !self.is_sign(self.at, ';') {
            self.at += 1;
        }
    }

    /// `pub use`, `pub(crate) use`.
    fn is_public(&self) -> bool {
        let before = &self.tokens[..self.at];
        let before = match before.last() {
            Some(last) if last.is_sign(')') => {
                let open = before.iter().rposition(|token| token.is_sign('('));
                &before[..open.unwrap_or(0)]
            }
            _ => before,
        };
        before.last().and_then(Token::word) == Some("pub")
    }

    /// `a::b`, `a::b as c`, `a::*`, `a::{b, c::d}`: everything up to the comma, bracket or semicolon behind it.
    fn read_import_tree(&mut self, prefix: &[String], public: bool) {
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        let mut path = prefix.to_vec();
        loop {
            match self.tokens.get(self.at).map(|token| &token.kind) {
                Some(Kind::Separator) => self.at += 1,
                Some(Kind::Sign('{')) => {
                    self.at += 1;
                    while self.at < self.tokens.len() && !self.is_sign(self.at, '}') {
                        self.read_import_tree(&path, public);
                        self.at += usize::from(self.is_sign(self.at, ','));
                    }
                    self.at += 1;
                    return;
                }
                Some(Kind::Sign('*')) => {
                    self.at += 1;
                    return self.add_import(path, None, public, line);
                }
                Some(Kind::Word(word)) if word == "as" => {
                    let name = self.word(self.at + 1).map(str::to_owned);
                    self.at += 2;
                    return self.add_import(path, name, public, line);
                }
                Some(Kind::Word(word)) => {
                    path.push(word.clone());
                    self.at += 1;
                }
                Some(Kind::Text(_) | Kind::Sign(_)) | None => break,
            }
        }
        if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
            path.pop();
        }
        let name = path.last().cloned();
        self.add_import(path, name, public, line);
    }

    fn add_import(&mut self, path: Vec<String>, name: Option<String>, public: bool, line: usize) {
        let scope = self.scope();
        self.source.imports.push(Import {
            scope,
            path,
            name,
            public,
            line,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::tokenize;

    fn read(source: &str) -> Source {
        Source::read(&tokenize(source))
    }

    #[test]
    fn every_leaf_of_an_import_is_one_import() {
        let source = read("pub(crate) use crate::a::{self, b::{C as D, E}, f::*};");
        let found: Vec<(String, Option<&str>)> = source
            .imports
            .iter()
            .map(|import| (import.path.join("::"), import.name.as_deref()))
            .collect();
        let wanted = [
            ("crate::a".to_owned(), Some("a")),
            ("crate::a::b::C".to_owned(), Some("D")),
            ("crate::a::b::E".to_owned(), Some("E")),
            ("crate::a::f".to_owned(), None),
        ];
        assert_eq!(found, wanted);
        assert!(source.imports.iter().all(|import| import.public));
    }

    #[test]
    fn paths_in_code_are_mentions_and_items_are_defined_where_they_stand() {
        let source = read("mod a; mod b { pub(in crate::x) struct C; } fn d() { let e = super::f::G::<H>::new(); } ");
        assert_eq!(source.files, [(vec![], "a".to_owned())]);
        assert_eq!(source.inline, [["b"]]);
        assert!(source.defined.contains(&(vec!["b".to_owned()], "C".to_owned())));
        assert!(source.defined.contains(&(vec![], "d".to_owned())));
        let paths: Vec<String> = source.mentions.iter().map(|mention| mention.path.join("::")).collect();
        assert_eq!(paths, ["super::f::G"]);
    }
}
