//! How well a clustering of records agrees with the truth, without a table of pairs.
//!
//! Everything is counted from the contingency table: `n_ij` records that are in predicted cluster i and in true cluster j.

use rayon::slice::ParallelSliceMut;

use crate::host::{Host, reserve_for};
use crate::{Error, Result};

/// Precision, recall and their harmonic mean; `None` where it divides by zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scores {
    /// Of what was predicted, the share that is true.
    pub precision: Option<f64>,
    /// Of what is true, the share that was predicted.
    pub recall: Option<f64>,
    /// `2 precision recall / (precision + recall)`, 0 when both are 0.
    pub f1: Option<f64>,
}

/// Agreement of two clusterings of the same records.
#[derive(Debug, Clone, PartialEq)]
pub struct Agreement {
    /// Over pairs of records: a pair is predicted when both are in one predicted cluster, true when in one true cluster.
    /// Without predicted pairs there is no precision, without true pairs no recall.
    pub pairwise: Scores,
    /// B-cubed (Bagga and Baldwin 1998): for each record the share of its predicted cluster that is of its true cluster,
    /// and the reverse, averaged over the records.
    pub bcubed: Scores,
    /// Pairs in one predicted cluster and in one true cluster.
    pub true_positive_pairs: u64,
    /// Pairs in one predicted cluster, not in one true cluster.
    pub false_positive_pairs: u64,
    /// Pairs in one true cluster, not in one predicted cluster.
    pub false_negative_pairs: u64,
    /// Records.
    pub records: usize,
    /// Predicted clusters.
    pub clusters: usize,
    /// True clusters.
    pub truth_clusters: usize,
    /// Predicted clusters that are exactly a true cluster.
    pub exact_clusters: usize,
    /// Records of the largest predicted cluster.
    pub largest_cluster: usize,
    /// Records of the largest true cluster.
    pub truth_largest_cluster: usize,
}

/// Compares `predicted` with `truth`, the cluster of each record in both; cluster numbers need not be dense.
///
/// Time O(n log n), memory 16 n bytes.
///
/// # Errors
/// [`Error::Data`] when there are no records; [`Error::Internal`] when the lengths differ; [`Error::OutOfMemory`];
/// [`Error::Cancelled`].
pub fn evaluate(predicted: &[u32], truth: &[u32], host: &dyn Host) -> Result<Agreement> {
    let n = predicted.len();
    if truth.len() != n {
        return Err(Error::Internal("a true cluster for each record"));
    }
    if n == 0 {
        return Err(Error::data(
            "there are no records to evaluate",
            "Give records that are in both relations.",
        ));
    }
    let _memory = reserve_for::<[u64; 2]>(host, n, "contingency table")?;
    let clusters = Sizes::of(predicted, host)?;
    let truths = Sizes::of(truth, host)?;

    let mut cells: Vec<u64> = predicted
        .iter()
        .zip(truth)
        .map(|(&i, &j)| u64::from(i) << 32 | u64::from(j))
        .collect();
    host.check()?;
    cells.par_sort_unstable();
    host.check()?;

    let mut common = 0_u64;
    let mut exact = 0;
    let (mut precision, mut recall) = (0.0, 0.0);
    for cell in cells.chunk_by(|a, b| a == b) {
        let held = cell.len();
        let Some(&pair) = cell.first() else { continue };
        let (i, j) = ((pair >> 32) as u32, pair as u32);
        let (of_i, of_j) = (clusters.size(i), truths.size(j));
        common += pairs(held);
        exact += usize::from(held == of_i && held == of_j);
        // Each of the `held` records of the cell sees `held` of its cluster as right.
        let square = held as f64 * held as f64;
        precision += square / of_i as f64;
        recall += square / of_j as f64;
    }
    let predicted_pairs = clusters.pairs();
    let true_pairs = truths.pairs();
    Ok(Agreement {
        pairwise: scores(ratio(common, predicted_pairs), ratio(common, true_pairs)),
        bcubed: scores(Some(precision / n as f64), Some(recall / n as f64)),
        true_positive_pairs: common,
        false_positive_pairs: predicted_pairs - common,
        false_negative_pairs: true_pairs - common,
        records: n,
        clusters: clusters.sizes.len(),
        truth_clusters: truths.sizes.len(),
        exact_clusters: exact,
        largest_cluster: clusters.largest(),
        truth_largest_cluster: truths.largest(),
    })
}

/// Clusters with their sizes, ascending by number.
struct Sizes {
    numbers: Vec<u32>,
    sizes: Vec<usize>,
}

