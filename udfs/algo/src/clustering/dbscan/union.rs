//! A union-find that all threads change at once, without locks (Anderson and Woll 1991).

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use super::NONE;
use crate::clustering::kdtree::KdTree;

/// Sets of places of a tree. A parent is never larger than its child, so that the root of a set is its smallest place,
/// whatever the order in which sets were joined. Every write is of a fact that stays true, and no other memory hangs
/// on it, which is why relaxed ordering does.
pub(super) struct SharedUnionFind {
    parents: Vec<AtomicU32>,
    /// Nodes of the tree whose cores are known to be in one set.
    one_cluster: Vec<AtomicBool>,
    /// First place with a core below each node.
    first_cores: Vec<u32>,
}

impl SharedUnionFind {
    pub(super) fn new(tree: &KdTree<'_>, cores: &[bool]) -> Self {
        Self {
            parents: (0..tree.len() as u32).map(AtomicU32::new).collect(),
            one_cluster: (0..tree.nodes()).map(|_| AtomicBool::new(false)).collect(),
            first_cores: tree.fold_up(
                |mut places| {
                    places
                        .find(|place| cores[*place])
                        .map_or(NONE, |place| place as u32)
                },
                |a, b| a.min(b),
            ),
        }
    }

    pub(super) fn first_core(&self, node: usize) -> u32 {
        self.first_cores[node]
    }

    pub(super) fn is_one_cluster(&self, node: usize) -> bool {
        self.one_cluster[node].load(Relaxed)
    }

    pub(super) fn set_one_cluster(&self, node: usize) {
        self.one_cluster[node].store(true, Relaxed);
    }

    /// Sets the mark of a node if the cores of its places are in one set.
    pub(super) fn note_one_cluster(&self, node: usize, places: Range<usize>, cores: &[bool]) {
        let mut roots = places
            .filter(|place| cores[*place])
            .map(|place| self.root(place as u32));
        if let Some(first) = roots.next()
            && roots.all(|root| root == first)
        {
            self.set_one_cluster(node);
        }
    }

    /// Whether two places are known to be in one set; if not, they may become so at any time.
    pub(super) fn same(&self, a: u32, b: u32) -> bool {
        a == b || self.root(a) == self.root(b)
    }

    pub(super) fn join(&self, a: u32, b: u32) {
        let (mut a, mut b) = (a, b);
        loop {
            (a, b) = (self.root(a), self.root(b));
            if a == b {
                return;
            }
            let (low, high) = (a.min(b), a.max(b));
            let slot = &self.parents[high as usize];
            // Fails when another thread gave the root a parent in the meantime.
            if slot.compare_exchange(high, low, Relaxed, Relaxed).is_ok() {
                return;
            }
        }
    }

    fn root(&self, mut place: u32) -> u32 {
        loop {
            let parent = self.parents[place as usize].load(Relaxed);
            if parent == place {
                return place;
            }
            let above = self.parents[parent as usize].load(Relaxed);
            if above != parent {
                // Path halving. Losing a race to a shorter path does no harm.
                self.parents[place as usize].store(above, Relaxed);
            }
            place = above;
        }
    }

    /// The root of each place with a core, [`NONE`] for the others.
    pub(super) fn into_roots(self, cores: &[bool]) -> Vec<u32> {
        (0..self.parents.len() as u32)
            .zip(cores)
            .map(|(place, core)| if *core { self.root(place) } else { NONE })
            .collect()
    }
}
