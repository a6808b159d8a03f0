//! The isolation forest: what is few and different is soon alone when rows are cut apart at random.

use crate::host::{Host, reserve_for};
use crate::parallel::ordered;
use crate::random::Random;
use crate::{Error, Result};

/// Scores rows by how few random cuts set them apart (Liu, Ting and Zhou, Isolation Forest, ICDM 2008).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IsolationForest {
    /// Trees, at least 1.
    pub trees: usize,
    /// Rows that each tree is grown on, at least 2.
    pub sample: usize,
    /// Fixes the draws.
    pub seed: u64,
}

impl Default for IsolationForest {
    fn default() -> Self {
        Self {
            trees: 100,
            sample: 256,
            seed: 0,
        }
    }
}

/// A tree, its nodes in one list.
struct Tree {
    nodes: Vec<Node>,
}

enum Node {
    /// Rows below `at` in `feature` go to the next node, the others to `right`.
    Cut {
        feature: usize,
        at: f64,
        right: usize,
    },
    /// Cuts that further rows would have taken.
    Leaf { beyond: f64 },
}

impl IsolationForest {
    /// The score of each row, in 0..=1: near 1 for what is far from everything, at most about 0.5 for what is in the crowd; 0.5 for
    /// fewer than two rows. `rows` holds rows of `width` features one behind the other, in an order that depends on their content alone;
    /// all are finite.
    ///
    /// Time O(trees x n x log sample), memory 8 bytes a row.
    ///
    /// # Errors
    /// [`Error::Parameter`] for too few trees or rows of a tree; [`Error::Internal`] for rows of another width;
    /// [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn scores(&self, rows: &[f64], width: usize, host: &dyn Host) -> Result<Vec<f64>> {
        for (name, value, least) in [("trees", self.trees, 1), ("sample", self.sample, 2)] {
            if value < least {
                return Err(Error::parameter(
                    name,
                    format!("\"{name}\" must be at least {least}, not {value}"),
                    "100 trees of 256 rows are usual.",
                ));
            }
        }
        if width == 0 || !rows.len().is_multiple_of(width) {
            return Err(Error::Internal("rows of one width"));
        }
        let count = rows.len() / width;
        if count < 2 {
            return Ok(vec![0.5; count]);
        }
        let sample = self.sample.min(count);
        let height = (sample as f64).log2().ceil() as usize;
        let row = |at: usize| &rows[at * width..(at + 1) * width];
        let mut trees = Vec::with_capacity(self.trees);
        ordered(
            self.trees,
            host,
            |tree| {
                let mut random = Random::stream(self.seed, tree as u64);
                let mut drawn: Vec<usize> = draw(count, sample, &mut random);
                let mut nodes = Vec::new();
                grow(&mut drawn, &row, width, height, &mut random, &mut nodes);
                Ok(Tree { nodes })
            },
            |tree| {
                trees.push(tree);
                Ok(())
            },
        )?;
        let _memory = reserve_for::<f64>(host, count, "isolation scores")?;
        let usual = path(sample);
        let mut scores = Vec::with_capacity(count);
        const CHUNK: usize = 1024;
        ordered(
            count.div_ceil(CHUNK),
            host,
            |chunk| {
                let of = |at: usize| {
                    let depth: f64 = trees.iter().map(|tree| tree.depth(row(at))).sum();
                    (-depth / self.trees as f64 / usual).exp2()
                };
                Ok((chunk * CHUNK..((chunk + 1) * CHUNK).min(count))
                    .map(of)
                    .collect::<Vec<f64>>())
            },
            |found| {
                scores.extend(found);
                Ok(())
            },
        )?;
        Ok(scores)
    }
}

impl Tree {
    fn depth(&self, row: &[f64]) -> f64 {
        let (mut at, mut depth) = (0, 0.0);
        loop {
            match self.nodes.get(at) {
                Some(Node::Cut {
                    feature,
                    at: value,
                    right,
                }) => {
                    depth += 1.0;
                    at = if row[*feature] < *value {
                        at + 1
                    } else {
                        *right
                    };
                }
                Some(Node::Leaf { beyond }) => return depth + beyond,
                None => return depth,
            }
        }
    }
}

/// `sample` of `count` places, each at most once (Floyd's method).
fn draw(count: usize, sample: usize, random: &mut Random) -> Vec<usize> {
    let mut drawn = std::collections::BTreeSet::new();
    for last in count - sample..count {
        let at = random.below(last + 1);
        if !drawn.insert(at) {
            drawn.insert(last);
        }
    }
    drawn.into_iter().collect()
}

fn grow<'a>(
    rows: &mut [usize],
    row: &impl Fn(usize) -> &'a [f64],
    width: usize,
    height: usize,
    random: &mut Random,
    nodes: &mut Vec<Node>,
) {
    let range = |feature: usize| {
        rows.iter()
            .map(|at| row(*at)[feature])
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            })
    };
    let divides: Vec<usize> = (0..width)
        .filter(|feature| {
            let (low, high) = range(*feature);
            low < high
        })
        .collect();
    if height == 0 || rows.len() < 2 || divides.is_empty() {
        nodes.push(Node::Leaf {
            beyond: path(rows.len()),
        });
        return;
    }
    let feature = divides[random.below(divides.len())];
    let (low, high) = range(feature);
    let part = random.uniform();
    // Above the lowest and at most the highest, so that both sides have rows.
    let cut = (low * (1.0 - part) + high * part).min(high);
    let cut = if cut > low { cut } else { high };
    rows.sort_unstable_by(|a, b| row(*a)[feature].total_cmp(&row(*b)[feature]).then(a.cmp(b)));
    let middle = rows.partition_point(|at| row(*at)[feature] < cut);
    let (left, right) = rows.split_at_mut(middle);
    let place = nodes.len();
    nodes.push(Node::Cut {
        feature,
        at: cut,
        right: 0,
    });
    grow(left, row, width, height - 1, random, nodes);
    let next = nodes.len();
    if let Some(Node::Cut { right, .. }) = nodes.get_mut(place) {
        *right = next;
    }
    grow(right, row, width, height - 1, random, nodes);
}

/// Mean depth of a search in a binary tree of `n` rows that finds nothing (equation 1 of the paper).
fn path(n: usize) -> f64 {
    match n {
        0 | 1 => 0.0,
        2 => 1.0,
        _ => {
            let n = n as f64;
            2.0 * ((n - 1.0).ln() + 0.577_215_664_901_532_9) - 2.0 * (n - 1.0) / n
        }
    }
}