impl Sizes {
    fn of(labels: &[u32], host: &dyn Host) -> Result<Self> {
        host.check()?;
        let mut sorted = labels.to_vec();
        sorted.par_sort_unstable();
        host.check()?;
        let (numbers, sizes) = sorted
            .chunk_by(|a, b| a == b)
            .filter_map(|same| same.first().map(|&number| (number, same.len())))
            .unzip();
        Ok(Self { numbers, sizes })
    }

    fn size(&self, number: u32) -> usize {
        self.numbers
            .binary_search(&number)
            .map_or(0, |at| self.sizes[at])
    }

    fn pairs(&self) -> u64 {
        self.sizes.iter().map(|&size| pairs(size)).sum()
    }

    fn largest(&self) -> usize {
        self.sizes.iter().copied().max().unwrap_or(0)
    }
}

/// Pairs among `n` records; records are numbered by u32 in this crate, so the sum of pairs fits.
fn pairs(n: usize) -> u64 {
    let n = n as u64;
    n * n.saturating_sub(1) / 2
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn scores(precision: Option<f64>, recall: Option<f64>) -> Scores {
    let f1 = match (precision, recall) {
        (Some(p), Some(r)) if p + r > 0.0 => Some(2.0 * p * r / (p + r)),
        (Some(_), Some(_)) => Some(0.0),
        _ => None,
    };
    Scores {
        precision,
        recall,
        f1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unlimited;
    use proptest::prelude::*;

    #[test]
    fn counts_by_hand() {
        // Predicted {0,1,2} {3,4} {5}; true {0,1} {2,3,4} {5}.
        let found = evaluate(&[7, 7, 7, 3, 3, 9], &[1, 1, 2, 2, 2, 5], &Unlimited).unwrap();
        assert_eq!(found.true_positive_pairs, 2);
        assert_eq!(found.false_positive_pairs, 2);
        assert_eq!(found.false_negative_pairs, 2);
        assert_eq!(found.pairwise.precision, Some(0.5));
        assert_eq!(found.pairwise.recall, Some(0.5));
        assert_eq!(found.pairwise.f1, Some(0.5));
        // Precision of the records: 2/3, 2/3, 1/3, 1, 1, 1; recall: 1, 1, 1/3, 2/3, 2/3, 1.
        let close = |found: Option<f64>, expected: f64| (found.unwrap() - expected).abs() < 1e-15;
        assert!(close(found.bcubed.precision, 14.0 / 18.0));
        assert!(close(found.bcubed.recall, 14.0 / 18.0));
        assert_eq!((found.clusters, found.truth_clusters), (3, 3));
        assert_eq!(found.exact_clusters, 1);
        assert_eq!((found.largest_cluster, found.truth_largest_cluster), (3, 3));
    }

    #[test]
    fn singletons_have_no_pairs_to_be_right_about() {
        let found = evaluate(&[0, 1, 2], &[0, 0, 1], &Unlimited).unwrap();
        assert_eq!(found.pairwise.precision, None);
        assert_eq!(found.pairwise.recall, Some(0.0));
        assert_eq!(found.pairwise.f1, None);
        assert_eq!(found.bcubed.precision, Some(1.0));
        assert!(evaluate(&[], &[], &Unlimited).is_err());
    }

    proptest! {
        #[test]
        fn equals_the_table_of_pairs(
            labels in prop::collection::vec((0u32..5, 0u32..5), 1..40),
        ) {
            let (predicted, truth): (Vec<u32>, Vec<u32>) = labels.iter().copied().unzip();
            let found = evaluate(&predicted, &truth, &Unlimited).unwrap();
            let (mut both, mut left, mut right) = (0, 0, 0);
            for a in 0..labels.len() {
                for b in 0..a {
                    let p = predicted[a] == predicted[b];
                    let t = truth[a] == truth[b];
                    both += u64::from(p && t);
                    left += u64::from(p && !t);
                    right += u64::from(!p && t);
                }
            }
            prop_assert_eq!(found.true_positive_pairs, both);
            prop_assert_eq!(found.false_positive_pairs, left);
            prop_assert_eq!(found.false_negative_pairs, right);
            // Precision and recall change places with the clusterings.
            let swapped = evaluate(&truth, &predicted, &Unlimited).unwrap();
            let gap = found.bcubed.precision.unwrap() - swapped.bcubed.recall.unwrap();
            prop_assert!(gap.abs() < 1e-12);
            prop_assert_eq!(found.exact_clusters, swapped.exact_clusters);
        }
    }
}
