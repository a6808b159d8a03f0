//! Connected components of a graph given as edges: of dense numbers here, of ids as they come in [`connected_ids`].

mod ids;

pub use ids::{Components, connected_ids};

use crate::host::{Host, Meter, Reservation, reserve_for};
use crate::{Error, Result};

/// The component of each of the nodes `0..nodes`, named by its smallest node, over the undirected edges
/// `source[i] - target[i]`. Loops and repeated edges do no harm; a node without edges is its own component.
///
/// Union-find with path halving (Tarjan and van Leeuwen 1984), joined towards the smaller number so that the root is the
/// name. Time near O(nodes + edges); memory 4 bytes a node.
///
/// # Errors
/// [`Error::Data`] for a node that is not below `nodes`; [`Error::Parameter`] for more than 2^32 - 1 nodes;
/// [`Error::OutOfMemory`]; [`Error::Cancelled`].
pub fn connected_components(
    nodes: usize,
    source: &[u32],
    target: &[u32],
    host: &dyn Host,
) -> Result<Vec<u32>> {
    if source.len() != target.len() {
        return Err(Error::Internal("a target for each source"));
    }
    let mut forest = Forest::new(nodes, host)?;
    let mut meter = Meter::new(host);
    for (&a, &b) in source.iter().zip(target) {
        // A step costs some cache misses, far more than a unit of arithmetic.
        meter.spend(64)?;
        for node in [a, b] {
            if node as usize >= nodes {
                return Err(Error::data(
                    format!("edge end {node} is not one of the {nodes} nodes"),
                    "Number the nodes from 0 without gaps.",
                ));
            }
        }
        forest.join(a, b);
    }
    Ok(forest.into_roots())
}

/// Disjoint sets of `0..n`, each known by its smallest member.
#[derive(Debug)]
pub(crate) struct Forest {
    /// Parent of each node, never larger than the node; a root is its own parent.
    parents: Vec<u32>,
    _memory: Reservation,
}

impl Forest {
    /// Every node for itself.
    pub(crate) fn new(nodes: usize, host: &dyn Host) -> Result<Self> {
        let Ok(count) = u32::try_from(nodes) else {
            return Err(Error::parameter(
                "nodes",
                format!("{nodes} nodes are more than 4294967295"),
                "Split the relation.",
            ));
        };
        let memory = reserve_for::<u32>(host, nodes, "components")?;
        Ok(Self {
            parents: (0..count).collect(),
            _memory: memory,
        })
    }

    /// The smallest member of the set of `node`, which must be below n.
    pub(crate) fn root(&mut self, mut node: u32) -> u32 {
        loop {
            let parent = self.parents[node as usize];
            if parent == node {
                return node;
            }
            let grandparent = self.parents[parent as usize];
            self.parents[node as usize] = grandparent;
            node = grandparent;
        }
    }

    /// Joins the sets of two nodes; returns the root.
    pub(crate) fn join(&mut self, a: u32, b: u32) -> u32 {
        let (a, b) = (self.root(a), self.root(b));
        let (low, high) = (a.min(b), a.max(b));
        self.parents[high as usize] = low;
        low
    }

    /// The root of every node.
    pub(crate) fn into_roots(mut self) -> Vec<u32> {
        // Parents are smaller, so going upwards each parent is already a root.
        for node in 0..self.parents.len() {
            let parent = self.parents[node] as usize;
            self.parents[node] = self.parents[parent];
        }
        self.parents
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unlimited;
    use proptest::prelude::*;

    fn check(nodes: usize, edges: &[(u32, u32)], expected: &[u32]) {
        let (source, target): (Vec<u32>, Vec<u32>) = edges.iter().copied().unzip();
        let found = connected_components(nodes, &source, &target, &Unlimited).unwrap();
        assert_eq!(found, expected);
    }

    #[test]
    fn names_components_by_their_smallest_node() {
        check(0, &[], &[]);
        check(3, &[], &[0, 1, 2]);
        check(6, &[(5, 3), (3, 4), (1, 1), (2, 1)], &[0, 1, 1, 3, 3, 3]);
        check(5, &[(4, 3), (3, 2), (2, 1), (1, 0)], &[0; 5]);
    }

    #[test]
    fn refuses_an_edge_to_nowhere() {
        let error = connected_components(2, &[0], &[2], &Unlimited).unwrap_err();
        assert_eq!(error.to_string(), "edge end 2 is not one of the 2 nodes");
    }

    proptest! {
        #[test]
        fn equals_the_closure_of_the_edges(
            edges in prop::collection::vec((0u32..20, 0u32..20), 0..30),
        ) {
            let (source, target): (Vec<u32>, Vec<u32>) = edges.iter().copied().unzip();
            let found = connected_components(20, &source, &target, &Unlimited).unwrap();
            // The smallest node reachable, by passing minima along the edges until nothing changes.
            let mut reach: Vec<u32> = (0..20).collect();
            for _ in 0..20 {
                for &(a, b) in &edges {
                    let low = reach[a as usize].min(reach[b as usize]);
                    reach[a as usize] = low;
                    reach[b as usize] = low;
                }
            }
            prop_assert_eq!(found, reach);
        }
    }
}
