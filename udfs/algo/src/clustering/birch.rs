//! BIRCH (Zhang, Ramakrishnan and Livny 1996): very many rows are summed up into few subclusters in one pass, and those are
//! clustered by k-means.
//!
//! A subcluster is its number of rows, their mean, and the sum of their squared distances from it: the features of BETULA
//! (Lang and Schubert 2020), which unlike sums of squares lose no digits. They hang in a tree of nodes of bounded size; a row goes down
//! to the nearest leaf entry and joins it if that stays within the threshold. When there are too many entries the
//! threshold grows and the tree is built again from its own entries, so that memory is bounded whatever the data.

use ndarray::Array2;

use super::kmeans::{self, KMeans};
use crate::blocks::{Blocks, DenseBlocks};
use crate::host::{Host, Meter, reserve_for};
use crate::{Error, Result};

/// Parameters of BIRCH.
#[derive(Debug, Clone, PartialEq)]
pub struct Birch {
    /// Number of clusters; `None`: each subcluster is one.
    pub k: Option<usize>,
    /// Radius of a subcluster at most, the root mean squared distance from its mean, in the units of the data. Grows where
    /// it gives too many subclusters; 0 is as fine as their number allows.
    pub threshold: f64,
    /// Entries of a node at most; 2 or more.
    pub branching: usize,
    /// Subclusters at most; 2 or more.
    pub subclusters_max: usize,
    /// Seed of the k-means of the subclusters.
    pub seed: u64,
}

impl Default for Birch {
    /// 3 clusters of at most 2,000 subclusters as fine as that allows, nodes of 50 entries, seed 0.
    fn default() -> Self {
        Self {
            k: Some(3),
            threshold: 0.0,
            branching: 50,
            subclusters_max: 2_000,
            seed: 0,
        }
    }
}

/// Subclusters, and the clusters made of them.
#[derive(Debug, Clone, PartialEq)]
pub struct BirchClusters {
    /// Means of the subclusters, m rows x d columns, in the units of the data.
    pub subclusters: Array2<f64>,
    /// Rows of each.
    pub sizes: Vec<f64>,
    /// Radius of each: the root mean squared distance of its rows from its mean.
    pub radii: Vec<f64>,
    /// Threshold that the subclusters have come to.
    pub threshold: f64,
    /// k rows x d columns; the subclusters where no k was asked for.
    pub centroids: Array2<f64>,
    /// Cluster of each row: that of the nearest centroid, the smallest number on a tie.
    pub labels: Vec<u32>,
    /// Euclidean distance of each row to its centroid.
    pub distances: Vec<f64>,
}

