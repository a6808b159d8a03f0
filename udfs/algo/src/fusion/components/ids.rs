//! Connected components over 64-bit ids as they are, in parallel.
//!
//! Most of the time of such a run is waiting for memory, so the ids are first cut by their hash into parts whose tables fit a cache; the
//! union-find over the resulting numbers has no locks, since parents only ever become smaller (Anderson and Woll 1991).

use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rayon::prelude::*;

use crate::fusion::intern::mix;
use crate::host::{Host, reserve_for};
use crate::{Error, Result};

/// Bits of the hash that choose a part, and ids read at a time.
const BITS: u32 = 9;
const PARTS: usize = 1 << BITS;
const CHUNK: usize = 1 << 16;

/// Nodes with their components.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Components {
    /// Each id once, ascending.
    pub nodes: Vec<u64>,
    /// The smallest id that it is connected with, itself included.
    pub components: Vec<u64>,
}

/// The components of the undirected edges `source[i] - target[i]`. Loops and repeated edges do no harm.
///
/// Time near O(edges) on all threads, apart from sorting the nodes; memory 28 bytes an edge and 44 a node. The result is the same for any
/// number of threads.
///
/// # Errors
/// [`Error::Data`] for 2^31 edges or more; [`Error::Internal`] when the lengths differ; [`Error::OutOfMemory`]; [`Error::Cancelled`].
pub fn connected_ids(source: &[u64], target: &[u64], host: &dyn Host) -> Result<Components> {
    let edges = source.len();
    if target.len() != edges {
        return Err(Error::Internal("a target for each source"));
    }
    if edges >= 1 << 31 {
        return Err(Error::data(
            format!("{edges} edges are more than 2147483647"),
            "Split the relation.",
        ));
    }
    let _memory = reserve_for::<[u32; 7]>(host, edges, "edges by part")?;
    // Ends are numbered through: sources first, then targets.
    let end = |at: usize| {
        if at < edges {
            source[at]
        } else {
            target[at - edges]
        }
    };
    let parts = Parts::of(2 * edges, end, host)?;
    let codes: Vec<AtomicU32> = (0..2 * edges)
        .into_par_iter()
        .map(|_| AtomicU32::new(0))
        .collect();
    let ids = parts.number(&codes, host)?;
    drop(parts);

    let _nodes = reserve_for::<[u64; 5]>(host, ids.len(), "components")?;
    let parents: Vec<AtomicU32> = (0..ids.len() as u32)
        .into_par_iter()
        .map(AtomicU32::new)
        .collect();
    (0..edges.div_ceil(CHUNK))
        .into_par_iter()
        .try_for_each(|chunk| {
            host.check()?;
            for edge in chunk * CHUNK..((chunk + 1) * CHUNK).min(edges) {
                let (a, b) = (&codes[edge], &codes[edges + edge]);
                join(
                    &parents,
                    a.load(Ordering::Relaxed),
                    b.load(Ordering::Relaxed),
                );
            }
            Ok(())
        })?;
    drop(codes);
    host.check()?;
    let least: Vec<AtomicU64> = ids.par_iter().map(|_| AtomicU64::new(u64::MAX)).collect();
    let roots: Vec<u32> = (0..ids.len() as u32)
        .into_par_iter()
        .map(|node| root(&parents, node))
        .collect();
    roots.par_iter().zip(&ids).for_each(|(root, id)| {
        least[*root as usize].fetch_min(*id, Ordering::Relaxed);
    });
    host.check()?;
    let named = |(root, id): (&u32, &u64)| (*id, least[*root as usize].load(Ordering::Relaxed));
    let mut pairs: Vec<(u64, u64)> = roots.par_iter().zip(&ids).map(named).collect();
    host.check()?;
    pairs.par_sort_unstable();
    let (nodes, components) = pairs.into_iter().unzip();
    Ok(Components { nodes, components })
}

/// The ids with their places, those of one part together.
struct Parts {
    /// Part by part, in each the ids in the order of their places.
    ids: Vec<AtomicU64>,
    places: Vec<AtomicU32>,
    ranges: Vec<Range<usize>>,
}

impl Parts {
    fn of(count: usize, id: impl Fn(usize) -> u64 + Sync, host: &dyn Host) -> Result<Self> {
        let chunk_of = |chunk: usize| chunk * CHUNK..((chunk + 1) * CHUNK).min(count);
        let chunks = count.div_ceil(CHUNK);
        // How many ids of each part each chunk has, then where the chunk writes them.
        let mut starts: Vec<Vec<usize>> = (0..chunks)
            .into_par_iter()
            .map(|chunk| {
                host.check()?;
                let mut counts = vec![0; PARTS];
                for at in chunk_of(chunk) {
                    counts[part(id(at))] += 1;
                }
                Ok(counts)
            })
            .collect::<Result<_>>()?;
        let mut ranges = Vec::with_capacity(PARTS);
        let mut held = 0;
        for part in 0..PARTS {
            let first = held;
            for chunk in &mut starts {
                let count = chunk[part];
                chunk[part] = held;
                held += count;
            }
            ranges.push(first..held);
        }
        let ids: Vec<AtomicU64> = (0..count)
            .into_par_iter()
            .map(|_| AtomicU64::new(0))
            .collect();
        let places: Vec<AtomicU32> = (0..count)
            .into_par_iter()
            .map(|_| AtomicU32::new(0))
            .collect();
        starts
            .into_par_iter()
            .enumerate()
            .try_for_each(|(chunk, mut next)| {
                host.check()?;
                for at in chunk_of(chunk) {
                    let id = id(at);
                    let next = &mut next[part(id)];
                    ids[*next].store(id, Ordering::Relaxed);
                    places[*next].store(at as u32, Ordering::Relaxed);
                    *next += 1;
                }
                Ok(())
            })?;
        Ok(Self {
            ids,
            places,
            ranges,
        })
    }

