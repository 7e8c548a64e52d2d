//! Where a user is placed: rendezvous hashing (Thaler and Ravishankar, 1996). Each node draws a weight for the user; the heaviest
//! nodes win. A node that joins or leaves moves only the users that it wins or held.

use aws_lc_rs::digest;
use vpnmanager_entities::placement::Role;
use vpnmanager_nats::ids::{NodeId, UserKey};

/// The nodes for one user, home first, at most `replicas`. `home`, when given, is the home whatever it draws.
pub fn place(user: UserKey, home: Option<&NodeId>, nodes: &[NodeId], replicas: usize) -> Vec<(NodeId, Role)> {
    let mut ranked: Vec<&NodeId> = nodes.iter().filter(|node| Some(*node) != home).collect();
    ranked.sort_by_cached_key(|node| (std::cmp::Reverse(weight(user, node)), node.as_str().to_owned()));
    home.into_iter()
        .chain(ranked)
        .take(replicas.max(1))
        .enumerate()
        .map(|(rank, node)| (node.clone(), if rank == 0 { Role::Home } else { Role::Standby }))
        .collect()
}

fn weight(user: UserKey, node: &NodeId) -> u64 {
    let hash = digest::digest(&digest::SHA256, format!("{user}@{node}").as_bytes());
    hash.as_ref()
        .iter()
        .take(8)
        .fold(0, |head, byte| head << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(count: usize) -> Vec<NodeId> {
        (1..=count)
            .map(|n| format!("node-{n}").parse().expect("a valid id"))
            .collect()
    }

    #[test]
    fn one_home_and_standbys_up_to_the_replica_count() {
        let placed = place(UserKey::new(), None, &nodes(5), 3);
        let roles: Vec<Role> = placed.iter().map(|(_, role)| *role).collect();
        assert_eq!(roles, [Role::Home, Role::Standby, Role::Standby]);
        assert_eq!(place(UserKey::new(), None, &nodes(2), 3).len(), 2);
        assert!(place(UserKey::new(), None, &[], 3).is_empty());
    }

    #[test]
    fn a_wanted_home_is_the_home_and_stands_once() {
        let nodes = nodes(3);
        let placed = place(UserKey::new(), nodes.get(1), &nodes, 3);
        assert_eq!(placed.first(), Some(&(nodes[1].clone(), Role::Home)));
        assert_eq!(placed.iter().filter(|(node, _)| *node == nodes[1]).count(), 1);
    }

    #[test]
    fn a_new_node_takes_its_share_and_moves_nothing_else() {
        let (before, after) = (nodes(4), nodes(5));
        let new = after.last().expect("five nodes");
        let mut moved = 0;
        for _ in 0..500 {
            let user = UserKey::new();
            let (old, now) = (place(user, None, &before, 1), place(user, None, &after, 1));
            if old != now {
                assert_eq!(&now[0].0, new);
                moved += 1;
            }
        }
        assert!((50..150).contains(&moved), "{moved} of 500 moved to the fifth node");
    }
}
