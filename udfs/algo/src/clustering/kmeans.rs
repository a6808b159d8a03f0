//! k-means by Lloyd's algorithm, exact with pruned distances, and greedy k-means++ seeding, with the meaning that scikit-learn gives its parameters.
//!
//! Rows are f32 around their column centres ([`Blocks`]), centroids and sums f64; blocks are summed in their order. Start
//! at [`KMeans::fit`].

use ndarray::Array2;

use super::lloyd::{self, Step};
use super::prune::Pruned;
use super::seeding;
use crate::blocks::{BLOCK_ROWS, Blocks, for_each_block, rows_at};
use crate::host::{Host, reserve_for};
use crate::random::Random;
use crate::{Error, Result};

/// How the first centroids are found.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Init {
    /// Greedy k-means++ (Arthur and Vassilvitskii 2007) with `2 + ln k` trials a centroid.
    #[default]
    KMeansPlusPlus,
    /// k distinct rows, drawn with a chance proportional to their weight.
    Random,
    /// These, k rows x d columns in the units of the data. `n_init` must be 1.
    Centroids(Array2<f64>),
}

/// Parameters of k-means (Lloyd 1982).
#[derive(Debug, Clone, PartialEq)]
pub struct KMeans {
    /// Number of clusters, from 1 to the number of rows with a positive weight.
    pub k: usize,
    /// Runs with different first centroids; the one with the smallest inertia is kept, the first on a tie.
    pub n_init: usize,
    /// Iterations of a run at most.
    pub max_iter: usize,
    /// A run ends when the squared distances that the centroids moved sum to at most `tol` times the mean of the column
    /// variances, or when no label changed. Not negative.
    pub tol: f64,
    /// Source of the first centroids.
    pub init: Init,
    /// Seed of `init`.
    pub seed: u64,
}

impl Default for KMeans {
    /// k = 8, one run of at most 300 iterations, `tol` 1e-4, k-means++, seed 0.
    fn default() -> Self {
        Self {
            k: 8,
            n_init: 1,
            max_iter: 300,
            tol: 1e-4,
            init: Init::default(),
            seed: 0,
        }
    }
}

/// A clustering: the outcome of [`KMeans::fit`].
#[derive(Debug, Clone, PartialEq)]
pub struct Clusters {
    /// k rows x d columns, in the units of the data, in the order of the first centroids.
    pub centroids: Array2<f64>,
    /// Cluster of each row: the number of its nearest centroid, the smallest on a tie.
    pub labels: Vec<u32>,
    /// Euclidean distance of each row to its centroid.
    pub distances: Vec<f64>,
    /// Weighted sum of the squared distances.
    pub inertia: f64,
    /// Iterations of the run that was kept.
    pub iterations: usize,
    /// Whether that run ended by `tol` or by unchanged labels, and not by `max_iter`.
    pub converged: bool,
    /// Clusters that hold a row: fewer than k when the data has fewer distinct rows.
    pub occupied: usize,
}

