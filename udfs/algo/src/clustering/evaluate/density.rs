//! Density-based clustering validation (Moulavi, Jaskowiak, Campello, Zimek and Sander 2014).
//!
//! d the number of columns, n_i the rows of cluster C_i. A cluster is good when the sparsest place within it (DSC) is denser
//! than the densest place between it and another cluster (DSPC). Where the paper leaves a case open, this follows the
//! `hdbscan` package: rows at distance 0 add nothing to the core distance, of equal edges the one to the smallest row
//! number is in the tree, a tree without inner edges is measured by all of its edges. One without inner nodes, of two
//! rows, is measured by both.

use super::Groups;
use crate::Result;
use crate::clustering::tile::{LANES, Tile};
use crate::host::{Host, Meter};
use crate::parallel::ordered;

/// Validity index of each cluster, equation 6: `(min DSPC - DSC) / max(min DSPC, DSC)`. `None` for a cluster of a single row,
/// or when no other cluster has two.
///
/// Time O(n^2 d) for n rows, memory 4 n d bytes beside the rows.
pub(super) fn validity(groups: &Groups, host: &dyn Host) -> Result<Vec<Option<f64>>> {
    let mut trees = Vec::with_capacity(groups.len());
    ordered(
        groups.len(),
        host,
        |code| {
            let rows = groups.rows(code);
            if rows.len() > groups.d {
                Tree::new(rows, groups.d, host).map(Some)
            } else {
                Ok(None)
            }
        },
        |tree| {
            trees.push(tree);
            Ok(())
        },
    )?;
    let mut nearest = vec![f64::INFINITY; trees.len()];
    let pairs: Vec<(usize, usize)> = (0..trees.len())
        .flat_map(|i| (0..i).map(move |j| (j, i)))
        .collect();
    let mut gaps = pairs.iter();
    ordered(
        pairs.len(),
        host,
        |pair| {
            let (i, j) = pairs[pair];
            match (&trees[i], &trees[j]) {
                (Some(a), Some(b)) => a.separation(b, groups.d, host),
                _ => Ok(f64::INFINITY),
            }
        },
        |gap| {
            if let Some(&(i, j)) = gaps.next() {
                nearest[i] = nearest[i].min(gap);
                nearest[j] = nearest[j].min(gap);
            }
            Ok(())
        },
    )?;
    Ok(trees
        .iter()
        .zip(nearest)
        .map(|(tree, separation)| {
            let sparseness = tree.as_ref()?.sparseness;
            let larger = separation.max(sparseness);
            if !separation.is_finite() {
                None
            } else if larger > 0.0 {
                Some((separation - sparseness) / larger)
            } else {
                Some(0.0)
            }
        })
        .collect())
}

/// The minimum spanning tree of a cluster, as far as the index needs it.
struct Tree {
    /// Density sparseness of the cluster: the longest edge between inner nodes.
    sparseness: f64,
    /// Rows of the inner nodes, those of degree two or more; all rows when there is none.
    inner: Vec<f32>,
    /// Core distances of them.
    core: Vec<f64>,
}

