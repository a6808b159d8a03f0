//! The inverse of a large positive definite matrix in single precision, in the memory of the matrix.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::cholesky::llt::inverse::{inverse, inverse_scratch};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use crate::host::{Host, reserve_for};
use crate::{Error, Result};

/// Rows and columns of a block.
const BLOCK: usize = 256;

/// Columns multiplied between two questions for cancellation.
const STRIP: usize = 4 * BLOCK;

/// Replaces the symmetric positive definite `a`, n x n of which the lower triangle is read, by its inverse, both triangles.
///
/// The sweep operator (Goodnight 1979) on blocks: sweeping block k replaces `A_kk` by `-D` with `D = A_kk^-1`, `A_ik` by `A_ik D` and every other
/// `A_ij` by `A_ij - A_ik D A_kj`; after all blocks the matrix is its inverse with the sign turned. It takes the n^3 operations of a Cholesky
/// factorization with inversion, but nearly all of them in one product of matrices a block and no second matrix. The blocks `A_kk` are
/// inverted in f64. Memory beside the matrix: 2 n blocks.
///
/// # Errors
/// [`Error::Data`] when the matrix is not positive definite to its precision; [`Error::OutOfMemory`]; [`Error::Cancelled`].
pub(crate) fn invert(a: &mut [f32], n: usize, host: &dyn Host) -> Result<()> {
    if a.len() != n * n {
        return Err(Error::Internal("n x n values"));
    }
    let _memory = reserve_for::<[f32; 2]>(host, n.saturating_mul(BLOCK), "panels of an inverse")?;
    let mut panel = vec![0.0_f32; n * BLOCK.min(n)];
    let mut scaled = vec![0.0_f32; n * BLOCK.min(n)];
    for start in (0..n).step_by(BLOCK) {
        let end = (start + BLOCK).min(n);
        let width = end - start;
        let panel = &mut panel[..n * width];
        let scaled = &mut scaled[..n * width];
        gather(a, n, start..end, panel);
        let (diagonal, negative) = inverted_block(&panel[start * width..end * width], width)?;
        scaled
            .par_chunks_mut(BLOCK * width)
            .zip(panel.par_chunks(BLOCK * width))
            .try_for_each(|(to, from)| {
                host.check()?;
                let rows = from.len() / width;
                matmul(
                    MatMut::from_row_major_slice_mut(to, rows, width),
                    Accum::Replace,
                    MatRef::from_row_major_slice(from, rows, width),
                    MatRef::from_row_major_slice(&diagonal, width, width),
                    1.0,
                    Par::Seq,
                );
                Ok::<(), Error>(())
            })?;
        let (panel, scaled) = (&*panel, &*scaled);
        a.par_chunks_mut(BLOCK * n)
            .enumerate()
            .try_for_each(|(band, values)| {
                let first = band * BLOCK;
                let rows = values.len() / n;
                if first == start {
                    // Its own rows: what is left of the block is scaled, the block is its inverse.
                    for (row, values) in values.chunks_exact_mut(n).enumerate() {
                        for (column, value) in values.iter_mut().take(start).enumerate() {
                            *value = scaled[column * width + row];
                        }
                        values[start..end]
                            .copy_from_slice(&negative[row * width..(row + 1) * width]);
                    }
                    return Ok(());
                }
                let factor = MatRef::from_row_major_slice(
                    &scaled[first * width..(first + rows) * width],
                    rows,
                    width,
                );
                for from in (0..first + rows).step_by(STRIP) {
                    host.check()?;
                    let to = (from + STRIP).min(first + rows);
                    let other = &panel[from * width..to * width];
                    // By columns and transposed: the constructor for rows with a stride takes it for that of the columns in faer 0.24.
                    let strip = MatMut::from_column_major_slice_with_stride_mut(
                        &mut values[from..],
                        to - from,
                        rows,
                        n,
                    );
                    matmul(
                        strip.transpose_mut(),
                        Accum::Add,
                        factor,
                        MatRef::from_row_major_slice(other, to - from, width).transpose(),
                        -1.0,
                        Par::Seq,
                    );
                }
                if first > start {
                    for (values, scaled) in values
                        .chunks_exact_mut(n)
                        .zip(scaled[first * width..].chunks_exact(width))
                    {
                        values[start..end].copy_from_slice(scaled);
                    }
                }
                Ok::<(), Error>(())
            })?;
        host.progress("inverse of a matrix", end as u64, n as u64, None);
    }
    host.check()?;
    a.par_iter_mut().for_each(|value| *value = -*value);
    mirror(a, n, host)
}

