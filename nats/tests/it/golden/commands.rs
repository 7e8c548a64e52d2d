//! What management tells nodes.

use vpnmanager_nats::{
    commands::{Command, Issue, Protocol, PutUser, Remote, RemoveUser, Role},
    envelope::Envelope,
    ids::Revision,
};

use super::{
    family::{Family, shapes},
    fixed,
};

shapes!(|command: &Command| (command, first_protocol(command)) => {
    (Command::PutUser(PutUser { group: Some(_), .. }), _) => "put_user_in_group",
    (Command::PutUser(PutUser { metered: true, .. }), _) => "put_user_metered",
    (Command::PutUser(PutUser { active: false, .. }), _) => "put_user_suspended",
    (Command::PutUser(PutUser { expires_at: Some(_), .. }), _) => "put_user_expiring",
    (Command::PutUser(PutUser { issue: Some(Issue { further, .. }), .. }), _) if !further.is_empty() => "put_user_home_of_devices",
    (Command::PutUser(PutUser { role: Role::Home, .. }), Some(Protocol::Udp)) => "put_user_home",
    (Command::PutUser(PutUser { role: Role::Home, .. }), Some(Protocol::Tcp)) => "put_user_home_tcp",
    (Command::PutUser(PutUser { role: Role::Home, .. }), None) => "put_user_home_without_issue",
    (Command::PutUser(PutUser { role: Role::Standby, .. }), _) => "put_user_standby",
    (Command::RemoveUser(_), _) => "remove_user",
});

#[test]
fn commands() {
    let tcp = remotes()
        .into_iter()
        .filter(|remote| remote.protocol == Protocol::Tcp)
        .collect();
    let samples = vec![
        Envelope::traced(Command::PutUser(home()), fixed::traceparent()),
        put(PutUser {
            issue: Some(Issue {
                common_name: fixed::credential(),
                further: Vec::new(),
                remotes: tcp,
            }),
            ..home()
        }),
        put(PutUser {
            issue: Some(Issue {
                common_name: fixed::credential(),
                further: vec![fixed::older_credential()],
                remotes: remotes(),
            }),
            ..home()
        }),
        put(PutUser { issue: None, ..home() }),
        put(PutUser {
            revision: Revision(2),
            active: false,
            ..standby()
        }),
        put(PutUser {
            revision: Revision(3),
            expires_at: Some(fixed::at("2027-04-01T00:00:00Z")),
            ..standby()
        }),
        put(standby()),
        put(PutUser {
            revision: Revision(5),
            group: Some("engineering".parse().unwrap()),
            ..standby()
        }),
        put(PutUser {
            revision: Revision(6),
            metered: true,
            ..standby()
        }),
        Envelope::new(Command::RemoveUser(RemoveUser {
            node: fixed::node(),
            user_key: fixed::user_key(),
            username: fixed::username(),
            revision: Revision(4),
        })),
    ];
    Family {
        folder: "commands",
        shapes: SHAPES,
        shape_of,
        samples,
    }
    .check();
}

fn first_protocol(command: &Command) -> Option<Protocol> {
    match command {
        Command::PutUser(put) => put.issue.as_ref()?.remotes.first().map(|remote| remote.protocol),
        Command::RemoveUser(_) => None,
    }
}

fn put(command: PutUser) -> Envelope<Command> {
    Envelope::new(Command::PutUser(command))
}

fn home() -> PutUser {
    PutUser {
        role: Role::Home,
        issue: Some(Issue {
            common_name: fixed::credential(),
            further: Vec::new(),
            remotes: remotes(),
        }),
        ..standby()
    }
}

fn standby() -> PutUser {
    PutUser {
        credentials: vec![fixed::older_credential(), fixed::credential()],
        ..PutUser::new(fixed::node(), fixed::user_key(), fixed::username(), Revision(1))
    }
}

fn remotes() -> Vec<Remote> {
    vec![
        Remote {
            host: "vpn1.example.com".parse().unwrap(),
            port: 1194,
            protocol: Protocol::Udp,
        },
        Remote {
            host: "203.0.113.7".parse().unwrap(),
            port: 443,
            protocol: Protocol::Tcp,
        },
        Remote {
            host: "2001:db8::7".parse().unwrap(),
            port: 1194,
            protocol: Protocol::Udp,
        },
    ]
}
