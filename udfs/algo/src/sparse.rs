//! Sparse matrices: which cells are stored ([`Pattern`]) and their values ([`Csr`]).

use crate::host::{Host, Meter, Reservation, reserve_for};
use crate::{Error, Result};

/// A number that a sparse matrix stores: f32 where there are many, f64 where digits matter.
pub trait Value: Copy + PartialOrd + Send + Sync + 'static {
    /// The value in double precision.
    fn to_f64(self) -> f64;
    /// The nearest value of this type.
    fn from_f64(value: f64) -> Self;
}

impl Value for f32 {
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    fn from_f64(value: f64) -> Self {
        value as f32
    }
}

impl Value for f64 {
    fn to_f64(self) -> f64 {
        self
    }
    fn from_f64(value: f64) -> Self {
        value
    }
}

/// What becomes of several values for one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Duplicates {
    /// They are an error.
    Refuse,
    /// Their sum, added in f64 in the order given.
    #[default]
    Sum,
    /// The largest.
    Max,
    /// The one given last.
    Last,
}

/// The stored cells of a matrix of `rows` x `columns`, row after row, columns ascending in a row.
#[derive(Debug)]
pub struct Pattern {
    columns: usize,
    /// Start of each row in `indices`, and the end of the last.
    starts: Vec<usize>,
    indices: Vec<u32>,
    memory: Vec<Reservation>,
}

/// A sparse matrix in compressed rows; cells that are not stored are zero or unknown, as the user of it says.
#[derive(Debug)]
pub struct Csr<V> {
    pattern: Pattern,
    values: Vec<V>,
}

impl Pattern {
    /// The cells `(row[i], column[i])` of a matrix of `rows` x `columns`, repeated ones once.
    ///
    /// # Errors
    /// As [`Csr::from_triples`].
    pub fn from_pairs(
        rows: usize,
        columns: usize,
        row: &[u32],
        column: &[u32],
        host: &dyn Host,
    ) -> Result<Self> {
        let (mut pattern, _) = sort_cells(rows, columns, row, column, host)?;
        let mut kept = 0;
        let mut start = 0;
        for r in 0..rows {
            let end = pattern.starts[r + 1];
            let first = kept;
            for at in start..end {
                let index = pattern.indices[at];
                if kept == first || pattern.indices[kept - 1] != index {
                    pattern.indices[kept] = index;
                    kept += 1;
                }
            }
            start = end;
            pattern.starts[r + 1] = kept;
        }
        pattern.indices.truncate(kept);
        Ok(pattern)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Number of stored cells.
    pub fn cells(&self) -> usize {
        self.indices.len()
    }

    /// Columns of the stored cells of a row, ascending; none for a row that the matrix does not have.
    pub fn row(&self, row: usize) -> &[u32] {
        self.indices.get(self.range(row)).unwrap_or_default()
    }

    /// Memory that the pattern holds.
    pub fn bytes(&self) -> usize {
        self.starts.len() * size_of::<usize>() + self.indices.len() * size_of::<u32>()
    }

    fn range(&self, row: usize) -> std::ops::Range<usize> {
        match self.starts.get(row..) {
            Some([start, end, ..]) => *start..*end,
            _ => 0..0,
        }
    }
}

impl<V: Value> Csr<V> {
    /// The matrix of `rows` x `columns` with `value[i]` in cell `(row[i], column[i])`.
    ///
    /// Two counting sorts: time O(cells + rows + columns), memory 8 bytes a cell and the values.
    ///
    /// # Errors
    /// [`Error::Data`] for an index out of range, a value that is not finite (or a sum of duplicates that is not), a duplicate
    /// that is refused, or more than 2^32 - 1 triples; [`Error::Internal`] when the slices differ in length;
    /// [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn from_triples(
        rows: usize,
        columns: usize,
        row: &[u32],
        column: &[u32],
        value: &[V],
        duplicates: Duplicates,
        host: &dyn Host,
    ) -> Result<Self> {
        if value.len() != row.len() {
            return Err(Error::Internal("a value for each cell"));
        }
        if let Some(at) = value.iter().position(|value| !value.to_f64().is_finite()) {
            return Err(Error::data(
                format!("value in row {at} is not finite"),
                "Remove NaN and infinity.",
            ));
        }
        let (mut pattern, order) = sort_cells(rows, columns, row, column, host)?;
        pattern.memory.push(reserve_for::<V>(
            host,
            value.len(),
            "values of a sparse matrix",
        )?);
        let mut values: Vec<V> = order.iter().map(|&at| value[at as usize]).collect();
        drop(order);
        let mut kept = 0;
        let mut start = 0;
        for r in 0..rows {
            let end = pattern.starts[r + 1];
            let first = kept;
            let mut at = start;
            while at < end {
                let index = pattern.indices[at];
                let same = pattern.indices[at..end]
                    .iter()
                    .take_while(|other| **other == index)
                    .count();
                if same > 1 && duplicates == Duplicates::Refuse {
                    return Err(Error::data(
                        format!("cell of row {r} and column {index} is given {same} times"),
                        "Aggregate the values of a cell first.",
                    ));
                }
                values[kept] = combine(&values[at..at + same], duplicates)?;
                pattern.indices[kept] = index;
                kept += 1;
                at += same;
            }
            debug_assert!(first <= kept);
            start = end;
            pattern.starts[r + 1] = kept;
        }
        pattern.indices.truncate(kept);
        values.truncate(kept);
        Ok(Self { pattern, values })
    }

