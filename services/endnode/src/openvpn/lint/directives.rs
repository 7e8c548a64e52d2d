//! Reading a configuration file as OpenVPN does.

use std::path::{Path, PathBuf};

/// The directives of one file: names and arguments, later ones last.
pub(super) struct Directives {
    base: PathBuf,
    lines: Vec<Vec<String>>,
}

impl Directives {
    /// Comments and inline files (`<ca>` to `</ca>`) are left out.
    pub(super) fn parse(text: &str, base: &Path) -> Self {
        let mut lines = Vec::new();
        let mut inline: Option<String> = None;
        for line in text.lines() {
            if let Some(end) = &inline {
                if line.trim() == end {
                    inline = None;
                }
                continue;
            }
            let words = words(line);
            let Some(first) = words.first() else { continue };
            match first.strip_prefix('<').and_then(|name| name.strip_suffix('>')) {
                Some(name) => inline = Some(format!("</{name}>")),
                None => lines.push(words),
            }
        }
        Self {
            base: base.to_owned(),
            lines,
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    pub(super) fn arguments(&self, name: &str) -> &[String] {
        self.find(name).map_or(&[], |line| &line[1..])
    }

    pub(super) fn argument(&self, name: &str) -> Option<&str> {
        self.arguments(name).first().map(String::as_str)
    }

    /// Relative paths start from `cd`, or from the file's own folder, as under systemd.
    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        let base = self.argument("cd").map_or(self.base.clone(), |cd| self.base.join(cd));
        let path = base.join(self.argument(name)?);
        Some(path.components().collect())
    }

    fn find(&self, name: &str) -> Option<&Vec<String>> {
        self.lines
            .iter()
            .rev()
            .find(|line| line[0] == name || line[0].strip_prefix("--") == Some(name))
    }
}

/// The words of a line as OpenVPN splits it: blanks, quotes, comments. Backslashes are taken literally.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    for c in line.chars() {
        match quote {
            Some(end) if c == end => quote = None,
            Some(_) => word.get_or_insert_default().push(c),
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            None if (c == '#' || c == ';') && word.is_none() => break,
            None => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}
