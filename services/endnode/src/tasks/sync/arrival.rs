//! How far a snapshot has arrived. Pure.

/// How far a snapshot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// All of it is journaled.
    Everything,
    /// Some is on its way.
    NotYet,
    /// What is missing was delivered to an earlier run of the agent, and is delivered again only after the ack wait.
    Stranded,
}

/// What the node's consumer and this run know of the commands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flow {
    /// Commands that the server has not delivered yet.
    pub(super) to_come: u64,
    /// Commands that the server delivered, to this run or an earlier one, and that are not settled.
    pub(super) given: usize,
    /// Commands that this run took and has not settled.
    pub(super) unsettled: usize,
    /// Whether the journal followed the stream as far as it must, and, if everything comes again, nothing in between is missing.
    pub(super) followed: bool,
}

impl Flow {
    /// A high sequence alone is no proof: a command that an earlier run took and never settled is delivered again late. So the
    /// server must hold no command that this run has not taken.
    pub(super) fn arrival(self) -> Arrival {
        match (self.to_come > 0, self.given > self.unsettled) {
            (true, _) => Arrival::NotYet,
            (false, true) => Arrival::Stranded,
            (false, false) if self.followed => Arrival::Everything,
            (false, false) => Arrival::NotYet,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_has_arrived_when_nothing_is_left_with_the_server_or_an_earlier_run() {
        let cases = [
            ((0, 0, 0, true), Arrival::Everything),
            ((0, 5, 5, true), Arrival::Everything),
            ((0, 0, 0, false), Arrival::NotYet),
            ((3, 0, 0, true), Arrival::NotYet),
            ((3, 5, 2, true), Arrival::NotYet),
            ((0, 5, 2, true), Arrival::Stranded),
            ((0, 5, 2, false), Arrival::Stranded),
        ];
        for ((to_come, given, unsettled, followed), expected) in cases {
            let flow = Flow {
                to_come,
                given,
                unsettled,
                followed,
            };
            assert_eq!(flow.arrival(), expected, "{flow:?}");
        }
    }
}
