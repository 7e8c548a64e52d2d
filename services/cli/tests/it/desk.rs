//! What a desk needs: the variables of a stack, HTTPS, names for the shell, and the doctor.

use std::process::Command;

use vpnmanager_testbed::stack::{Stack, StackOptions};

use crate::program::{Program, one_node, start};

#[tokio::test]
async fn a_shell_that_read_the_variables_of_a_stack_needs_nothing_else() {
    for tls in [false, true] {
        let options = StackOptions { tls, ..one_node() };
        let stack = Stack::start(options).await.expect("a stack");
        let variables = stack.state().home.join("env");
        let program = env!("CARGO_BIN_EXE_vpnmanager");
        let script = format!(
            ". '{}' && '{program}' users create alice >/dev/null && '{program}' users list -o name",
            variables.display()
        );
        let ran = Command::new("/bin/sh")
            .args(["-c", &script])
            .env_clear()
            .env("HOME", stack.state().home.as_path())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&ran.stdout), "alice\n", "{tls}: {ran:?}");
        stack.down().await;
    }
}

#[tokio::test]
async fn the_doctor_of_a_desk_looks_at_https_the_key_and_the_nodes() {
    let options = StackOptions {
        tls: true,
        ..one_node()
    };
    let stack = Stack::start(options).await.expect("a stack");
    let (url, ca) = (stack.state().management_url(), stack.state().ca_file());
    let ca = ca.to_str().unwrap();
    let with = |key: &str| {
        Program::with(&[
            ("MANAGEMENT_URL", url.as_str()),
            ("MANAGEMENT_CA", ca),
            ("API_KEY", key),
        ])
    };

    let report = with(&stack.state().api_key).json(&["doctor"]);
    let checks = report["checks"].as_array().unwrap();
    for id in ["reach", "certificate", "service", "key"] {
        let check = checks.iter().find(|check| check["id"] == id).unwrap();
        assert_eq!(check["outcome"], "ok", "{check}");
    }
    assert!(
        checks
            .iter()
            .any(|check| check["id"] == "nodes" && check["of"] == "node-1"),
        "{report}"
    );

    let ran = with("0123456789abcdef0123456789abcdef").run(&["doctor"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("management does not take the key"), "{ran:?}");

    // Who does not say which CA to believe sends no key to it.
    let ran = Program::at(&url, &stack.state().api_key).run(&["users", "list"]);
    assert_ne!(ran.code, 0, "{ran:?}");
}

#[tokio::test]
async fn a_shell_is_offered_names_that_are_there() {
    let (stack, vpnmanager) = start().await;
    vpnmanager.done(&["users", "create", "alice", "bob"]);
    let url = stack.state().management_url();
    // As fish asks, which says the least.
    let shell = Program::with(&[
        ("MANAGEMENT_URL", url.as_str()),
        ("API_KEY", stack.state().api_key.as_str()),
        ("COMPLETE", "fish"),
    ]);
    for (words, offered) in [
        (["users", "show", "al"], "alice\n"),
        (["nodes", "show", "no"], "node-1\n"),
        (["pools", "show", "d"], "default\n"),
    ] {
        let asked = [["--", "vpnmanager"].as_slice(), words.as_slice()].concat();
        assert_eq!(shell.done(&asked), offered, "{words:?}");
    }
}
