//! Interactions of users with items: the parameters that name their columns, and the sparse matrix
//! they make. The same in every function that learns from them.

use rayon::prelude::*;
use tributary_algo::sparse::{Csr, Duplicates, Value};

use crate::call::{Call, CallInput};
use crate::error::{Error, Kind, Result};
use crate::function::{Default, Parameter, ParameterType};
use crate::input::{Input, Keys, check_numeric};
use crate::output::positions;
use crate::run::Run;

/// The column that holds the user.
pub const USER_ID: Parameter = Parameter::constant(
    "user_id",
    ParameterType::Column,
    Default::Required,
    "The column that holds the user.",
);

/// The column that holds the item.
pub const ITEM_ID: Parameter = Parameter::constant(
    "item_id",
    ParameterType::Column,
    Default::Required,
    "The column that holds the item.",
);

/// The column that holds the weight of an interaction.
pub const WEIGHT: Parameter = Parameter::constant(
    "weight",
    ParameterType::Column,
    Default::Null,
    "The column that holds how much an interaction counts, not negative; absent, every row counts \
     1. Rows of the same user and item are added up; a weight of 0 is no interaction.",
);

/// The column that holds the rating of an item by a user.
pub const RATING: Parameter = Parameter::constant(
    "rating",
    ParameterType::Column,
    Default::Required,
    "'als_explicit': the column that holds how a user rates an item, any finite number.",
);

/// Which columns of the first relation hold users, items and weights.
#[derive(Debug)]
pub struct InteractionColumns {
    /// The user column's name in the relation.
    pub user: String,
    /// The item column's name.
    pub item: String,
    /// The weight column's name, where there is one.
    pub weight: Option<String>,
    /// The rating column's name, where there is one.
    pub rating: Option<String>,
}

/// Interactions as numbers.
#[derive(Debug)]
pub struct Interactions {
    /// The distinct users; their positions are the rows of the matrix.
    pub users: Keys,
    /// The distinct items; their positions are the columns of the matrix.
    pub items: Keys,
    /// Users x items with the weights, which are not negative.
    pub matrix: Csr<f32>,
}

impl InteractionColumns {
    /// Finds the columns named by `user_id`, `item_id` and `weight` in the relation `rel`.
    ///
    /// # Errors
    /// For columns that are absent, one column for both, and a weight that is not numeric.
    pub fn bind(call: &Call) -> Result<Self> {
        let input = call.input("rel")?;
        let (user, item) = user_and_item(call)?;
        let number = |parameter: &str| -> Result<Option<String>> {
            let Some((_, definition)) = call.signature.parameter(parameter) else {
                return Ok(None);
            };
            let name = match definition.default {
                Default::Required => Some(call.required_text(parameter)?),
                _ => call.text(parameter)?,
            };
            let Some(name) = name else { return Ok(None) };
            let field = input.schema.field(input.column(&name)?);
            check_numeric(input, field.name(), field.data_type())?;
            Ok(Some(field.name().clone()))
        };
        Ok(Self {
            user,
            item,
            weight: number("weight")?,
            rating: number("rating")?,
        })
    }

    /// The positions of the columns in `input`.
    pub fn positions(&self, input: &CallInput) -> Result<Vec<usize>> {
        positions(
            input,
            [&self.user, &self.item]
                .into_iter()
                .chain(&self.weight)
                .chain(&self.rating),
        )
    }

    /// Reads the interactions; the answer does not depend on the order of rows.
    ///
    /// # Errors
    /// For NULL, NaN, infinity, negative weights, and memory that the limit forbids.
    pub fn read(&self, call: &Call, rows: &Input, run: &Run) -> Result<Interactions> {
        let described = call.input("rel")?;
        let users = rows.keys(described, std::slice::from_ref(&self.user), run)?;
        let items = rows.keys(described, std::slice::from_ref(&self.item), run)?;
        let weights = self
            .weight
            .as_ref()
            .map(|name| weights(described, rows, name, run))
            .transpose()?;
        let matrix = match weights {
            None => {
                let _ones = run.hold(rows.rows().saturating_mul(4))?;
                matrix(&users, &items, &vec![1.0_f32; rows.rows()], run)?
            }
            Some(weights) => matrix(&users, &items, &weights, run)?,
        };
        Ok(Interactions {
            users,
            items,
            matrix,
        })
    }
}

