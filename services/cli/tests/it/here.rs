//! What the program of management does for this one, on the same machine.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::program::Program;

#[test]
fn backups_exports_of_certificates_and_files_of_the_trail_are_for_the_program_of_management() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let vpnmanager = Program::with(&[("PATH", path)]);
    let verify = [
        "audit", "verify", "--file", "a.jsonl", "--file", "b.jsonl", "--part", "--ca", "ca.pem",
    ];

    // Without it both say where to run what.
    let told = vpnmanager.fails(1, &["backup", "--dir", "/backups"]);
    assert!(told.contains("run `vpnmanager-management backup` where"), "{told}");
    let told = vpnmanager.fails(1, &verify);
    assert!(told.contains("vpnmanager-management is not on this machine"), "{told}");

    let program = folder.path().join("vpnmanager-management");
    fs::write(&program, "#!/bin/sh\necho \"$@\"\nexit 1\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let ran = vpnmanager.run(&["backup", "--dir", "/backups", "--keep", "7"]);
    assert_eq!(
        (ran.code, ran.out.trim()),
        (1, "backup --dir /backups --keep 7"),
        "{ran:?}"
    );
    for export in [&["export"][..], &["users", "export"]] {
        let ran = vpnmanager.run(&[export, &["--dir", "way-back", "--node", "node-1"]].concat());
        assert_eq!(
            (ran.code, ran.out.trim()),
            (1, "export --dir way-back --node node-1"),
            "{ran:?}"
        );
    }
    // Neither a management nor a key is needed.
    let ran = vpnmanager.run(&[verify.as_slice(), &["--expect", "00ff"]].concat());
    let arguments = "audit-verify --file a.jsonl --file b.jsonl --part --ca ca.pem --expect 00ff";
    assert_eq!((ran.code, ran.out.trim()), (1, arguments), "{ran:?}");

    // Whose signatures count must be said.
    vpnmanager.fails(2, &["audit", "verify", "--file", "a.jsonl"]);
}
