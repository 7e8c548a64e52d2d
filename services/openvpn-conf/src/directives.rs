//! Reading a configuration file as OpenVPN does: `read_config_file` and `add_option` of its options.c.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    place::is_same_place,
    words::{BadLine, words},
};

/// Bytes of a line with its end from which on OpenVPN refuses the file.
const LINE_BYTES: usize = 256;
/// Files that may include each other.
const DEPTH: usize = 10;
/// Files that are read for one configuration. OpenVPN has no such bound: each of ten files that names the next one ten times would be read for days.
const MOST_FILES: usize = 100;
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// How the files are had.
type Open<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

/// The options of a file and of those that it includes; later ones last.
#[derive(Debug, Default)]
pub struct Directives {
    /// Where relative paths start when everything is read.
    folder: PathBuf,
    /// How many files were read.
    files: usize,
    lines: Vec<Directive>,
    /// Why OpenVPN does not start with this file, in words.
    pub refusals: Vec<String>,
}

/// One option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// Its name and what follows it.
    pub words: Vec<String>,
    /// The text between `<name>` and `</name>`.
    pub inline: Option<String>,
    /// It stands behind `setenv opt`: an OpenVPN that does not take it goes on without it.
    pub optional: bool,
    /// Where it stands; `None`: on the command line.
    pub origin: Option<Origin>,
}

/// Where an option stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file.
    pub file: PathBuf,
    /// The line in it, from 1 on.
    pub line: usize,
}

impl Directive {
    /// Its name.
    pub fn name(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }
}

/// What an option names: a file, or its content in the configuration itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The path of a file.
    File(PathBuf),
    /// The content.
    Inline(String),
}

impl Directives {
    /// Relative paths start from the file's own folder, as under systemd, unless `cd` says otherwise.
    pub fn read(file: &Path) -> Self {
        Self::load(file, &from_disk)
    }

    /// As [`Self::read`], with files from elsewhere: each is asked for by the path that leads to it from that of the first one.
    pub fn load(file: &Path, open: &dyn Fn(&Path) -> io::Result<Vec<u8>>) -> Self {
        let mut directives = Self::beside(file);
        directives.include(file, 1, open);
        directives
    }

    /// The options of a command line in their order, and those of the file where it stands among them. `None` where it is not named.
    pub fn started(file: &Path, options: &[Vec<String>]) -> Option<Self> {
        let mut directives = Self::beside(file);
        let mut is_named = false;
        for words in options {
            match words.as_slice() {
                [name, named] if name == "config" && directives.is_same_file(named, file) => {
                    directives.include(file, 1, &from_disk);
                    is_named = true;
                }
                _ => directives.add(words.clone(), None, 0, &from_disk),
            }
        }
        is_named.then_some(directives)
    }

    fn beside(file: &Path) -> Self {
        Self {
            folder: file.parent().unwrap_or(Path::new("/")).to_owned(),
            ..Self::default()
        }
    }

    /// Where a relative path starts is not known for certain: its end is enough.
    fn is_same_file(&self, named: &str, file: &Path) -> bool {
        is_same_place(&self.folder.join(named), file) || (Path::new(named).is_relative() && file.ends_with(named))
    }

    fn include(&mut self, file: &Path, depth: usize, open: Open<'_>) {
        if depth > DEPTH {
            self.refuse(format!("{} is included by itself", file.display()));
            return;
        }
        self.files += 1;
        if self.files > MOST_FILES {
            // Once is enough: there may be very many more.
            if self.files == MOST_FILES + 1 {
                self.refuse(format!("more than {MOST_FILES} files are included"));
            }
            return;
        }
        match open(file) {
            Ok(bytes) => self.parse(&String::from_utf8_lossy(&bytes), file, depth, open),
            Err(error) => self.refuse(format!("cannot read {}: {error}", file.display())),
        }
    }

