//! The item-item product of two weightings of the same interactions, of which only the largest entries of each row are kept.

use crate::host::{Host, Meter, reserve_for};
use crate::parallel::ordered;
use crate::recommend::best::first_above;
use crate::sparse::Csr;
use crate::{Error, Result};

/// Rows of a task.
const ROWS: usize = 32;

/// The `n` largest positive entries of each row of `left right` without its diagonal, `left` being items x users and `right`
/// users x items; equal ones by their column. Both hold values of zero or more.
///
/// Row by row (Gustavson 1978): the rows of `right` that a row of `left` names are added up in a dense row. Time
/// `O(sum over users of their cells^2)` and the rows of sums that are looked through, memory 8 bytes an entry and a row of sums a thread.
pub(super) fn largest(
    left: &Csr<f32>,
    right: &Csr<f32>,
    n: usize,
    host: &dyn Host,
) -> Result<Csr<f32>> {
    let items = left.rows();
    let kept = items.saturating_mul(n.min(right.columns()));
    let threads = rayon::current_num_threads();
    let _memory = (
        reserve_for::<[u32; 2]>(host, kept, "neighbours of items")?,
        reserve_for::<f32>(
            host,
            right.columns().saturating_mul(threads),
            "rows of sums",
        )?,
    );
    let mut starts = Vec::with_capacity(items + 1);
    starts.push(0);
    let (mut indices, mut values) = (Vec::new(), Vec::new());
    let mut done = 0;
    ordered(
        items.div_ceil(ROWS),
        host,
        |chunk| {
            let mut space = Sums::new(right.columns(), n);
            let mut meter = Meter::new(host);
            (chunk * ROWS..((chunk + 1) * ROWS).min(items))
                .map(|item| space.row(left, right, item, &mut meter))
                .collect::<Result<Vec<_>>>()
        },
        |rows| {
            for row in rows {
                for (column, value) in row {
                    indices.push(column);
                    values.push(value);
                }
                starts.push(indices.len());
            }
            done += 1;
            if done % 64 == 0 {
                let rows = starts.len() as u64;
                host.progress("neighbours of items", rows, items as u64, None);
            }
            Ok(())
        },
    )?;
    Csr::from_rows(right.columns(), starts, indices, values, host)
}

/// Room for the sums of one row.
struct Sums {
    n: usize,
    /// A sum for each column; all zero between rows.
    sums: Vec<f32>,
    /// The columns that a short row adds to.
    touched: Vec<u32>,
    best: Vec<(u32, f32)>,
}

impl Sums {
    fn new(columns: usize, n: usize) -> Self {
        Self {
            n,
            sums: vec![0.0; columns],
            touched: Vec::new(),
            best: Vec::new(),
        }
    }

    /// The largest entries of a row, by column.
    fn row(
        &mut self,
        left: &Csr<f32>,
        right: &Csr<f32>,
        item: usize,
        meter: &mut Meter<'_>,
    ) -> Result<Vec<(u32, f32)>> {
        let (users, weights) = left.row(item);
        let cells: usize = users
            .iter()
            .map(|user| right.pattern().row(*user as usize).len())
            .sum();
        let short = cells < self.sums.len() / 8;
        meter.spend(if short {
            4 * cells
        } else {
            self.sums.len() / 8
        })?;
        for (&user, &weight) in users.iter().zip(weights) {
            let (columns, values) = right.row(user as usize);
            meter.spend(columns.len())?;
            if short {
                self.touched.extend_from_slice(columns);
            }
            for (&column, value) in columns.iter().zip(values) {
                self.sums[column as usize] += weight * value;
            }
        }
        if let Some(own) = self.sums.get_mut(item) {
            *own = 0.0;
        }
        self.best.clear();
        let mut worst = 0.0;
        if short {
            for at in 0..self.touched.len() {
                let column = self.touched[at];
                // Taken once, however often it was touched.
                let sum = std::mem::take(&mut self.sums[column as usize]);
                if sum > 0.0 {
                    self.best.push((column, sum));
                }
            }
            self.touched.clear();
            self.cut(&mut worst);
        } else {
            let mut at = 0;
            while let Some(found) = first_above(&self.sums, at, worst) {
                self.best.push((found as u32, self.sums[found]));
                at = found + 1;
                if self.best.len() >= 2 * self.n.max(32) {
                    self.cut(&mut worst);
                }
            }
            self.cut(&mut worst);
            self.sums.fill(0.0);
        }
        if self.best.iter().any(|(_, value)| !value.is_finite()) {
            return Err(Error::data(
                "the weights of the interactions overflow when they are multiplied",
                "Divide the weights by a large constant first.",
            ));
        }
        self.best.sort_unstable_by_key(|(column, _)| *column);
        Ok(self.best.clone())
    }

    /// Leaves the `n` best, and in `worst` the smallest of them.
    fn cut(&mut self, worst: &mut f32) {
        if self.best.len() <= self.n {
            return;
        }
        let by_value = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if let Some(last) = self.n.checked_sub(1) {
            let (_, (_, smallest), _) = self.best.select_nth_unstable_by(last, by_value);
            // An equal value further on has a larger column, so it does not come in.
            *worst = *smallest;
        }
        self.best.truncate(self.n);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unlimited;
    use crate::random::Random;
    use crate::sparse::Duplicates;

    #[test]
    fn it_is_the_product_cut_to_its_largest() {
        let mut random = Random::stream(4, 0);
        // Items that most users have, and many that few have: both ways of adding up.
        for (users, items, cells) in [(30, 12, 200), (200, 400, 900)] {
            let mut triples = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..cells {
                triples.0.push(random.below(users) as u32);
                triples
                    .1
                    .push(random.below(1 + random.clone().below(items)) as u32);
                triples.2.push(1.0 + random.below(4) as f32);
            }
            let right = Csr::from_triples(
                users,
                items,
                &triples.0,
                &triples.1,
                &triples.2,
                Duplicates::Max,
                &Unlimited,
            )
            .unwrap();
            let left = right.transposed(&Unlimited).unwrap();
            for n in [1, 3, 40, 1000] {
                let found = largest(&left, &right, n, &Unlimited).unwrap();
                for item in 0..items {
                    let mut sums = vec![0.0; items];
                    for (&user, &a) in left.row(item).0.iter().zip(left.row(item).1) {
                        let (columns, values) = right.row(user as usize);
                        for (&column, &b) in columns.iter().zip(values) {
                            sums[column as usize] += a * b;
                        }
                    }
                    let mut expected: Vec<(u32, f32)> = (0..items as u32)
                        .zip(sums)
                        .filter(|&(column, sum)| column as usize != item && sum > 0.0)
                        .collect();
                    expected.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
                    expected.truncate(n);
                    expected.sort_by_key(|(column, _)| *column);
                    let (columns, values) = found.row(item);
                    let found: Vec<(u32, f32)> = columns
                        .iter()
                        .copied()
                        .zip(values.iter().copied())
                        .collect();
                    assert_eq!(found, expected);
                }
            }
        }
    }
}
