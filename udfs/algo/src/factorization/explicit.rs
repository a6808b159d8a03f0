//! Alternating least squares for ratings, with biases (Zhou, Wilkinson, Schreiber and Pan 2008; Koren, Bell and Volinsky 2009).
//!
//! The rating of user u for item i is predicted as `mean + b_u + b_i + x_u y_i`. Only given ratings count; the squared errors are minimised together
//! with `regularization * (n_u (|x_u|^2 + b_u^2) + n_i (|y_i|^2 + b_i^2))`, n being how many ratings a user or item has. For fixed
//! items each user's vector and bias are one small least-squares problem, solved exactly, and the reverse. Start at [`AlsExplicit::fit`].

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use super::als::FACTORS_MAX;
use super::cholesky::solve_double;
use super::factors::Factors;
use crate::host::{Host, Meter, reserve_for};
use crate::sparse::Csr;
use crate::{Error, Result};

/// Rows of a task.
const ROWS: usize = 16;

/// Parameters of the factorization.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AlsExplicit {
    /// Length of a user's or item's vector, 1 to [`FACTORS_MAX`].
    pub factors: usize,
    /// Times that users, then items are solved for; at least 1.
    pub iterations: usize,
    /// Strength of the penalty on vectors and biases, for each rating; positive.
    pub regularization: f64,
    /// Seed of the first item factors, normal with deviation `0.1 / sqrt(factors)`.
    pub seed: u64,
}

impl Default for AlsExplicit {
    /// 16 factors, 20 iterations, regularization 0.1, seed 0.
    fn default() -> Self {
        Self {
            factors: 16,
            iterations: 20,
            regularization: 0.1,
            seed: 0,
        }
    }
}

/// Predicts ratings; see the module.
#[derive(Debug, Clone, PartialEq)]
pub struct RatingModel {
    /// Mean of all ratings.
    pub mean: f64,
    /// Bias of each user; zero without ratings.
    pub user_biases: Vec<f32>,
    /// Bias of each item; zero without ratings.
    pub item_biases: Vec<f32>,
    /// Users x factors; zero without ratings.
    pub user_factors: Array2<f32>,
    /// Items x factors; zero without ratings.
    pub item_factors: Array2<f32>,
    /// Root mean squared error of the given ratings after each iteration.
    pub errors: Vec<f64>,
}

impl RatingModel {
    /// The predicted rating; that of a user or item beyond the model is left to the rest of the sum.
    pub fn predict(&self, user: usize, item: usize) -> f64 {
        let bias = |biases: &[f32], at: usize| f64::from(biases.get(at).copied().unwrap_or(0.0));
        let mut rating = self.mean + bias(&self.user_biases, user) + bias(&self.item_biases, item);
        if user < self.user_factors.nrows() && item < self.item_factors.nrows() {
            let (x, y) = (self.user_factors.row(user), self.item_factors.row(item));
            rating += x
                .iter()
                .zip(y)
                .map(|(x, y)| f64::from(*x) * f64::from(*y))
                .sum::<f64>();
        }
        rating
    }

    /// Factors whose products are the ratings but for the mean, for lists: each user as `(x, b_u, 1)`, each item as `(y, 1, b_i)`.
    pub fn product_form(&self) -> (Array2<f32>, Array2<f32>) {
        let extended = |factors: &Array2<f32>, biases: &[f32], first: bool| {
            let width = factors.ncols();
            Array2::from_shape_fn((factors.nrows(), width + 2), |(row, column)| {
                match (factors.get((row, column)), (column == width) == first) {
                    (Some(value), _) => *value,
                    (None, true) => biases.get(row).copied().unwrap_or(0.0),
                    (None, false) => 1.0,
                }
            })
        };
        (
            extended(&self.user_factors, &self.user_biases, true),
            extended(&self.item_factors, &self.item_biases, false),
        )
    }

    /// Memory that the model holds.
    pub fn bytes(&self) -> usize {
        let values = self.user_factors.len() + self.item_factors.len();
        (values + self.user_biases.len() + self.item_biases.len()) * size_of::<f32>()
    }
}

