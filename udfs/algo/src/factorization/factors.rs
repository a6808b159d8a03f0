//! Factor tables as the solvers hold them: f32 rows padded to whole vectors.

use ndarray::{Array2, ArrayView2};
use pulp::Simd;
use rayon::prelude::*;

use crate::host::{Host, Reservation, reserve_for};
use crate::parallel::ordered;
use crate::random::Random;
use crate::simd::{STRANDS, vectorised};
use crate::{Error, Result};

/// Values of a vector: rows are padded with zeros to a multiple of it.
pub(crate) const LANES: usize = STRANDS;

/// Rows of a chunk of parallel work.
const CHUNK: usize = 1024;

/// `rows` vectors of `width` factors.
#[derive(Debug)]
pub(crate) struct Factors {
    pub(crate) rows: usize,
    pub(crate) width: usize,
    /// Values from one row to the next; those past `width` are zero.
    pub(crate) stride: usize,
    pub(crate) values: Vec<f32>,
    _memory: Reservation,
}

impl Factors {
    /// All zero.
    pub(crate) fn zero(rows: usize, width: usize, host: &dyn Host) -> Result<Self> {
        let stride = padded(width);
        let length = rows.saturating_mul(stride);
        let memory = reserve_for::<f32>(host, length, "factors")?;
        Ok(Self {
            rows,
            width,
            stride,
            values: vec![0.0; length],
            _memory: memory,
        })
    }

    /// Normal with mean zero and the given deviation; stream `stream` of `seed` and those after it, one a chunk of rows.
    pub(crate) fn normal(
        rows: usize,
        width: usize,
        deviation: f64,
        seed: u64,
        stream: u64,
        host: &dyn Host,
    ) -> Result<Self> {
        let mut factors = Self::zero(rows, width, host)?;
        let stride = factors.stride;
        factors
            .values
            .par_chunks_mut(CHUNK * stride)
            .enumerate()
            .try_for_each(|(chunk, values)| {
                host.check()?;
                let mut random = Random::stream(seed, stream + chunk as u64);
                for row in values.chunks_exact_mut(stride) {
                    for value in row.iter_mut().take(width) {
                        *value = (random.normal() * deviation) as f32;
                    }
                }
                Ok::<(), Error>(())
            })?;
        Ok(factors)
    }

    pub(crate) fn from_array(array: ArrayView2<'_, f32>, host: &dyn Host) -> Result<Self> {
        let (rows, width) = array.dim();
        let mut factors = Self::zero(rows, width, host)?;
        for (to, from) in factors
            .values
            .chunks_exact_mut(factors.stride)
            .zip(array.outer_iter())
        {
            for (to, from) in to.iter_mut().zip(from) {
                *to = *from;
            }
        }
        Ok(factors)
    }

    /// The table without its padding.
    pub(crate) fn into_array(self) -> Result<Array2<f32>> {
        let Self {
            rows,
            width,
            stride,
            mut values,
            ..
        } = self;
        if stride != width {
            for row in 0..rows {
                values.copy_within(row * stride..row * stride + width, row * width);
            }
            values.truncate(rows * width);
            values.shrink_to_fit();
        }
        Array2::from_shape_vec((rows, width), values)
            .map_err(|_| Error::Internal("rows x width factors"))
    }

    pub(crate) fn row(&self, row: usize) -> &[f32] {
        self.values
            .get(row * self.stride..(row + 1) * self.stride)
            .unwrap_or_default()
    }

    /// The Gram matrix of the rows, stride x stride in f64, both triangles. Chunks of rows are multiplied in f32 and
    /// added in f64, in order.
    pub(crate) fn gram(&self, host: &dyn Host) -> Result<Vec<f64>> {
        let stride = self.stride;
        let mut gram = vec![0.0; stride * stride];
        // Short sums, so that f32 keeps its digits.
        let chunk = 256;
        ordered(
            self.rows.div_ceil(chunk),
            host,
            |index| {
                let end = ((index + 1) * chunk).min(self.rows);
                let mut part = vec![0.0_f32; stride * stride];
                let rows = &self.values[index * chunk * stride..end * stride];
                add_outer(rows, rows, stride, &mut part);
                Ok(part)
            },
            |part| {
                for (sum, value) in gram.iter_mut().zip(part) {
                    *sum += f64::from(value);
                }
                Ok(())
            },
        )?;
        for i in 0..stride {
            for j in 0..i {
                gram[i * stride + j] = gram[j * stride + i];
            }
        }
        Ok(gram)
    }
}

/// `width` rounded up to whole vectors.
pub(crate) fn padded(width: usize) -> usize {
    width.div_ceil(LANES) * LANES
}

vectorised! {
    /// Adds the sum over rows b of `left_b^T right_b` to the upper triangle of `sum`, stride x stride, in whole tiles of
    /// 8 x 16, which also fill a part below the diagonal.
    pub(crate) fn add_outer<'a, S>(
        simd,
        left: &'a [f32],
        right: &'a [f32],
        stride: usize,
        sum: &'a mut [f32],
    ) -> () {
        for first in (0..stride).step_by(ROWS) {
            for column in (first / LANES * LANES..stride).step_by(S::F32_LANES) {
                add_outer_tile(simd, left, right, stride, sum, first, column);
            }
        }
    }
}

/// Rows of a tile of an outer product, one column vector wide: as many sums as hide the latency of an addition.
const ROWS: usize = 8;

#[inline(always)]
fn add_outer_tile<S: Simd>(
    simd: S,
    left: &[f32],
    right: &[f32],
    stride: usize,
    sum: &mut [f32],
    first: usize,
    column: usize,
) {
    let mut tile = [simd.splat_f32s(0.0); ROWS];
    for (l, r) in left.chunks_exact(stride).zip(right.chunks_exact(stride)) {
        let (Some(l), Some(r)) = (
            l[first..].first_chunk::<ROWS>(),
            S::as_simd_f32s(&r[column..]).0.first(),
        ) else {
            continue;
        };
        for (sum, l) in tile.iter_mut().zip(l) {
            *sum = simd.mul_add_f32s(simd.splat_f32s(*l), *r, *sum);
        }
    }
    for (row, tile) in sum[first * stride..].chunks_exact_mut(stride).zip(tile) {
        if let Some(to) = S::as_mut_simd_f32s(&mut row[column..]).0.first_mut() {
            *to = simd.add_f32s(*to, tile);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unlimited;

    #[test]
    fn padding_comes_and_goes() {
        let array = Array2::from_shape_fn((5, 3), |(i, j)| (i * 3 + j) as f32);
        let factors = Factors::from_array(array.view(), &Unlimited).unwrap();
        assert_eq!(factors.stride, LANES);
        assert_eq!(factors.row(1)[..4], [3.0, 4.0, 5.0, 0.0]);
        assert_eq!(factors.into_array().unwrap(), array);
    }

    #[test]
    fn gram_is_the_product() {
        for width in [1, 5, 16, 37] {
            let factors = Factors::normal(700, width, 1.0, 1, 0, &Unlimited).unwrap();
            let gram = factors.gram(&Unlimited).unwrap();
            for i in 0..width {
                for j in 0..width {
                    let expected: f64 = (0..700)
                        .map(|r| f64::from(factors.row(r)[i]) * f64::from(factors.row(r)[j]))
                        .sum();
                    let found = gram[i * factors.stride + j];
                    assert!((found - expected).abs() < 1e-3, "{found} {expected}");
                }
            }
        }
    }
}
