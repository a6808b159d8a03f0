//! Principal components (Pearson 1901, Hotelling 1933): the directions along which rows spread most.
//!
//! They are the eigenvectors of the covariance of the columns, whose sums are taken in f64 in the order of fixed chunks of rows; scikit-learn's
//! `covariance_eigh`. Without centring they are the right singular vectors of the rows, as of its `TruncatedSVD`.

use ndarray::{Array2, ArrayView2, Axis};

use super::dense::{inner_product, symmetric_eigen};
use crate::blocks::{BLOCK_ROWS, column_means};
use crate::host::{Host, reserve_for};
use crate::parallel::ordered;
use crate::{Error, Result};

/// Parameters of the decomposition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pca {
    /// Components wanted, from 1 to the number of columns.
    pub k: usize,
    /// Whether the mean of each column is subtracted first.
    pub centre: bool,
}

/// Components of rows; made by [`Pca`].
#[derive(Debug, Clone, PartialEq)]
pub struct PcaModel {
    /// What is subtracted from each of d columns.
    pub means: Vec<f64>,
    /// k x d, orthonormal rows. Of each, the entry of largest magnitude is positive.
    pub components: Array2<f64>,
    /// Singular values of the (centred) rows, falling; zero beyond their rank.
    pub sigma: Vec<f64>,
    /// Variance along each component, dividing by n - 1: `sigma^2 / (n - 1)`; 0 for a single row.
    pub variances: Vec<f64>,
    /// Share of the variance of all columns that each component explains; 0 where there is none.
    pub shares: Vec<f64>,
}

impl Pca {
    /// Decomposes `x`, n rows x d columns.
    ///
    /// Time O(n d^2 + d^3), memory 8 d^2 bytes for each chunk in flight. The last step, O(d^3), cannot be cancelled.
    ///
    /// # Errors
    /// [`Error::Parameter`] for k out of range; [`Error::Data`] for no rows, no columns, NaN, infinity, or values whose squares overflow;
    /// [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn fit(&self, x: ArrayView2<'_, f64>, host: &dyn Host) -> Result<PcaModel> {
        let (n, d) = x.dim();
        if n == 0 || d == 0 {
            return Err(Error::data(
                "there are no values to decompose",
                "Give a relation with at least one row.",
            ));
        }
        if self.k < 1 || self.k > d {
            return Err(Error::parameter(
                "k",
                format!(
                    "\"k\" must be from 1 to {d}, the number of features, not {}",
                    self.k
                ),
                "Lower \"k\" or name more features.",
            ));
        }
        let means = if self.centre {
            column_means(x, host)?
        } else {
            vec![0.0; d]
        };
        let in_flight = rayon::current_num_threads().saturating_mul(8);
        let _memory = reserve_for::<f64>(
            host,
            (d * d)
                .saturating_mul(in_flight + 3)
                .saturating_add(in_flight.saturating_mul(BLOCK_ROWS * d)),
            "covariances",
        )?;
        let mut gram = vec![0.0; d * d];
        ordered(
            n.div_ceil(BLOCK_ROWS),
            host,
            |chunk| {
                let end = n.min((chunk + 1) * BLOCK_ROWS);
                let mut rows = Vec::with_capacity((end - chunk * BLOCK_ROWS) * d);
                for row in x
                    .slice(ndarray::s![chunk * BLOCK_ROWS..end, ..])
                    .outer_iter()
                {
                    rows.extend(row.iter().zip(&means).map(|(value, mean)| value - mean));
                }
                Ok(inner_product(&rows, &rows, d, d))
            },
            |part| {
                for (sum, value) in gram.iter_mut().zip(part) {
                    *sum += value;
                }
                Ok(())
            },
        )?;
        if gram.iter().any(|value| !value.is_finite()) {
            return Err(Error::data(
                "the features have values that are not finite, or whose squares overflow",
                "Remove NaN and infinity, or standardize the features.",
            ));
        }
        host.check()?;
        let total: f64 = (0..d).map(|column| gram[column * (d + 1)]).sum();
        let (values, vectors) = symmetric_eigen(&gram, d)?;
        let vectors = Array2::from_shape_vec((d, d), vectors)
            .map_err(|_| Error::Internal("d x d eigenvectors"))?;
        let order: Vec<usize> = (0..d).rev().take(self.k).collect();
        let mut components = vectors.t().select(Axis(0), &order);
        for mut component in components.outer_iter_mut() {
            fix_sign(component.view_mut());
        }
        let squares: Vec<f64> = order.iter().map(|at| values[*at].max(0.0)).collect();
        Ok(PcaModel {
            means,
            components,
            sigma: squares.iter().map(|square| square.sqrt()).collect(),
            variances: squares
                .iter()
                .map(|square| square / (n as f64 - 1.0).max(1.0))
                .collect(),
            shares: squares
                .iter()
                .map(|square| if total > 0.0 { square / total } else { 0.0 })
                .collect(),
        })
    }
}

