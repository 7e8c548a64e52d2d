//! What OpenVPN's command line adds to its file.

use tokio::sync::watch;

use super::*;
use crate::openvpn::lint::{CommandLine, LintedConf};

fn started(arguments: &[&str]) -> Running {
    Running {
        command_line: Some(CommandLine::parse(arguments)),
        ..Running::default()
    }
}

impl Place {
    /// What is found where OpenVPN was started with these arguments.
    fn findings_started(&self, arguments: &[&str], text: &str) -> Vec<Finding> {
        let file = self.path("server.conf");
        fs::write(&file, text).expect("written");
        lint(&file, &self.expected, &started(arguments)).findings
    }
}

#[test]
fn an_option_behind_the_file_wins_and_its_finding_says_where_it_stands() {
    let place = Place::new();
    let file = place.path("server.conf").display().to_string();
    // As docker-openvpn of kylemanna starts it.
    let found = place.findings_started(&["--config", file.as_str(), "--client-config-dir", "other"], GOOD);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].severity, Severity::Error);
    assert!(found[0].message.starts_with("set `client-config-dir "), "{found:?}");
    assert!(found[0].message.contains("`--client-config-dir other`"), "{found:?}");

    let before = ["--client-config-dir", "other", "--config", file.as_str()];
    assert_eq!(
        place.findings_started(&before, GOOD),
        [],
        "the file comes later and wins"
    );
}

#[test]
fn a_file_is_known_however_the_command_line_names_it() {
    let place = Place::new();
    let folder = place.dir.path().display().to_string();
    let file = place.path("server.conf").display().to_string();
    let cases: [&[&str]; 5] = [
        &[file.as_str()],
        &["server.conf"],
        &["--config", "server.conf"],
        &["--config", "./server.conf", "--daemon", "--log", "openvpn.log"],
        &["--cd", folder.as_str(), "--config", "server.conf"],
    ];
    for arguments in cases {
        assert_eq!(place.findings_started(arguments, GOOD), [], "{arguments:?}");
    }
    let found = place.findings_started(&["--config", "/elsewhere/server.conf"], GOOD);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].severity, Severity::Warning);
    assert!(found[0].message.contains("OPENVPN_CONF_FILE"), "{found:?}");
}

#[test]
fn the_command_line_completes_a_file_and_is_not_blamed_for_what_the_file_says() {
    let place = Place::new();
    let text = GOOD.replace("ccd-exclusive\n", "\n");
    let arguments = ["--config", "server.conf", "--ccd-exclusive"];
    assert_eq!(place.findings_started(&arguments, &text), []);

    let text = format!("{GOOD}\nduplicate-cn\n");
    let arguments = ["--config", "server.conf", "--daemon"];
    assert_eq!(place.findings_started(&arguments, &text), place.findings(&text));
}

#[test]
fn another_openvpn_is_judged_at_once() {
    let place = Place::new();
    let file = place.path("server.conf");
    fs::write(&file, GOOD).expect("written");
    let told = watch::Sender::new(None).subscribe();
    let conf = LintedConf::new(file, place.expected.clone(), told);
    assert_eq!(conf.findings(), []);
    conf.note(started(&["--config", "server.conf", "--duplicate-cn"]));
    assert_eq!(conf.findings().len(), 1);
    conf.note(started(&["--config", "server.conf"]));
    assert_eq!(conf.findings(), []);
}

#[test]
fn places_are_those_that_the_command_line_and_the_files_say_last() {
    let place = Place::new();
    let file = place.path("server.conf");
    fs::write(&file, GOOD).expect("written");
    let told = watch::Sender::new(None).subscribe();
    let conf = LintedConf::new(file.clone(), place.expected.clone(), told);
    assert_eq!(conf.places(), Some(1024), "OpenVPN's own");
    fs::write(&file, format!("{GOOD}\nmax-clients 50\nmax-clients 70\n")).expect("written");
    for (arguments, places) in [
        (&["--config", "server.conf"][..], Some(70)),
        (&["--config", "server.conf", "--max-clients", "9"], Some(9)),
        (&["--config", "/elsewhere/server.conf"], None),
    ] {
        conf.note(started(arguments));
        assert_eq!(conf.places(), places, "{arguments:?}");
    }
}
