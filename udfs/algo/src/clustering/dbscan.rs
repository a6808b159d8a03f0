//! DBSCAN (Ester, Kriegel, Sander and Xu 1996), exact, with the labels of scikit-learn.
//!
//! A row is a core when at least `min_samples` rows, itself included, lie within `eps` of it. Cores within `eps` of each
//! other are of one cluster; a row that is no core but within `eps` of one is at the border, all others are noise. Clusters
//! are numbered in the order of their first core row. The border rule: a row within `eps` of cores of several clusters goes
//! to the one with the smallest number, which is where scikit-learn's search in row order puts it.
//!
//! Three walks through a [`KdTree`], by tiles of neighbouring rows: count until all rows of the tile are known to be cores,
//! join cores in a union-find shared by all threads, look for the clusters of the borders. The outcome of each is a set, not an order, so threads cannot
//! change it.

mod knee;
mod union;

use ndarray::{Array2, ArrayView2, Axis};

use self::union::SharedUnionFind;
use super::kdtree::{Bounds, KdTree, Query, Visitor};
use super::tile::LANES;
use crate::host::{Host, Meter, reserve_for};
use crate::parallel::ordered;
use crate::{Error, Result};

/// Leaves of a task.
const TASK_LEAVES: usize = 16;

/// No place in the tree, no cluster.
const NONE: u32 = u32::MAX;

/// How far a neighbour may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Eps {
    /// This far, in the units of the data; positive.
    Distance(f64),
    /// The knee of the sorted distances to the `min_samples`-th neighbour, the row itself being the first: where the curve,
    /// scaled to the unit square, is farthest below the diagonal (Satopaa et al. 2011). Of at most 20,000 rows.
    Auto,
}

/// Parameters of DBSCAN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dbscan {
    /// Radius of a neighbourhood; a row at exactly this distance is in it.
    pub eps: Eps,
    /// Rows within `eps` that make a row a core, itself included; 1 or more.
    pub min_samples: usize,
}

impl Default for Dbscan {
    /// `eps` by the knee, `min_samples` 5.
    fn default() -> Self {
        Self {
            eps: Eps::Auto,
            min_samples: 5,
        }
    }
}

/// What a row is to its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PointType {
    /// Has `min_samples` rows within `eps`.
    Core,
    /// Has not, but lies within `eps` of a core.
    Border,
    /// Lies in no cluster.
    Noise,
}

/// A clustering by density.
#[derive(Debug, Clone, PartialEq)]
pub struct DensityClusters {
    /// Cluster of each row from 0 on, -1 for noise.
    pub labels: Vec<i32>,
    /// What each row is.
    pub types: Vec<PointType>,
    /// Number of clusters.
    pub clusters: usize,
    /// The radius used.
    pub eps: f64,
}

impl Dbscan {
    /// Clusters the rows of `x`, n rows x d columns.
    ///
    /// Distances are computed in f32 around the column means; those within the rounding of `eps` again in f64 from `x`, as
    /// sums over the columns in their order, and compared with `eps` squared. Time about O(n log n) while a neighbourhood
    /// holds few rows beyond `min_samples`, O(n^2 d) at worst; memory 4 n (2 d + 6) bytes.
    ///
    /// # Errors
    /// [`Error::Parameter`] for `eps` or `min_samples` out of range; [`Error::Data`] for no rows, no columns, NaN, infinity,
    /// a spread beyond single precision, or rows of which no `eps` can be read; [`Error::OutOfMemory`];
    /// [`Error::Cancelled`].
    pub fn fit(&self, x: ArrayView2<'_, f64>, host: &dyn Host) -> Result<DensityClusters> {
        if self.min_samples < 1 {
            return Err(Error::parameter(
                "min_samples",
                "\"min_samples\" must be at least 1",
                "Give the number of rows that make a neighbourhood dense, such as 5.",
            ));
        }
        if let Eps::Distance(eps) = self.eps
            && !(eps > 0.0 && eps.is_finite())
        {
            return Err(Error::parameter(
                "eps",
                format!("\"eps\" must be positive, not {eps}"),
                "Give a distance in the units of the features, or 'auto'.",
            ));
        }
        let tree = KdTree::new(x, host)?;
        let _memory = reserve_for::<[u32; 4]>(host, tree.len(), "cluster labels")?;
        let eps = match self.eps {
            Eps::Distance(eps) => eps,
            Eps::Auto => knee::eps(&tree, self.min_samples, host)?,
        };
        let search = Search {
            tree: &tree,
            squared: eps * eps,
            bounds: tree.bounds(eps),
            min_samples: u32::try_from(self.min_samples).unwrap_or(NONE),
        };
        let cores = search.cores(host)?;
        host.progress("density clustering", 1, 3, None);
        let roots = search.join(&cores, host)?;
        host.progress("density clustering", 2, 3, None);
        let found = search.finish(&cores, &roots, eps, host)?;
        host.progress("density clustering", 3, 3, None);
        Ok(found)
    }
}