impl Birch {
    /// Clusters the rows of `data`, which are read in their order, once for the subclusters and once for the labels.
    ///
    /// Time O(n d b log m) for m subclusters and nodes of b entries, on one thread, and O(n k d) for the labels; memory
    /// 16 n + 16 m d bytes.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a parameter out of range, or `k` above the number of subclusters; [`Error::Data`] for no rows, no
    /// columns, or a spread beyond single precision; [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn fit(&self, data: &dyn Blocks, host: &dyn Host) -> Result<BirchClusters> {
        self.check(data)?;
        let d = data.columns();
        let entries = self
            .subclusters_max
            .saturating_mul(4)
            .min(data.rows().saturating_mul(4));
        let _tree = reserve_for::<f64>(host, entries.saturating_mul(d + 6), "subclusters")?;
        let mut tree = Tree::new(d, self.branching, self.threshold);
        let mut scratch = Vec::new();
        let mut meter = Meter::new(host);
        for index in 0..data.blocks() {
            host.progress("rows summed up", index as u64, data.blocks() as u64, None);
            for row in data.block(index, &mut scratch)?.chunks_exact(d) {
                meter.spend(self.branching * d * 2)?;
                tree.insert(Feature::of(row))?;
                while tree.subclusters > self.subclusters_max {
                    tree = tree.coarser(self.subclusters_max, host)?;
                }
            }
        }
        self.finish(data, tree, host)
    }

    fn check(&self, data: &dyn Blocks) -> Result<()> {
        if !(self.threshold >= 0.0 && self.threshold.is_finite()) {
            return Err(Error::parameter(
                "threshold",
                format!("\"threshold\" must not be negative, not {}", self.threshold),
                "Give a distance in the units of the features, or 0 for as fine as possible.",
            ));
        }
        for (name, value) in [
            ("branching", self.branching),
            ("subclusters_max", self.subclusters_max),
        ] {
            if value < 2 {
                return Err(Error::parameter(
                    name,
                    format!("\"{name}\" must be at least 2"),
                    "Leave it out for the default.",
                ));
            }
        }
        if data.rows() == 0 {
            return Err(Error::data(
                "there are no rows to cluster",
                "Give a relation with at least one row.",
            ));
        }
        if data.columns() == 0 {
            return Err(Error::data(
                "there are no feature columns to cluster by",
                "Name at least one numeric column.",
            ));
        }
        Ok(())
    }

    fn finish(&self, data: &dyn Blocks, tree: Tree, host: &dyn Host) -> Result<BirchClusters> {
        let threshold = tree.threshold;
        let found = tree.into_subclusters();
        let mut values = Vec::with_capacity(found.len() * data.columns());
        for feature in &found {
            let row = feature.mean.iter().zip(data.centres());
            values.extend(row.map(|(value, centre)| value + centre));
        }
        let subclusters = Array2::from_shape_vec((found.len(), data.columns()), values)
            .map_err(|_| Error::Internal("whole rows"))?;
        let sizes: Vec<f64> = found.iter().map(|feature| feature.size).collect();
        let centroids = match self.k {
            None => subclusters.clone(),
            Some(k) if k > found.len() => {
                return Err(Error::parameter(
                    "k",
                    format!(
                        "\"k\" is {k}, but there are only {} subclusters",
                        found.len()
                    ),
                    "Lower \"k\" or \"threshold\", or raise \"subclusters_max\".",
                ));
            }
            Some(k) => {
                let centres = data.centres().to_vec();
                let blocks = DenseBlocks::centred(subclusters.view(), centres, host)?;
                let params = KMeans {
                    k,
                    n_init: 3,
                    seed: self.seed,
                    ..KMeans::default()
                };
                params.fit(&blocks, Some(&sizes), host)?.centroids
            }
        };
        let (labels, distances) = kmeans::predict(&centroids, data, host)?;
        Ok(BirchClusters {
            radii: found
                .iter()
                .map(|feature| (feature.spread / feature.size).sqrt())
                .collect(),
            subclusters,
            sizes,
            threshold,
            centroids,
            labels,
            distances,
        })
    }
}

impl BirchClusters {
    /// Memory that the clustering holds.
    pub fn bytes(&self) -> usize {
        let cells = self.subclusters.len() + self.centroids.len() + 2 * self.sizes.len();
        (cells + self.distances.len()) * size_of::<f64>() + self.labels.len() * size_of::<u32>()
    }
}

/// Rows summed up.
#[derive(Debug, Clone)]
struct Feature {
    size: f64,
    mean: Vec<f64>,
    /// Sum of the squared distances from the mean.
    spread: f64,
}

impl Feature {
    fn of(row: &[f32]) -> Self {
        Self {
            size: 1.0,
            mean: row.iter().map(|value| f64::from(*value)).collect(),
            spread: 0.0,
        }
    }

    fn squared_distance(&self, other: &Self) -> f64 {
        let pairs = self.mean.iter().zip(&other.mean);
        pairs.map(|(a, b)| (a - b) * (a - b)).sum()
    }

    /// Squared radius of both together.
    fn joint_radius(&self, other: &Self) -> f64 {
        let size = self.size + other.size;
        let apart = self.squared_distance(other) * (self.size * other.size / size);
        (self.spread + other.spread + apart) / size
    }

    /// Takes in `other`, equations 4 to 6 of Lang and Schubert.
    fn add(&mut self, other: &Self) {
        let size = self.size + other.size;
        let apart = self.squared_distance(other);
        self.spread += other.spread + apart * (self.size * other.size / size);
        let share = other.size / size;
        for (mean, value) in self.mean.iter_mut().zip(&other.mean) {
            *mean += (value - *mean) * share;
        }
        self.size = size;
    }
}

/// A subcluster in a leaf, or the sum of a node below.
#[derive(Debug, Clone)]
struct Entry {
    feature: Feature,
    /// Node below; none in a leaf.
    child: Option<usize>,
}

/// The tree of features.
#[derive(Debug)]
struct Tree {
    d: usize,
    branching: usize,
    threshold: f64,
    nodes: Vec<Vec<Entry>>,
    root: usize,
    subclusters: usize,
}

impl Tree {
    fn new(d: usize, branching: usize, threshold: f64) -> Self {
        Self {
            d,
            branching,
            threshold,
            nodes: vec![Vec::new()],
            root: 0,
            subclusters: 0,
        }
    }

