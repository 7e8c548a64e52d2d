//! The checks of `doctor`: those of the programs, and those that the manual names.

use std::collections::BTreeSet;

use crate::{markdown, sources};

/// Where the checks of each page's table are: the heading of the table's first column, and folders or files of code.
const PROGRAMS: [(&str, &[&str]); 3] = [
    (
        "check of management",
        &[
            "services/management/src/doctor",
            "services/runtime/src/doctor/configuration.rs",
        ],
    ),
    (
        "check of a node",
        &[
            "services/endnode/src/doctor",
            "services/runtime/src/doctor/configuration.rs",
        ],
    ),
    ("check from a desk", &["services/cli/src/doctor.rs"]),
];

/// The ids that this code declares, each the first text behind `Check::new(`.
fn declared(places: &[&str]) -> BTreeSet<String> {
    let files = places.iter().flat_map(|place| match place.ends_with(".rs") {
        true => vec![(*place).to_owned()],
        false => sources::files_below(place, "rs"),
    });
    let code: String = files.map(|file| sources::read(&file)).collect();
    let behind = code.split("Check::new(").skip(1);
    let ids = behind.filter_map(|rest| rest.split('"').nth(1));
    ids.map(str::to_owned).collect()
}

/// The first words in code of the first column of a table.
fn named(page: &str, heading: &str) -> BTreeSet<String> {
    let rows = markdown::rows_of(page, heading);
    let ids = rows.iter().flat_map(|row| row[0].split('`').nth(1).map(str::to_owned));
    ids.collect()
}

#[test]
fn every_check_is_in_the_manual_and_the_manual_names_no_other() {
    let page = sources::read("docs/doctor.md");
    for (heading, places) in PROGRAMS {
        let named = named(&page, heading);
        assert!(named.len() > 5, "{heading}: only {named:?}");
        assert_eq!(named, declared(places), "{heading}");
    }
}

#[test]
fn what_goes_wrong_usually_leads_to_a_check_that_is_there() {
    let all: BTreeSet<String> = PROGRAMS.iter().flat_map(|(_, places)| declared(places)).collect();
    let page = sources::read("docs/troubleshooting.md");
    let rows = markdown::rows_of(&page, "what to look at");
    assert!(rows.len() >= 9, "only {rows:?}");
    for row in &rows {
        let ids: Vec<&str> = row[1].split('`').skip(1).step_by(2).collect();
        assert!(!ids.is_empty(), "{row:?}");
        let unknown: Vec<&&str> = ids.iter().filter(|id| !all.contains(**id)).collect();
        assert_eq!(unknown, Vec::<&&str>::new(), "{row:?}");
    }
}