/// Users x items with the mean of the ratings of each cell.
///
/// # Errors
/// For NULL, NaN, infinity, ratings beyond single precision, and memory that the limit forbids.
pub fn mean_matrix(
    call: &Call,
    rows: &Input,
    columns: &InteractionColumns,
    interactions: &Interactions,
    run: &Run,
) -> Result<Csr<f32>> {
    let described = call.input("rel")?;
    let name = columns
        .rating
        .as_ref()
        .ok_or_else(|| call.missing("rating"))?;
    run.reserve(rows.rows().saturating_mul(16))?;
    let ratings = rows.numbers(described, name)?;
    if let Some(bad) = ratings
        .iter()
        .find(|rating| rating.abs() > f64::from(f32::MAX))
    {
        return Err(Error::new(
            Kind::NumericOutOfRange,
            format!("column \"{name}\" of {} holds {bad}", described.describe()),
        )
        .detail("Ratings are kept in single precision.")
        .hint("Divide the ratings by a constant."));
    }
    let sums = matrix(&interactions.users, &interactions.items, &ratings, run)?;
    // The interactions of a relation without weights count the ratings of each cell.
    let mut counts = interactions.matrix.values().iter();
    let mut means = Vec::with_capacity(sums.values().len());
    let (mut starts, mut indices) = (vec![0], Vec::with_capacity(sums.values().len()));
    for row in 0..sums.rows() {
        let (items, values) = sums.row(row);
        indices.extend_from_slice(items);
        for value in values {
            let count = counts.next().copied().unwrap_or(1.0);
            means.push((value / f64::from(count)) as f32);
        }
        starts.push(indices.len());
    }
    Ok(Csr::from_rows(sums.columns(), starts, indices, means, run)?)
}

/// The names under which the relation `rel` has the columns given as `user_id` and `item_id`.
///
/// # Errors
/// For columns that are absent, and one column given for both.
pub fn user_and_item(call: &Call) -> Result<(String, String)> {
    let input = call.input("rel")?;
    let user = input.column(&call.required_text("user_id")?)?;
    let item = input.column(&call.required_text("item_id")?)?;
    let name = |position: usize| input.schema.field(position).name().clone();
    if user == item {
        return Err(Error::new(
            Kind::InvalidParameter,
            format!(
                "column \"{}\" is given for both \"user_id\" and \"item_id\"",
                name(user)
            ),
        ));
    }
    Ok((name(user), name(item)))
}

fn weights(described: &CallInput, rows: &Input, name: &str, run: &Run) -> Result<Vec<f32>> {
    run.reserve(rows.rows().saturating_mul(4))?;
    let _numbers = run.hold(rows.rows().saturating_mul(16))?;
    let weights = rows.numbers(described, name)?;
    if let Some(bad) = weights.iter().find(|weight| **weight < 0.0) {
        return Err(Error::new(
            Kind::InvalidData,
            format!("column \"{name}\" of {} holds {bad}", described.describe()),
        )
        .detail("A weight must not be negative.")
        .hint("Leave such rows out, or turn them into a weight with greatest() or CASE."));
    }
    if let Some(bad) = weights.iter().find(|weight| **weight > f64::from(f32::MAX)) {
        return Err(Error::new(
            Kind::NumericOutOfRange,
            format!("column \"{name}\" of {} holds {bad}", described.describe()),
        )
        .detail("Weights are kept in single precision.")
        .hint("Divide the weights by a constant."));
    }
    Ok(weights.into_iter().map(|weight| weight as f32).collect())
}

/// The matrix with `values[i]` in the cell of row key `i` and column key `i`; values of one cell are
/// added up.
///
/// Cells are sorted with their values first, so that sums do not depend on the order of rows.
///
/// # Errors
/// For sums that overflow, and memory that the limit forbids.
pub fn matrix<V: Value>(rows: &Keys, columns: &Keys, values: &[V], run: &Run) -> Result<Csr<V>> {
    let cell_bytes = size_of::<(u32, u32, V)>();
    let _cells = run.hold(values.len().saturating_mul(2 * cell_bytes))?;
    run.compute(|| -> tributary_algo::Result<_> {
        let mut cells: Vec<(u32, u32, V)> = rows
            .codes
            .iter()
            .zip(&columns.codes)
            .zip(values)
            .map(|((row, column), value)| (*row, *column, *value))
            .collect();
        tributary_algo::Host::check(run)?;
        cells.par_sort_unstable_by(|left, right| {
            (left.0, left.1)
                .cmp(&(right.0, right.1))
                .then_with(|| left.2.to_f64().total_cmp(&right.2.to_f64()))
        });
        tributary_algo::Host::check(run)?;
        let (row, column, value) = split(cells);
        Csr::from_triples(
            rows.len(),
            columns.len(),
            &row,
            &column,
            &value,
            Duplicates::Sum,
            run,
        )
    })
    .map_err(Error::from)
}

fn split<V>(cells: Vec<(u32, u32, V)>) -> (Vec<u32>, Vec<u32>, Vec<V>) {
    let mut split = (
        Vec::with_capacity(cells.len()),
        Vec::with_capacity(cells.len()),
        Vec::with_capacity(cells.len()),
    );
    for (row, column, value) in cells {
        split.0.push(row);
        split.1.push(column);
        split.2.push(value);
    }
    split
}
