//! The modules of one target of a crate, and where a path leads.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::source::Source;
use crate::tokens::{tokenize, without_tests};

/// The files of a target, found by following `mod x;` from its root.
#[derive(Debug, Default)]
pub(crate) struct Modules {
    pub(crate) files: Vec<File>,
    /// Every module by its path.
    by_path: BTreeMap<Vec<String>, Module>,
}

/// One source file.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: PathBuf,
    /// The path of the module that it holds.
    pub(crate) module: Vec<String>,
    pub(crate) source: Source,
}

#[derive(Debug, Clone, Copy)]
struct Module {
    file: usize,
    /// How many modules of its path are inline in that file.
    inline: usize,
}

/// A chain of aliases longer than this turns in a circle.
const ALIASES: usize = 16;

impl Modules {
    /// Reads the target whose root is `root`: `src/lib.rs`, `src/main.rs`, `tests/it/main.rs`.
    pub(crate) fn read(root: &Path) -> io::Result<Self> {
        let mut modules = Self::default();
        let dir = root.parent().unwrap_or(Path::new("")).to_path_buf();
        modules.add(root.to_path_buf(), dir, Vec::new(), &|file: &Path| {
            fs::read_to_string(file)
        })?;
        Ok(modules)
    }

    /// Adds the file of a module, and those of the modules declared in it, which lie below `dir`.
    fn add(
        &mut self,
        path: PathBuf,
        dir: PathBuf,
        module: Vec<String>,
        read: &dyn Fn(&Path) -> io::Result<String>,
    ) -> io::Result<()> {
        let text = read(&path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        let source = Source::read(&without_tests(tokenize(&text)));
        let file = self.files.len();
        self.by_path.insert(module.clone(), Module { file, inline: 0 });
        for scope in &source.inline {
            let (path, inline) = ([module.clone(), scope.clone()].concat(), scope.len());
            self.by_path.insert(path, Module { file, inline });
        }
        let declared = source.files.clone();
        self.files.push(File {
            path,
            module: module.clone(),
            source,
        });
        for (scope, name) in declared {
            let parent = scope.iter().fold(dir.clone(), |dir, part| dir.join(part));
            let (flat, folder) = (parent.join(format!("{name}.rs")), parent.join(&name));
            let path = if flat.exists() { flat } else { folder.join("mod.rs") };
            let module = [module.clone(), scope, vec![name]].concat();
            self.add(path, folder, module, read)?;
        }
        Ok(())
    }

    /// The file in which the item at the end of `path` is defined, seen from a module; `None` outside this target.
    pub(crate) fn file_of(&self, path: &[String], from: &[String]) -> Option<usize> {
        self.resolve(path, from, ALIASES)
    }

    fn resolve(&self, path: &[String], from: &[String], aliases: usize) -> Option<usize> {
        let aliases = aliases.checked_sub(1)?;
        let (mut module, mut rest) = start(path, from);
        let mut is_first = rest.len() == path.len();
        while let Some((name, behind)) = rest.split_first() {
            let child = [module.clone(), vec![name.clone()]].concat();
            if self.by_path.contains_key(&child) {
                module = child;
            } else if let Some((alias, seen_from)) = self.alias(&module, name) {
                return self.resolve(&[alias, behind.to_vec()].concat(), &seen_from, aliases);
            } else if self.defines(&module, name) {
                break;
            } else if let Some(file) = self.through_globs(&module, rest, aliases) {
                return Some(file);
            } else if is_first {
                // An external crate, or a name of the standard prelude.
                return None;
            } else {
                break;
            }
            (rest, is_first) = (behind, false);
        }
        self.by_path.get(&module).map(|module| module.file)
    }

    /// What `name` stands for in a module that imports it.
    fn alias(&self, module: &[String], name: &str) -> Option<(Vec<String>, Vec<String>)> {
        let (file, scope) = self.place(module)?;
        let imports = file.source.imports.iter();
        let mut ours = imports.filter(|import| import.scope == scope && import.name.as_deref() == Some(name));
        let import = ours.next()?;
        // `use name;` of an external crate stands for itself.
        (import.path.as_slice() != [name]).then(|| (import.path.clone(), module.to_vec()))
    }

    fn defines(&self, module: &[String], name: &str) -> bool {
        let place = self.place(module);
        place.is_some_and(|(file, scope)| file.source.defined.contains(&(scope.to_vec(), name.to_owned())))
    }

    fn through_globs(&self, module: &[String], rest: &[String], aliases: usize) -> Option<usize> {
        let (file, scope) = self.place(module)?;
        let imports = file.source.imports.iter();
        let globs = imports.filter(|import| import.scope == scope && import.name.is_none());
        globs
            .filter(|glob| glob.path.first().is_none_or(|first| Some(first) != rest.first()))
            .find_map(|glob| {
                let target = self.resolve(&glob.path, module, aliases)?;
                let target = &self.files[target];
                let name = rest.first()?;
                let is_there = target.source.defined.contains(&(Vec::new(), name.clone()))
                    || target
                        .source
                        .imports
                        .iter()
                        .any(|import| import.public && import.name.as_ref() == Some(name));
                let path = [vec!["crate".to_owned()], target.module.clone(), rest.to_vec()].concat();
                if is_there {
                    self.resolve(&path, module, aliases)
                } else {
                    None
                }
            })
    }

    fn place<'a>(&self, module: &'a [String]) -> Option<(&File, &'a [String])> {
        let found = self.by_path.get(module)?;
        Some((&self.files[found.file], &module[module.len() - found.inline..]))
    }
}

/// Where the walk along a path begins, and what is left of the path.
fn start<'a>(path: &'a [String], from: &[String]) -> (Vec<String>, &'a [String]) {
    let (mut module, mut rest) = (from.to_vec(), path);
    while let Some((first, behind)) = rest.split_first() {
        match first.as_str() {
            "crate" => module.clear(),
            "self" => {}
            "super" => drop(module.pop()),
            _ => break,
        }
        rest = behind;
    }
    (module, rest)
}
