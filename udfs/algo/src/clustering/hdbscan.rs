//! HDBSCAN (Campello, Moulavi and Sander 2013), exact, with the conventions of scikit-learn.
//!
//! The core distance of a row is the distance to its `min_samples`-th nearest row, itself being the first; the mutual
//! reachability distance of two rows is the largest of their distance and both core distances. Its minimum spanning tree
//! (`boruvka`) is the hierarchy of all DBSCAN clusterings; `condense` keeps the splits into parts of at least `min_cluster_size`
//! rows, and chooses among them.
//!
//! Which rows are near is decided in f32 around the column means; the lengths of the tree's edges are f64 from the rows as given.

mod boruvka;
mod condense;

use ndarray::ArrayView2;

use self::boruvka::Boruvka;
use self::condense::CondensedTree;
use super::kdtree::KdTree;
use crate::host::{Host, reserve_for};
use crate::{Error, Result};

/// How clusters are chosen from the condensed tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Selection {
    /// Those that together have the largest excess of mass, equation 3 of Campello et al.
    #[default]
    ExcessOfMass,
    /// The leaves of the tree: the smallest and most alike clusters.
    Leaf,
}

/// Parameters of HDBSCAN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hdbscan {
    /// Rows of the smallest group that counts as a cluster; 2 or more.
    pub min_cluster_size: usize,
    /// Rank of the neighbour whose distance is the core distance, the row itself being the first; `None`: `min_cluster_size`. At
    /// most the number of rows.
    pub min_samples: Option<usize>,
    /// How clusters are chosen.
    pub selection: Selection,
    /// Whether all rows together may be one cluster.
    pub allow_single_cluster: bool,
}

impl Default for Hdbscan {
    /// `min_cluster_size` 5, `min_samples` the same, excess of mass, no single cluster: as in scikit-learn.
    fn default() -> Self {
        Self {
            min_cluster_size: 5,
            min_samples: None,
            selection: Selection::default(),
            allow_single_cluster: false,
        }
    }
}

/// A clustering by a hierarchy of densities.
#[derive(Debug, Clone, PartialEq)]
pub struct HierarchicalClusters {
    /// Cluster of each row from 0 on, -1 for noise, numbered as in scikit-learn: by the place of the cluster in the condensed tree, level by level.
    pub labels: Vec<i32>,
    /// How near each row is to the densest part of its cluster, 0 to 1; 0 for noise.
    pub probabilities: Vec<f64>,
    /// Persistence of each cluster: its excess of mass.
    pub stabilities: Vec<f64>,
}

impl Hdbscan {
    /// Clusters the rows of `x`, n rows x d columns.
    ///
    /// Edges of equal length are common, as many are as long as a core distance. The hierarchy depends on their order,
    /// which is here that of Prim's algorithm from row 0, as in scikit-learn; what is left to chance there is the choice
    /// among several shortest edges of a row. Time about O(n log^2 n) in few dimensions, O(n^2 d log n) at worst; memory
    /// 4 n (2 d + 22) bytes.
    ///
    /// # Errors
    /// [`Error::Parameter`] for `min_cluster_size` below 2, `min_samples` out of range; [`Error::Data`] for no rows, no columns,
    /// NaN, infinity, or a spread beyond single precision; [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn fit(&self, x: ArrayView2<'_, f64>, host: &dyn Host) -> Result<HierarchicalClusters> {
        if self.min_cluster_size < 2 {
            return Err(Error::parameter(
                "min_cluster_size",
                "\"min_cluster_size\" must be at least 2",
                "Give the number of rows of the smallest cluster, such as 5.",
            ));
        }
        let rank = self.min_samples.unwrap_or(self.min_cluster_size);
        if rank < 1 {
            return Err(Error::parameter(
                "min_samples",
                "\"min_samples\" must be at least 1",
                "Give the number of rows that make a neighbourhood dense, such as 5.",
            ));
        }
        let tree = KdTree::new(x, host)?;
        let n = tree.len();
        if rank > n {
            return Err(Error::parameter(
                "min_samples",
                format!("\"min_samples\" is {rank}, but there are only {n} rows"),
                "Lower \"min_samples\" or \"min_cluster_size\", or give more rows.",
            ));
        }
        let _memory = reserve_for::<[u64; 9]>(host, n, "cluster hierarchy")?;
        let edges = Boruvka::new(&tree, rank, host)?.spanning_tree(host)?;
        drop(tree);
        host.check()?;
        let condensed = CondensedTree::new(n, &edges, self.min_cluster_size)?;
        host.check()?;
        Ok(condensed.clusters(self.selection, self.allow_single_cluster))
    }
}

impl HierarchicalClusters {
    /// Memory that the clustering holds.
    pub fn bytes(&self) -> usize {
        self.labels.len() * (size_of::<i32>() + size_of::<f64>())
            + self.stabilities.len() * size_of::<f64>()
    }
}

/// An edge of the spanning tree between two rows.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Edge {
    length: f64,
    a: u32,
    b: u32,
}

#[cfg(test)]
mod tests;