    fn parse(&mut self, text: &str, file: &Path, depth: usize, open: Open<'_>) {
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        let mut lines = text.split('\n').enumerate();
        while let Some((number, line)) = lines.next() {
            let place = format!("{}:{}", file.display(), number + 1);
            if line.len() + 1 >= LINE_BYTES {
                self.refuse(format!("{place} is longer than 254 bytes"));
                continue;
            }
            let words = match words(line) {
                Ok(words) => words,
                Err(BadLine::Backslash) => {
                    self.refuse(format!("{place} has a backslash that escapes nothing: write \\\\"));
                    continue;
                }
                Err(BadLine::OpenQuote) => {
                    self.refuse(format!("{place} has a quote that does not end"));
                    continue;
                }
            };
            let Some(first) = words.first() else { continue };
            let origin = Origin {
                file: file.to_owned(),
                line: number + 1,
            };
            let tag = first.strip_prefix('<').and_then(|name| name.strip_suffix('>'));
            let Some(name) = tag.filter(|_| words.len() == 1) else {
                self.add(words, Some(origin), depth, open);
                continue;
            };
            let end = format!("</{name}>");
            let mut inline = String::new();
            let closed = lines.by_ref().any(|(_, line)| {
                let is_end = line.trim_start().starts_with(&end);
                if !is_end {
                    inline.extend([line, "\n"]);
                }
                is_end
            });
            if !closed {
                self.refuse(format!("{place} begins <{name}>, which does not end"));
            }
            self.lines.push(Directive {
                words: vec![name.to_owned()],
                inline: Some(inline),
                optional: false,
                origin: Some(origin),
            });
        }
    }

    fn add(&mut self, mut words: Vec<String>, origin: Option<Origin>, depth: usize, open: Open<'_>) {
        // An option that older clients may not know.
        let optional = words[0] == "setenv" && words.get(1).is_some_and(|name| name == "opt");
        if optional {
            words.drain(..2);
        }
        let Some(name) = words.first_mut() else { return };
        if let Some(bare) = name.strip_prefix("--") {
            *name = bare.to_owned();
        }
        match (words[0].as_str(), &words[1..]) {
            ("config", [file]) => {
                let file = self.folder.join(file);
                self.include(&file, depth + 1, open);
            }
            ("cd", [folder]) => self.folder.push(folder),
            _ => self.lines.push(Directive {
                words,
                inline: None,
                optional,
                origin,
            }),
        }
    }

    fn refuse(&mut self, reason: String) {
        self.refusals.push(reason);
    }

    /// Whether this option is there.
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// What follows the last one of this name.
    pub fn arguments(&self, name: &str) -> &[String] {
        self.find(name).map_or(&[], |line| &line.words[1..])
    }

    /// The first word behind the last one of this name.
    pub fn argument(&self, name: &str) -> Option<&str> {
        self.arguments(name).first().map(String::as_str)
    }

    /// Whether the second word behind the last one of this name says that its place is of this kind: `crl-verify FOLDER dir`.
    pub fn is_kind(&self, name: &str, kind: &str) -> bool {
        self.arguments(name).get(1).is_some_and(|word| word == kind)
    }

    /// The arguments of each line of an option that may be there several times.
    pub fn each<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [String]> {
        let lines = self.lines.iter().filter(move |line| line.words[0] == name);
        lines.map(|line| &line.words[1..])
    }

    /// What is pushed to clients of an option: each line in words, with its name.
    pub fn pushed<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Vec<String>> {
        let lines = self.each("push").filter_map(|line| words(line.first()?).ok());
        lines.filter(move |words| words.first().is_some_and(|word| word == name))
    }

    /// The last line of an option, with its name.
    pub fn line(&self, name: &str) -> Option<&[String]> {
        self.find(name).map(|line| line.words.as_slice())
    }

    /// Whether OpenVPN must take this option to start.
    pub fn has_strictly(&self, name: &str) -> bool {
        self.strict_lines(name).next().is_some()
    }

    /// The lines of an option that OpenVPN must take to start, with its name.
    pub fn strict_lines<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [String]> {
        let lines = self
            .lines
            .iter()
            .filter(move |line| line.words[0] == name && !line.optional);
        lines.map(|line| line.words.as_slice())
    }

