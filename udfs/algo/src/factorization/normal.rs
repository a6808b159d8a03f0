//! The least-squares step of implicit ALS: one side's factors, given the other's.
//!
//! For a row u with weights w_ui the factors x minimise `sum_i c_ui (p_ui - x y_i)^2 + lambda_u |x|^2`, that is
//! `(Y^T Y + sum_i (c_ui - 1) y_i y_i^T + lambda_u I) x = sum_i c_ui y_i` over the stored cells i of the row (Hu, Koren and
//! Volinsky 2008, equation 4, with the shortcut after it).

use std::ops::Deref;

use rayon::prelude::*;

use super::als::Solver;
use super::factors::{Factors, LANES, add_outer};
use super::{cholesky, conjugate};
use crate::host::{Host, Meter, reserve_for};
use crate::simd::{add_scaled, vectorised};
use crate::sparse::Csr;
use crate::{Error, Result};

/// Rows of a task, few because rows differ in length by far.
const ROWS: usize = 32;

/// Stored cells gathered at a time.
const BATCH: usize = 64;

/// What a confidence is made of and how strongly factors are held down; see [`super::Als`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weighting {
    pub(crate) alpha: f32,
    pub(crate) regularization: f64,
    pub(crate) nu: f64,
}

impl Weighting {
    /// lambda_u of a row whose stored weights are `weights`, of `columns` columns.
    pub(crate) fn penalty(&self, weights: &[f32], columns: usize) -> f64 {
        if self.nu == 0.0 {
            return self.regularization;
        }
        let extra: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
        self.regularization * (f64::from(self.alpha) * extra + columns as f64).powf(self.nu)
    }
}

/// One side's factors, prepared for solving for the other's.
pub(crate) struct Normal<F> {
    /// The factors, borrowed for an iteration or owned for good.
    pub(crate) factors: F,
    /// Y^T Y in f64 for the loss and hard systems, stride x stride.
    pub(crate) gram: Vec<f64>,
    /// The same in f32.
    single: Vec<f32>,
    pub(crate) weighting: Weighting,
}

impl<F: Deref<Target = Factors> + Sync> Normal<F> {
    pub(crate) fn new(factors: F, weighting: Weighting, host: &dyn Host) -> Result<Self> {
        let gram = factors.gram(host)?;
        let single = gram.iter().map(|&value| value as f32).collect();
        Ok(Self {
            factors,
            gram,
            single,
            weighting,
        })
    }

    /// Solves for every row of `cells`, whose columns are the rows of the factors; conjugate gradients start from what `rows`
    /// holds. A row without cells becomes zero.
    pub(crate) fn solve_all(
        &self,
        cells: &Csr<f32>,
        rows: &mut Factors,
        solver: Solver,
        host: &dyn Host,
    ) -> Result<()> {
        let stride = rows.stride;
        let threads = rayon::current_num_threads();
        let _memory = reserve_for::<f32>(
            host,
            Workspace::values(stride).saturating_mul(threads),
            "normal equations",
        )?;
        rows.values
            .par_chunks_mut(ROWS * stride)
            .enumerate()
            .try_for_each_init(
                || Workspace::new(stride),
                |space, (chunk, rows)| {
                    host.check()?;
                    let mut meter = Meter::new(host);
                    match solver {
                        Solver::Cholesky => {
                            for (at, x) in rows.chunks_exact_mut(stride).enumerate() {
                                let (columns, weights) = cells.row(chunk * ROWS + at);
                                self.solve(columns, weights, x, space, &mut meter)?;
                            }
                        }
                        Solver::ConjugateGradient { steps } => {
                            let mut first = chunk * ROWS;
                            let mut rest = rows;
                            while !rest.is_empty() {
                                let group = conjugate::group(stride, cells, first);
                                let held = rest.len().min(group * stride);
                                let (x, further) = rest.split_at_mut(held);
                                self.descend(cells, first, x, steps.get(), space, &mut meter)?;
                                first += held / stride;
                                rest = further;
                            }
                        }
                    }
                    Ok(())
                },
            )
    }

    /// Improves some rows, of which `first` is the first, by steps of conjugate gradients.
    fn descend(
        &self,
        cells: &Csr<f32>,
        first: usize,
        x: &mut [f32],
        steps: usize,
        space: &mut Workspace,
        meter: &mut Meter<'_>,
    ) -> Result<()> {
        let stride = self.factors.stride;
        let mut rows = [conjugate::Row::default(); conjugate::FOUR];
        let held = x.len() / stride;
        for (at, row) in rows.iter_mut().take(held).enumerate() {
            let (columns, weights) = cells.row(first + at);
            meter.spend(steps * stride * (stride + 2 * columns.len()) / 8)?;
            *row = conjugate::Row {
                columns,
                weights,
                penalty: self.weighting.penalty(weights, self.factors.rows) as f32,
            };
        }
        let system = conjugate::System {
            factors: &self.factors.values,
            gram: &self.single,
            stride,
            alpha: self.weighting.alpha,
        };
        conjugate::descend(system, &rows[..held], x, steps, &mut space.conjugate);
        Ok(())
    }

