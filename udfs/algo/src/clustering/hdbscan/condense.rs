//! The condensed tree of a spanning tree, and the clusters chosen from it (Campello, Moulavi, Zimek and Sander 2015).
//!
//! lambda is 1 / distance: a cluster is born at the lambda where it splits off and dies where it splits itself; in between
//! it loses rows. Numbering, choice and probabilities are those of scikit-learn.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{Edge, HierarchicalClusters, Selection};
use crate::{Error, Result};

/// Splits into clusters, and rows that fall out of them.
pub(super) struct CondensedTree {
    /// For each row the cluster it falls out of, and the lambda at which it does.
    rows: Vec<(u32, f64)>,
    /// The clusters in the order they are met, level by level; the first holds all rows. Parents come before children.
    clusters: Vec<Cluster>,
}

#[derive(Debug, Clone, Copy)]
struct Cluster {
    /// Its parent; itself for the first.
    parent: usize,
    /// Lambda at which it splits off.
    birth: f64,
    rows: usize,
}

impl CondensedTree {
    /// Condenses the spanning tree of `n` rows.
    pub(super) fn new(n: usize, edges: &[Edge], min_cluster_size: usize) -> Result<Self> {
        if n == 0 || edges.len() != n - 1 {
            return Err(Error::Internal(
                "a spanning tree has one edge less than rows",
            ));
        }
        let merges = merges(n, edges);
        let size = |node: usize| {
            if node < n { 1 } else { merges[node - n].rows }
        };
        let mut tree = Self {
            rows: vec![(0, 0.0); n],
            clusters: vec![Cluster {
                parent: 0,
                birth: 0.0,
                rows: n,
            }],
        };
        // Level by level, left before right: the order in which scikit-learn numbers clusters. A node within a cluster
        // carries the cluster's number.
        let root = if n == 1 { 0 } else { n + merges.len() - 1 };
        let mut level = vec![(root, 0_usize)];
        let mut below = Vec::new();
        let mut open = Vec::new();
        while !level.is_empty() {
            for &(node, cluster) in &level {
                if node < n {
                    // Only a single row is met here.
                    continue;
                }
                let merge = &merges[node - n];
                let lambda = if merge.length > 0.0 {
                    1.0 / merge.length
                } else {
                    f64::INFINITY
                };
                let children = [merge.left as usize, merge.right as usize];
                let large = children.map(|child| size(child) >= min_cluster_size);
                for (child, large) in children.into_iter().zip(large) {
                    if large {
                        continue;
                    }
                    open.push(child);
                    while let Some(node) = open.pop() {
                        if node < n {
                            tree.rows[node] = (cluster as u32, lambda);
                        } else {
                            open.push(merges[node - n].left as usize);
                            open.push(merges[node - n].right as usize);
                        }
                    }
                }
                for (child, is_large) in children.into_iter().zip(large) {
                    if !is_large {
                        continue;
                    }
                    let within = if large == [true; 2] {
                        tree.clusters.push(Cluster {
                            parent: cluster,
                            birth: lambda,
                            rows: size(child),
                        });
                        tree.clusters.len() - 1
                    } else {
                        cluster
                    };
                    below.push((child, within));
                }
            }
            std::mem::swap(&mut level, &mut below);
            below.clear();
        }
        Ok(tree)
    }

    /// Labels and probabilities of the chosen clusters.
    pub(super) fn clusters(
        &self,
        selection: Selection,
        allow_single: bool,
    ) -> HierarchicalClusters {
        let stability = self.stabilities();
        let chosen = match selection {
            Selection::ExcessOfMass => self.by_excess_of_mass(&stability, allow_single),
            Selection::Leaf => self.leaves(allow_single),
        };
        // Numbers go in the order of the tree.
        let mut number = vec![-1; self.clusters.len()];
        let mut stabilities = Vec::new();
        // Where each cluster's rows belong: to the chosen cluster it lies in.
        let mut home: Vec<Option<usize>> = vec![None; self.clusters.len()];
        for (at, cluster) in self.clusters.iter().enumerate() {
            if chosen[at] {
                number[at] = stabilities.len() as i32;
                stabilities.push(stability[at]);
                home[at] = Some(at);
            } else if at > 0 {
                home[at] = home[cluster.parent];
            }
        }
        // The lambda of the last row or part that falls out of a cluster.
        let mut densest = vec![0.0_f64; self.clusters.len()];
        for &(cluster, lambda) in &self.rows {
            let slot = &mut densest[cluster as usize];
            *slot = slot.max(lambda);
        }
        for cluster in &self.clusters[1..] {
            densest[cluster.parent] = densest[cluster.parent].max(cluster.birth);
        }
        let mut labels = Vec::with_capacity(self.rows.len());
        let mut probabilities = Vec::with_capacity(self.rows.len());
        for &(cluster, lambda) in &self.rows {
            // Of one cluster of all rows, those that leave before its densest level are noise.
            let stays = |home: &usize| *home != 0 || lambda >= densest[0];
            let Some(home) = home[cluster as usize].filter(stays) else {
                labels.push(-1);
                probabilities.push(0.0);
                continue;
            };
            labels.push(number[home]);
            let most = densest[home];
            probabilities.push(if most == 0.0 || lambda.is_infinite() {
                1.0
            } else {
                lambda.min(most) / most
            });
        }
        HierarchicalClusters {
            labels,
            probabilities,
            stabilities,
        }
    }