impl KMeans {
    /// Clusters the rows of `data`, with a weight for each (`None`: all 1).
    ///
    /// A cluster that loses all its rows is given the row farthest from its centroid, as in scikit-learn; when all rows lie on their
    /// centroids it stays empty, see [`Clusters::occupied`]. Time O(n k d) an iteration at worst; rows whose label cannot have
    /// changed are not looked at, which changes no bit of the result. Memory 36 n bytes and k d sums for each block.
    ///
    /// # Errors
    /// [`Error::Parameter`] for `k`, `n_init`, `max_iter`, `tol` or `init` out of range, k above the number of rows
    /// included; [`Error::Data`] for no rows, no columns, a negative or infinite weight, or a spread whose square f32
    /// cannot hold; [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn fit(
        &self,
        data: &dyn Blocks,
        weights: Option<&[f64]>,
        host: &dyn Host,
    ) -> Result<Clusters> {
        self.check(data, weights)?;
        let n = data.rows();
        let _rows = reserve_for::<[f64; 3]>(host, n, "labels and distances")?;
        let cells = self.k.saturating_mul(data.columns());
        let in_flight = rayon::current_num_threads()
            .saturating_mul(8)
            .saturating_add(4);
        let _sums = reserve_for::<f64>(host, cells.saturating_mul(in_flight), "centroid sums")?;

        let bounds = if Pruned::pays(self.k) {
            Pruned::bytes(n, cells)
        } else {
            0
        };
        let _bounds = host.reserve(bounds, "bounds of distances")?;
        let tolerance = self.tol * mean_variance(data, host)?;
        let mut best: Option<Run> = None;
        for attempt in 0..self.n_init {
            let first = self.first_centroids(data, weights, attempt as u64, host)?;
            let run = self.run(data, weights, first, tolerance, host)?;
            if best.as_ref().is_none_or(|best| run.inertia < best.inertia) {
                best = Some(run);
            }
        }
        let run = best.ok_or(Error::Internal("k-means makes at least one run"))?;
        run.finish(data, self.k)
    }

    fn check(&self, data: &dyn Blocks, weights: Option<&[f64]>) -> Result<()> {
        let n = data.rows();
        if n == 0 {
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
        if self.k < 1 {
            return Err(Error::parameter(
                "k",
                "\"k\" must be at least 1",
                "Give the number of clusters, such as 8.",
            ));
        }
        if self.n_init < 1 {
            return Err(Error::parameter(
                "n_init",
                "\"n_init\" must be at least 1",
                "Give the number of runs, such as 10.",
            ));
        }
        if self.max_iter < 1 {
            return Err(Error::parameter(
                "max_iter",
                "\"max_iter\" must be at least 1",
                "Give the largest number of iterations, such as 300.",
            ));
        }
        if !(self.tol >= 0.0 && self.tol.is_finite()) {
            return Err(Error::parameter(
                "tol",
                format!("\"tol\" must not be negative, not {}", self.tol),
                "Give a small number such as 0.0001, or 0 to run until no label changes.",
            ));
        }
        let mut usable = n;
        if let Some(weights) = weights {
            if weights.len() != n {
                return Err(Error::Internal("a weight for each row"));
            }
            if let Some(row) = weights.iter().position(|w| !(*w >= 0.0 && w.is_finite())) {
                return Err(Error::data(
                    format!("weight of row {row} is negative or not finite"),
                    "Give weights of zero or more.",
                ));
            }
            usable = weights.iter().filter(|w| **w > 0.0).count();
        }
        if self.k > usable || u32::try_from(self.k).is_err() {
            let rows = if weights.is_some() {
                "rows with a positive weight"
            } else {
                "rows"
            };
            return Err(Error::parameter(
                "k",
                format!("\"k\" is {}, but there are only {usable} {rows}", self.k),
                "Lower \"k\" or give more rows.",
            ));
        }
        if let Init::Centroids(centroids) = &self.init {
            if centroids.dim() != (self.k, data.columns()) {
                let (rows, columns) = centroids.dim();
                return Err(Error::parameter(
                    "initial_centroids",
                    format!(
                        "\"initial_centroids\" has {rows} rows of {columns} columns, but {} rows of {} columns are needed",
                        self.k,
                        data.columns()
                    ),
                    "Give one centroid for each cluster with the feature columns of the data.",
                ));
            }
            if centroids.iter().any(|value| !value.is_finite()) {
                return Err(Error::parameter(
                    "initial_centroids",
                    "\"initial_centroids\" has a value that is not finite",
                    "Remove NaN and infinity.",
                ));
            }
            if self.n_init != 1 {
                return Err(Error::parameter(
                    "n_init",
                    "\"n_init\" must be 1 when the initial centroids are given",
                    "Leave out \"n_init\": every run would be the same.",
                ));
            }
        }
        Ok(())
    }

    /// First centroids, k x d around the centres of `data`.
    fn first_centroids(
        &self,
        data: &dyn Blocks,
        weights: Option<&[f64]>,
        attempt: u64,
        host: &dyn Host,
    ) -> Result<Vec<f64>> {
        let mut random = Random::stream(self.seed, attempt);
        let rows = match &self.init {
            Init::Centroids(centroids) => {
                return Ok(around(centroids, data.centres()));
            }
            Init::KMeansPlusPlus => seeding::plus_plus(data, weights, self.k, &mut random, host)?,
            Init::Random => seeding::random_rows(data.rows(), weights, self.k, &mut random, host)?,
        };
        Ok(rows_at(data, &rows)?.into_iter().map(f64::from).collect())
    }

    fn run(
        &self,
        data: &dyn Blocks,
        weights: Option<&[f64]>,
        first: Vec<f64>,
        tolerance: f64,
        host: &dyn Host,
    ) -> Result<Run> {
        let mut centroids = first;
        let mut labels = vec![u32::MAX; data.rows()];
        let mut pruned = Pruned::pays(self.k).then(|| Pruned::new(data, centroids.len()));
        let squares = squares(data, weights, host)?;
        let mut iterations = 0;
        let mut converged = false;
        while iterations < self.max_iter && !converged {
            iterations += 1;
            let mut step = match &mut pruned {
                Some(pruned) => pruned.assign(data, weights, &centroids, host)?,
                None => Step::assign(data, weights, &centroids, &mut labels, host)?,
            };
            host.progress(
                "k-means iterations",
                iterations as u64,
                self.max_iter as u64,
                Some(step.inertia(squares, &centroids)),
            );
            if step.has_empty() {
                if let Some(pruned) = &mut pruned {
                    pruned.labels_into(&mut labels)?;
                }
                step.relocate_empty(data, weights, &centroids, &labels, host)?;
            }
            let unchanged = !step.changed;
            let moved = step.into_centroids(data.columns());
            let shift: f64 = moved
                .iter()
                .zip(&centroids)
                .map(|(new, old)| (new - old) * (new - old))
                .sum();
            centroids = moved;
            converged = unchanged || shift <= tolerance;
        }
        // The centroids have moved since the labels were given.
        let distances = match &mut pruned {
            Some(pruned) => {
                pruned.assign(data, weights, &centroids, host)?;
                pruned.labels_into(&mut labels)?;
                lloyd::distances(data, &centroids, &labels, host)?
            }
            None => lloyd::nearest(data, &centroids, &mut labels, host)?,
        };
        Ok(Run {
            inertia: lloyd::inertia(&distances, weights),
            centroids,
            labels,
            distances,
            iterations,
            converged,
        })
    }
}

