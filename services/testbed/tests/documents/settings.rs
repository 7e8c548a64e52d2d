//! The settings of both programs.

use std::collections::{BTreeMap, BTreeSet};

use crate::{markdown, sources};

/// A line of a settings table in the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    key: String,
    variable: String,
    default: Option<String>,
    secret: bool,
    ignored: bool,
}

/// The heading of a program's settings in the manual, and the folder of its code.
const PROGRAMS: [(&str, &str); 2] = [
    ("## Management", "services/management/src"),
    ("## Node", "services/endnode/src"),
];

/// The tables that both programs have.
const SHARED: [&str; 4] = [
    "openapi/src/server/config.rs",
    "openapi/src/server/tls/config.rs",
    "services/runtime/src/telemetry.rs",
    "services/runtime/src/metrics/config.rs",
];

/// Every variable that a program reads, those that name the file of a secret included.
pub(crate) fn variables() -> BTreeSet<String> {
    let tables = PROGRAMS.iter().flat_map(|(_, folder)| in_code(folder));
    let names = tables.flat_map(|setting| {
        let file = setting.secret.then(|| format!("{}_FILE", setting.variable));
        [Some(setting.variable), file].into_iter().flatten()
    });
    names.collect()
}

/// The flags of the secrets that the program in this folder reads.
pub(crate) fn secret_flags(folder: &str) -> BTreeSet<String> {
    let secrets = in_code(folder)
        .into_iter()
        .filter(|setting| setting.secret && !setting.ignored);
    secrets
        .map(|setting| setting.variable.to_ascii_lowercase().replace('_', "-"))
        .collect()
}

fn in_code(folder: &str) -> Vec<Setting> {
    let mut paths = sources::files_below(folder, "rs");
    paths.extend(SHARED.map(str::to_owned));
    paths.iter().flat_map(|path| parse(&sources::read(path))).collect()
}

/// The entries `Setting::new("key", "VARIABLE", ..).default("..").secret()` of the tables in a file.
fn parse(code: &str) -> Vec<Setting> {
    let code: Vec<&str> = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let code = code.join("\n");
    let entries = code.split("Setting::new(").skip(1);
    let entries = entries.filter_map(|entry| {
        let entry = entry.split("];").next()?;
        let mut literals = entry.split('"').skip(1).step_by(2);
        let (key, variable) = (literals.next()?.to_owned(), literals.next()?.to_owned());
        let default = entry.split(".default(").nth(1);
        let default = default.and_then(|argument| literal(&code, argument));
        Some(Setting {
            key,
            variable,
            default: default.map(str::to_owned),
            secret: entry.contains(".secret()"),
            ignored: entry.contains(".ignored()"),
        })
    });
    entries.collect()
}

/// What this argument is: a string, or a constant of the file that is one.
fn literal<'a>(code: &'a str, argument: &'a str) -> Option<&'a str> {
    let quoted = match argument.strip_prefix('"') {
        Some(rest) => rest,
        None => {
            let name = argument.split(')').next()?;
            code.split(&format!("const {name}: &str = \"")).nth(1)?
        }
    };
    quoted.split('"').next()
}

/// What is wrong with the table below this heading.
fn differences(page: &str, heading: &str, settings: &[Setting]) -> Vec<String> {
    let rows = markdown::rows_below(page, heading);
    let rows = rows.iter().filter(|row| row.len() == 4);
    let mut rows: BTreeMap<&str, &Vec<&str>> = rows.map(|row| (row[0], row)).collect();
    let mut wrong = Vec::new();
    for setting in settings {
        let secret = if setting.secret { " *secret*" } else { "" };
        let variable = format!("`{}`{secret}", setting.variable);
        let Some(row) = rows.remove(variable.as_str()) else {
            wrong.push(format!("{heading}: {variable} has no row"));
            continue;
        };
        if row[1] != format!("`{}`", setting.key) {
            wrong.push(format!(
                "{heading}: the file key of {variable} is {}, not {}",
                setting.key, row[1]
            ));
        }
        let is_right = match (&setting.default, setting.ignored) {
            (_, true) => row[2] == "not used",
            (Some(default), false) => row[2] == format!("`{default}`"),
            (None, false) => row[2].starts_with("none"),
        };
        if !is_right {
            let default = setting.default.as_deref().unwrap_or("none");
            wrong.push(format!(
                "{heading}: the default of {variable} is {default}, not {}",
                row[2]
            ));
        }
    }
    wrong.extend(
        rows.keys()
            .map(|variable| format!("{heading}: {variable} is no setting")),
    );
    wrong
}

#[test]
fn the_page_lists_every_setting_with_its_key_and_default() {
    let page = sources::read("docs/configuration.md");
    for (heading, folder) in PROGRAMS {
        let settings = in_code(folder);
        assert!(settings.len() > 20, "{heading}: only {} were found", settings.len());
        assert_eq!(differences(&page, heading, &settings), Vec::<String>::new());
    }
}

#[test]
fn the_tables_in_the_code_are_read_whole() {
    let code = "const A: &[Setting] = &[\n    Setting::new(\n        \"a.b\",\n        \"A_B\",\n        \"Text\",\n        DURATION,\n    )\n    .default(\"5s\"),\n    \
                Setting::new(\"b\", \"B\", \"Text\", \"any\").default(X),\n    \
                Setting::new(\"c\", \"C\", \"Secret\", \"any\").secret(),\n];\nconst X: &str = \"y\"; // .ignored()\n";
    let setting = |key: &str, variable: &str, default: Option<&str>, secret| Setting {
        key: key.to_owned(),
        variable: variable.to_owned(),
        default: default.map(str::to_owned),
        secret,
        ignored: false,
    };
    assert_eq!(
        parse(code),
        [
            setting("a.b", "A_B", Some("5s"), false),
            setting("b", "B", Some("y"), false),
            setting("c", "C", None, true)
        ]
    );
}

#[test]
fn a_wrong_row_a_missing_one_and_one_too_many_are_found() {
    let settings = parse(
        "Setting::new(\"a\", \"A\", \"\", \"\").default(\"1\"), Setting::new(\"b\", \"B\", \"\", \"\").secret(), \
         Setting::new(\"c\", \"C\", \"\", \"\"), Setting::new(\"d\", \"D\", \"\", \"\").ignored()",
    );
    let page = "## X\n| variable | file key | default | meaning |\n|---|---|---|---|\n| `A` | `a` | `2` | |\n| `B` | `b` | none | |\n\
                | `C` | `x` | none, required | |\n| `D` | `d` | not used | |\n";
    assert_eq!(
        differences(page, "## X", &settings),
        [
            "## X: the default of `A` is 1, not `2`",
            "## X: `B` *secret* has no row",
            "## X: the file key of `C` is c, not `x`",
            "## X: `B` is no setting"
        ]
    );
}
