//! The minimum spanning tree of mutual reachability by Boruvka's algorithm on a kd-tree (March, Ram and Gray 2010).
//!
//! In each round every component finds the shortest edge that leaves it. A row remembers the nearest row outside its
//! component while that stays outside, and otherwise how far it had looked in vain: so most rows need no search in most
//! rounds. Rows that search do so by tiles, and share the best edge of their component as a limit.
//!
//! A component's edge is the least by (squared length in f32, place of the one end, place of the other) of those its rows
//! found. A row whose search was cut short by the limit could not have given it, so when the limits change, and thus the
//! order of the threads, is without effect. Edges are taken shortest first, and an edge between rows that are joined by
//! then is left out: with one edge a component that is right also where lengths are equal.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::Edge;
use crate::clustering::kdtree::{KdTree, Query, Visitor};
use crate::clustering::tile::LANES;
use crate::host::{Host, Meter};
use crate::parallel::ordered;
use crate::{Error, Result};

/// Rows of a task that search.
const TASK_ROWS: usize = 16 * LANES;

/// No place, no component.
const NONE: u32 = u32::MAX;

/// The state of the search for the tree. Everything is by place in the kd-tree.
pub(super) struct Boruvka<'a> {
    tree: &'a KdTree<'a>,
    /// Squared core distances in f32.
    core: Vec<f32>,
    /// Core distances.
    exact_core: Vec<f64>,
    /// Component of each place: its smallest place.
    component: Vec<u32>,
    /// What each place knows of the nearest row outside its component.
    nearest: Vec<Candidate>,
}

/// An end of an edge, and the squared length in f32. With no end: there is none up to this length.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    squared: f32,
    place: u32,
}

impl<'a> Boruvka<'a> {
    /// Finds the core distances: those of the `rank`-th row.
    pub(super) fn new(tree: &'a KdTree<'a>, rank: usize, host: &dyn Host) -> Result<Self> {
        let n = tree.len();
        let mut core = vec![0.0; n];
        let mut exact_core = vec![0.0; n];
        // The nearest neighbours a place may start with; their core distances are known after all have been found.
        let mut near: Vec<[u32; 3]> = vec![[NONE; 3]; n];
        let places: Vec<usize> = (0..n).collect();
        tree.nearest(&places, rank, host, |places, lists| {
            for (&place, list) in places.iter().zip(lists) {
                if let Some(&(squared, last)) = list.last() {
                    core[place] = squared;
                    exact_core[place] = tree.exact_squared(place, last as usize).sqrt();
                }
                let others = list.iter().filter(|found| found.1 as usize != place);
                for (slot, found) in near[place].iter_mut().zip(others) {
                    *slot = found.1;
                }
            }
            Ok(())
        })?;
        host.progress("hierarchical clustering", 1, 3, None);
        // No edge of a row is shorter than its core distance: a neighbour within it that has no larger core distance ends
        // the nearest edge there is.
        let nearest = near
            .iter()
            .enumerate()
            .map(|(place, near)| {
                let found = near
                    .iter()
                    .filter(|other| **other != NONE && core[**other as usize] <= core[place])
                    .min();
                Candidate {
                    squared: if found.is_some() { core[place] } else { 0.0 },
                    place: found.copied().unwrap_or(NONE),
                }
            })
            .collect();
        Ok(Self {
            tree,
            core,
            exact_core,
            component: (0..n as u32).collect(),
            nearest,
        })
    }

    /// The n - 1 edges of the tree, between rows.
    pub(super) fn spanning_tree(mut self, host: &dyn Host) -> Result<Vec<Edge>> {
        let n = self.tree.len();
        let mut edges = Vec::with_capacity(n.saturating_sub(1));
        while edges.len() + 1 < n {
            let before = edges.len();
            for (a, b) in self.shortest(host)? {
                if self.join(a, b) {
                    edges.push(self.edge(a as usize, b as usize));
                }
            }
            if edges.len() == before {
                return Err(Error::Internal("each component has an edge that leaves it"));
            }
            for place in 0..n {
                // Roots are smaller than what is below them, so one pass reaches all.
                let parent = self.component[place];
                self.component[place] = self.component[parent as usize];
            }
            host.progress(
                "spanning tree edges",
                edges.len() as u64,
                n as u64 - 1,
                None,
            );
        }
        Ok(edges)
    }