    fn insert(&mut self, feature: Feature) -> Result<()> {
        // The way down: nodes and the entries taken in them.
        let mut way = Vec::new();
        let mut node = self.root;
        loop {
            let entries = &mut self.nodes[node];
            let Some(at) = nearest(entries, &feature) else {
                entries.push(Entry {
                    feature,
                    child: None,
                });
                self.subclusters += 1;
                return Ok(());
            };
            let entry = &mut entries[at];
            if let Some(child) = entry.child {
                entry.feature.add(&feature);
                way.push((node, at));
                node = child;
                continue;
            }
            if entry.feature.joint_radius(&feature) <= self.threshold * self.threshold {
                entry.feature.add(&feature);
                return Ok(());
            }
            entries.push(Entry {
                feature,
                child: None,
            });
            self.subclusters += 1;
            break;
        }
        // Nodes that have become too large are split, upward.
        while self.nodes[node].len() > self.branching {
            let (one, two) = split(std::mem::take(&mut self.nodes[node]));
            self.nodes[node] = one;
            self.nodes.push(two);
            let halves = [node, self.nodes.len() - 1];
            let entries = halves.map(|child| {
                sum(&self.nodes[child]).map(|feature| Entry {
                    feature,
                    child: Some(child),
                })
            });
            let [Some(left), Some(right)] = entries else {
                return Err(Error::Internal("both halves of a node have entries"));
            };
            match way.pop() {
                Some((parent, at)) => {
                    self.nodes[parent][at] = left;
                    self.nodes[parent].push(right);
                    node = parent;
                }
                None => {
                    self.nodes.push(vec![left, right]);
                    self.root = self.nodes.len() - 1;
                    break;
                }
            }
        }
        Ok(())
    }

    /// The subclusters of this tree in one with a larger threshold: so large that half of them would join their nearest
    /// neighbour in the leaf.
    fn coarser(self, most: usize, host: &dyn Host) -> Result<Self> {
        host.check()?;
        let mut radii = Vec::with_capacity(self.subclusters);
        for entries in self.nodes.iter().filter(|entries| is_leaf(entries)) {
            for (at, entry) in entries.iter().enumerate() {
                let others = entries.iter().enumerate().filter(|(other, _)| *other != at);
                let joint = others.map(|(_, other)| entry.feature.joint_radius(&other.feature));
                radii.extend(joint.reduce(f64::min));
            }
        }
        radii.sort_unstable_by(f64::total_cmp);
        let middle = radii.get(radii.len() / 2).copied().unwrap_or(0.0).sqrt();
        let mut threshold = middle.max(self.threshold * 1.2);
        let (d, branching) = (self.d, self.branching);
        let features = self.into_subclusters();
        loop {
            let mut tree = Self::new(d, branching, threshold);
            for feature in &features {
                tree.insert(feature.clone())?;
            }
            // Room for half as many again, so that building anew stays rare.
            if tree.subclusters <= most - most / 3 {
                return Ok(tree);
            }
            host.check()?;
            threshold = (threshold * 1.5).max(f64::MIN_POSITIVE.sqrt());
        }
    }

    fn into_subclusters(self) -> Vec<Feature> {
        // Down from the root, left to right: neighbours stay together.
        let mut found = Vec::with_capacity(self.subclusters);
        let mut open = vec![self.root];
        while let Some(node) = open.pop() {
            let entries = &self.nodes[node];
            open.extend(entries.iter().rev().filter_map(|entry| entry.child));
            let leaves = entries.iter().filter(|entry| entry.child.is_none());
            found.extend(leaves.map(|entry| entry.feature.clone()));
        }
        found
    }
}

fn is_leaf(entries: &[Entry]) -> bool {
    entries.first().is_some_and(|entry| entry.child.is_none())
}

/// The entry whose mean is nearest, the first on a tie.
fn nearest(entries: &[Entry], feature: &Feature) -> Option<usize> {
    let mut best = (f64::INFINITY, None);
    for (at, entry) in entries.iter().enumerate() {
        let squared = entry.feature.squared_distance(feature);
        if squared < best.0 {
            best = (squared, Some(at));
        }
    }
    best.1
}

/// Shares entries out between the two that are farthest apart.
fn split(entries: Vec<Entry>) -> (Vec<Entry>, Vec<Entry>) {
    let (mut first, mut second, mut largest) = (0, 1, -1.0);
    for i in 0..entries.len() {
        for j in i + 1..entries.len() {
            let squared = entries[i].feature.squared_distance(&entries[j].feature);
            if squared > largest {
                (first, second, largest) = (i, j, squared);
            }
        }
    }
    let (one, two) = (
        entries[first].feature.clone(),
        entries[second].feature.clone(),
    );
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for (at, entry) in entries.into_iter().enumerate() {
        let nearer = entry.feature.squared_distance(&one) <= entry.feature.squared_distance(&two);
        // The two themselves part even when they are equal.
        if at != second && (at == first || nearer) {
            left.push(entry);
        } else {
            right.push(entry);
        }
    }
    (left, right)
}

