//! The crates of the workspace, as their `Cargo.toml` describe them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// All crates of ours.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) crates: Vec<Crate>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Crate {
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
    pub(crate) manifest: Manifest,
}

/// What is read of a `Cargo.toml`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) members: Vec<String>,
    pub(crate) dependencies: Vec<String>,
    pub(crate) dev_dependencies: Vec<String>,
    /// Dependencies that are there for their features alone.
    pub(crate) unnamed: Vec<String>,
}

impl Workspace {
    /// Reads the workspace in this folder.
    pub(crate) fn read(root: &Path) -> io::Result<Self> {
        let members = Manifest::read(root)?.members;
        let crates = members.iter().map(|member| {
            let dir = root.join(member);
            let manifest = Manifest::read(&dir)?;
            Ok(Crate {
                name: member.clone(),
                dir,
                manifest,
            })
        });
        Ok(Self {
            root: root.to_path_buf(),
            crates: crates.collect::<io::Result<_>>()?,
        })
    }
}

impl Manifest {
    fn read(dir: &Path) -> io::Result<Self> {
        let file = dir.join("Cargo.toml");
        let text = fs::read_to_string(&file);
        let text = text.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))?;
        Ok(Self::parse(&text))
    }

    /// Ours are written one dependency a line; that much of TOML is understood.
    fn parse(text: &str) -> Self {
        let (mut manifest, mut table, mut list) = (Self::default(), String::new(), None::<String>);
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            if let Some(key) = &list {
                manifest.add_to_list(&table, &key.clone(), line);
                list = list.filter(|_| !line.contains(']'));
            } else if line.starts_with('[') {
                table = line.trim_matches(['[', ']']).to_owned();
            } else if let Some((key, value)) = line.split_once('=') {
                let (key, value) = (key.trim(), value.trim());
                if value.starts_with('[') {
                    manifest.add_to_list(&table, key, value);
                    list = (!value.ends_with(']')).then(|| key.to_owned());
                } else {
                    manifest.add_dependency(&table, key);
                }
            }
        }
        manifest
    }

    fn add_to_list(&mut self, table: &str, key: &str, line: &str) {
        let list = match (table, key) {
            ("workspace", "members") => &mut self.members,
            ("package.metadata.lint", "unnamed") => &mut self.unnamed,
            _ => return,
        };
        list.extend(line.split('"').skip(1).step_by(2).map(str::to_owned));
    }

    fn add_dependency(&mut self, table: &str, key: &str) {
        let dependencies = match table {
            "dependencies" => &mut self.dependencies,
            "dev-dependencies" => &mut self.dev_dependencies,
            _ => return,
        };
        dependencies.push(key.split('.').next().unwrap_or(key).to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_dependencies_and_exceptions_are_read() {
        let manifest = Manifest::parse(
            "[workspace]\nmembers = [\n  \"a\",\n  \"b/c\",\n]\n[dependencies]\nd.workspace = true\n# e = 1\n\
             f = { workspace = true, features = [\"g\"] }\n[dev-dependencies]\nh.workspace = true\n\
             [package.metadata.lint]\nunnamed = [\"d\"]\n",
        );
        let wanted = Manifest {
            members: vec!["a".to_owned(), "b/c".to_owned()],
            dependencies: vec!["d".to_owned(), "f".to_owned()],
            dev_dependencies: vec!["h".to_owned()],
            unnamed: vec!["d".to_owned()],
        };
        assert_eq!(manifest, wanted);
    }
}