    fn edge(&self, a: usize, b: usize) -> Edge {
        let length = self.tree.exact_squared(a, b).sqrt();
        let (row, other) = (self.tree.rows()[a], self.tree.rows()[b]);
        Edge {
            length: length.max(self.exact_core[a]).max(self.exact_core[b]),
            a: row.min(other),
            b: row.max(other),
        }
    }

    /// The shortest edge out of each component, shortest first.
    fn shortest(&mut self, host: &dyn Host) -> Result<Vec<(u32, u32)>> {
        let n = self.tree.len();
        // What is known without a search sets the limits.
        let limits: Vec<AtomicU32> = (0..n)
            .map(|_| AtomicU32::new(f32::INFINITY.to_bits()))
            .collect();
        for (place, candidate) in self.nearest.iter_mut().enumerate() {
            let own = self.component[place];
            if candidate.place == NONE {
                continue;
            }
            if self.component[candidate.place as usize] == own {
                // It has been joined: what lies outside is at least as far.
                candidate.place = NONE;
            } else {
                lower(&limits[own as usize], candidate.squared);
            }
        }
        let one = self.tree.fold_up(
            |places| {
                let first = self.component[places.start];
                let same = self.component[places].iter().all(|other| *other == first);
                if same { first } else { NONE }
            },
            |a, b| if a == b { a } else { NONE },
        );
        let least_core = self.tree.fold_up(
            |places| {
                self.core[places]
                    .iter()
                    .copied()
                    .fold(f32::INFINITY, f32::min)
            },
            f32::min,
        );
        let mut searching: Vec<usize> = (0..n)
            .filter(|place| {
                let known = self.nearest[*place];
                known.place == NONE && self.may_matter(*place, known.squared, &limits)
            })
            .collect();
        // A tile of one component passes by all nodes that are of the same.
        searching.sort_by_key(|place| self.component[*place]);
        let tasks: Vec<&[usize]> = searching.chunks(TASK_ROWS).collect();
        let mut fresh: Vec<(usize, Candidate)> = Vec::with_capacity(searching.len());
        let state = &*self;
        ordered(
            tasks.len(),
            host,
            |task| {
                let mut meter = Meter::new(host);
                let mut stack = Vec::new();
                let mut found = Vec::with_capacity(tasks[task].len());
                for places in tasks[task].chunks(LANES) {
                    // The limits have fallen since.
                    let places: Vec<usize> = places
                        .iter()
                        .copied()
                        .filter(|&place| {
                            state.may_matter(place, state.nearest[place].squared, &limits)
                        })
                        .collect();
                    if places.is_empty() {
                        continue;
                    }
                    let query = state.tree.query(&places);
                    let mut search = Search::new(
                        state,
                        &query,
                        &places,
                        &limits,
                        &one,
                        &least_core,
                        &mut meter,
                    );
                    state.tree.walk(&query, &mut search, &mut stack)?;
                    search.finish(&mut found);
                }
                Ok(found)
            },
            |found| {
                fresh.extend(found);
                Ok(())
            },
        )?;
        for (place, candidate) in fresh {
            self.nearest[place] = candidate;
        }

        let mut best: Vec<(f32, u32, u32)> = vec![(f32::INFINITY, NONE, NONE); n];
        for (place, candidate) in self.nearest.iter().enumerate() {
            if candidate.place != NONE {
                let (a, b) = (place as u32, candidate.place);
                let edge = (candidate.squared, a.min(b), a.max(b));
                let slot = &mut best[self.component[place] as usize];
                if less(&edge, slot) {
                    *slot = edge;
                }
            }
        }
        best.retain(|edge| edge.1 != NONE);
        best.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        Ok(best.into_iter().map(|(_, a, b)| (a, b)).collect())
    }

    /// Whether an edge of a place could be the best of its component, when all are longer than `squared`.
    fn may_matter(&self, place: usize, squared: f32, limits: &[AtomicU32]) -> bool {
        let limit = f32::from_bits(limits[self.component[place] as usize].load(Relaxed));
        squared.max(self.core[place]) <= limit
    }

    /// Joins the components of two places; false when they are one.
    fn join(&mut self, a: u32, b: u32) -> bool {
        let (a, b) = (self.root(a), self.root(b));
        if a == b {
            return false;
        }
        self.component[a.max(b) as usize] = a.min(b);
        true
    }

    fn root(&mut self, mut place: u32) -> u32 {
        while self.component[place as usize] != place {
            let above = self.component[self.component[place as usize] as usize];
            self.component[place as usize] = above;
            place = above;
        }
        place
    }
}

