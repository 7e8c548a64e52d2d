//! Circles in a directed graph.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What each node points at.
pub(crate) type Graph = BTreeMap<usize, BTreeSet<usize>>;

/// The sets of nodes that reach each other, of two nodes or more (Tarjan's strongly connected components).
pub(crate) fn circles(graph: &Graph) -> Vec<BTreeSet<usize>> {
    let mut search = Search {
        graph,
        marks: BTreeMap::new(),
        stack: Vec::new(),
        found: Vec::new(),
    };
    for node in graph.keys() {
        if !search.marks.contains_key(node) {
            search.visit(*node);
        }
    }
    search.found
}

/// A shortest way from a node of a circle back to itself, which it begins and ends with.
pub(crate) fn shortest_way_round(graph: &Graph, circle: &BTreeSet<usize>) -> Vec<usize> {
    let ways = circle.iter().filter_map(|start| way_back(graph, circle, *start));
    ways.min_by_key(Vec::len).unwrap_or_default()
}

fn way_back(graph: &Graph, circle: &BTreeSet<usize>, start: usize) -> Option<Vec<usize>> {
    let mut queue = VecDeque::from([vec![start]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = queue.pop_front() {
        let next = way.last().and_then(|last| graph.get(last)).into_iter().flatten();
        for next in next.copied().filter(|next| circle.contains(next)) {
            let longer = [way.clone(), vec![next]].concat();
            if next == start {
                return Some(longer);
            }
            if seen.insert(next) {
                queue.push_back(longer);
            }
        }
    }
    None
}

struct Search<'a> {
    graph: &'a Graph,
    marks: BTreeMap<usize, Mark>,
    stack: Vec<usize>,
    found: Vec<BTreeSet<usize>>,
}

#[derive(Clone, Copy)]
struct Mark {
    number: usize,
    on_stack: bool,
}

impl Search<'_> {
    /// Returns the smallest number that can be reached from `node`.
    fn visit(&mut self, node: usize) -> usize {
        let number = self.marks.len();
        let mut low = number;
        self.marks.insert(node, Mark { number, on_stack: true });
        self.stack.push(node);
        for next in self.graph.get(&node).into_iter().flatten() {
            match self.marks.get(next) {
                None => low = low.min(self.visit(*next)),
                Some(mark) if mark.on_stack => low = low.min(mark.number),
                Some(_) => {}
            }
        }
        if low == number {
            self.take_circle(node);
        }
        low
    }

    fn take_circle(&mut self, root: usize) {
        let mut circle = BTreeSet::new();
        while let Some(node) = self.stack.pop() {
            if let Some(mark) = self.marks.get_mut(&node) {
                mark.on_stack = false;
            }
            circle.insert(node);
            if node == root {
                break;
            }
        }
        if circle.len() > 1 {
            self.found.push(circle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(usize, usize)]) -> Graph {
        let mut graph = Graph::new();
        for (from, to) in edges {
            graph.entry(*from).or_default().insert(*to);
        }
        graph
    }

    #[test]
    fn a_graph_without_circles_has_none() {
        assert!(circles(&graph(&[(1, 2), (1, 3), (2, 4), (3, 4)])).is_empty());
    }

    #[test]
    fn every_circle_is_found_with_all_its_nodes_and_a_short_way_round() {
        let graph = graph(&[(1, 2), (2, 3), (3, 4), (4, 2), (3, 2), (4, 5), (6, 7), (7, 6)]);
        let found = circles(&graph);
        assert_eq!(found, [BTreeSet::from([2, 3, 4]), BTreeSet::from([6, 7])]);
        assert_eq!(shortest_way_round(&graph, &found[0]), [2, 3, 2]);
    }
}