    /// The matrix that is stored row after row: the cells of row r are `starts[r]..starts[r + 1]`, their columns ascending.
    ///
    /// # Errors
    /// [`Error::Data`] when that is not so, an index is out of range or a value is not finite; [`Error::OutOfMemory`].
    pub fn from_rows(
        columns: usize,
        starts: Vec<usize>,
        indices: Vec<u32>,
        values: Vec<V>,
        host: &dyn Host,
    ) -> Result<Self> {
        let memory = vec![
            reserve_for::<usize>(host, starts.len(), "rows of a sparse matrix")?,
            reserve_for::<u32>(host, indices.len(), "cells of a sparse matrix")?,
            reserve_for::<V>(host, values.len(), "values of a sparse matrix")?,
        ];
        let ordered = starts.first() == Some(&0)
            && starts.last() == Some(&indices.len())
            && starts.is_sorted()
            && indices.len() == values.len();
        let matrix = Self {
            pattern: Pattern {
                columns,
                starts,
                indices,
                memory,
            },
            values,
        };
        let row_is_sound = |row: usize| {
            let (indices, values) = matrix.row(row);
            indices
                .windows(2)
                .all(|pair| matches!(pair, [a, b] if a < b))
                && indices.last().is_none_or(|last| (*last as usize) < columns)
                && values.iter().all(|value| value.to_f64().is_finite())
        };
        if ordered && (0..matrix.rows()).all(row_is_sound) {
            Ok(matrix)
        } else {
            Err(Error::data(
                "the rows of the sparse matrix are not as they were written",
                "Train the model again.",
            ))
        }
    }

    /// The same cells with other values, each made of its row, column and value.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn map<W: Value>(
        &self,
        host: &dyn Host,
        value: impl Fn(usize, u32, V) -> W,
    ) -> Result<Csr<W>> {
        let pattern = &self.pattern;
        let memory = vec![
            reserve_for::<usize>(host, pattern.starts.len(), "rows of a sparse matrix")?,
            reserve_for::<u32>(host, pattern.indices.len(), "cells of a sparse matrix")?,
            reserve_for::<W>(host, self.values.len(), "values of a sparse matrix")?,
        ];
        let mut values = Vec::with_capacity(self.values.len());
        let mut meter = Meter::new(host);
        for row in 0..self.rows() {
            let (columns, held) = self.row(row);
            meter.spend(2 * held.len() + 1)?;
            values.extend(columns.iter().zip(held).map(|(&c, &v)| value(row, c, v)));
        }
        Ok(Csr {
            pattern: Pattern {
                columns: pattern.columns,
                starts: pattern.starts.clone(),
                indices: pattern.indices.clone(),
                memory,
            },
            values,
        })
    }

    /// Rows and columns exchanged. Time O(cells).
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn transposed(&self, host: &dyn Host) -> Result<Self> {
        let (rows, columns) = (self.columns(), self.rows());
        let cells = self.pattern.cells();
        let memory = vec![
            reserve_for::<usize>(host, rows.saturating_mul(2), "rows of a sparse matrix")?,
            reserve_for::<u32>(host, cells, "cells of a sparse matrix")?,
            reserve_for::<V>(host, cells, "values of a sparse matrix")?,
        ];
        let mut starts = counts(&self.pattern.indices, rows, host)?;
        let mut indices = vec![0; cells];
        let mut values = vec![V::from_f64(0.0); cells];
        let mut meter = Meter::new(host);
        // `starts[r + 1]` walks from the start of row r to its end, which is where it has to be.
        for r in 0..columns {
            let (row, held) = self.row(r);
            meter.spend(8 * row.len())?;
            for (&column, &value) in row.iter().zip(held) {
                let at = &mut starts[column as usize + 1];
                indices[*at] = r as u32;
                values[*at] = value;
                *at += 1;
            }
        }
        Ok(Self {
            pattern: Pattern {
                columns,
                starts,
                indices,
                memory,
            },
            values,
        })
    }

    /// Which cells are stored.
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.pattern.rows()
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.pattern.columns
    }

    /// Columns, ascending, and values of the stored cells of a row; none for a row that the matrix does not have.
    pub fn row(&self, row: usize) -> (&[u32], &[V]) {
        let range = self.pattern.range(row);
        (
            self.pattern.row(row),
            self.values.get(range).unwrap_or_default(),
        )
    }

    /// Values of all stored cells, row after row.
    pub fn values(&self) -> &[V] {
        &self.values
    }

    /// Memory that the matrix holds.
    pub fn bytes(&self) -> usize {
        self.pattern.bytes() + self.values.len() * size_of::<V>()
    }
}

