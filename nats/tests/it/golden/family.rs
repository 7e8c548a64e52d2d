//! One family of messages, and what its files must keep.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use vpnmanager_nats::{
    envelope::{DecodeError, Envelope},
    payload::Payload,
};

/// One message type with its shapes.
pub(crate) struct Family<T> {
    /// The folder below `golden/`.
    pub(crate) folder: &'static str,
    /// Every shape that there is.
    pub(crate) shapes: &'static [&'static str],
    /// Which of them a message has.
    pub(crate) shape_of: fn(&T) -> &'static str,
    /// A message of each, for files that are missing.
    pub(crate) samples: Vec<Envelope<T>>,
}

/// Names the file of each shape in one exhaustive match: a new variant breaks the build here, and then the test until it has a file.
macro_rules! shapes {
    (|$message:ident: &$of:ty| $part:expr => { $($pattern:pat $(if $guard:expr)? => $shape:literal),+ $(,)? }) => {
        const SHAPES: &[&str] = &[$($shape),+];

        fn shape_of($message: &$of) -> &'static str {
            match $part { $($pattern $(if $guard)? => $shape),+ }
        }
    };
}
pub(crate) use shapes;

impl<T: Payload> Family<T> {
    /// Checks every file of the folder, and that no shape lacks one.
    pub(crate) fn check(&self) {
        if update_wanted() {
            self.write_missing();
        }
        let files = files(self.folder);
        for shape in self.shapes {
            assert!(
                files.iter().any(|file| shape_in_name(file) == *shape),
                "golden/{}/{shape}.json is missing: UPDATE_GOLDEN=1 writes it",
                self.folder
            );
        }
        for file in &files {
            self.check_file(file);
        }
    }

    fn check_file(&self, file: &Path) {
        let name = file.display();
        let golden: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        let decode = |message: &Value| Envelope::<T>::decode(&serde_json::to_vec(message).unwrap());
        let encoded = |message: &Envelope<T>| serde_json::from_slice::<Value>(&message.encode()).unwrap();

        let message = decode(&golden).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(
            (self.shape_of)(&message.body),
            shape_in_name(file),
            "{name} holds another shape"
        );
        assert_eq!(encoded(&message), golden, "{name} is written otherwise");

        let from_later_release = with_unknown_fields(&golden);
        let message = decode(&from_later_release).unwrap_or_else(|error| panic!("{name} with more fields: {error:?}"));
        assert_eq!(
            encoded(&message),
            golden,
            "{name} with more fields means something else"
        );

        let error = decode(&with_version(&golden, json!(2))).err();
        assert!(
            matches!(error, Some(DecodeError::NewerVersion { found: 2 })),
            "{name} with v 2: {error:?}"
        );
        let error = decode(&with_version(&golden, Value::Null)).err();
        assert!(
            matches!(error, Some(DecodeError::Malformed(_))),
            "{name} without v: {error:?}"
        );
    }

    fn write_missing(&self) {
        let folder = root().join(self.folder);
        fs::create_dir_all(&folder).unwrap();
        for sample in &self.samples {
            let file = folder.join(format!("{}.json", (self.shape_of)(&sample.body)));
            if !file.exists() {
                fs::write(file, serde_json::to_string_pretty(sample).unwrap() + "\n").unwrap();
            }
        }
    }
}

/// Every golden file of every family.
pub(crate) fn all_files() -> Vec<PathBuf> {
    let folders = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    folders
        .filter(|path| path.is_dir())
        .flat_map(|folder| files(folder.to_str().unwrap()))
        .collect()
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = root().join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

fn shape_in_name(file: &Path) -> &str {
    file.file_name().unwrap().to_str().unwrap().split('.').next().unwrap()
}

fn with_version(message: &Value, version: Value) -> Value {
    let mut message = message.clone();
    message["v"] = version;
    message
}

/// The same with a field of a later release in each object.
fn with_unknown_fields(message: &Value) -> Value {
    match message {
        Value::Object(fields) => {
            let known = fields
                .iter()
                .map(|(name, value)| (name.clone(), with_unknown_fields(value)));
            let unknown = ("of_a_later_release".to_owned(), json!({ "deep": [1, null, "x"] }));
            Value::Object(known.chain([unknown]).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(with_unknown_fields).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => message.clone(),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a switch of this test, not configuration of a service"
)]
fn update_wanted() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}
