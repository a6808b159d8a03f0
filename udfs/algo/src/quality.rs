//! Rows put right before they are used: what stands for a missing value, and which values are out of line.
//!
//! Everything is done within groups of rows, so that a shop is measured by itself; one group is the whole. A missing number is NaN.
//! Sums run over sorted values, so that no answer depends on the order of the rows. Start at [`fill_numbers`] and [`Outliers`].

mod isolation;

use crate::host::{Host, Meter, reserve_for};
use crate::{Error, Result};

pub use isolation::IsolationForest;

/// What stands for a missing number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Average {
    /// The arithmetic mean.
    Mean,
    /// The middle value, or the mean of the two middle ones.
    Median,
}

/// By group the average of the numbers there are; of a group without any, that of all; NaN when there is none at all.
///
/// `groups` holds the group of each value, below `count`. Time O(n log n).
///
/// # Errors
/// [`Error::Internal`] for lengths or groups that do not fit; [`Error::OutOfMemory`]; [`Error::Cancelled`].
pub fn fill_numbers(
    values: &[f64],
    groups: &[u32],
    count: usize,
    average: Average,
    host: &dyn Host,
) -> Result<Vec<f64>> {
    let of = |sorted: &[f64]| match average {
        Average::Mean => mean(sorted),
        Average::Median => quantile(sorted, 0.5),
    };
    let (sorted, starts) = by_group(values, groups, count, host)?;
    let mut all = sorted.clone();
    all.sort_unstable_by(f64::total_cmp);
    let whole = of(&all);
    Ok(starts
        .windows(2)
        .map(|bounds| match sorted.get(bounds[0]..bounds[1]) {
            Some(group) if !group.is_empty() => of(group),
            _ => whole,
        })
        .collect())
}

/// By group the most frequent code, of equally frequent ones the smallest; of a group without any, that of all; `None` when there is
/// none at all. Codes are `None` where a value is missing. Time O(n log n).
///
/// # Errors
/// As [`fill_numbers`].
pub fn fill_codes(
    codes: &[Option<u32>],
    groups: &[u32],
    count: usize,
    host: &dyn Host,
) -> Result<Vec<Option<u32>>> {
    if codes.len() != groups.len() || groups.iter().any(|group| *group as usize >= count) {
        return Err(Error::Internal("a group for each value"));
    }
    let _memory = reserve_for::<[u64; 2]>(host, codes.len(), "values by group")?;
    let mut held: Vec<(u32, u32)> = groups
        .iter()
        .zip(codes)
        .filter_map(|(group, code)| Some((*group, (*code)?)))
        .collect();
    held.sort_unstable();
    host.check()?;
    let mut modes = vec![None; count];
    for group in held.chunk_by(|a, b| a.0 == b.0) {
        let number = group.first().map_or(0, |(group, _)| *group as usize);
        if let Some(slot) = modes.get_mut(number) {
            *slot = most_frequent(group.iter().map(|(_, code)| *code));
        }
    }
    let mut all: Vec<u32> = held.into_iter().map(|(_, code)| code).collect();
    all.sort_unstable();
    let whole = most_frequent(all.into_iter());
    Ok(modes.into_iter().map(|mode| mode.or(whole)).collect())
}

/// The most frequent of codes that come in ascending order, the first of equally frequent ones.
fn most_frequent(codes: impl Iterator<Item = u32>) -> Option<u32> {
    let mut best: Option<(u32, usize)> = None;
    let mut run: Option<(u32, usize)> = None;
    for code in codes {
        run = match run {
            Some((before, length)) if before == code => Some((code, length + 1)),
            _ => Some((code, 1)),
        };
        if let Some((code, length)) = run
            && best.is_none_or(|(_, most)| length > most)
        {
            best = Some((code, length));
        }
    }
    best.map(|(code, _)| code)
}

/// How far from its group a value must be to be out of line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outliers {
    /// Distance from the middle half of the values in widths of that half (Tukey 1977); 0 within it.
    Iqr,
    /// Distance from the median in median absolute deviations, times 0.6745 so that it is a z-score where values are normal; where more
    /// than half of the values are equal, in mean absolute deviations, divided by 1.2533 (Iglewicz and Hoaglin 1993).
    Mad,
    /// Distance from the mean in standard deviations, which divide by n.
    ZScore,
}