impl AlsExplicit {
    /// Factorizes `ratings`, users x items; every stored cell is a rating, zero too.
    ///
    /// Time O(cells f^2 + rows f^3) an iteration, memory both factor tables, the transposed ratings and O(f^2) a thread; systems are put together
    /// and solved in f64.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a parameter out of range; [`Error::Data`] for no ratings; [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn fit(&self, ratings: &Csr<f32>, host: &dyn Host) -> Result<RatingModel> {
        self.check()?;
        let cells = ratings.values().len();
        if cells == 0 {
            return Err(Error::data(
                "there are no ratings to learn from",
                "Give a relation with at least one row.",
            ));
        }
        let mean = ratings.values().iter().map(|r| f64::from(*r)).sum::<f64>() / cells as f64;
        let by_item = ratings.transposed(host)?;
        // The bias is the column after the factors.
        let width = self.factors + 1;
        let deviation = 0.1 / (self.factors as f64).sqrt();
        let mut users = Factors::zero(ratings.rows(), width, host)?;
        let mut items = Factors::normal(ratings.columns(), width, deviation, self.seed, 0, host)?;
        for row in items.values.chunks_exact_mut(items.stride) {
            row[self.factors] = 0.0;
        }
        let mut errors = Vec::with_capacity(self.iterations);
        for iteration in 1..=self.iterations {
            self.solve(ratings, mean, &items, &mut users, host)?;
            let squares = self.solve(&by_item, mean, &users, &mut items, host)?;
            let error = (squares / cells as f64).sqrt();
            errors.push(error);
            let total = self.iterations as u64;
            host.progress("als iterations", iteration as u64, total, Some(error));
        }
        let parts = |factors: Factors| {
            let biases = factors
                .values
                .chunks_exact(factors.stride)
                .map(|row| row[self.factors])
                .collect();
            let whole = factors.into_array()?;
            let plain = whole.slice(ndarray::s![.., ..self.factors]).to_owned();
            Ok::<_, Error>((biases, plain))
        };
        let (user_biases, user_factors) = parts(users)?;
        let (item_biases, item_factors) = parts(items)?;
        Ok(RatingModel {
            mean,
            user_biases,
            item_biases,
            user_factors,
            item_factors,
            errors,
        })
    }

    /// The bias and factors of a user whom `model` does not have, from ratings of its items.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a parameter out of range; [`Error::Data`] for an item that the model does not have or a rating that is not finite;
    /// [`Error::Cancelled`].
    pub fn fold_in(
        &self,
        model: &RatingModel,
        items: &[u32],
        ratings: &[f32],
        host: &dyn Host,
    ) -> Result<(f32, Vec<f32>)> {
        let factors = model.item_factors.ncols();
        let params = Self { factors, ..*self };
        params.check()?;
        if items.len() != ratings.len() {
            return Err(Error::Internal("a rating for each item"));
        }
        let held = model.item_factors.nrows();
        if let Some(item) = items.iter().find(|item| **item as usize >= held) {
            return Err(Error::data(
                format!("item {item} is not one of the {held} items of the model"),
                "Leave out items that the model was not trained on.",
            ));
        }
        if let Some(rating) = ratings.iter().find(|rating| !rating.is_finite()) {
            return Err(Error::data(
                format!("rating {rating} is not finite"),
                "Remove NaN and infinity.",
            ));
        }
        let table = Array2::from_shape_fn((items.len(), factors + 1), |(at, column)| {
            let item = items.get(at).map_or(0, |item| *item as usize);
            match model.item_factors.get((item, column)) {
                Some(value) => *value,
                None => model.item_biases.get(item).copied().unwrap_or(0.0),
            }
        });
        let table = Factors::from_array(ArrayView2::from(&table), host)?;
        let columns: Vec<u32> = (0..items.len() as u32).collect();
        let mut row = vec![0.0; table.stride];
        let mut space = Space::new(factors + 1);
        params.solve_row(
            &columns,
            ratings,
            model.mean,
            &table,
            &mut row,
            &mut space,
            &mut Meter::new(host),
        )?;
        let bias = row.get(factors).copied().unwrap_or(0.0);
        row.truncate(factors);
        Ok((bias, row))
    }

    fn check(&self) -> Result<()> {
        if !(1..FACTORS_MAX).contains(&self.factors) {
            return Err(Error::parameter(
                "factors",
                format!(
                    "\"factors\" must be from 1 to {}, not {}",
                    FACTORS_MAX - 1,
                    self.factors
                ),
                "Give the length of the vectors, such as 16.",
            ));
        }
        if self.iterations < 1 {
            return Err(Error::parameter(
                "iterations",
                "\"iterations\" must be at least 1",
                "Give the number of iterations, such as 20.",
            ));
        }
        if !(self.regularization > 0.0 && self.regularization <= 1e9) {
            return Err(Error::parameter(
                "regularization",
                format!(
                    "\"regularization\" must be positive, not {}",
                    self.regularization
                ),
                "Give a small positive number such as 0.1.",
            ));
        }
        Ok(())
    }

    /// Solves for all `rows`; returns the sum of the squared errors after.
    fn solve(
        &self,
        ratings: &Csr<f32>,
        mean: f64,
        other: &Factors,
        rows: &mut Factors,
        host: &dyn Host,
    ) -> Result<f64> {
        let (stride, width) = (rows.stride, rows.width);
        let _memory = reserve_for::<f64>(
            host,
            (width * (width + 2)).saturating_mul(rayon::current_num_threads()),
            "normal equations",
        )?;
        let squares = rows
            .values
            .par_chunks_mut(ROWS * stride)
            .enumerate()
            .map_init(
                || Space::new(width),
                |space, (chunk, rows)| {
                    host.check()?;
                    let mut meter = Meter::new(host);
                    let mut squares = 0.0;
                    for (at, row) in rows.chunks_exact_mut(stride).enumerate() {
                        let (columns, values) = ratings.row(chunk * ROWS + at);
                        squares +=
                            self.solve_row(columns, values, mean, other, row, space, &mut meter)?;
                    }
                    Ok(squares)
                },
            )
            .collect::<Result<Vec<f64>>>()?;
        Ok(squares.iter().sum())
    }

    /// Solves for one row, whose last value is its bias; returns the sum of its squared errors after.
    #[expect(
        clippy::too_many_arguments,
        reason = "a system is its cells, the other side and where to put it"
    )]
    fn solve_row(
        &self,
        columns: &[u32],
        ratings: &[f32],
        mean: f64,
        other: &Factors,
        row: &mut [f32],
        space: &mut Space,
        meter: &mut Meter<'_>,
    ) -> Result<f64> {
        let width = other.width;
        row.fill(0.0);
        if columns.is_empty() {
            return Ok(0.0);
        }
        space.matrix.fill(0.0);
        space.right.fill(0.0);
        for (&column, &rating) in columns.iter().zip(ratings) {
            meter.spend(width * width / 2)?;
            let bias = space.load(other.row(column as usize));
            let rest = f64::from(rating) - mean - bias;
            for (i, yi) in space.y.iter().enumerate() {
                space.right[i] += rest * yi;
                let to = &mut space.matrix[i * width + i..(i + 1) * width];
                for (to, yj) in to.iter_mut().zip(&space.y[i..]) {
                    *to += yi * yj;
                }
            }
        }
        let penalty = self.regularization * columns.len() as f64;
        for i in 0..width {
            space.matrix[i * (width + 1)] += penalty;
        }
        if !solve_double(&mut space.matrix, &mut space.right, meter)? {
            return Err(Error::data(
                "the least-squares system of a user or an item is singular",
                "Raise \"regularization\".",
            ));
        }
        for (to, from) in row.iter_mut().zip(&space.right) {
            *to = *from as f32;
        }
        let mut squares = 0.0;
        for (&column, &rating) in columns.iter().zip(ratings) {
            let bias = space.load(other.row(column as usize));
            let product: f64 = space.y.iter().zip(&space.right).map(|(y, x)| y * x).sum();
            squares += (f64::from(rating) - mean - bias - product).powi(2);
        }
        Ok(squares)
    }
}

/// Room for one system.
struct Space {
    matrix: Vec<f64>,
    right: Vec<f64>,
    y: Vec<f64>,
}

impl Space {
    fn new(width: usize) -> Self {
        Self {
            matrix: vec![0.0; width * width],
            right: vec![0.0; width],
            y: vec![0.0; width],
        }
    }

    /// Takes a row of the other side, with 1 for its bias, which is returned.
    fn load(&mut self, row: &[f32]) -> f64 {
        for (to, from) in self.y.iter_mut().zip(row) {
            *to = f64::from(*from);
        }
        self.y
            .last_mut()
            .map_or(0.0, |last| std::mem::replace(last, 1.0))
    }
}

#[cfg(test)]
mod tests;
