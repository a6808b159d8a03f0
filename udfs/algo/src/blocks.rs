//! Rows of numeric features that can be read again and again: in memory, or from a spill file of the caller.
//!
//! A value `x` of column `j` is stored as `(x - centre[j]) as f32` with centres in f64, so that a column such as a time
//! in seconds since 1970 keeps its small spread in 24 bits. Blocks have a fixed number of rows, whatever batches the rows
//! came in, so that sums over blocks in their order are the same bits for any thread count and any spill.

use ndarray::ArrayView2;

use crate::host::{Host, Reservation, reserve_for};
use crate::parallel::ordered;
use crate::{Error, Result};

/// Rows of every block but the last.
pub const BLOCK_ROWS: usize = 4096;

/// Re-readable blocks of rows x columns; see the module.
///
/// Block `i` holds the rows from `i * BLOCK_ROWS` on, row after row, [`BLOCK_ROWS`] of them or, in the last block, what is
/// left. All values are finite: who fills the blocks refuses NaN and infinity, naming the column.
pub trait Blocks: Sync {
    /// Rows in all blocks together.
    fn rows(&self) -> usize;

    /// Values of a row.
    fn columns(&self) -> usize;

    /// What was subtracted from each column before it became f32; `columns()` values.
    fn centres(&self) -> &[f64];

    /// The rows of block `index`, row-major. An implementation that holds them in memory lends its own slice; one that
    /// reads a file fills `scratch` and lends that.
    ///
    /// # Errors
    /// What reading meets; [`Error::Internal`] for an index that is not below `blocks()`.
    fn block<'a>(&'a self, index: usize, scratch: &'a mut Vec<f32>) -> Result<&'a [f32]>;

    /// Number of blocks.
    fn blocks(&self) -> usize {
        self.rows().div_ceil(BLOCK_ROWS)
    }
}

/// Blocks held in memory.
#[derive(Debug)]
pub struct DenseBlocks {
    rows: usize,
    columns: usize,
    centres: Vec<f64>,
    values: Vec<f32>,
    _memory: Reservation,
}

impl DenseBlocks {
    /// Takes `x`, n rows x d columns, centred on its column means.
    ///
    /// # Errors
    /// [`Error::Data`] for NaN, infinity, or a value whose distance from the mean of its column no f32 holds;
    /// [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn from_rows(x: ArrayView2<'_, f64>, host: &dyn Host) -> Result<Self> {
        let centres = column_means(x, host)?;
        Self::centred(x, centres, host)
    }

    /// Takes `x`, n rows x d columns, centred on `centres`, d values.
    ///
    /// # Errors
    /// As [`DenseBlocks::from_rows`]; [`Error::Internal`] when the number of centres is not d.
    pub fn centred(x: ArrayView2<'_, f64>, centres: Vec<f64>, host: &dyn Host) -> Result<Self> {
        let (rows, columns) = x.dim();
        if centres.len() != columns {
            return Err(Error::Internal("a centre for each column"));
        }
        let memory = reserve_for::<f32>(host, x.len(), "features")?;
        let mut values = Vec::with_capacity(x.len());
        for (i, row) in x.outer_iter().enumerate() {
            if i % BLOCK_ROWS == 0 {
                host.check()?;
            }
            for (j, (&value, &centre)) in row.iter().zip(&centres).enumerate() {
                values.push(centre_value(value, centre).ok_or_else(|| not_finite(i, j, value))?);
            }
        }
        Ok(Self {
            rows,
            columns,
            centres,
            values,
            _memory: memory,
        })
    }

    /// The stored values, row after row. Their reservation ends.
    pub(crate) fn into_values(self) -> Vec<f32> {
        self.values
    }
}