impl Outliers {
    /// The threshold in general use: 1.5 for `Iqr`, 3.5 for `Mad`, 3 for `ZScore`.
    pub fn threshold(self) -> f64 {
        match self {
            Self::Iqr => 1.5,
            Self::Mad => 3.5,
            Self::ZScore => 3.0,
        }
    }

    /// The score of each value within its group; NaN for a missing one. A value beside a group without any spread scores infinity
    /// by `Iqr`. Time O(n log n), memory 24 bytes a value.
    ///
    /// # Errors
    /// As [`fill_numbers`].
    pub fn scores(
        self,
        values: &[f64],
        groups: &[u32],
        count: usize,
        host: &dyn Host,
    ) -> Result<Vec<f64>> {
        let (sorted, starts) = by_group(values, groups, count, host)?;
        let scales: Vec<(f64, f64)> = starts
            .windows(2)
            .map(|bounds| self.scale(sorted.get(bounds[0]..bounds[1]).unwrap_or_default()))
            .collect();
        let score = |value: f64, (low, unit): (f64, f64)| {
            if value.is_nan() {
                return f64::NAN;
            }
            let distance = match self {
                Self::Iqr => (low - value).max(value - (low + unit)).max(0.0),
                Self::Mad | Self::ZScore => (value - low).abs(),
            };
            if distance == 0.0 {
                0.0
            } else {
                distance / unit
            }
        };
        let scale = |group: &u32| scales.get(*group as usize).copied().unwrap_or((0.0, 1.0));
        Ok(values
            .iter()
            .zip(groups)
            .map(|(value, group)| score(*value, scale(group)))
            .collect())
    }

    /// Where distances begin, and their unit.
    fn scale(self, sorted: &[f64]) -> (f64, f64) {
        match self {
            Self::Iqr => {
                let low = quantile(sorted, 0.25);
                (low, quantile(sorted, 0.75) - low)
            }
            Self::Mad => {
                let middle = quantile(sorted, 0.5);
                let mut away: Vec<f64> =
                    sorted.iter().map(|value| (value - middle).abs()).collect();
                away.sort_unstable_by(f64::total_cmp);
                let median = quantile(&away, 0.5);
                let unit = if median > 0.0 {
                    median / 0.6745
                } else {
                    1.253_314 * mean(&away)
                };
                (middle, unit)
            }
            Self::ZScore => {
                let middle = mean(sorted);
                let mut away: Vec<f64> = sorted
                    .iter()
                    .map(|value| (value - middle).powi(2))
                    .collect();
                away.sort_unstable_by(f64::total_cmp);
                (middle, mean(&away).sqrt())
            }
        }
    }
}

/// The values that are not missing, group by group, ascending in each, and where each group begins.
fn by_group(
    values: &[f64],
    groups: &[u32],
    count: usize,
    host: &dyn Host,
) -> Result<(Vec<f64>, Vec<usize>)> {
    if values.len() != groups.len() {
        return Err(Error::Internal("a group for each value"));
    }
    let _memory = reserve_for::<[u64; 3]>(host, values.len(), "values by group")?;
    let mut held: Vec<(u32, f64)> = groups
        .iter()
        .copied()
        .zip(values.iter().copied())
        .filter(|(_, value)| !value.is_nan())
        .collect();
    host.check()?;
    held.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mut meter = Meter::new(host);
    let mut starts = vec![0; count + 1];
    for (group, _) in &held {
        meter.spend(1)?;
        *starts
            .get_mut(*group as usize + 1)
            .ok_or(Error::Internal("groups below their number"))? += 1;
    }
    for at in 1..starts.len() {
        starts[at] += starts[at - 1];
    }
    Ok((held.into_iter().map(|(_, value)| value).collect(), starts))
}

/// The mean of numbers, without overflow of the sum; NaN of none.
fn mean(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    if values.is_empty() {
        return f64::NAN;
    }
    let sum: f64 = values.iter().sum();
    if sum.is_finite() {
        sum / n
    } else {
        values.iter().map(|value| value / n).sum()
    }
}

/// The quantile of ascending values by linear interpolation, as NumPy's default; NaN of none.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let at = share * last as f64;
    let low = at.floor() as usize;
    let (Some(a), Some(b)) = (sorted.get(low), sorted.get((low + 1).min(last))) else {
        return f64::NAN;
    };
    let part = at - low as f64;
    if part == 0.0 { *a } else { a + (b - a) * part }
}

#[cfg(test)]
mod tests;