/// Columns `block` of the symmetric matrix whose lower triangle is held, n x block.
fn gather(a: &[f32], n: usize, block: std::ops::Range<usize>, panel: &mut [f32]) {
    let width = block.len();
    for (row, to) in panel.chunks_exact_mut(width).enumerate() {
        if row >= block.end {
            to.copy_from_slice(&a[row * n..][block.clone()]);
        } else {
            for (to, column) in to.iter_mut().zip(block.clone()) {
                let (high, low) = (row.max(column), row.min(column));
                *to = a[high * n + low];
            }
        }
    }
}

/// The inverse of a block and the same with its sign turned.
fn inverted_block(block: &[f32], n: usize) -> Result<(Vec<f32>, Vec<f32>)> {
    let mut double: Vec<f64> = block.iter().map(|value| f64::from(*value)).collect();
    let mut found = vec![0.0_f64; n * n];
    let need = cholesky_in_place_scratch::<f64>(n, Par::Seq, Default::default())
        .or(inverse_scratch::<f64>(n, Par::Seq));
    let mut buffer = MemBuffer::new(need);
    let positive = cholesky_in_place(
        MatMut::from_column_major_slice_mut(&mut double, n, n),
        Default::default(),
        Par::Seq,
        MemStack::new(&mut buffer),
        Default::default(),
    );
    if positive.is_err() {
        return Err(Error::data(
            "the matrix is singular to single precision",
            "Raise \"regularization\".",
        ));
    }
    inverse(
        MatMut::from_column_major_slice_mut(&mut found, n, n),
        MatRef::from_column_major_slice(&double, n, n),
        Par::Seq,
        MemStack::new(&mut buffer),
    );
    // Only the lower triangle is filled, column by column.
    for column in 0..n {
        for row in column + 1..n {
            found[row * n + column] = found[column * n + row];
        }
    }
    let single: Vec<f32> = found.iter().map(|value| *value as f32).collect();
    let negative = single.iter().map(|value| -value).collect();
    Ok((single, negative))
}

/// Copies the lower triangle over the upper, block by block.
fn mirror(a: &mut [f32], n: usize, host: &dyn Host) -> Result<()> {
    for start in (0..n).step_by(BLOCK) {
        host.check()?;
        let end = (start + BLOCK).min(n);
        let (above, below) = a.split_at_mut(end * n);
        let own = &mut above[start * n..];
        for row in 0..end - start {
            for column in start..start + row {
                own[(column - start) * n + start + row] = own[row * n + column];
            }
        }
        own.par_chunks_mut(n).enumerate().for_each(|(row, values)| {
            for (value, below) in values[end..].iter_mut().zip(below.chunks_exact(n)) {
                *value = below[start + row];
            }
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unlimited;
    use crate::random::Random;

    #[test]
    fn it_inverts() {
        for n in [1, 2, 7, 256, 257, 600] {
            let mut random = Random::stream(n as u64, 0);
            let rows = n + 20;
            let x: Vec<f64> = (0..rows * n).map(|_| random.normal()).collect();
            let mut a = crate::factorization::dense::inner_product(&x, &x, n, n);
            for at in 0..n {
                a[at * (n + 1)] += 5.0;
            }
            let mut found: Vec<f32> = a.iter().map(|value| *value as f32).collect();
            invert(&mut found, n, &Unlimited).unwrap();
            let back: Vec<f64> = found.iter().map(|value| f64::from(*value)).collect();
            let identity = crate::factorization::dense::product(&a, &back, n, n);
            for (at, value) in identity.iter().enumerate() {
                let expected = if at % (n + 1) == 0 { 1.0 } else { 0.0 };
                assert!((value - expected).abs() < 2e-3, "{n}: {value}");
            }
            for row in 0..n {
                for column in 0..row {
                    assert_eq!(found[row * n + column], found[column * n + row]);
                }
            }
        }
    }

    #[test]
    fn it_says_when_there_is_none() {
        let mut a = [1.0, 2.0, 2.0, 1.0];
        assert!(invert(&mut a, 2, &Unlimited).is_err());
        assert!(invert(&mut [], 0, &Unlimited).is_ok());
    }
}