    /// The path behind the last one of this name, from where relative paths start.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        let path = self.folder.join(self.argument(name)?);
        Some(path.components().collect())
    }

    /// What the last one of this name names.
    pub fn source(&self, name: &str) -> Option<Source> {
        match &self.find(name)?.inline {
            Some(text) => Some(Source::Inline(text.clone())),
            None => self.path(name).map(Source::File),
        }
    }

    /// All options in their order.
    pub fn all(&self) -> impl Iterator<Item = &Directive> {
        self.lines.iter()
    }

    fn find(&self, name: &str) -> Option<&Directive> {
        self.lines.iter().rev().find(|line| line.words[0] == name)
    }
}

fn from_disk(file: &Path) -> io::Result<Vec<u8>> {
    fs::read(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, &str)]) -> (tempfile::TempDir, Directives) {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let file = dir.path().join(name);
            fs::create_dir_all(file.parent().expect("a folder")).expect("made");
            fs::write(file, text).expect("written");
        }
        let directives = Directives::read(&dir.path().join(files[0].0));
        (dir, directives)
    }

    #[test]
    fn files_of_real_life_are_read_to_their_end() {
        let long_comment = format!("# {}", "x".repeat(250));
        let cases = [
            "\u{feff}ccd-exclusive\n",
            "port 1\r\nccd-exclusive\r\n",
            "--port 1\n--ccd-exclusive\n",
            "setenv opt ccd-exclusive\n",
            "setenv-safe port 2\nccd-exclusive # only these",
            "<ca>\nccd-exclusive\n  </ca> end\nccd-exclusive",
            "<tls-auth>\n#\n'\n\\\n</tls-auth>\n\tccd-exclusive",
        ];
        for text in cases {
            let (_dir, read) = read(&[("a.conf", text)]);
            assert!(read.has("ccd-exclusive"), "{text:?}");
            assert_eq!(read.refusals, Vec::<String>::new(), "{text:?}");
        }
        for text in [
            "CCD-exclusive",
            "setenv-safe ccd-exclusive 1",
            "<ca>\nccd-exclusive\n</ca>",
            "setenv x ccd-exclusive",
        ] {
            assert!(!read(&[("a.conf", text)]).1.has("ccd-exclusive"), "{text:?}");
        }
        for text in ["<ca>\nx", "port \"1", "ca c:\\a", &long_comment[..], "config none.conf"] {
            let file = format!("{text}\nport 1");
            assert_eq!(
                read(&[("a.conf", &file)]).1.refusals.len(),
                usize::from(!text.starts_with('#')),
                "{text:?}"
            );
        }
        let (_dir, long) = read(&[("a.conf", &format!("{long_comment}xxx\nport 1"))]);
        assert_eq!(long.refusals.len(), 1, "OpenVPN refuses comments too");
    }

    #[test]
    fn included_files_count_where_they_stand_and_paths_start_from_cd() {
        let (dir, conf) = read(&[
            (
                "a.conf",
                "port 1\nconfig sub/b.conf\ncd keys\nca ca.crt\nclient-config-dir '/x/../y'",
            ),
            ("sub/b.conf", "port 2\nproto tcp\nconfig sub/c.conf"),
            ("sub/c.conf", "<ca>\ninline\n</ca>"),
        ]);
        assert_eq!(
            (conf.argument("port"), conf.argument("proto")),
            (Some("2"), Some("tcp"))
        );
        assert_eq!(conf.path("ca"), Some(dir.path().join("keys/ca.crt")));
        let (_dir, round) = read(&[("a.conf", "config a.conf")]);
        assert_eq!(round.refusals.len(), 1);
    }

    #[test]
    fn a_file_that_names_itself_very_often_is_given_up() {
        let (_dir, round) = read(&[("a.conf", &"config a.conf\n".repeat(50))]);
        let last = round.refusals.last().expect("a refusal");
        assert!(last.contains("more than 100 files"), "{last}");
    }

    #[test]
    fn where_an_option_stands_is_known() {
        let text = "# a comment\nport 1\n<ca>\nx\n</ca>\ndev tun";
        let conf = Directives::load(Path::new("a.conf"), &|_| Ok(text.as_bytes().to_vec()));
        let origins = conf.all().map(|line| line.origin.as_ref().map(|origin| origin.line));
        assert_eq!(origins.collect::<Vec<_>>(), [Some(2), Some(3), Some(6)]);
    }
}