impl Clusters {
    /// Labels and distances of further rows, as in [`Clusters::labels`] and [`Clusters::distances`].
    ///
    /// # Errors
    /// [`Error::Data`] when the rows have other columns than the centroids; [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn predict(&self, data: &dyn Blocks, host: &dyn Host) -> Result<(Vec<u32>, Vec<f64>)> {
        predict(&self.centroids, data, host)
    }

    /// Memory that the clustering holds.
    pub fn bytes(&self) -> usize {
        self.centroids.len() * size_of::<f64>()
            + self.labels.len() * size_of::<u32>()
            + self.distances.len() * size_of::<f64>()
    }
}

/// Nearest of `centroids`, k rows x d columns in the units of the data, for each row of `data`: its number (the smallest
/// on a tie) and the Euclidean distance. Time O(n k d).
///
/// # Errors
/// [`Error::Data`] when the rows have other columns than the centroids or there is no centroid; [`Error::OutOfMemory`];
/// [`Error::Cancelled`].
pub fn predict(
    centroids: &Array2<f64>,
    data: &dyn Blocks,
    host: &dyn Host,
) -> Result<(Vec<u32>, Vec<f64>)> {
    check(centroids.dim(), data.columns())?;
    let _memory = reserve_for::<[u32; 3]>(host, data.rows(), "labels and distances")?;
    let mut labels = vec![0; data.rows()];
    let distances = lloyd::nearest(data, &around(centroids, data.centres()), &mut labels, host)?;
    Ok((labels, distances))
}

/// Fails for rows of `columns` values that k x d centroids cannot be compared with.
pub(super) fn check((k, d): (usize, usize), columns: usize) -> Result<()> {
    if k == 0 || d == 0 || d != columns {
        return Err(Error::data(
            format!(
                "the model has {k} centroids of {d} columns, but the rows have {columns} columns"
            ),
            "Give the columns that the model was trained on.",
        ));
    }
    Ok(())
}

/// Centroids as stored rows are: less the centre of each column, row-major.
fn around(centroids: &Array2<f64>, centres: &[f64]) -> Vec<f64> {
    let mut values = Vec::with_capacity(centroids.len());
    for row in centroids.outer_iter() {
        values.extend(
            row.iter()
                .zip(centres)
                .map(|(value, centre)| value - centre),
        );
    }
    values
}

/// One run of Lloyd's algorithm, centroids around the centres of the data.
struct Run {
    centroids: Vec<f64>,
    labels: Vec<u32>,
    distances: Vec<f64>,
    inertia: f64,
    iterations: usize,
    converged: bool,
}