/// The pattern with duplicates, and for each of its cells the number of the pair it is from; pairs of a cell keep their order.
fn sort_cells(
    rows: usize,
    columns: usize,
    row: &[u32],
    column: &[u32],
    host: &dyn Host,
) -> Result<(Pattern, Vec<u32>)> {
    let cells = row.len();
    if column.len() != cells {
        return Err(Error::Internal("a column for each row of a cell"));
    }
    if u32::try_from(cells).is_err() {
        return Err(Error::data(
            format!("{cells} rows are more than 4294967295"),
            "Split the relation.",
        ));
    }
    for (indices, bound, side) in [(row, rows, "row"), (column, columns, "column")] {
        if let Some(at) = indices.iter().position(|&index| index as usize >= bound) {
            return Err(Error::data(
                format!(
                    "{side} index {} in row {at} is not below {bound}",
                    indices[at]
                ),
                "Number rows and columns from 0 without gaps.",
            ));
        }
    }
    let _working = reserve_for::<[u32; 2]>(host, cells, "sorting a sparse matrix")?;
    let memory = vec![
        reserve_for::<usize>(
            host,
            rows.saturating_add(columns),
            "rows of a sparse matrix",
        )?,
        reserve_for::<u32>(host, cells, "cells of a sparse matrix")?,
    ];
    let mut meter = Meter::new(host);

    let mut next = counts(column, columns, host)?;
    let mut by_column = vec![0_u32; cells];
    for (at, &c) in column.iter().enumerate() {
        meter.spend(8)?;
        let slot = &mut next[c as usize + 1];
        by_column[*slot] = at as u32;
        *slot += 1;
    }
    let mut starts = counts(row, rows, host)?;
    let mut order = vec![0_u32; cells];
    for &at in &by_column {
        meter.spend(8)?;
        let slot = &mut starts[row[at as usize] as usize + 1];
        order[*slot] = at;
        *slot += 1;
    }
    drop(by_column);
    let indices = order.iter().map(|&at| column[at as usize]).collect();
    Ok((
        Pattern {
            columns,
            starts,
            indices,
            memory,
        },
        order,
    ))
}

/// Where each of `0..bound` starts when `indices` are sorted, shifted by one: `[0, start of 0, start of 1, ...]`, so that advancing entry
/// `i + 1` while placing the i leaves the usual starts behind.
fn counts(indices: &[u32], bound: usize, host: &dyn Host) -> Result<Vec<usize>> {
    let mut meter = Meter::new(host);
    let mut starts = vec![0_usize; bound + 1];
    for &index in indices {
        meter.spend(4)?;
        starts[index as usize + 1] += 1;
    }
    let mut held = 0;
    for start in starts.iter_mut().skip(1) {
        let count = *start;
        *start = held;
        held += count;
    }
    Ok(starts)
}

