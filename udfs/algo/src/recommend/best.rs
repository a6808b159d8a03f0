//! The best of many scores, kept while they are computed.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::simd::{STRANDS as STEP, vectorised};

/// An item and its score; a better one is greater.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) score: f32,
    pub(super) item: u32,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score
            .total_cmp(&other.score)
            .then(other.item.cmp(&self.item))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

/// The best items of one user so far.
pub(super) struct Best {
    k: usize,
    /// Only scores above it count.
    floor: f32,
    /// The worst of them on top.
    heap: BinaryHeap<Reverse<Entry>>,
    /// Excluded positions, ascending, and how many of them are behind.
    excluded: Vec<u32>,
    passed: usize,
}

impl Best {
    /// The `k` best of the scores above `floor`, except for the `excluded` positions, ascending.
    pub(super) fn new(k: usize, floor: f32, excluded: Vec<u32>) -> Self {
        Self {
            k,
            floor,
            heap: BinaryHeap::new(),
            excluded,
            passed: 0,
        }
    }

    /// Takes the scores of the positions from `first` on; calls go upwards.
    pub(super) fn offer(&mut self, scores: &mut [f32], first: usize, candidates: Option<&[u32]>) {
        while let Some(&position) = self.excluded.get(self.passed) {
            let Some(score) = scores.get_mut(position as usize - first) else {
                break;
            };
            *score = f32::NEG_INFINITY;
            self.passed += 1;
        }
        // Positions come in the order of their items, so an equal score never displaces.
        let mut worst = self.worst();
        let mut at = 0;
        while let Some(found) = first_above(scores, at, worst) {
            let position = first + found;
            let item = match candidates {
                None => Some(position as u32),
                Some(items) => items.get(position).copied(),
            };
            if let (Some(item), Some(&score)) = (item, scores.get(found)) {
                if self.heap.len() == self.k {
                    self.heap.pop();
                }
                // Adding zero makes one zero of the two.
                let score = score + 0.0;
                self.heap.push(Reverse(Entry { score, item }));
                worst = self.worst();
            }
            at = found + 1;
        }
    }

    /// The score to beat.
    fn worst(&self) -> f32 {
        match self.heap.peek() {
            Some(entry) if self.heap.len() == self.k => entry.0.score,
            _ => self.floor,
        }
    }

    pub(super) fn into_list(self) -> Vec<Entry> {
        let mut list: Vec<Entry> = self.heap.into_iter().map(|entry| entry.0).collect();
        list.sort_unstable_by(|a, b| b.cmp(a));
        list
    }
}

/// The first place from `from` on whose score is above `worst`.
pub(super) fn first_above(scores: &[f32], from: usize, worst: f32) -> Option<usize> {
    // What is left of a group of sixteen is looked at one by one, whole groups by vector.
    let whole = from.next_multiple_of(STEP).min(scores.len());
    let head = scores.get(from..whole)?;
    if let Some(at) = head.iter().position(|score| *score > worst) {
        return Some(from + at);
    }
    let rest = scores.get(whole..)?;
    let group = group_above(rest, worst) * STEP;
    let tail = rest.get(group..)?;
    let at = tail.iter().position(|score| *score > worst)?;
    Some(whole + group + at)
}

vectorised! {
    /// The number of whole groups of [`STEP`] scores before the first that holds one above `worst`.
    fn group_above<'a, S>(simd, scores: &'a [f32], worst: f32) -> usize {
        let worst = simd.splat_f32s(worst);
        let (groups, _) = scores.as_chunks::<STEP>();
        let mut passed = 0;
        for group in groups {
            let (vectors, _) = S::as_simd_f32s(group);
            let mut any = simd.greater_than_f32s(vectors[0], worst);
            for vector in &vectors[1..] {
                any = simd.or_m32s(any, simd.greater_than_f32s(*vector, worst));
            }
            if simd.first_true_m32s(any) < S::F32_LANES {
                break;
            }
            passed += 1;
        }
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_first_above() {
        let mut scores = vec![0.0_f32; 100];
        for place in [0, 5, 15, 16, 47, 96, 99] {
            scores[place] = 1.0;
            for from in 0..=place {
                assert_eq!(first_above(&scores, from, 0.5), Some(place), "{from}");
            }
            assert_eq!(first_above(&scores, place + 1, 0.5), None);
            assert_eq!(first_above(&scores, 0, 1.0), None);
            scores[place] = 0.0;
        }
        assert_eq!(first_above(&[], 0, 0.0), None);
    }

    #[test]
    fn keeps_the_best_above_the_floor() {
        let mut best = Best::new(2, 0.0, vec![1, 4]);
        best.offer(&mut [0.0, 9.0, 1.0], 0, None);
        best.offer(&mut [2.0, 9.0, 1.0, -1.0], 3, None);
        let list: Vec<(u32, f32)> = best.into_list().iter().map(|e| (e.item, e.score)).collect();
        assert_eq!(list, [(3, 2.0), (2, 1.0)]);
    }
}
