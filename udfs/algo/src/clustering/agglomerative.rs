//! Agglomerative clustering: the two nearest clusters become one until k are left.
//!
//! Ward, complete and average linkage follow chains of nearest neighbours (Murtagh 1983) over a table of distances that
//! is updated by the formula of Lance and Williams (1967); single linkage is the minimum spanning tree. All in f64: ties
//! and near ties decide the outcome. Quadratic in time and memory, hence a largest number of rows.

use ndarray::ArrayView2;

use crate::host::{Host, Meter, reserve_for};
use crate::{Error, Result};

/// Rows that are clustered at most: their table of distances takes 1.6 GB.
pub const AGGLOMERATIVE_ROWS_MAX: usize = 20_000;

/// How far two clusters are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Linkage {
    /// By how much their union raises the inertia (Ward 1963): `sqrt(2 a b / (a + b))` times the distance of the centroids of
    /// a and b rows.
    #[default]
    Ward,
    /// The largest distance between rows of both.
    Complete,
    /// The mean distance between rows of both.
    Average,
    /// The least distance between rows of both.
    Single,
}

/// Parameters of agglomerative clustering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agglomerative {
    /// Number of clusters, from 1 to the number of rows.
    pub k: usize,
    /// How far two clusters are apart.
    pub linkage: Linkage,
}

impl Default for Agglomerative {
    /// Two clusters, Ward's linkage, as in scikit-learn.
    fn default() -> Self {
        Self {
            k: 2,
            linkage: Linkage::default(),
        }
    }
}

/// A hierarchy of clusters, and the cut through it.
#[derive(Debug, Clone, PartialEq)]
pub struct Dendrogram {
    /// Cluster of each row, numbered in the order of their first rows.
    pub labels: Vec<u32>,
    /// All n - 1 unions, nearest first: those from the n - k-th on were not made for the labels.
    pub unions: Vec<Union>,
}

/// Two clusters that become one. A number below n is a row, n + i the outcome of union i.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Union {
    /// The one with the smaller number.
    pub left: u32,
    /// The other.
    pub right: u32,
    /// How far they are apart.
    pub distance: f64,
    /// Rows of both.
    pub size: usize,
}

impl Agglomerative {
    /// Clusters the rows of `x`, n rows x d columns.
    ///
    /// Equally near pairs are joined in the order of a chain that starts at the first row. Time O(n^2 d), memory 4 n^2 bytes;
    /// single linkage O(n) bytes.
    ///
    /// # Errors
    /// [`Error::Parameter`] for `k` out of range; [`Error::Data`] for no rows, no columns, more than
    /// [`AGGLOMERATIVE_ROWS_MAX`] rows, NaN or infinity; [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn fit(&self, x: ArrayView2<'_, f64>, host: &dyn Host) -> Result<Dendrogram> {
        let (n, d) = x.dim();
        self.check(x)?;
        let _rows = reserve_for::<f64>(host, n.saturating_mul(d + 16), "rows and unions")?;
        let rows: Vec<f64> = x.iter().copied().collect();
        let mut unions = match self.linkage {
            Linkage::Single => spanning_tree(&rows, n, d, host)?,
            linkage => {
                let _table = reserve_for::<f64>(host, n * (n - 1) / 2, "table of distances")?;
                chain(Table::new(&rows, n, d, linkage, host)?, host)?
            }
        };
        unions.sort_by(|a, b| a.distance.total_cmp(&b.distance));
        Ok(cut(n, self.k, &unions))
    }

    fn check(&self, x: ArrayView2<'_, f64>) -> Result<()> {
        let (n, d) = x.dim();
        if n == 0 {
            return Err(Error::data(
                "there are no rows to cluster",
                "Give a relation with at least one row.",
            ));
        }
        if d == 0 {
            return Err(Error::data(
                "there are no feature columns to cluster by",
                "Name at least one numeric column.",
            ));
        }
        if n > AGGLOMERATIVE_ROWS_MAX {
            return Err(Error::data(
                format!(
                    "there are {n} rows, more than the {AGGLOMERATIVE_ROWS_MAX} that are clustered by pairs"
                ),
                "Cluster a sample of the rows, or use k-means or HDBSCAN.",
            ));
        }
        if self.k < 1 || self.k > n {
            return Err(Error::parameter(
                "k",
                format!(
                    "\"k\" must be from 1 to the number of rows, {n}, not {}",
                    self.k
                ),
                "Give the number of clusters.",
            ));
        }
        if let Some(((row, column), value)) = x.indexed_iter().find(|cell| !cell.1.is_finite()) {
            return Err(Error::data(
                format!("value {value} in row {row} of column {column} is not finite"),
                "Remove NaN and infinity, or impute them.",
            ));
        }
        Ok(())
    }
}

