//! A radius for DBSCAN from the data: the knee of the curve of distances to the k-th neighbour.

use crate::clustering::kdtree::KdTree;
use crate::host::Host;
use crate::{Error, Result};

/// Rows looked at: taken evenly from the order of the tree, so that every region is in the sample.
const SAMPLE: usize = 20_000;

/// Distance at the knee of the sorted distances to the `k`-th nearest row, the row itself being the first.
pub(super) fn eps(tree: &KdTree<'_>, k: usize, host: &dyn Host) -> Result<f64> {
    let step = tree.len().div_ceil(SAMPLE).max(1);
    let places: Vec<usize> = (0..tree.len()).step_by(step).collect();
    let mut distances = Vec::with_capacity(places.len());
    tree.nearest(&places, k.max(2), host, |places, lists| {
        for (&place, list) in places.iter().zip(lists) {
            if let Some(&(_, other)) = list.last() {
                distances.push(tree.exact_squared(place, other as usize).sqrt());
            }
        }
        Ok(())
    })?;
    distances.sort_unstable_by(f64::total_cmp);
    knee(&distances).filter(|eps| *eps > 0.0).ok_or_else(|| {
        Error::data(
            format!("\"eps\" cannot be chosen: most rows have {k} equal rows or there are too few"),
            "Give \"eps\" as a distance in the units of the features.",
        )
    })
}

/// The value where an ascending curve, scaled to the unit square, is farthest below the diagonal (Satopaa, Albrecht, Irwin
/// and Raghavan 2011); the last where it is nowhere below.
fn knee(ascending: &[f64]) -> Option<f64> {
    let (&first, &last) = (ascending.first()?, ascending.last()?);
    let steps = (ascending.len() - 1) as f64;
    let mut best = (0.0, last);
    for (at, &value) in ascending.iter().enumerate() {
        let below = at as f64 / steps - (value - first) / (last - first);
        if below > best.0 {
            best = (below, value);
        }
    }
    Some(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_knee_is_where_the_curve_turns() {
        assert_eq!(knee(&[1.0, 1.1, 1.2, 1.3, 5.0, 9.0]), Some(1.3));
        assert_eq!(knee(&[2.0, 2.0, 2.0]), Some(2.0));
        assert_eq!(knee(&[3.0]), Some(3.0));
        assert_eq!(knee(&[]), None);
    }
}