impl DensityClusters {
    /// Memory that the clustering holds.
    pub fn bytes(&self) -> usize {
        self.labels.len() * (size_of::<i32>() + size_of::<PointType>())
    }

    /// What is needed to place further rows: the cores of `x`, which is what the clustering was made of, and their clusters.
    pub fn model(&self, x: ArrayView2<'_, f64>) -> DensityModel {
        let rows: Vec<usize> = (0..self.types.len().min(x.nrows()))
            .filter(|row| self.types[*row] == PointType::Core)
            .collect();
        DensityModel {
            cores: x.select(Axis(0), &rows),
            labels: rows.iter().map(|row| self.labels[*row]).collect(),
            eps: self.eps,
        }
    }
}

/// Cores and their clusters, from which further rows are labelled.
#[derive(Debug, Clone, PartialEq)]
pub struct DensityModel {
    /// Core rows, d columns.
    pub cores: Array2<f64>,
    /// Cluster of each.
    pub labels: Vec<i32>,
    /// Radius of a neighbourhood.
    pub eps: f64,
}

impl DensityModel {
    /// Cluster of the nearest core for each row of `x`, and the distance to it; -1 where that is beyond `eps`, and then
    /// infinity without cores. On a tie the core that the tree meets first, which is the same for the same cores.
    ///
    /// # Errors
    /// [`Error::Data`] for other columns than those of the cores, NaN or infinity; [`Error::OutOfMemory`];
    /// [`Error::Cancelled`].
    pub fn predict(&self, x: ArrayView2<'_, f64>, host: &dyn Host) -> Result<(Vec<i32>, Vec<f64>)> {
        if x.ncols() != self.cores.ncols() || self.labels.len() != self.cores.nrows() {
            return Err(Error::data(
                format!(
                    "the model has cores of {} columns, but the rows have {}",
                    self.cores.ncols(),
                    x.ncols()
                ),
                "Give the columns that the model was trained on.",
            ));
        }
        let n = x.nrows();
        if self.cores.nrows() == 0 || n == 0 {
            return Ok((vec![-1; n], vec![f64::INFINITY; n]));
        }
        let _memory = reserve_for::<[f64; 2]>(host, n, "predicted labels")?;
        let tree = KdTree::new(self.cores.view(), host)?;
        let mut labels = Vec::with_capacity(n);
        let mut distances = Vec::with_capacity(n);
        tree.nearest_to(x, host, |core, squared| {
            let distance = squared.sqrt();
            let row = tree.rows()[core] as usize;
            labels.push(if squared <= self.eps * self.eps {
                self.labels[row]
            } else {
                -1
            });
            distances.push(distance);
        })?;
        Ok((labels, distances))
    }
}

/// A tree and the neighbourhood that is looked for in it.
struct Search<'a> {
    tree: &'a KdTree<'a>,
    /// Square of eps.
    squared: f64,
    bounds: Bounds,
    min_samples: u32,
}