impl Dendrogram {
    /// Memory that the hierarchy holds.
    pub fn bytes(&self) -> usize {
        self.labels.len() * size_of::<u32>() + self.unions.len() * size_of::<Union>()
    }
}

/// Two rows whose clusters are joined.
#[derive(Debug, Clone, Copy)]
struct Joint {
    a: usize,
    b: usize,
    distance: f64,
}

/// Distances of all pairs of clusters; a cluster is where its last row is.
struct Table {
    n: usize,
    linkage: Linkage,
    /// Pairs (i, j) with i > j: row i from i (i - 1) / 2 on. For Ward's linkage squared.
    distances: Vec<f64>,
    /// Rows of each cluster; 0 where it has been joined to another.
    sizes: Vec<usize>,
}

impl Table {
    fn new(rows: &[f64], n: usize, d: usize, linkage: Linkage, host: &dyn Host) -> Result<Self> {
        let mut meter = Meter::new(host);
        let mut distances = Vec::with_capacity(n * (n - 1) / 2);
        for i in 1..n {
            meter.spend(i * d)?;
            for j in 0..i {
                let squared = squared_distance(rows, d, i, j);
                distances.push(if linkage == Linkage::Ward {
                    squared
                } else {
                    squared.sqrt()
                });
            }
        }
        Ok(Self {
            n,
            linkage,
            distances,
            sizes: vec![1; n],
        })
    }

    fn at(&self, i: usize, j: usize) -> f64 {
        self.distances[place(i, j)]
    }

    /// The nearest cluster, `before` on a tie, else the first; and its distance.
    fn nearest(&self, own: usize, before: Option<usize>) -> Option<(usize, f64)> {
        let mut best = before.map(|other| (other, self.at(own, other)));
        for other in (0..self.n).filter(|other| *other != own && self.sizes[*other] > 0) {
            let distance = self.at(own, other);
            if best.is_none_or(|best| distance < best.1) {
                best = Some((other, distance));
            }
        }
        best
    }

    /// Joins a to b.
    fn join(&mut self, a: usize, b: usize, distance: f64) {
        let (left, right) = (self.sizes[a] as f64, self.sizes[b] as f64);
        for other in 0..self.n {
            if other == a || other == b || self.sizes[other] == 0 {
                continue;
            }
            let (one, two) = (self.at(a, other), self.at(b, other));
            let third = self.sizes[other] as f64;
            self.distances[place(b, other)] = match self.linkage {
                Linkage::Ward => {
                    ((left + third) * one + (right + third) * two - third * distance)
                        / (left + right + third)
                }
                Linkage::Average => (left * one + right * two) / (left + right),
                Linkage::Complete => one.max(two),
                Linkage::Single => one.min(two),
            };
        }
        self.sizes[b] += self.sizes[a];
        self.sizes[a] = 0;
    }
}

fn place(i: usize, j: usize) -> usize {
    let (i, j) = (i.max(j), i.min(j));
    i * (i - 1) / 2 + j
}

/// Joins clusters that are each other's nearest, following from each cluster to its nearest.
fn chain(mut table: Table, host: &dyn Host) -> Result<Vec<Joint>> {
    let n = table.n;
    let mut meter = Meter::new(host);
    let mut joints = Vec::with_capacity(n - 1);
    let mut chain: Vec<usize> = Vec::new();
    let mut first = 0;
    while joints.len() + 1 < n {
        meter.spend(4 * n)?;
        if chain.is_empty() {
            while table.sizes[first] == 0 {
                first += 1;
            }
            chain.push(first);
        }
        let top = chain[chain.len() - 1];
        let before = chain.len().checked_sub(2).map(|at| chain[at]);
        let (next, distance) = table
            .nearest(top, before)
            .ok_or(Error::Internal("there is another cluster to join"))?;
        if Some(next) != before {
            chain.push(next);
            continue;
        }
        chain.truncate(chain.len() - 2);
        let (a, b) = (top.min(next), top.max(next));
        table.join(a, b, distance);
        joints.push(Joint {
            a,
            b,
            distance: if table.linkage == Linkage::Ward {
                distance.max(0.0).sqrt()
            } else {
                distance
            },
        });
        if joints.len() % 256 == 0 {
            host.progress("unions", joints.len() as u64, n as u64 - 1, None);
        }
    }
    Ok(joints)
}

