//! The alert rules and the dashboard: each figure that they name is one that a program has. The manual lists those, and a test of each program
//! compares the manual with the program.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{markdown, sources};

const ALERTS: &str = "deploy/monitoring/alerts.yml";
const DASHBOARD: &str = "deploy/monitoring/dashboard.json";

/// The figures of both programs, each with its kind.
fn figures() -> BTreeMap<String, String> {
    let page = sources::read("docs/monitoring.md");
    let rows = ["## Figures of management", "## Figures of a node"].map(|heading| markdown::rows_below(&page, heading));
    let figures = rows
        .iter()
        .flatten()
        .map(|row| (row[0].trim_matches('`').to_owned(), row[1].to_owned()));
    figures.collect()
}

/// The names in a text that look like figures.
fn named(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_part(c));
    words
        .filter(|word| word.starts_with("vpnmanager_") || word.starts_with("process_"))
        .collect()
}

/// Whether there is a series of this name: a histogram has three, none of which is called as the figure.
fn exists(name: &str, figures: &BTreeMap<String, String>) -> bool {
    let of_histogram = ["_bucket", "_count", "_sum"].iter().any(|ending| {
        let stem = name.strip_suffix(ending);
        stem.and_then(|stem| figures.get(stem))
            .is_some_and(|kind| kind == "histogram")
    });
    of_histogram || figures.get(name).is_some_and(|kind| kind != "histogram")
}

fn unknown(text: &str) -> Vec<String> {
    let figures = figures();
    let named = named(text).into_iter();
    named
        .filter(|name| !exists(name, &figures))
        .map(str::to_owned)
        .collect()
}

/// The rules of a file of rules, each with its lines.
fn rules(text: &str) -> Vec<(&str, Vec<&str>)> {
    let rules = text.split("- alert: ").skip(1).map(|rule| {
        let mut lines = rule.lines();
        let name = lines.next().unwrap_or_default();
        (name, lines.map(str::trim).collect())
    });
    rules.collect()
}

#[test]
fn every_figure_that_an_alert_or_a_panel_names_exists() {
    for path in [ALERTS, DASHBOARD] {
        let text = sources::read(path);
        assert!(named(&text).len() > 10, "{path}");
        assert_eq!(unknown(&text), Vec::<String>::new(), "{path}");
    }
}

#[test]
fn every_alert_says_what_it_is_and_leads_to_what_to_do() {
    let text = sources::read(ALERTS);
    let rules = rules(&text);
    assert!(rules.len() > 10, "{rules:?}");
    for (name, lines) in &rules {
        let value = |key: &str| {
            let line = lines.iter().find_map(|line| line.strip_prefix(key));
            line.unwrap_or_else(|| panic!("{name} has no {key}")).trim()
        };
        assert!(["critical", "warning"].contains(&value("severity:")), "{name}");
        assert!(
            !value("summary:").is_empty() && !value("description:").is_empty(),
            "{name}"
        );
        let (page, anchor) = value("runbook:").split_once('#').expect("a page and a heading");
        let anchors = markdown::anchors(&sources::read(page));
        assert!(
            anchors.iter().any(|found| found == anchor),
            "{name}: {page} has no {anchor}"
        );
    }
}

#[test]
fn the_dashboard_takes_any_data_source_and_can_be_linked_to() {
    let dashboard: Value = serde_json::from_str(&sources::read(DASHBOARD)).expect("JSON");
    assert_eq!(dashboard["uid"], "vpnmanager-fleet");
    assert_eq!(dashboard["templating"]["list"][0]["name"], "datasource");
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64()), "{panel}");
        if panel["type"] == "row" {
            continue;
        }
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel}");
        let targets = panel["targets"].as_array().expect("targets");
        assert!(targets.iter().all(|target| target["expr"].is_string()), "{panel}");
    }
}

#[test]
fn a_figure_that_does_not_exist_is_found() {
    let text = "max(vpnmanager_nodes) + vpnmanager_noses{a=\"b\"} + vpnmanager_ack_latency_seconds_bucket + vpnmanager_ack_latency_seconds \
                + vpnmanager_nodes_count + up";
    assert_eq!(
        unknown(text),
        [
            "vpnmanager_ack_latency_seconds",
            "vpnmanager_nodes_count",
            "vpnmanager_noses"
        ]
    );
}
