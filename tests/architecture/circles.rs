//! Circles of files that use one another: the strongly connected components of a graph.

use std::collections::{BTreeMap, BTreeSet};

use crate::resolve::Edge;

type Graph<'e> = BTreeMap<&'e str, BTreeSet<&'e str>>;

/// The files of each circle.
pub fn circles<'e>(edges: impl IntoIterator<Item = &'e Edge>) -> Vec<BTreeSet<&'e str>> {
    let mut graph = Graph::new();
    for edge in edges {
        graph.entry(&edge.from).or_default().insert(&edge.to);
        graph.entry(&edge.to).or_default();
    }
    let reachable: BTreeMap<_, _> =
        graph.keys().map(|&file| (file, reachable_from(&graph, file))).collect();
    let circle_of = |file: &&'e str| {
        let is_mutual = |other: &&&str| reachable[*other].contains(file);
        reachable[file].iter().filter(is_mutual).copied().collect::<BTreeSet<_>>()
    };
    let circles: BTreeSet<_> = graph.keys().map(circle_of).filter(|c| !c.is_empty()).collect();
    circles.into_iter().collect()
}

/// The files that `start` uses, directly or through others.
fn reachable_from<'e>(graph: &Graph<'e>, start: &str) -> BTreeSet<&'e str> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&str> = graph[start].iter().copied().collect();
    while let Some(file) = next.pop() {
        if reached.insert(file) {
            next.extend(&graph[file]);
        }
    }
    reached
}