/// The minimum spanning tree by Prim's algorithm from the first row, on a tie the smallest row number.
fn spanning_tree(rows: &[f64], n: usize, d: usize, host: &dyn Host) -> Result<Vec<Joint>> {
    let mut meter = Meter::new(host);
    let mut reach = vec![(f64::INFINITY, 0); n];
    let mut left: Vec<usize> = (1..n).collect();
    let mut at = 0;
    let mut joints = Vec::with_capacity(n - 1);
    while !left.is_empty() {
        meter.spend(left.len() * d)?;
        let mut next = 0;
        for (slot, &row) in left.iter().enumerate() {
            let squared = squared_distance(rows, d, at, row);
            if squared < reach[row].0 {
                reach[row] = (squared, at);
            }
            if (reach[row].0, row) < (reach[left[next]].0, left[next]) {
                next = slot;
            }
        }
        at = left.swap_remove(next);
        let (squared, from) = reach[at];
        joints.push(Joint {
            a: from,
            b: at,
            distance: squared.sqrt(),
        });
    }
    Ok(joints)
}

fn squared_distance(rows: &[f64], d: usize, i: usize, j: usize) -> f64 {
    rows[i * d..][..d]
        .iter()
        .zip(&rows[j * d..][..d])
        .map(|(a, b)| (a - b) * (a - b))
        .sum()
}

/// Numbers the clusters of all joints, and cuts where k are left.
fn cut(n: usize, k: usize, joints: &[Joint]) -> Dendrogram {
    let mut above: Vec<usize> = (0..2 * n).collect();
    let mut sizes = vec![1; n];
    let mut unions = Vec::with_capacity(joints.len());
    let mut labels = vec![0; n];
    for made in 0..=joints.len() {
        if made == n - k {
            let mut numbers = vec![u32::MAX; 2 * n];
            let mut next = 0;
            for (row, label) in labels.iter_mut().enumerate() {
                let number = &mut numbers[top(&mut above, row)];
                if *number == u32::MAX {
                    *number = next;
                    next += 1;
                }
                *label = *number;
            }
        }
        let Some(joint) = joints.get(made) else { break };
        let (a, b) = (top(&mut above, joint.a), top(&mut above, joint.b));
        above[a] = n + made;
        above[b] = n + made;
        sizes.push(sizes[a] + sizes[b]);
        unions.push(Union {
            left: a.min(b) as u32,
            right: a.max(b) as u32,
            distance: joint.distance,
            size: sizes[n + made],
        });
    }
    Dendrogram { labels, unions }
}

