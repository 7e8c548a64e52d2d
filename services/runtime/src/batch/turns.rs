//! Whose turn it is: what is taken next of what many parties have sent from many places.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// A request, and who waits for the answer.
pub(super) type Item<Req, Res> = (Req, oneshot::Sender<Res>);

/// What the workers take batches from.
pub(super) struct Queue<Req, Res, P, S> {
    receiver: mpsc::Receiver<Item<Req, Res>>,
    sender_of: fn(&Req) -> (P, S),
    parties: Turns<P, Turns<S, VecDeque<Item<Req, Res>>>>,
    /// All that wait for their turn.
    len: usize,
    /// The most that wait for their turn.
    room: usize,
}

impl<Req, Res, P: Clone + Eq + Hash, S: Clone + Eq + Hash> Queue<Req, Res, P, S> {
    pub(super) fn new(receiver: mpsc::Receiver<Item<Req, Res>>, sender_of: fn(&Req) -> (P, S), room: usize) -> Self {
        Self {
            receiver,
            sender_of,
            parties: Turns::default(),
            len: 0,
            room,
        }
    }

    /// Waits for at least one request; `None` when stopped and empty.
    pub(super) async fn take(&mut self, most: usize, stop: &CancellationToken) -> Option<Vec<Item<Req, Res>>> {
        if self.len == 0 {
            let first = tokio::select! {
                biased;
                first = self.receiver.recv() => first,
                () = stop.cancelled() => {
                    self.receiver.close();
                    self.receiver.recv().await
                }
            };
            self.add(first?);
        }
        while self.len < self.room
            && let Ok(item) = self.receiver.try_recv()
        {
            self.add(item);
        }
        Some(self.next(most))
    }

    fn add(&mut self, item: Item<Req, Res>) {
        let (party, place) = (self.sender_of)(&item.0);
        self.parties.of(party).of(place).push_back(item);
        self.len += 1;
    }

    fn next(&mut self, most: usize) -> Vec<Item<Req, Res>> {
        let mut taken = Vec::with_capacity(most.min(self.len));
        while taken.len() < most
            && let Some(item) = self.parties.next(|places| places.next(VecDeque::pop_front))
        {
            taken.push(item);
        }
        self.len -= taken.len();
        taken
    }
}

/// Those who have something waiting, in the order in which they come. Who has nothing is forgotten.
struct Turns<K, W> {
    order: VecDeque<K>,
    waiting: HashMap<K, W>,
}

impl<K, W> Default for Turns<K, W> {
    fn default() -> Self {
        Self {
            order: VecDeque::new(),
            waiting: HashMap::new(),
        }
    }
}

impl<K: Clone + Eq + Hash, W: Default> Turns<K, W> {
    /// What waits of this one.
    fn of(&mut self, key: K) -> &mut W {
        if !self.waiting.contains_key(&key) {
            self.order.push_back(key.clone());
        }
        self.waiting.entry(key).or_default()
    }

    /// One of the next one who has any left.
    fn next<T>(&mut self, mut take: impl FnMut(&mut W) -> Option<T>) -> Option<T> {
        loop {
            let key = self.order.pop_front()?;
            if let Some(taken) = self.waiting.get_mut(&key).and_then(&mut take) {
                self.order.push_back(key);
                return Some(taken);
            }
            self.waiting.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests name who sends them, from where, and which one it is.
    type Named = (char, char, u32);

    fn queue(requests: impl IntoIterator<Item = Named>) -> Queue<Named, (), char, char> {
        let (sender, receiver) = mpsc::channel::<Item<Named, ()>>(2000);
        for request in requests {
            sender.try_send((request, oneshot::channel().0)).expect("room");
        }
        Queue::new(receiver, |(party, place, _)| (*party, *place), 2000)
    }

    async fn taken(queue: &mut Queue<Named, (), char, char>, batch: usize) -> Vec<Named> {
        let taken = queue.take(batch, &CancellationToken::new()).await.expect("requests");
        taken.into_iter().map(|(request, _)| request).collect()
    }

    #[tokio::test]
    async fn senders_come_in_turn_and_what_one_sends_stays_in_order() {
        let sent = [
            ('a', 'x', 1),
            ('a', 'x', 2),
            ('a', 'x', 3),
            ('a', 'y', 1),
            ('b', 'x', 1),
            ('b', 'x', 2),
        ];
        let mut queue = queue(sent);
        assert_eq!(
            taken(&mut queue, 4).await,
            [('a', 'x', 1), ('b', 'x', 1), ('a', 'y', 1), ('b', 'x', 2)]
        );
        assert_eq!(taken(&mut queue, 4).await, [('a', 'x', 2), ('a', 'x', 3)]);
        assert_eq!((queue.len, queue.next(1).len()), (0, 0));
        assert!(
            queue.parties.waiting.is_empty() && queue.parties.order.is_empty(),
            "who has sent nothing is forgotten"
        );
    }

    #[tokio::test]
    async fn who_sends_one_request_does_not_wait_for_the_thousand_of_another_from_many_places() {
        let many = (0..1000).map(|number| ('a', char::from(b'a' + u8::try_from(number % 26).expect("few")), number));
        let mut queue = queue(many.chain([('b', 'x', 0)]));

        let first = taken(&mut queue, 50).await;

        assert_eq!(first[1], ('b', 'x', 0));
        assert_eq!(first.len(), 50);
    }
}