impl Blocks for DenseBlocks {
    fn rows(&self) -> usize {
        self.rows
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn centres(&self) -> &[f64] {
        &self.centres
    }

    fn block<'a>(&'a self, index: usize, _scratch: &'a mut Vec<f32>) -> Result<&'a [f32]> {
        let start = index.saturating_mul(BLOCK_ROWS);
        let end = start.saturating_add(BLOCK_ROWS).min(self.rows);
        self.values
            .get(start.saturating_mul(self.columns)..end.saturating_mul(self.columns))
            .filter(|_| start < end)
            .ok_or(Error::Internal("a block index below the number of blocks"))
    }
}

/// The stored form of a value: its distance from the centre as f32, or `None` where that is not finite.
pub fn centre_value(value: f64, centre: f64) -> Option<f32> {
    let stored = (value - centre) as f32;
    stored.is_finite().then_some(stored)
}

/// Column means of x in f64, summed block by block in row order.
pub(crate) fn column_means(x: ArrayView2<'_, f64>, host: &dyn Host) -> Result<Vec<f64>> {
    let (rows, columns) = x.dim();
    let mut means = vec![0.0; columns];
    if rows == 0 {
        return Ok(means);
    }
    // Dividing before adding keeps the mean of huge values finite.
    let share = 1.0 / rows as f64;
    for (block, chunk) in x.axis_chunks_iter(ndarray::Axis(0), BLOCK_ROWS).enumerate() {
        host.check()?;
        let mut sums = vec![0.0; columns];
        for (i, row) in chunk.outer_iter().enumerate() {
            for (j, (sum, &value)) in sums.iter_mut().zip(row).enumerate() {
                if !value.is_finite() {
                    return Err(not_finite(block * BLOCK_ROWS + i, j, value));
                }
                *sum += value * share;
            }
        }
        for (mean, sum) in means.iter_mut().zip(sums) {
            *mean += sum;
        }
    }
    Ok(means)
}

fn not_finite(row: usize, column: usize, value: f64) -> Error {
    if value.is_finite() {
        Error::data(
            format!(
                "value {value} in row {row} of column {column} is too far from the mean of its column"
            ),
            "Standardize the column or remove the outlier.",
        )
    } else {
        Error::data(
            format!("value in row {row} of column {column} is not finite"),
            "Remove NaN and infinity, or impute them.",
        )
    }
}

/// Reads every block on the ambient pool, `work(block index, its rows)`, and gives the results to `fold` in the order of
/// the blocks. Checks for cancellation before each block.
pub(crate) fn for_each_block<T: Send>(
    data: &dyn Blocks,
    host: &dyn Host,
    work: impl Fn(usize, &[f32]) -> Result<T> + Sync,
    fold: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    ordered(
        data.blocks(),
        host,
        |index| {
            let mut scratch = Vec::new();
            work(index, data.block(index, &mut scratch)?)
        },
        fold,
    )
}

/// The stored values of single rows, one after another, in the order asked for.
pub(crate) fn rows_at(data: &dyn Blocks, indices: &[usize]) -> Result<Vec<f32>> {
    let columns = data.columns();
    let mut values = Vec::with_capacity(indices.len().saturating_mul(columns));
    let mut scratch = Vec::new();
    for &index in indices {
        let block = data.block(index / BLOCK_ROWS, &mut scratch)?;
        let start = (index % BLOCK_ROWS).saturating_mul(columns);
        let row = block.get(start..start.saturating_add(columns));
        values
            .extend_from_slice(row.ok_or(Error::Internal("a row index below the number of rows"))?);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unlimited;
    use ndarray::{Array2, array};

    #[test]
    fn keeps_a_small_spread_around_a_large_mean() {
        let x = array![[1.7e9], [1.7e9 + 0.25], [1.7e9 + 0.5]];
        let blocks = DenseBlocks::from_rows(x.view(), &Unlimited).unwrap();
        let mut scratch = Vec::new();
        let stored = blocks.block(0, &mut scratch).unwrap();
        for (i, &value) in stored.iter().enumerate() {
            let back = f64::from(value) + blocks.centres()[0];
            assert!((back - (1.7e9 + 0.25 * i as f64)).abs() < 1e-6);
        }
    }

    #[test]
    fn cuts_rows_into_fixed_blocks() {
        let x = Array2::from_shape_fn((BLOCK_ROWS + 3, 2), |(i, j)| (i * 2 + j) as f64);
        let blocks = DenseBlocks::centred(x.view(), vec![0.0; 2], &Unlimited).unwrap();
        let mut scratch = Vec::new();
        assert_eq!(blocks.blocks(), 2);
        assert_eq!(blocks.block(0, &mut scratch).unwrap().len(), 2 * BLOCK_ROWS);
        let last = blocks.block(1, &mut scratch).unwrap();
        assert_eq!(last.len(), 6);
        assert_eq!(last[0], (2 * BLOCK_ROWS) as f32);
        assert!(blocks.block(2, &mut scratch).is_err());
    }

    #[test]
    fn refuses_what_f32_cannot_hold() {
        for (bad, words) in [
            (f64::NAN, "not finite"),
            (f64::INFINITY, "not finite"),
            (1e300, "too far"),
        ] {
            let x = array![[0.0, 1.0], [2.0, bad]];
            let error = DenseBlocks::from_rows(x.view(), &Unlimited).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(words), "{text}");
            assert!(text.contains("of column 1"), "{text}");
        }
    }
}