impl Search<'_> {
    /// Whether two places are within eps, `squared` being their distance in f32.
    fn near(&self, squared: f32, a: usize, b: usize) -> bool {
        squared <= self.bounds.within
            || squared <= self.bounds.beyond && self.tree.exact_squared(a, b) <= self.squared
    }

    /// Whether each place holds a core.
    fn cores(&self, host: &dyn Host) -> Result<Vec<bool>> {
        let mut cores = Vec::with_capacity(self.tree.len());
        let leaves = self.tree.leaves();
        ordered(
            leaves.div_ceil(TASK_LEAVES),
            host,
            |task| {
                let mut meter = Meter::new(host);
                let mut stack = Vec::new();
                let mut found = Vec::with_capacity(TASK_LEAVES * LANES);
                for leaf in task * TASK_LEAVES..leaves.min((task + 1) * TASK_LEAVES) {
                    let query = self.tree.leaf_query(leaf);
                    let places = self.tree.places(leaf);
                    let mut count = Count {
                        search: self,
                        query: &query,
                        lanes: places.len(),
                        within: [0; LANES],
                        beyond: [0; LANES],
                        enough: false,
                        own: usize::MAX,
                        meter: &mut meter,
                    };
                    // Home first: often nothing else is needed.
                    count.leaf(leaf)?;
                    count.own = leaf;
                    self.tree.walk(&query, &mut count, &mut stack)?;
                    let (within, beyond) = (count.within, count.beyond);
                    for (lane, place) in places.enumerate() {
                        found.push(if within[lane] >= self.min_samples {
                            true
                        } else if beyond[lane] < self.min_samples {
                            false
                        } else {
                            self.exact_count(place, &mut stack, &mut meter)? >= self.min_samples
                        });
                    }
                }
                Ok(found)
            },
            |found| {
                cores.extend(found);
                Ok(())
            },
        )?;
        Ok(cores)
    }

    /// Rows within eps of the row at a place.
    fn exact_count(
        &self,
        place: usize,
        stack: &mut Vec<(u32, f32)>,
        meter: &mut Meter<'_>,
    ) -> Result<u32> {
        let query = self.tree.query(&[place]);
        let mut count = ExactCount {
            search: self,
            query: &query,
            place,
            count: 0,
            meter,
        };
        self.tree.walk(&query, &mut count, stack)?;
        Ok(count.count)
    }

    /// For each place with a core, a place that stands for its cluster.
    fn join(&self, cores: &[bool], host: &dyn Host) -> Result<Vec<u32>> {
        let tree = self.tree;
        let sets = SharedUnionFind::new(tree, cores);
        let leaves = tree.leaves();
        let tasks = leaves.div_ceil(TASK_LEAVES);
        let leaves_of = |task: usize| task * TASK_LEAVES..leaves.min((task + 1) * TASK_LEAVES);
        // Within leaves first, so that most leaves are known to be of one cluster when they are compared.
        for across in [false, true] {
            ordered(
                tasks,
                host,
                |task| {
                    let mut meter = Meter::new(host);
                    let mut stack = Vec::new();
                    for leaf in leaves_of(task) {
                        if sets.first_core(tree.node_of(leaf)) == NONE {
                            continue;
                        }
                        let query = tree.leaf_query(leaf);
                        let mut join = Join {
                            search: self,
                            cores,
                            sets: &sets,
                            query: &query,
                            own: leaf,
                            squares: [[0.0; LANES]; LANES],
                            meter: &mut meter,
                        };
                        if across {
                            tree.walk(&query, &mut join, &mut stack)?;
                        } else {
                            join.leaf(leaf)?;
                            sets.note_one_cluster(tree.node_of(leaf), tree.places(leaf), cores);
                        }
                    }
                    Ok(())
                },
                |()| Ok(()),
            )?;
        }
        Ok(sets.into_roots(cores))
    }

    /// Numbers the clusters and gives the borders to them.
    fn finish(
        &self,
        cores: &[bool],
        roots: &[u32],
        eps: f64,
        host: &dyn Host,
    ) -> Result<DensityClusters> {
        let tree = self.tree;
        let n = tree.len();
        let rows = tree.rows();
        // The first core row of each cluster, at the place of its root.
        let mut first = vec![NONE; n];
        for place in (0..n).filter(|place| cores[*place]) {
            let slot = &mut first[roots[place] as usize];
            *slot = (*slot).min(rows[place]);
        }
        let mut order: Vec<(u32, u32)> = first
            .iter()
            .enumerate()
            .filter(|(_, row)| **row != NONE)
            .map(|(root, &row)| (row, root as u32))
            .collect();
        order.sort_unstable();
        let mut number = first;
        for (cluster, &(_, root)) in order.iter().enumerate() {
            number[root as usize] = cluster as u32;
        }
        let clusters: Vec<u32> = (0..n)
            .map(|place| match cores[place] {
                true => number[roots[place] as usize],
                false => NONE,
            })
            .collect();
        drop(number);

        let mut labels = vec![-1; n];
        let mut types = vec![PointType::Noise; n];
        for place in (0..n).filter(|place| cores[*place]) {
            labels[rows[place] as usize] = clusters[place] as i32;
            types[rows[place] as usize] = PointType::Core;
        }
        let others: Vec<usize> = (0..n).filter(|place| !cores[*place]).collect();
        let least = self.least_clusters(&clusters);
        let tasks: Vec<&[usize]> = others.chunks(TASK_LEAVES * LANES).collect();
        ordered(
            tasks.len(),
            host,
            |task| {
                let mut meter = Meter::new(host);
                let mut stack = Vec::new();
                let mut found = Vec::with_capacity(tasks[task].len());
                for places in tasks[task].chunks(LANES) {
                    let query = tree.query(places);
                    let mut border = Border {
                        search: self,
                        query: &query,
                        places,
                        clusters: &clusters,
                        least: &least,
                        found: [NONE; LANES],
                        squares: [[0.0; LANES]; LANES],
                        meter: &mut meter,
                    };
                    tree.walk(&query, &mut border, &mut stack)?;
                    found.extend(places.iter().copied().zip(border.found));
                }
                Ok(found)
            },
            |found| {
                for (place, cluster) in found.into_iter().filter(|found| found.1 != NONE) {
                    labels[rows[place] as usize] = cluster as i32;
                    types[rows[place] as usize] = PointType::Border;
                }
                Ok(())
            },
        )?;
        Ok(DensityClusters {
            labels,
            types,
            clusters: order.len(),
            eps,
        })
    }

    /// The smallest cluster number of the cores below each node.
    fn least_clusters(&self, clusters: &[u32]) -> Vec<u32> {
        self.tree.fold_up(
            |places| clusters[places].iter().copied().min().unwrap_or(NONE),
            |a, b| a.min(b),
        )
    }
}

