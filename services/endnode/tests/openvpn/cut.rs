//! Denying a credential ends its session, whatever the client does, and disturbs nobody else.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use vpnmanager_endnode::backend::{BackendState, CutSessions, Parting, VpnBackend};
use vpnmanager_nats::commands::Protocol;
use vpnmanager_testbed::{
    client::{Hostile, OpenvpnClient},
    ping::PingStream,
    wait,
    wait::PROMISED_SECOND,
};

use crate::fleet::{Connected, Fleet, INSIDE, PORT, TOLD_TO_STOP};

/// Without an answer for this long, a stream of pings has ended.
const SILENCE: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_client_is_gone_within_a_second_and_refused_for_good() {
    let Some((fleet, agent)) = Fleet::serving(Protocol::Udp).await else {
        return;
    };
    let (mut victim, bystander) = (fleet.connect(&agent, "alice").await, fleet.connect(&agent, "bob").await);
    let stream = PingStream::start(&bystander.machine, INSIDE, (fleet.dir(), "bystander-ping")).expect("ping");
    let victims = PingStream::start(&victim.machine, INSIDE, (fleet.dir(), "victim-ping")).expect("ping");
    stream.flows(10, wait::SOON).await.expect("traffic");
    victims.flows(10, wait::SOON).await.expect("traffic");

    let denied_at = SystemTime::now();
    let cut = agent.deny(&victim.name).await;
    victim
        .client
        .log()
        .wait_for(TOLD_TO_STOP, 1, PROMISED_SECOND)
        .await
        .expect("the client is told");
    let last = victims
        .falls_silent(denied_at, SILENCE, wait::SOON)
        .await
        .expect("silence");
    // It goes on for a second to say goodbye to the server (`explicit-exit-notify`).
    victim.client.exited(wait::SOON).await.expect("the client ends");

    assert!(last < PROMISED_SECOND, "traffic flowed for {last:?} more");
    assert_eq!(cut, CutSessions::done(1));
    agent.has_sessions(&[&bystander.name]).await;
    victim.client.restart().await.expect("restart");
    victim.client.refused(wait::SOON).await.expect("refused");
    stream.flows(20, wait::SOON).await.expect("traffic");
    let stats = stream.stop().await;
    assert_eq!(stats.lost, Vec::<u64>::new(), "the other session's pings");
    assert_eq!(bystander.client.connections(), 1);
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_ended_does_not_come_back_by_itself_and_may_begin_again_under_another_key() {
    let Some((fleet, agent)) = Fleet::serving(Protocol::Udp).await else {
        return;
    };
    let mut alice = fleet.connect(&agent, "alice").await;
    let key = async || agent.backend.sessions().await.expect("sessions")[0].key();
    let first = key().await;

    let ended = agent.backend.end(first).await.expect("asked");

    assert_eq!(ended.as_deref(), Some(alice.name.as_str()));
    alice
        .client
        .log()
        .wait_for(TOLD_TO_STOP, 1, PROMISED_SECOND)
        .await
        .expect("the client is told");
    alice.client.exited(wait::SOON).await.expect("the client ends");
    agent.has_sessions(&[]).await;
    alice.client.restart().await.expect("restart");
    alice
        .client
        .connected(wait::SOON)
        .await
        .expect("the credential is still good");
    assert_ne!(key().await, first);
    assert_eq!(agent.backend.end(first).await.expect("asked"), None);
    agent.has_sessions(&[&alice.name]).await;
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_drops_control_packets_is_cut_off_within_a_second() {
    let Some((fleet, agent)) = Fleet::serving(Protocol::Udp).await else {
        return;
    };
    let Connected {
        name: mallory,
        machine,
        client,
    } = fleet.connect(&agent, "mallory").await;
    let hostile = Hostile::make(&machine, PORT).await.expect("nft");
    let stream = PingStream::start(&machine, INSIDE, (fleet.dir(), "mallory-ping")).expect("ping");
    stream.flows(10, wait::SOON).await.expect("traffic");

    let denied_at = SystemTime::now();
    agent.deny(&mallory).await;
    let last = stream
        .falls_silent(denied_at, SILENCE, wait::SOON)
        .await
        .expect("silence");

    assert!(last < PROMISED_SECOND, "traffic flowed for {last:?} more");
    assert!(
        hostile.ignored().await.expect("nft") > 0,
        "the client was told and did not listen"
    );
    assert!(client.alive(), "the client believes that it is connected");
    agent.has_sessions(&[]).await;
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_while_the_socket_is_away_is_made_up_for_by_the_next_connection() {
    let Some((fleet, agent)) = Fleet::serving(Protocol::Udp).await else {
        return;
    };
    let Connected {
        name: alice, client, ..
    } = fleet.connect(&agent, "alice").await;
    agent.stops().await;
    // Another program holds OpenVPN's only management session.
    let socket = fleet.conf().control_socket.as_path();
    let intruder = tokio::net::UnixStream::connect(socket).await.expect("connect");
    let agent = fleet.agent();

    let cut = agent.deny(&alice).await;
    assert_eq!(cut, CutSessions::pending());
    assert!(
        !fleet.allow_list.contains(&alice).expect("contains"),
        "refused all the same"
    );
    assert_eq!(agent.backend.enforce().await.expect("enforce"), CutSessions::pending());
    assert!(client.alive());
    drop(intruder);

    client
        .log()
        .wait_for(TOLD_TO_STOP, 1, PROMISED_SECOND)
        .await
        .expect("cut as soon as the socket is back");
    agent.is(BackendState::Up).await;
    agent.has_sessions(&[]).await;
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn enforce_cuts_whoever_lost_his_file_by_another_hand() {
    let Some((fleet, agent)) = Fleet::serving(Protocol::Udp).await else {
        return;
    };
    let Connected {
        name: alice, client, ..
    } = fleet.connect(&agent, "alice").await;
    assert_eq!(agent.backend.enforce().await.expect("enforce").count, 0);

    std::fs::remove_file(fleet.allow_list.dir().join(alice.as_str())).expect("remove");
    let cut = agent.backend.enforce().await.expect("enforce");

    assert_eq!(cut, CutSessions::done(1));
    client
        .log()
        .wait_for(TOLD_TO_STOP, 1, PROMISED_SECOND)
        .await
        .expect("cut");
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_allow_list_folder_cuts_nobody() {
    let Some((fleet, agent)) = Fleet::serving(Protocol::Udp).await else {
        return;
    };
    let Connected {
        name: alice, client, ..
    } = fleet.connect(&agent, "alice").await;

    std::fs::remove_dir_all(fleet.allow_list.dir()).expect("remove");
    assert!(agent.backend.enforce().await.is_err());
    let wanted = BTreeSet::from([alice.clone()]);
    let differing = agent.backend.compare(wanted.clone()).await.expect("compare");
    agent.backend.mend(&differing, &wanted).await.expect("mend");
    assert_eq!(agent.backend.enforce().await.expect("enforce").count, 0);

    agent.has_sessions(&[&alice]).await;
    assert_eq!(client.connections(), 1);
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disconnected_client_may_come_back() {
    let Some((fleet, agent)) = Fleet::serving(Protocol::Udp).await else {
        return;
    };
    let Connected {
        name: alice, client, ..
    } = fleet.connect(&agent, "alice").await;

    let cut = agent
        .backend
        .disconnect(std::slice::from_ref(&alice), Parting::Reconnect)
        .await
        .expect("disconnect");

    assert_eq!(cut.count, 1);
    client.connected_times(2, wait::SOON).await.expect("connected again");
    fleet.end(agent).await;
}

/// A handshake that is under way while its credential is denied never ends in a session.
#[tokio::test(flavor = "multi_thread")]
async fn no_handshake_slips_through_a_denial() {
    const RACES: u64 = 20;
    let Some((fleet, agent)) = Fleet::serving(Protocol::Udp).await else {
        return;
    };
    let machine = fleet.machine().await;
    for race in 0..RACES {
        let (name, profile) = fleet.credential("racer");
        agent.allow(&name).await;
        let client = fleet.client(&machine, &profile, &format!("racer-{race}"));
        client
            .log()
            .wait_for("UDPv4 link remote", 1, wait::SOON)
            .await
            .expect("a handshake under way");
        // Each race is run at another moment of the handshake.
        tokio::time::sleep(Duration::from_millis(race * 3)).await;
        agent.deny(&name).await;
        let ended = async || !client.alive() || client.was_refused();
        wait::until(wait::SOON, format_args!("race {race} to be lost by the client"), ended)
            .await
            .expect("lost");
    }
    agent.has_sessions(&[]).await;
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_is_cut_one_by_one_without_mistakes() {
    use vpnmanager_testbed::client::Crowd;
    let Some((fleet, agent)) = Fleet::serving(Protocol::Udp).await else {
        return;
    };
    let machine = fleet.machine().await;
    let credentials: Vec<_> = (0..10)
        .map(|number| fleet.credential(&format!("user{number}")))
        .collect();
    let names: Vec<_> = credentials.iter().map(|(name, _)| name.clone()).collect();
    let profiles: Vec<String> = credentials
        .iter()
        .map(|(_, profile)| profile.expose().to_owned())
        .collect();
    agent.backend.allow(&names).await.expect("allow");
    let crowd = Crowd::start(&machine, &profiles, fleet.dir()).expect("a crowd");
    crowd.connected(wait::SOON).await.expect("connected");
    agent.has_sessions(&names.iter().collect::<Vec<_>>()).await;

    agent.backend.deny(&names[..5]).await.expect("deny");
    let cut = agent.backend.disconnect(&names[..5], Parting::Halt).await.expect("cut");

    assert_eq!(cut.count, 5);
    agent.has_sessions(&names[5..].iter().collect::<Vec<_>>()).await;
    assert_eq!(
        crowd.clients[5..].iter().map(OpenvpnClient::connections).sum::<usize>(),
        5
    );
    fleet.end(agent).await;
}