impl Run {
    fn finish(self, data: &dyn Blocks, k: usize) -> Result<Clusters> {
        let mut centroids = Array2::from_shape_vec((k, data.columns()), self.centroids)
            .map_err(|_| Error::Internal("k x d centroids"))?;
        for mut row in centroids.outer_iter_mut() {
            for (value, centre) in row.iter_mut().zip(data.centres()) {
                *value += centre;
            }
        }
        let mut occupied = vec![false; k];
        for &label in &self.labels {
            if let Some(slot) = occupied.get_mut(label as usize) {
                *slot = true;
            }
        }
        Ok(Clusters {
            centroids,
            labels: self.labels,
            distances: self.distances,
            inertia: self.inertia,
            iterations: self.iterations,
            converged: self.converged,
            occupied: occupied.into_iter().filter(|seen| *seen).count(),
        })
    }
}

/// Weighted sum of the squares of all stored values.
fn squares(data: &dyn Blocks, weights: Option<&[f64]>, host: &dyn Host) -> Result<f64> {
    let d = data.columns();
    let mut total = 0.0;
    for_each_block(
        data,
        host,
        |index, rows| {
            let weights = weights.map(|weights| &weights[index * BLOCK_ROWS..]);
            let squares = rows.chunks_exact(d).enumerate().map(|(at, row)| {
                let square: f64 = row.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
                square * weights.map_or(1.0, |weights| weights[at])
            });
            Ok(squares.sum::<f64>())
        },
        |sum| {
            total += sum;
            Ok(())
        },
    )?;
    Ok(total)
}

/// Mean over the columns of their variances (dividing by n), after a look at what f32 squares can hold.
fn mean_variance(data: &dyn Blocks, host: &dyn Host) -> Result<f64> {
    let d = data.columns();
    let mut total = Moments::new(d);
    for_each_block(
        data,
        host,
        |_, rows| Ok(Moments::of(rows, d)),
        |block| {
            total.merge(&block);
            Ok(())
        },
    )?;
    let spread = total.spread();
    // Squares of smaller or larger f32 numbers leave its range once they are added up.
    if spread > 0.0 && !(1e-15..=1e15).contains(&spread) {
        return Err(Error::data(
            format!("the features spread over {spread:e}, which is beyond single precision"),
            "Standardize the features.",
        ));
    }
    Ok(total.squares.iter().sum::<f64>() / (data.rows() as f64 * d as f64))
}

/// Count, mean and sum of squared deviations of each column, and its extremes.
struct Moments {
    count: f64,
    means: Vec<f64>,
    squares: Vec<f64>,
    low: Vec<f32>,
    high: Vec<f32>,
}

impl Moments {
    fn new(columns: usize) -> Self {
        Self {
            count: 0.0,
            means: vec![0.0; columns],
            squares: vec![0.0; columns],
            low: vec![f32::INFINITY; columns],
            high: vec![f32::NEG_INFINITY; columns],
        }
    }

    fn of(rows: &[f32], columns: usize) -> Self {
        let mut moments = Self::new(columns);
        moments.count = rows.chunks_exact(columns).len() as f64;
        for row in rows.chunks_exact(columns) {
            for (j, &value) in row.iter().enumerate() {
                moments.means[j] += f64::from(value);
                moments.low[j] = moments.low[j].min(value);
                moments.high[j] = moments.high[j].max(value);
            }
        }
        for mean in &mut moments.means {
            *mean /= moments.count;
        }
        for row in rows.chunks_exact(columns) {
            for ((&value, mean), square) in row.iter().zip(&moments.means).zip(&mut moments.squares)
            {
                let deviation = f64::from(value) - mean;
                *square += deviation * deviation;
            }
        }
        moments
    }

    /// Adds the moments of further rows (Chan, Golub and LeVeque 1979).
    fn merge(&mut self, other: &Self) {
        let count = self.count + other.count;
        for j in 0..self.means.len() {
            let difference = other.means[j] - self.means[j];
            self.means[j] += difference * (other.count / count);
            self.squares[j] +=
                other.squares[j] + difference * difference * (self.count * other.count / count);
            self.low[j] = self.low[j].min(other.low[j]);
            self.high[j] = self.high[j].max(other.high[j]);
        }
        self.count = count;
    }

    /// The widest range of a column.
    fn spread(&self) -> f64 {
        self.low
            .iter()
            .zip(&self.high)
            .map(|(&low, &high)| f64::from(high) - f64::from(low))
            .fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests;
