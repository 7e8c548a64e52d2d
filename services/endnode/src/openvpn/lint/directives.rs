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

/// The words of a line as OpenVPN splits it (its `parse_line`): a quote begins only a word and ends it, a backslash
/// takes a blank, a double quote or a backslash as it is. Other backslashes, which OpenVPN refuses, stay.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let is_escape = |next: &char| next.is_whitespace() || matches!(next, '"' | '\\');
        match (quote, c) {
            (None | Some('"'), '\\') => {
                let literal = chars.next_if(is_escape).unwrap_or('\\');
                word.get_or_insert_default().push(literal);
            }
            (Some(end), c) if c == end => {
                quote = None;
                words.extend(word.take());
            }
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '"' | '\'') if word.is_none() => {
                quote = Some(c);
                word = Some(String::new());
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, '#' | ';') if word.is_none() => break,
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_as_openvpn_splits_it() {
        for (line, expected) in [
            ("ccd-exclusive", vec!["ccd-exclusive"]),
            (" dev  tun # a remark", vec!["dev", "tun"]),
            ("dev tun;x", vec!["dev", "tun;x"]),
            ("; dev tun", vec![]),
            (
                r#"management "/run/my vpn/m.sock" unix"#,
                vec!["management", "/run/my vpn/m.sock", "unix"],
            ),
            ("management '/run/m \"x' unix", vec!["management", "/run/m \"x", "unix"]),
            (
                r"client-config-dir /etc/my\ dir",
                vec!["client-config-dir", "/etc/my dir"],
            ),
            (r#"push "dhcp-option \"x\"""#, vec!["push", r#"dhcp-option "x""#]),
            (r"'a\ b'", vec![r"a\ b"]),
            (r#"ccd-"exclusive""#, vec![r#"ccd-"exclusive""#]),
            (r#""a"b"#, vec!["a", "b"]),
            (r"ccd\-exclusive", vec![r"ccd\-exclusive"]),
            (r#"dev """#, vec!["dev", ""]),
            ("dev \"tun", vec!["dev", "tun"]),
        ] {
            assert_eq!(words(line), expected, "{line}");
        }
    }
}