/// Counts neighbours until every row of the query has enough.
struct Count<'a, 'b> {
    search: &'a Search<'a>,
    query: &'a Query,
    lanes: usize,
    within: [u32; LANES],
    beyond: [u32; LANES],
    enough: bool,
    /// A leaf that was counted before.
    own: usize,
    meter: &'a mut Meter<'b>,
}

impl Count<'_, '_> {
    fn look(&mut self) {
        let lanes = &self.within[..self.lanes];
        self.enough = lanes.iter().all(|count| *count >= self.search.min_samples);
    }
}

impl Visitor for Count<'_, '_> {
    fn enter(&mut self, node: usize, least: f32) -> bool {
        if self.enough || least > self.search.bounds.beyond {
            return false;
        }
        let tree = self.search.tree;
        let (first, count) = tree.span(node);
        let holds_own = (first..first + count).contains(&self.own);
        if holds_own || tree.most(self.query, node) > self.search.bounds.within {
            return true;
        }
        let rows = (first * LANES..((first + count) * LANES).min(tree.len())).len() as u32;
        for (within, beyond) in self.within.iter_mut().zip(&mut self.beyond) {
            *within = within.saturating_add(rows);
            *beyond = beyond.saturating_add(rows);
        }
        self.look();
        false
    }

    fn leaf(&mut self, leaf: usize) -> Result<()> {
        if leaf == self.own {
            return Ok(());
        }
        let values = self.search.tree.values(self.search.tree.places(leaf));
        self.meter.spend(LANES * values.len() / 4)?;
        let Bounds { within, beyond } = self.search.bounds;
        self.query
            .tile
            .count(values, (within, beyond), &mut self.within, &mut self.beyond);
        self.look();
        Ok(())
    }
}

/// Counts the neighbours of one row, in f64 where f32 cannot tell.
struct ExactCount<'a, 'b> {
    search: &'a Search<'a>,
    query: &'a Query,
    place: usize,
    count: u32,
    meter: &'a mut Meter<'b>,
}

impl Visitor for ExactCount<'_, '_> {
    fn enter(&mut self, _node: usize, least: f32) -> bool {
        least <= self.search.bounds.beyond
    }