fn combine<V: Value>(values: &[V], duplicates: Duplicates) -> Result<V> {
    let [first, rest @ ..] = values else {
        return Err(Error::Internal("a cell has a value"));
    };
    Ok(match (rest, duplicates) {
        ([], _) => *first,
        ([.., last], Duplicates::Last) => *last,
        (rest, Duplicates::Max) => {
            rest.iter().fold(
                *first,
                |most, &value| if value > most { value } else { most },
            )
        }
        (rest, Duplicates::Sum | Duplicates::Refuse) => {
            let sum = rest
                .iter()
                .fold(first.to_f64(), |sum, value| sum + value.to_f64());
            let sum = V::from_f64(sum);
            if !sum.to_f64().is_finite() {
                return Err(Error::data(
                    "the values of a cell overflow when they are added",
                    "Divide the values by a large constant first.",
                ));
            }
            sum
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unlimited;
    use proptest::prelude::*;

    fn build(triples: &[(u32, u32, f64)], duplicates: Duplicates) -> Result<Csr<f64>> {
        let row: Vec<u32> = triples.iter().map(|t| t.0).collect();
        let column: Vec<u32> = triples.iter().map(|t| t.1).collect();
        let value: Vec<f64> = triples.iter().map(|t| t.2).collect();
        Csr::from_triples(4, 5, &row, &column, &value, duplicates, &Unlimited)
    }

    #[test]
    fn sorts_cells_and_combines_duplicates() {
        let triples = [
            (2, 4, 1.0),
            (0, 3, 5.0),
            (2, 1, 7.0),
            (2, 4, 3.0),
            (2, 4, 2.0),
        ];
        for (duplicates, expected) in [
            (Duplicates::Sum, 6.0),
            (Duplicates::Max, 3.0),
            (Duplicates::Last, 2.0),
        ] {
            let matrix = build(&triples, duplicates).unwrap();
            assert_eq!(matrix.row(0), (&[3][..], &[5.0][..]));
            assert_eq!(matrix.row(1), (&[][..], &[][..]));
            assert_eq!(matrix.row(2), (&[1, 4][..], &[7.0, expected][..]));
            assert_eq!(matrix.row(9), (&[][..], &[][..]));
            assert_eq!(matrix.pattern().cells(), 3);
        }
        let error = build(&triples, Duplicates::Refuse).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cell of row 2 and column 4 is given 3 times"
        );
    }

    #[test]
    fn rows_are_taken_as_they_are() {
        let build = |starts: &[usize], indices: &[u32], values: &[f64]| {
            Csr::from_rows(
                3,
                starts.to_vec(),
                indices.to_vec(),
                values.to_vec(),
                &Unlimited,
            )
        };
        let matrix = build(&[0, 2, 2, 3], &[0, 2, 1], &[1.0, 2.0, 3.0]).unwrap();
        assert_eq!(matrix.row(0), (&[0, 2][..], &[1.0, 2.0][..]));
        assert_eq!(matrix.row(1), (&[][..], &[][..]));
        let doubled = matrix
            .map(&Unlimited, |row, column, value| {
                (value * 10.0) as f32 + row as f32 + column as f32
            })
            .unwrap();
        assert_eq!(doubled.row(2), (&[1][..], &[33.0][..]));
        for (starts, indices, values) in [
            (&[1, 2][..], &[0, 1][..], &[1.0, 1.0][..]),
            (&[0, 1], &[0, 1], &[1.0, 1.0]),
            (&[0, 2, 1, 2], &[0, 1], &[1.0, 1.0]),
            (&[0, 2], &[1, 1], &[1.0, 1.0]),
            (&[0, 1], &[3], &[1.0]),
            (&[0, 1], &[0], &[f64::NAN]),
            (&[0, 1], &[0], &[]),
            (&[], &[], &[]),
        ] {
            assert!(build(starts, indices, values).is_err(), "{starts:?}");
        }
    }

    #[test]
    fn refuses_what_is_no_cell() {
        let text = |triple| build(&[triple], Duplicates::Sum).unwrap_err().to_string();
        assert_eq!(text((4, 0, 1.0)), "row index 4 in row 0 is not below 4");
        assert_eq!(text((0, 5, 1.0)), "column index 5 in row 0 is not below 5");
        assert_eq!(text((0, 0, f64::NAN)), "value in row 0 is not finite");
        let huge = [(0, 0, f64::MAX), (0, 0, f64::MAX)];
        let error = build(&huge, Duplicates::Sum).unwrap_err().to_string();
        assert_eq!(error, "the values of a cell overflow when they are added");
    }

    proptest! {
        #[test]
        fn equals_the_dense_matrix(
            triples in prop::collection::vec((0u32..4, 0u32..5, -9i32..9), 0..40),
        ) {
            let triples: Vec<(u32, u32, f64)> =
                triples.iter().map(|&(r, c, v)| (r, c, f64::from(v))).collect();
            let mut dense = [[None; 5]; 4];
            for &(r, c, v) in &triples {
                *dense[r as usize][c as usize].get_or_insert(0.0) += v;
            }
            let matrix = build(&triples, Duplicates::Sum).unwrap();
            let back = matrix.transposed(&Unlimited).unwrap();
            for (r, dense) in dense.iter().enumerate() {
                for (c, &expected) in dense.iter().enumerate() {
                    let cell = |(columns, values): (&[u32], &[f64]), at: usize| {
                        columns.binary_search(&(at as u32)).ok().map(|i| values[i])
                    };
                    prop_assert_eq!(cell(matrix.row(r), c), expected);
                    prop_assert_eq!(cell(back.row(c), r), expected);
                }
            }
            let pairs: (Vec<u32>, Vec<u32>) = triples.iter().map(|t| (t.0, t.1)).unzip();
            let pattern = Pattern::from_pairs(4, 5, &pairs.0, &pairs.1, &Unlimited).unwrap();
            for r in 0..4 {
                prop_assert_eq!(pattern.row(r), matrix.pattern().row(r));
            }
        }
    }
}