fn sum(entries: &[Entry]) -> Option<Feature> {
    let mut entries = entries.iter();
    let mut total = entries.next()?.feature.clone();
    for entry in entries {
        total.add(&entry.feature);
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unlimited;
    use ndarray::array;

    fn fit(params: &Birch, x: &Array2<f64>) -> BirchClusters {
        let blocks = DenseBlocks::from_rows(x.view(), &Unlimited).unwrap();
        params.fit(&blocks, &Unlimited).unwrap()
    }

    fn groups(rows: usize) -> Array2<f64> {
        let mut state = 1_u32;
        Array2::from_shape_fn((rows, 2), |(i, j)| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let centre = [[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]][i % 3][j];
            centre + f64::from(state >> 16) / 65536.0
        })
    }

    #[test]
    fn four_rows_by_hand() {
        let x = array![[0.0], [2.0], [10.0], [30.0]];
        let params = Birch {
            k: None,
            threshold: 1.0,
            ..Birch::default()
        };
        let found = fit(&params, &x);
        assert_eq!(found.subclusters, array![[1.0], [10.0], [30.0]]);
        assert_eq!(found.sizes, [2.0, 1.0, 1.0]);
        assert_eq!(found.radii, [1.0, 0.0, 0.0]);
        assert_eq!(found.labels, [0, 0, 1, 2]);
        let two = Birch {
            k: Some(2),
            ..params
        };
        let found = fit(&two, &x);
        assert_eq!(found.labels[0], found.labels[2]);
        assert_ne!(found.labels[0], found.labels[3]);
    }

    #[test]
    fn subclusters_hold_all_rows_within_the_threshold() {
        let x = groups(5000);
        let params = Birch {
            k: Some(3),
            threshold: 0.2,
            branching: 4,
            ..Birch::default()
        };
        let found = fit(&params, &x);
        assert_eq!(found.sizes.iter().sum::<f64>(), 5000.0);
        assert_eq!(found.threshold, 0.2);
        assert!(found.radii.iter().all(|radius| *radius <= 0.2 + 1e-9));
        let mean: f64 = found
            .subclusters
            .column(0)
            .iter()
            .zip(&found.sizes)
            .map(|(value, size)| value * size)
            .sum::<f64>()
            / 5000.0;
        assert!((mean - x.column(0).mean().unwrap()).abs() < 1e-6);
        for (row, &label) in found.labels.iter().enumerate() {
            assert_eq!(label, found.labels[row % 3]);
        }
    }

    #[test]
    fn too_many_subclusters_raise_the_threshold() {
        let params = Birch {
            subclusters_max: 40,
            branching: 5,
            ..Birch::default()
        };
        let found = fit(&params, &groups(3000));
        assert!(found.sizes.len() <= 40 && found.sizes.len() > 3);
        assert!(found.threshold > 0.0);
        assert_eq!(found.sizes.iter().sum::<f64>(), 3000.0);
    }

    #[test]
    fn duplicates_are_one_subcluster() {
        let found = fit(
            &Birch {
                k: None,
                ..Birch::default()
            },
            &Array2::from_elem((100, 2), 3.5),
        );
        assert_eq!(found.sizes, [100.0]);
        assert_eq!(found.labels, [0; 100]);
    }

    #[test]
    fn refuses_bad_parameters() {
        let text = |params: Birch, x: &Array2<f64>| {
            let blocks = DenseBlocks::from_rows(x.view(), &Unlimited).unwrap();
            params.fit(&blocks, &Unlimited).unwrap_err().to_string()
        };
        let x = array![[0.0], [1.0]];
        let plain = Birch::default();
        assert_eq!(
            text(plain.clone(), &x),
            "\"k\" is 3, but there are only 2 subclusters"
        );
        let negative = Birch {
            threshold: -1.0,
            ..plain.clone()
        };
        assert_eq!(
            text(negative, &x),
            "\"threshold\" must not be negative, not -1"
        );
        let narrow = Birch {
            branching: 1,
            ..plain
        };
        assert_eq!(text(narrow, &x), "\"branching\" must be at least 2");
    }
}