fn top(above: &mut [usize], mut node: usize) -> usize {
    while above[node] != node {
        above[node] = above[above[node]];
        node = above[node];
    }
    node
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unlimited;
    use ndarray::{Array2, array};
    use proptest::prelude::*;

    const ALL: [Linkage; 4] = [
        Linkage::Ward,
        Linkage::Complete,
        Linkage::Average,
        Linkage::Single,
    ];

    fn fit(k: usize, linkage: Linkage, x: &Array2<f64>) -> Dendrogram {
        Agglomerative { k, linkage }
            .fit(x.view(), &Unlimited)
            .unwrap()
    }

    #[test]
    fn three_rows_by_hand() {
        let x = array![[0.0], [5.0], [1.0]];
        for (linkage, last) in [
            (Linkage::Ward, (4.0_f64 / 3.0).sqrt() * 4.5),
            (Linkage::Complete, 5.0),
            (Linkage::Average, 4.5),
            (Linkage::Single, 4.0),
        ] {
            let found = fit(2, linkage, &x);
            assert_eq!(found.labels, [0, 1, 0]);
            let (first, second) = (found.unions[0], found.unions[1]);
            assert_eq!((first.left, first.right, first.distance), (0, 2, 1.0));
            assert_eq!((second.left, second.right, second.size), (1, 3, 3));
            assert!((second.distance - last).abs() < 1e-12, "{linkage:?}");
            assert_eq!(fit(3, linkage, &x).labels, [0, 1, 2]);
            assert_eq!(fit(1, linkage, &x).labels, [0, 0, 0]);
        }
        assert_eq!(fit(1, Linkage::Ward, &array![[7.0]]).labels, [0]);
    }

    #[test]
    fn refuses_what_it_cannot_cluster() {
        let text = |k, x: &Array2<f64>| {
            let params = Agglomerative {
                k,
                ..Agglomerative::default()
            };
            params.fit(x.view(), &Unlimited).unwrap_err().to_string()
        };
        let x = array![[0.0], [1.0]];
        assert_eq!(
            text(3, &x),
            "\"k\" must be from 1 to the number of rows, 2, not 3"
        );
        assert!(text(0, &x).starts_with("\"k\" must be"));
        assert!(text(1, &array![[f64::NAN]]).contains("not finite"));
        assert_eq!(
            text(1, &Array2::zeros((0, 1))),
            "there are no rows to cluster"
        );
        let many = Array2::zeros((AGGLOMERATIVE_ROWS_MAX + 1, 1));
        assert!(text(1, &many).contains("more than the 20000"));
    }

    proptest! {
        #[test]
        fn unions_are_monotone_and_labels_a_cut(
            values in prop::collection::vec(-1000i32..1000, 4..80),
            k in 1usize..6,
        ) {
            let n = values.len() / 2;
            let x = Array2::from_shape_vec((n, 2), values[..2 * n].to_vec()).unwrap();
            let x = x.mapv(f64::from);
            let k = k.min(n);
            for linkage in ALL {
                let found = fit(k, linkage, &x);
                prop_assert_eq!(found.unions.len(), n - 1);
                prop_assert!(found.unions.windows(2).all(|pair| pair[0].distance <= pair[1].distance));
                prop_assert!(found.unions.last().is_none_or(|union| union.size == n));
                let mut seen = 0;
                for &label in &found.labels {
                    prop_assert!(label <= seen);
                    seen = seen.max(label + 1);
                }
                prop_assert_eq!(seen as usize, k);
            }
        }

        #[test]
        fn a_union_is_as_far_as_its_definition_says(
            values in prop::collection::vec(-1000i32..1000, 24),
        ) {
            let x = Array2::from_shape_vec((12, 2), values).unwrap().mapv(f64::from);
            let rows: Vec<f64> = x.iter().copied().collect();
            for linkage in ALL {
                let found = fit(1, linkage, &x);
                let mut members: Vec<Vec<usize>> = (0..12).map(|row| vec![row]).collect();
                for union in &found.unions {
                    let (a, b) = (&members[union.left as usize], &members[union.right as usize]);
                    let pairs: Vec<f64> = a
                        .iter()
                        .flat_map(|i| b.iter().map(|j| squared_distance(&rows, 2, *i, *j).sqrt()))
                        .collect();
                    let mean = |rows: &[usize], j: usize| {
                        rows.iter().map(|row| x[[*row, j]]).sum::<f64>() / rows.len() as f64
                    };
                    let expected = match linkage {
                        Linkage::Complete => pairs.iter().copied().fold(0.0, f64::max),
                        Linkage::Single => pairs.iter().copied().fold(f64::INFINITY, f64::min),
                        Linkage::Average => pairs.iter().sum::<f64>() / pairs.len() as f64,
                        Linkage::Ward => {
                            let gap = (0..2).map(|j| (mean(a, j) - mean(b, j)).powi(2)).sum::<f64>();
                            let (a, b) = (a.len() as f64, b.len() as f64);
                            (2.0 * a * b / (a + b) * gap).sqrt()
                        }
                    };
                    prop_assert!((union.distance - expected).abs() < 1e-6 * expected.max(1.0));
                    let joined = [a.clone(), b.clone()].concat();
                    members.push(joined);
                }
            }
        }
    }
}