/// A search of up to 32 places for the nearest rows outside their components.
struct Search<'a, 'b> {
    state: &'a Boruvka<'a>,
    query: &'a Query,
    places: &'a [usize],
    /// Shortest edge known of each component.
    limits: &'a [AtomicU32],
    /// The component of a node, if it is one.
    one: &'a [u32],
    /// Least squared core distance below each node.
    least_core: &'a [f32],
    /// Component, if it is the same for all places.
    own: u32,
    /// How far each place looks.
    reach: [f32; LANES],
    widest: f32,
    found: [Candidate; LANES],
    squares: [[f32; LANES]; LANES],
    meter: &'a mut Meter<'b>,
}

impl<'a, 'b> Search<'a, 'b> {
    fn new(
        state: &'a Boruvka<'a>,
        query: &'a Query,
        places: &'a [usize],
        limits: &'a [AtomicU32],
        one: &'a [u32],
        least_core: &'a [f32],
        meter: &'a mut Meter<'b>,
    ) -> Self {
        let first = state.component[places[0]];
        let same = places.iter().all(|place| state.component[*place] == first);
        let mut search = Self {
            state,
            query,
            places,
            limits,
            one,
            least_core,
            own: if same { first } else { NONE },
            // Lanes without a place look nowhere.
            reach: [-1.0; LANES],
            widest: 0.0,
            found: [Candidate {
                squared: f32::INFINITY,
                place: NONE,
            }; LANES],
            squares: [[0.0; LANES]; LANES],
            meter,
        };
        search.tighten();
        search
    }

    /// Takes over the limits as they are now.
    fn tighten(&mut self) {
        let lanes = self.reach.iter_mut().zip(&self.found).zip(self.places);
        self.widest = 0.0;
        for ((reach, found), place) in lanes {
            let component = self.state.component[*place] as usize;
            let limit = f32::from_bits(self.limits[component].load(Relaxed));
            *reach = limit.min(found.squared);
            self.widest = self.widest.max(*reach);
        }
    }

    /// Each place with what it found, or how far it looked in vain: also when its limit fell below what it had found, as
    /// something nearer may then have been passed by.
    fn finish(&mut self, found: &mut Vec<(usize, Candidate)>) {
        for ((&place, candidate), &reach) in self.places.iter().zip(&self.found).zip(&self.reach) {
            let known = if candidate.place == NONE || reach < candidate.squared {
                Candidate {
                    squared: reach.max(self.state.nearest[place].squared),
                    place: NONE,
                }
            } else {
                *candidate
            };
            found.push((place, known));
        }
    }
}

impl Visitor for Search<'_, '_> {
    fn enter(&mut self, node: usize, least: f32) -> bool {
        least.max(self.least_core[node]) <= self.widest
            && (self.own == NONE || self.one[node] != self.own)
    }

    fn leaf(&mut self, leaf: usize) -> Result<()> {
        let state = self.state;
        let others = state.tree.places(leaf);
        let values = state.tree.values(others.clone());
        self.meter.spend(LANES * values.len() / 4)?;
        self.query.tile.squares(values, &mut self.squares);
        let mut better = false;
        for (other, squares) in others.zip(&self.squares) {
            let core = state.core[other];
            if core > self.widest {
                continue;
            }
            let within = squares.iter().zip(&self.reach);
            if !within.fold(false, |any, (squared, reach)| any | (squared <= reach)) {
                continue;
            }
            let component = state.component[other];
            let lanes = squares.iter().zip(&mut self.reach).zip(&mut self.found);
            for (((&squared, reach), found), &place) in lanes.zip(self.places) {
                if squared > *reach || state.component[place] == component {
                    continue;
                }
                let squared = squared.max(core).max(state.core[place]);
                let candidate = (squared, other as u32);
                if squared <= *reach && candidate < (found.squared, found.place) {
                    *found = Candidate {
                        squared,
                        place: other as u32,
                    };
                    *reach = squared;
                    lower(&self.limits[state.component[place] as usize], squared);
                    better = true;
                }
            }
        }
        if better {
            self.tighten();
        }
        Ok(())
    }
}

fn less(a: &(f32, u32, u32), b: &(f32, u32, u32)) -> bool {
    a < b
}

/// Lowers a limit; bits of positive floats are in the order of the floats.
fn lower(limit: &AtomicU32, squared: f32) {
    limit.fetch_min(squared.to_bits(), Relaxed);
}