    /// Writes the number of each id to its place in `codes`; returns the ids by number.
    fn number(&self, codes: &[AtomicU32], host: &dyn Host) -> Result<Vec<u64>> {
        let distinct: Vec<Vec<u64>> = self
            .ranges
            .par_iter()
            .map(|range| {
                host.check()?;
                let mut table = Table::new(range.len());
                for (id, place) in self.ids[range.clone()]
                    .iter()
                    .zip(&self.places[range.clone()])
                {
                    let number = table.number(id.load(Ordering::Relaxed));
                    codes[place.load(Ordering::Relaxed) as usize].store(number, Ordering::Relaxed);
                }
                Ok(table.keys)
            })
            .collect::<Result<_>>()?;
        let mut bases = Vec::with_capacity(PARTS);
        let mut held = 0_u32;
        for keys in &distinct {
            bases.push(held);
            held += keys.len() as u32;
        }
        self.ranges
            .par_iter()
            .zip(&bases)
            .for_each(|(range, base)| {
                for place in &self.places[range.clone()] {
                    // Each place is visited by one part only.
                    let code = &codes[place.load(Ordering::Relaxed) as usize];
                    code.store(code.load(Ordering::Relaxed) + base, Ordering::Relaxed);
                }
            });
        Ok(distinct.concat())
    }
}

fn part(id: u64) -> usize {
    (mix(id) >> (64 - BITS)) as usize
}

/// Numbers of the keys of one part, by open addressing.
struct Table {
    keys: Vec<u64>,
    /// Number plus one; 0 is free.
    slots: Vec<u32>,
}

impl Table {
    fn new(most: usize) -> Self {
        Self {
            keys: Vec::new(),
            slots: vec![0; (2 * most).next_power_of_two()],
        }
    }

    fn number(&mut self, key: u64) -> u32 {
        let mask = self.slots.len() - 1;
        // The upper bits are those of the part.
        let mut at = mix(key) as usize & mask;
        loop {
            match self.slots[at] {
                0 => {
                    self.keys.push(key);
                    self.slots[at] = self.keys.len() as u32;
                    return self.keys.len() as u32 - 1;
                }
                held if self.keys[held as usize - 1] == key => return held - 1,
                _ => at = (at + 1) & mask,
            }
        }
    }
}

/// The root of a node, halving the path to it.
fn root(parents: &[AtomicU32], mut node: u32) -> u32 {
    loop {
        let parent = parents[node as usize].load(Ordering::Relaxed);
        if parent == node {
            return node;
        }
        let grandparent = parents[parent as usize].load(Ordering::Relaxed);
        if grandparent != parent {
            // Another thread may have found a shorter way; then this one is not worth a second try.
            let _ = parents[node as usize].compare_exchange_weak(
                parent,
                grandparent,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
        node = grandparent;
    }
}

/// Joins two nodes: the larger root gets the smaller for its parent, if it still is a root.
fn join(parents: &[AtomicU32], mut a: u32, mut b: u32) {
    loop {
        (a, b) = (root(parents, a), root(parents, b));
        if a == b {
            return;
        }
        let (low, high) = (a.min(b), a.max(b));
        let joined = parents[high as usize].compare_exchange(
            high,
            low,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        if joined.is_ok() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unlimited;
    use crate::fusion::connected_components;
    use proptest::prelude::*;

    #[test]
    fn names_components_by_their_smallest_id() {
        let found = connected_ids(&[u64::MAX, 7, 5], &[9, 7, 9], &Unlimited).unwrap();
        assert_eq!(found.nodes, [5, 7, 9, u64::MAX]);
        assert_eq!(found.components, [5, 7, 5, 5]);
        assert_eq!(
            connected_ids(&[], &[], &Unlimited).unwrap(),
            Components::default()
        );
        assert!(connected_ids(&[1], &[], &Unlimited).is_err());
    }

    #[test]
    fn many_threads_find_what_one_does() {
        let n = 300_000_u64;
        let source: Vec<u64> = (0..n).map(|at| mix(at % 200_000)).collect();
        let target: Vec<u64> = (0..n).map(|at| mix(mix(at) % 200_000)).collect();
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| connected_ids(&source, &target, &Unlimited).unwrap())
        };
        let one = run(1);
        assert_eq!(one, run(4));
        assert!(one.nodes.windows(2).all(|pair| pair[0] < pair[1]));
    }

    proptest! {
        #[test]
        fn equals_components_of_numbers(edges in prop::collection::vec((0u64..30, 0u64..30), 0..40)) {
            let (source, target): (Vec<u64>, Vec<u64>) = edges.into_iter().unzip();
            let found = connected_ids(&source, &target, &Unlimited).unwrap();
            let small = |ids: &[u64]| ids.iter().map(|id| *id as u32).collect::<Vec<u32>>();
            let expected = connected_components(30, &small(&source), &small(&target), &Unlimited).unwrap();
            for (node, component) in found.nodes.iter().zip(&found.components) {
                prop_assert_eq!(u64::from(expected[*node as usize]), *component);
            }
        }
    }
}