impl Tree {
    fn new(rows: &[f32], d: usize, host: &dyn Host) -> Result<Self> {
        let mut meter = Meter::new(host);
        let n = rows.len() / d;
        let tiles = tiles(rows, d);
        let mut core = Vec::with_capacity(n);
        let mut squared = Vec::with_capacity(tiles.len() * LANES);
        for point in rows.chunks_exact(d) {
            meter.spend(rows.len())?;
            squares(&tiles, point, n, &mut squared);
            core.push(core_distance(&squared, d));
        }

        // Prim's algorithm from the first row. Ties are the rule here, as an edge is often as long as a core distance:
        // the smallest row number decides, at both ends.
        let mut reach = vec![f64::INFINITY; n];
        let mut from = vec![0; n];
        let mut joined = vec![false; n];
        let mut edges = Vec::with_capacity(n - 1);
        let mut at = 0;
        for _ in 1..n {
            meter.spend(rows.len())?;
            joined[at] = true;
            squares(&tiles, &rows[at * d..][..d], n, &mut squared);
            let mut next = at;
            let mut least = f64::INFINITY;
            for (row, &squared) in squared.iter().enumerate() {
                if joined[row] {
                    continue;
                }
                let distance = f64::from(squared).sqrt().max(core[at]).max(core[row]);
                if distance < reach[row] || distance == reach[row] && at < from[row] {
                    reach[row] = distance;
                    from[row] = at;
                }
                if reach[row] < least || next == at {
                    least = reach[row];
                    next = row;
                }
            }
            edges.push((from[next], next, least));
            at = next;
        }

        let mut degree = vec![0_u32; n];
        for &(a, b, _) in &edges {
            degree[a] += 1;
            degree[b] += 1;
        }
        let longest = |edges: &mut dyn Iterator<Item = f64>| edges.reduce(f64::max);
        let mut within = edges
            .iter()
            .filter(|edge| degree[edge.0] > 1 && degree[edge.1] > 1)
            .map(|edge| edge.2);
        let sparseness = longest(&mut within)
            .or_else(|| longest(&mut edges.iter().map(|edge| edge.2)))
            .unwrap_or(0.0);
        let any = degree.iter().any(|degree| *degree > 1);
        let keep = |row: &usize| !any || degree[*row] > 1;
        Ok(Self {
            sparseness,
            inner: (0..n)
                .filter(keep)
                .flat_map(|row| rows[row * d..][..d].iter().copied())
                .collect(),
            core: (0..n).filter(keep).map(|row| core[row]).collect(),
        })
    }

    /// Density separation: the least mutual reachability distance between inner nodes of both.
    fn separation(&self, other: &Self, d: usize, host: &dyn Host) -> Result<f64> {
        let mut meter = Meter::new(host);
        let tiles = tiles(&other.inner, d);
        let mut squared = Vec::with_capacity(other.core.len());
        let mut least = f64::INFINITY;
        for (point, &core) in self.inner.chunks_exact(d).zip(&self.core) {
            meter.spend(other.inner.len())?;
            squares(&tiles, point, other.core.len(), &mut squared);
            for (&squared, &far) in squared.iter().zip(&other.core) {
                least = least.min(f64::from(squared).sqrt().max(core).max(far));
            }
        }
        Ok(least)
    }
}

/// All-points core distance, definition 1: the mean of `(1 / distance)^d` over the n_i - 1 other rows, to the power `-1 / d`.
/// Measured in units of the least distance, so that no power overflows. 0 when all other rows are equal to this one.
fn core_distance(squared: &[f32], d: usize) -> f64 {
    let least = squared
        .iter()
        .copied()
        .filter(|squared| *squared > 0.0)
        .fold(f32::INFINITY, f32::min);
    if least == f32::INFINITY {
        return 0.0;
    }
    let least = f64::from(least);
    let half = d as f64 / 2.0;
    let sum: f64 = squared
        .iter()
        .filter(|squared| **squared > 0.0)
        .map(|&squared| (least / f64::from(squared)).powf(half))
        .sum();
    least.sqrt() * (sum / (squared.len() - 1) as f64).powf(-1.0 / d as f64)
}

fn tiles(rows: &[f32], d: usize) -> Vec<Tile> {
    rows.chunks(LANES * d)
        .map(|rows| {
            let mut tile = Tile::default();
            tile.load(rows, d);
            tile
        })
        .collect()
}

/// Squared distances of the `n` rows of `tiles` to `point`.
fn squares(tiles: &[Tile], point: &[f32], n: usize, squared: &mut Vec<f32>) {
    squared.clear();
    for tile in tiles {
        let mut lanes = [f32::INFINITY; LANES];
        tile.lower(point, &mut lanes);
        squared.extend_from_slice(&lanes);
    }
    squared.truncate(n);
}
