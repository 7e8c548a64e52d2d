//! How handshakes are answered, and what a resync delivers where.

use std::time::{Duration, Instant};

use async_nats::{Message, jetstream::consumer::PullConsumer};
use futures_util::StreamExt as _;
use vpnmanager_nats::{
    commands::Command,
    envelope::Envelope,
    ids::NodeId,
    subjects,
    sync::{SyncAnswer, SyncReply, SyncRequest},
};

use super::{DEADLINE, FakeManagement, reply};

const LOOK: Duration = Duration::from_millis(10);

impl FakeManagement {
    pub(super) async fn on_sync(self, message: Message) -> Option<bytes::Bytes> {
        let request: Envelope<SyncRequest> = Envelope::decode(&message.payload).unwrap();
        let node = request.body.node.clone();
        let lost = request.body.last_sequence == 0 && !self.script().acks.is_empty();
        let unsettled = request.body.unsettled;
        self.topology.ensure_node(&node).await.unwrap();
        self.topology.give_lost_again(&node, unsettled).await.unwrap();
        self.script().syncs.push(request.body);
        if self.script().silent {
            return None;
        }
        let refuse = self.script().refuse.clone();
        if let Some(reason) = refuse {
            return self.tell(SyncAnswer::Refused { reason });
        }
        let overtaken = self.script().overtaken.take();
        let was_overtaken = overtaken.is_some();
        if let Some(command) = overtaken {
            self.overtake(&node, command).await;
        }
        let upto_sequence = self.topology.newest_command(&node).await.unwrap();
        if std::mem::take(&mut self.script().lose_consumer) {
            let stream = Some(self.topology.commands_store().await.unwrap());
            self.topology.commands().delete_consumer(node.as_str()).await.unwrap();
            return self.tell(SyncAnswer::Ok {
                upto_sequence: upto_sequence + 1,
                stream,
            });
        }
        let resync = std::mem::take(&mut self.script().resync);
        if resync || lost {
            if std::mem::take(&mut self.script().first_gets_lost) {
                self.lose_first(&node).await;
            } else if !was_overtaken {
                self.topology.rewind_node_consumer(&node).await.unwrap();
            }
            // The script is asked again for the rest of the answer.
            let recorded_upto = self.script().recorded_upto;
            return self.tell(SyncAnswer::Resync {
                stream: Some(self.topology.commands_store().await.unwrap()),
                upto_sequence,
                reason: "the test wants it".to_owned(),
                recorded_upto,
            });
        }
        let stream = Some(self.topology.commands_store().await.unwrap());
        self.tell(SyncAnswer::Ok { upto_sequence, stream })
    }

    fn tell(&self, answer: SyncAnswer) -> Option<bytes::Bytes> {
        let script = self.script();
        reply(SyncReply {
            network: script.network.clone(),
            groups: script.groups.clone(),
            ..SyncReply::from(answer)
        })
    }

    /// The node takes this command and acks it. Then everything is delivered from the beginning, elsewhere, and settled.
    async fn overtake(&self, node: &NodeId, command: Command) {
        let (user, before) = (command.user_key(), Instant::now());
        let subject = subjects::command(node, user);
        let publish = self
            .topology
            .context()
            .publish(subject, Envelope::new(command).encode());
        publish.await.unwrap().await.unwrap();
        while !self.script().acks.iter().any(|ack| ack.user_key == user) {
            assert!(before.elapsed() < DEADLINE, "no ack");
            tokio::time::sleep(LOOK).await;
        }
        // The node does not pull from another consumer at once.
        self.topology.commands().delete_consumer(node.as_str()).await.unwrap();
        self.topology.ensure_node(node).await.unwrap();
        let consumer: PullConsumer = self.topology.commands().get_consumer(node.as_str()).await.unwrap();
        loop {
            let mut lost = consumer.fetch().max_messages(1000).messages().await.unwrap();
            while let Some(message) = lost.next().await {
                message.unwrap().ack().await.unwrap();
            }
            let seen: PullConsumer = self.topology.commands().get_consumer(node.as_str()).await.unwrap();
            if (seen.cached_info().num_pending, seen.cached_info().num_ack_pending) == (0, 0) {
                return;
            }
            assert!(before.elapsed() < DEADLINE, "not settled");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Everything is delivered from the beginning, the first command elsewhere.
    async fn lose_first(&self, node: &NodeId) {
        let commands = self.topology.commands();
        commands.delete_consumer(node.as_str()).await.unwrap();
        self.topology.ensure_node(node).await.unwrap();
        let consumer: PullConsumer = commands.get_consumer(node.as_str()).await.unwrap();
        let mut lost = consumer.fetch().max_messages(1).messages().await.unwrap();
        lost.next().await.unwrap().unwrap();
    }
}