    /// Solves exactly for one row with its stored `columns` and `weights`; `x` is padded.
    pub(crate) fn solve(
        &self,
        columns: &[u32],
        weights: &[f32],
        x: &mut [f32],
        space: &mut Workspace,
        meter: &mut Meter<'_>,
    ) -> Result<()> {
        if weights.iter().all(|weight| *weight == 0.0) {
            x.fill(0.0);
            return Ok(());
        }
        let stride = x.len();
        let width = self.factors.width;
        let alpha = self.weighting.alpha;
        let penalty = self.weighting.penalty(weights, self.factors.rows);
        space.matrix.copy_from_slice(&self.single);
        for k in 0..width {
            space.matrix[k * (stride + 1)] += penalty as f32;
        }
        x.fill(0.0);
        for (columns, weights) in columns.chunks(BATCH).zip(weights.chunks(BATCH)) {
            meter.spend(columns.len() * stride * (stride + LANES) / 8)?;
            let held = columns.len() * stride;
            let (gathered, weighted) = (&mut space.gathered[..held], &mut space.weighted[..held]);
            gather(
                &self.factors.values,
                columns,
                weights,
                alpha,
                x,
                gathered,
                weighted,
            );
            add_outer(weighted, gathered, stride, &mut space.matrix);
        }
        if cholesky::solve(&mut space.matrix, x, width, meter)? {
            return Ok(());
        }
        self.solve_in_double(columns, weights, x, penalty, meter)
    }

    /// The same system put together and solved in f64: slow, and only for rows that f32 finds singular, where the penalty is
    /// many orders below the confidences.
    fn solve_in_double(
        &self,
        columns: &[u32],
        weights: &[f32],
        x: &mut [f32],
        penalty: f64,
        meter: &mut Meter<'_>,
    ) -> Result<()> {
        let (stride, width) = (x.len(), self.factors.width);
        let mut matrix = Vec::with_capacity(width * width);
        for (i, row) in self.gram.chunks_exact(stride).take(width).enumerate() {
            matrix.extend_from_slice(&row[..width]);
            matrix[i * (width + 1)] += penalty;
        }
        let mut right = vec![0.0_f64; width];
        for (&column, &weight) in columns.iter().zip(weights).filter(|cell| *cell.1 != 0.0) {
            meter.spend(width * width)?;
            let y = &self.factors.row(column as usize)[..width];
            let extra = f64::from(self.weighting.alpha) * f64::from(weight);
            for (i, &yi) in y.iter().enumerate() {
                right[i] += (1.0 + extra) * f64::from(yi);
                for (j, &yj) in y.iter().enumerate() {
                    matrix[i * width + j] += extra * f64::from(yi) * f64::from(yj);
                }
            }
        }
        if !cholesky::solve_double(&mut matrix, &mut right, meter)? {
            return Err(Error::data(
                "the least-squares system of a user or an item is singular",
                "Raise \"regularization\" or lower the weights.",
            ));
        }
        x.fill(0.0);
        for (to, from) in x.iter_mut().zip(right) {
            *to = from as f32;
        }
        Ok(())
    }
}

/// Room for one row's system, reused from row to row.
pub(crate) struct Workspace {
    matrix: Vec<f32>,
    gathered: Vec<f32>,
    weighted: Vec<f32>,
    conjugate: conjugate::Space,
}

impl Workspace {
    pub(crate) fn new(stride: usize) -> Self {
        Self {
            matrix: vec![0.0; stride * stride],
            gathered: vec![0.0; BATCH * stride],
            weighted: vec![0.0; BATCH * stride],
            conjugate: conjugate::Space::new(stride),
        }
    }

    fn values(stride: usize) -> usize {
        stride
            .saturating_mul(stride)
            .saturating_add((2 * BATCH + 12) * stride)
    }
}

vectorised! {
    /// Copies the factors of `columns` one after another, plain and times what their weights add to the confidence, and adds
    /// them times the whole confidence to `right`. A cell of weight zero adds nothing.
    fn gather<'a, S>(
        simd,
        factors: &'a [f32],
        columns: &'a [u32],
        weights: &'a [f32],
        alpha: f32,
        right: &'a mut [f32],
        gathered: &'a mut [f32],
        weighted: &'a mut [f32],
    ) -> () {
        let stride = right.len();
        for (((&column, &weight), gathered), weighted) in columns
            .iter()
            .zip(weights)
            .zip(gathered.chunks_exact_mut(stride))
            .zip(weighted.chunks_exact_mut(stride))
        {
            let y = &factors[column as usize * stride..][..stride];
            let extra = alpha * weight;
            gathered.copy_from_slice(y);
            for (to, y) in weighted.iter_mut().zip(y) {
                *to = extra * y;
            }
            if weight != 0.0 {
                add_scaled(simd, right, 1.0 + extra, y);
            }
        }
    }
}