    /// Excess of mass: the sum over the rows of the lambda they stay for.
    fn stabilities(&self) -> Vec<f64> {
        let mut stability = vec![0.0; self.clusters.len()];
        for &(cluster, lambda) in &self.rows {
            stability[cluster as usize] += lambda - self.birth(cluster as usize, lambda);
        }
        for cluster in &self.clusters[1..] {
            let born = self.birth(cluster.parent, cluster.birth);
            stability[cluster.parent] += (cluster.birth - born) * cluster.rows as f64;
        }
        stability
    }

    /// Lambda at which a cluster was born. One born of equal rows, at infinity, has no mass.
    fn birth(&self, cluster: usize, lambda: f64) -> f64 {
        let birth = self.clusters[cluster].birth;
        if birth.is_infinite() { lambda } else { birth }
    }

    /// A cluster is chosen when its excess of mass is not below that of the best choice within it.
    fn by_excess_of_mass(&self, stability: &[f64], allow_single: bool) -> Vec<bool> {
        let n = self.clusters.len();
        let mut chosen = vec![true; n];
        let mut best = stability.to_vec();
        let mut within = vec![0.0; n];
        let last = usize::from(!allow_single);
        for at in (last..n).rev() {
            if within[at] > stability[at] {
                chosen[at] = false;
                best[at] = within[at];
            }
            if at > 0 {
                within[self.clusters[at].parent] += best[at];
            }
        }
        if !allow_single {
            chosen[0] = false;
        }
        // What lies within a chosen cluster is not chosen itself.
        let mut covered = vec![false; n];
        for at in 1..n {
            let parent = self.clusters[at].parent;
            covered[at] = covered[parent] || chosen[parent];
            if covered[at] {
                chosen[at] = false;
            }
        }
        chosen
    }

    /// The clusters that do not split; all rows only if that is allowed.
    fn leaves(&self, allow_single: bool) -> Vec<bool> {
        let mut chosen = vec![true; self.clusters.len()];
        for cluster in &self.clusters[1..] {
            chosen[cluster.parent] = false;
        }
        if !allow_single {
            chosen[0] = false;
        }
        chosen
    }
}

/// Two nodes that become one: below n a row, from n on an earlier merge.
struct Merge {
    left: u32,
    right: u32,
    length: f64,
    rows: usize,
}

/// The hierarchy of single linkage: the edges shortest first, each joining what its ends belong to.
///
/// The order of equally long edges shapes the hierarchy. Here it is that in which Prim's algorithm takes them on its way
/// through the tree from row 0, the smallest row number first where it has a choice; and of two parts the one it came through first is
/// the left. scikit-learn goes that way too.
fn merges(n: usize, edges: &[Edge]) -> Vec<Merge> {
    let mut steps = prim(n, edges);
    steps.sort_by(|a, b| a.length.total_cmp(&b.length));
    let mut above: Vec<u32> = (0..2 * n as u32).collect();
    let mut rows = vec![1_usize; n];
    let mut merges = Vec::with_capacity(steps.len());
    for edge in steps {
        let (left, right) = (top(&mut above, edge.a), top(&mut above, edge.b));
        let node = (n + merges.len()) as u32;
        above[left as usize] = node;
        above[right as usize] = node;
        rows.push(rows[left as usize] + rows[right as usize]);
        merges.push(Merge {
            left,
            right,
            length: edge.length,
            rows: rows[node as usize],
        });
    }
    merges
}

/// The steps of Prim's algorithm on the tree: from each row it reaches to the next, with the length of the edge it takes.
/// Rows joined by edges up to a length are a run of its way, so that these steps cluster as the edges themselves do.
fn prim(n: usize, edges: &[Edge]) -> Vec<Edge> {
    let mut starts = vec![0_usize; n + 1];
    for edge in edges {
        starts[edge.a as usize + 1] += 1;
        starts[edge.b as usize + 1] += 1;
    }
    for at in 1..starts.len() {
        starts[at] += starts[at - 1];
    }
    let mut next = starts.clone();
    let mut neighbours = vec![(0_u32, 0.0_f64); 2 * edges.len()];
    for edge in edges {
        for (from, to) in [(edge.a, edge.b), (edge.b, edge.a)] {
            neighbours[next[from as usize]] = (to, edge.length);
            next[from as usize] += 1;
        }
    }
    let mut reached = vec![false; n];
    let mut open = BinaryHeap::new();
    let mut at = 0_u32;
    let mut steps = Vec::with_capacity(edges.len());
    loop {
        reached[at as usize] = true;
        for &(to, length) in &neighbours[starts[at as usize]..starts[at as usize + 1]] {
            if !reached[to as usize] {
                // Lengths are not negative: their bits are in their order.
                open.push(Reverse((length.to_bits(), to)));
            }
        }
        let Some(Reverse((bits, to))) = open.pop() else {
            return steps;
        };
        steps.push(Edge {
            length: f64::from_bits(bits),
            a: at,
            b: to,
        });
        at = to;
    }
}

fn top(above: &mut [u32], mut node: u32) -> u32 {
    while above[node as usize] != node {
        let next = above[above[node as usize] as usize];
        above[node as usize] = next;
        node = next;
    }
    node
}