impl PcaModel {
    /// The rows of `x`, n x d, along the components: n x k. The answer for a row depends on that row alone.
    ///
    /// # Errors
    /// [`Error::Data`] for other columns than those of the model; [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn transform(&self, x: ArrayView2<'_, f64>, host: &dyn Host) -> Result<Array2<f64>> {
        let (k, d) = self.components.dim();
        if x.ncols() != d || self.means.len() != d {
            return Err(Error::data(
                format!(
                    "the model has components of {d} columns, but the rows have {}",
                    x.ncols()
                ),
                "Give the columns that the model was trained on.",
            ));
        }
        let _memory = reserve_for::<f64>(host, x.nrows().saturating_mul(k), "components")?;
        let mut scores = Vec::with_capacity(x.nrows() * k);
        ordered(
            x.nrows().div_ceil(BLOCK_ROWS),
            host,
            |chunk| {
                let end = x.nrows().min((chunk + 1) * BLOCK_ROWS);
                let mut found = Vec::with_capacity((end - chunk * BLOCK_ROWS) * k);
                for row in x
                    .slice(ndarray::s![chunk * BLOCK_ROWS..end, ..])
                    .outer_iter()
                {
                    for component in self.components.outer_iter() {
                        let terms = row
                            .iter()
                            .zip(&self.means)
                            .zip(component)
                            .map(|((value, mean), weight)| (value - mean) * weight);
                        found.push(terms.sum::<f64>());
                    }
                }
                Ok(found)
            },
            |found| {
                scores.extend(found);
                Ok(())
            },
        )?;
        Array2::from_shape_vec((x.nrows(), k), scores)
            .map_err(|_| Error::Internal("n x k components"))
    }
}

/// Makes the first of the entries within 1e-9 of the largest positive.
fn fix_sign(mut component: ndarray::ArrayViewMut1<'_, f64>) {
    let most = component
        .iter()
        .fold(0.0, |most: f64, value| most.max(value.abs()));
    let negative = component
        .iter()
        .find(|value| value.abs() >= most * (1.0 - 1e-9))
        .is_some_and(|value| *value < 0.0);
    if negative {
        component.mapv_inplace(|value| -value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unlimited;
    use ndarray::array;
    use proptest::prelude::*;

    #[test]
    fn components_by_hand() {
        let x = array![[0.0, 0.0], [2.0, 2.0], [4.0, 4.0]];
        let found = Pca { k: 2, centre: true }
            .fit(x.view(), &Unlimited)
            .unwrap();
        let half = 0.5_f64.sqrt();
        assert!((found.components[[0, 0]] - half).abs() < 1e-12);
        assert!((found.components[[0, 1]] - half).abs() < 1e-12);
        assert!((found.variances[0] - 8.0).abs() < 1e-12);
        assert!((found.shares[0] - 1.0).abs() < 1e-12 && found.shares[1].abs() < 1e-12);
        let scores = found.transform(x.view(), &Unlimited).unwrap();
        assert!((scores[[2, 0]] - 8.0_f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn bad_input_is_told() {
        let fit = |k, x: Array2<f64>| Pca { k, centre: true }.fit(x.view(), &Unlimited);
        assert!(fit(3, array![[1.0, 2.0]]).is_err());
        assert!(fit(0, array![[1.0, 2.0]]).is_err());
        assert!(fit(1, Array2::zeros((0, 2))).is_err());
        assert!(fit(1, array![[1e200], [-1e200]]).is_err());
        assert!(fit(1, array![[f64::NAN], [1.0]]).is_err());
        let one = fit(2, array![[1.0, 2.0]]).unwrap();
        assert_eq!(one.variances, [0.0, 0.0]);
    }

    proptest! {
        #[test]
        fn all_components_keep_all_distances(values in prop::collection::vec(-50.0_f64..50.0, 12..60)) {
            let x = Array2::from_shape_fn((values.len() / 3, 3), |(row, column)| values[3 * row + column]);
            for centre in [true, false] {
                let found = Pca { k: 3, centre }.fit(x.view(), &Unlimited).unwrap();
                let scores = found.transform(x.view(), &Unlimited).unwrap();
                let length = |rows: &Array2<f64>, means: &[f64]| rows.outer_iter().flat_map(|row| {
                    row.iter().zip(means).map(|(v, m)| (v - m) * (v - m)).collect::<Vec<_>>()
                }).sum::<f64>();
                let before = length(&x, &found.means);
                prop_assert!((length(&scores, &[0.0; 3]) - before).abs() < 1e-9 * (1.0 + before));
                prop_assert!((found.sigma.iter().map(|s| s * s).sum::<f64>() - before).abs() < 1e-9 * (1.0 + before));
                prop_assert!(found.sigma.is_sorted_by(|a, b| a >= b));
            }
        }
    }
}
