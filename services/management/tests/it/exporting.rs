//! The way back: users and certificates as files.

use std::{fs, os::unix::fs::PermissionsExt as _};

use vpnmanager_management::ops::export::{
    files::ExportError,
    write_files::{Exported, write_files},
};

use crate::database::run;
use crate::ops::{create, imports::import_one, node};
use crate::stack::Stack;

#[tokio::test]
async fn users_and_certificates_are_written_as_other_programs_read_them_and_no_key_is() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    create(&stack, "alice").await;
    import_one(&stack, "node-1", "bob").await;
    stack.end_tasks().await;
    run(
        &stack.app.db,
        "UPDATE credentials SET certificate = 'PEM of ' || common_name, serial = lpad(to_hex(id), 4, '0'), not_after = now() + interval '1 year';
         UPDATE credentials SET revoked_at = now() WHERE common_name LIKE 'bob.%'",
    )
    .await;
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");

    let exported = write_files(&stack.app.db, &out, None).await.expect("written");

    assert_eq!(
        exported,
        Exported {
            users: 2,
            certificates: 2,
            old_certificates: 1
        }
    );
    let read = |name: &str| fs::read_to_string(out.join(name)).expect(name);
    let users = read("users.csv");
    assert!(
        users.starts_with("username,active,expires_at,server_id,group,"),
        "{users}"
    );
    assert!(users.contains("\r\nalice,true,never,node-1,default,"), "{users}");
    assert!(read("old-certificates.csv").contains("\r\nbob,node-1,bob,1,"));
    let index = read("pki/index.txt");
    let states: Vec<char> = index.lines().filter_map(|line| line.chars().next()).collect();
    assert_eq!(states, ['V', 'R'], "{index}");
    assert_eq!(read("pki/ca.crt"), stack.app.pki.ca_pem());
    let issued: Vec<String> = fs::read_dir(out.join("pki/issued"))
        .expect("a folder")
        .map(|file| file.expect("a file").file_name().into_string().expect("a name"))
        .collect();
    assert!(
        matches!(issued.as_slice(), [one] if one.starts_with("alice.") && one.ends_with(".crt")),
        "{issued:?}"
    );
    for (path, mode) in [
        ("", 0o700),
        ("pki", 0o700),
        ("users.csv", 0o600),
        ("pki/index.txt", 0o600),
    ] {
        let found = fs::metadata(out.join(path)).expect(path).permissions().mode();
        assert_eq!(found & 0o777, mode, "{path}");
    }

    let again = write_files(&stack.app.db, &out, None).await;
    assert!(matches!(again, Err(ExportError::NotEmpty(_))), "{again:?}");
    let elsewhere = folder.path().join("other");
    let of_other = write_files(&stack.app.db, &elsewhere, Some(&node("node-2"))).await;
    assert_eq!(
        of_other.expect("written"),
        Exported {
            users: 0,
            certificates: 0,
            old_certificates: 0
        }
    );
}
