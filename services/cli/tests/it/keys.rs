//! Which management is asked, and with which key.

use crate::program::{Program, mode, start};

#[tokio::test]
async fn a_login_keeps_a_key_that_is_good_and_no_other() {
    let (stack, _) = start().await;
    let url = stack.state().management_url();
    let key = stack.state().api_key.clone();
    let vpnmanager = Program::with(&[]);
    let file = vpnmanager.home().join(".config/vpnmanager/config.json");

    let told = vpnmanager.fails(2, &["users", "list"]);
    assert!(told.contains("vpnmanager login"), "{told}");
    let wrong = vpnmanager.run_with(&["login", &url], "0123456789abcdef0123456789abcdef\n");
    assert_eq!(wrong.code, 5, "{wrong:?}");
    assert!(!file.exists());

    let good = vpnmanager.run_with(&["login", &url, "--name", "lab"], &format!("{key}\n"));
    assert_eq!(good.code, 0, "{good:?}");
    assert!(!good.out.contains(&key) && !good.err.contains(&key), "{good:?}");
    assert_eq!(mode(&file), 0o600);
    vpnmanager.done(&["users", "list"]);

    let listed = vpnmanager.done(&["context", "list"]);
    assert!(
        listed.contains("lab") && listed.contains(&url) && !listed.contains(&key),
        "{listed}"
    );
    vpnmanager.fails(3, &["context", "use", "prod"]);
    vpnmanager.done(&["context", "use", "lab"]);
    vpnmanager.done(&["context", "remove", "lab"]);
    vpnmanager.fails(2, &["users", "list"]);
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_a_management_that_is_away_is_told() {
    let (stack, _) = start().await;
    let url = stack.state().management_url();
    let wrong = Program::at(&url, "0123456789abcdef0123456789abcdef");
    wrong.fails(5, &["users", "list"]);
    let away = Program::at("http://127.0.0.1:9", "0123456789abcdef0123456789abcdef");
    let told = away.fails(6, &["users", "list"]);
    assert!(told.contains("cannot reach management at http://127.0.0.1:9"), "{told}");
}

#[test]
fn a_wrong_command_line_is_told_without_asking_anybody() {
    let vpnmanager = Program::with(&[]);
    vpnmanager.fails(2, &["users", "create"]);
    vpnmanager.fails(2, &["users", "create", "alice", "--quota", "much"]);
    vpnmanager.fails(2, &["users", "list", "--output", "xml"]);
    assert!(vpnmanager.done(&["--version"]).starts_with("vpnmanager "));
    assert!(vpnmanager.done(&["users", "--help"]).contains("suspend"));
    assert!(vpnmanager.done(&["completion", "bash"]).contains("COMPLETE"));
}