    fn leaf(&mut self, leaf: usize) -> Result<()> {
        let places = self.search.tree.places(leaf);
        let values = self.search.tree.values(places.clone());
        self.meter.spend(LANES * values.len())?;
        let mut squares = [[0.0; LANES]; LANES];
        self.query.tile.squares(values, &mut squares);
        for (other, squares) in places.zip(&squares) {
            if self.search.near(squares[0], self.place, other) {
                self.count += 1;
            }
        }
        Ok(())
    }
}

/// Joins the cores of a leaf with those of the leaves up to it.
struct Join<'a, 'b> {
    search: &'a Search<'a>,
    cores: &'a [bool],
    sets: &'a SharedUnionFind,
    query: &'a Query,
    own: usize,
    squares: [[f32; LANES]; LANES],
    meter: &'a mut Meter<'b>,
}

impl Visitor for Join<'_, '_> {
    fn enter(&mut self, node: usize, least: f32) -> bool {
        let tree = self.search.tree;
        let (first, count) = tree.span(node);
        if least > self.search.bounds.beyond || first >= self.own {
            return false;
        }
        let core = self.sets.first_core(node);
        if core == NONE {
            return false;
        }
        let own_node = tree.node_of(self.own);
        let own_core = self.sets.first_core(own_node);
        if self.sets.is_one_cluster(node)
            && self.sets.is_one_cluster(own_node)
            && self.sets.same(core, own_core)
        {
            return false;
        }
        let before_own = first + count <= self.own;
        if before_own && tree.most(self.query, node) <= self.search.bounds.within {
            // All of them are within eps of all of ours.
            let end = ((first + count) * LANES).min(tree.len());
            if self.sets.is_one_cluster(node) {
                self.sets.join(core, own_core);
            } else {
                for place in (first * LANES..end).filter(|place| self.cores[*place]) {
                    self.sets.join(place as u32, own_core);
                }
                self.sets.set_one_cluster(node);
            }
            if !self.sets.is_one_cluster(own_node) {
                for place in tree.places(self.own).filter(|place| self.cores[*place]) {
                    self.sets.join(place as u32, own_core);
                }
                self.sets.set_one_cluster(own_node);
            }
            return false;
        }
        true
    }

    fn leaf(&mut self, leaf: usize) -> Result<()> {
        let tree = self.search.tree;
        let (node, own_node) = (tree.node_of(leaf), tree.node_of(self.own));
        let places = tree.places(leaf);
        let values = tree.values(places.clone());
        self.meter.spend(LANES * values.len() / 4)?;
        self.query.tile.squares(values, &mut self.squares);
        let one_is_all = self.sets.is_one_cluster(node) && self.sets.is_one_cluster(own_node);
        let own = tree.places(self.own);
        for (place, squares) in places.zip(&self.squares) {
            if !self.cores[place] || !self.search.bounds.reach_any(squares) {
                continue;
            }
            for (mine, &squared) in own.clone().zip(squares) {
                if squared <= self.search.bounds.beyond
                    && self.cores[mine]
                    && self.search.near(squared, place, mine)
                {
                    self.sets.join(place as u32, mine as u32);
                    if one_is_all {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }
}

/// Looks for the smallest cluster number within eps.
struct Border<'a, 'b> {
    search: &'a Search<'a>,
    query: &'a Query,
    places: &'a [usize],
    clusters: &'a [u32],
    /// Smallest cluster number below each node.
    least: &'a [u32],
    found: [u32; LANES],
    squares: [[f32; LANES]; LANES],
    meter: &'a mut Meter<'b>,
}

impl Visitor for Border<'_, '_> {
    fn enter(&mut self, node: usize, least: f32) -> bool {
        let found = &self.found[..self.places.len()];
        least <= self.search.bounds.beyond && found.iter().any(|found| self.least[node] < *found)
    }

    fn leaf(&mut self, leaf: usize) -> Result<()> {
        let places = self.search.tree.places(leaf);
        let values = self.search.tree.values(places.clone());
        self.meter.spend(LANES * values.len() / 4)?;
        self.query.tile.squares(values, &mut self.squares);
        for (place, squares) in places.zip(&self.squares) {
            let cluster = self.clusters[place];
            if cluster == NONE || !self.search.bounds.reach_any(squares) {
                continue;
            }
            for ((&mine, found), &squared) in self.places.iter().zip(&mut self.found).zip(squares) {
                if cluster < *found && self.search.near(squared, place, mine) {
                    *found = cluster;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
