//! The k items with the highest dot product for each of many users.
//!
//! Items are packed once into tiles of 32, factor by factor, so that the scores of a tile are 32 running sums. A score is
//! summed factor after factor whatever else is computed with it: one user alone gets the bits he gets among a million. Start at
//! [`ItemTable::top_k`].

use std::ops::Range;

use ndarray::{Array2, ArrayView2};
use pulp::Simd;

use super::best::{Best, Entry};
use crate::host::{Host, Meter, Reservation, reserve_for};
use crate::parallel::ordered;
use crate::simd::vectorised;
use crate::sparse::Pattern;
use crate::{Error, Result};

/// Items of a tile.
const LANES: usize = 32;

/// Users scored together: as many as have room for their sums in the vector registers.
const GROUP: usize = 6;

/// Users of a task, which share the items that are in the cache.
const USERS: usize = 8 * GROUP;

/// Packed values of items that are scored for all users of a task before the next: half of a usual second-level cache.
const CACHED: usize = 1 << 16;

/// Scores held by a task that adds dot products to others: a share of a usual third-level cache.
const HELD: usize = 1 << 21;

/// A part of the scores that is not a dot product.
pub(super) struct Onto<'a> {
    /// Only scores above it are offered.
    pub(super) floor: f32,
    /// Adds the part of a user's scores to zeros, one for each position.
    pub(super) base: &'a (dyn Fn(usize, &mut [f32]) + Sync),
    /// About how many additions that is.
    pub(super) work: &'a (dyn Fn(usize) -> usize + Sync),
}

/// Item factors (or only those of the candidates), packed for scoring. Made once, used by any number of calls.
#[derive(Debug)]
pub struct ItemTable {
    width: usize,
    /// Item of each position, ascending; `None` when it is the position.
    candidates: Option<Vec<u32>>,
    positions: usize,
    /// Tile after tile, in each factor after factor, 32 items; zero past the last.
    packed: Vec<f32>,
    _memory: Reservation,
}

/// Items that users are not to be offered.
#[derive(Debug, Clone, Copy)]
pub struct Exclusion<'a> {
    /// Rows of excluded items.
    pub items: &'a Pattern,
    /// The row for each user of the call, `None` when it is the number of the user in the call. A row that the pattern does
    /// not have excludes nothing.
    pub rows: Option<&'a [u32]>,
}

/// Lists of items, one for each user, best first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ranked {
    /// Where the list of each user starts, and the end of the last.
    pub starts: Vec<usize>,
    /// Items of all lists.
    pub items: Vec<u32>,
    /// Their scores, falling in a list; equal scores are in the order of their items.
    pub scores: Vec<f32>,
}

impl Ranked {
    /// Number of lists.
    pub fn users(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Items and scores of one user; none for a user there is no list for.
    pub fn list(&self, user: usize) -> (&[u32], &[f32]) {
        let range = match self.starts.get(user..) {
            Some([start, end, ..]) => *start..*end,
            _ => 0..0,
        };
        (
            self.items.get(range.clone()).unwrap_or_default(),
            self.scores.get(range).unwrap_or_default(),
        )
    }

    /// Memory that the lists hold.
    pub fn bytes(&self) -> usize {
        self.starts.len() * size_of::<usize>() + self.items.len() * 2 * size_of::<u32>()
    }

    fn with_room(users: usize, entries: usize) -> Self {
        let mut starts = Vec::with_capacity(users + 1);
        starts.push(0);
        Self {
            starts,
            items: Vec::with_capacity(entries),
            scores: Vec::with_capacity(entries),
        }
    }

    pub(crate) fn push_list(&mut self, list: impl IntoIterator<Item = (u32, f32)>) {
        for (item, score) in list {
            self.items.push(item);
            self.scores.push(score);
        }
        self.starts.push(self.items.len());
    }
}

impl ItemTable {
    /// Packs `factors`, items x f, all of them or the `candidates` (in any order, repeated ones once).
    ///
    /// # Errors
    /// [`Error::Data`] for factors that are not finite or a candidate that is not an item; [`Error::OutOfMemory`];
    /// [`Error::Cancelled`].
    pub fn new(
        factors: ArrayView2<'_, f32>,
        candidates: Option<&[u32]>,
        host: &dyn Host,
    ) -> Result<Self> {
        let (items, width) = factors.dim();
        let candidates = candidates.map(|candidates| {
            let mut sorted = candidates.to_vec();
            sorted.sort_unstable();
            sorted.dedup();
            sorted
        });
        if let Some(&item) = candidates.as_ref().and_then(|sorted| sorted.last())
            && item as usize >= items
        {
            return Err(Error::data(
                format!("candidate item {item} is not one of the {items} items of the model"),
                "Leave out items that the model was not trained on.",
            ));
        }
        if u32::try_from(items).is_err() {
            return Err(Error::data(
                format!("{items} items are more than 4294967295"),
                "Split the items.",
            ));
        }
        let positions = candidates.as_ref().map_or(items, Vec::len);
        let length = positions
            .div_ceil(LANES)
            .saturating_mul(LANES)
            .saturating_mul(width);
        let memory = reserve_for::<f32>(host, length, "packed item factors")?;
        let mut packed = vec![0.0; length];
        let mut meter = Meter::new(host);
        for position in 0..positions {
            meter.spend(8 * width)?;
            let item = candidates
                .as_ref()
                .map_or(position, |held| held[position] as usize);
            let tile = position / LANES * LANES * width;
            for (factor, &value) in factors.row(item).iter().enumerate() {
                if !value.is_finite() {
                    return Err(Error::data(
                        format!("the factors of item {item} are not finite"),
                        "Train the model again.",
                    ));
                }
                packed[tile + factor * LANES + position % LANES] = value;
            }
        }
        Ok(Self {
            width,
            candidates,
            positions,
            packed,
            _memory: memory,
        })
    }

    /// The items that can be offered, ascending; `None` for all.
    pub fn candidates(&self) -> Option<&[u32]> {
        self.candidates.as_deref()
    }

    /// Items that can be offered.
    pub fn len(&self) -> usize {
        self.positions
    }

    /// Whether no item can be offered.
    pub fn is_empty(&self) -> bool {
        self.positions == 0
    }

    /// Memory that the table holds.
    pub fn bytes(&self) -> usize {
        self.packed.len() * size_of::<f32>()
            + self
                .candidates
                .as_ref()
                .map_or(0, |held| held.len() * size_of::<u32>())
    }

    /// The `k` best items of each of `users`, q x f, that no exclusion names for him: fewer when there are fewer. Equal scores are
    /// ordered by item.
    ///
    /// Time O(q items f), memory 12 bytes an entry of the result.
    ///
    /// # Errors
    /// [`Error::Parameter`] for k below 1; [`Error::Data`] for user factors of another width or not finite; [`Error::OutOfMemory`];
    /// [`Error::Cancelled`].
    pub fn top_k(
        &self,
        users: ArrayView2<'_, f32>,
        k: usize,
        exclusions: &[Exclusion<'_>],
        host: &dyn Host,
    ) -> Result<Ranked> {
        self.top_k_onto(users, k, exclusions, None, host)
    }

    /// The same where scores have a further part that is not a dot product.
    pub(super) fn top_k_onto(
        &self,
        users: ArrayView2<'_, f32>,
        k: usize,
        exclusions: &[Exclusion<'_>],
        onto: Option<&Onto<'_>>,
        host: &dyn Host,
    ) -> Result<Ranked> {
        if k < 1 {
            return Err(Error::parameter(
                "k",
                "\"k\" must be at least 1",
                "Give the number of items to recommend, such as 10.",
            ));
        }
        if users.ncols() != self.width {
            return Err(Error::data(
                format!(
                    "the users have {} factors, but the items have {}",
                    users.ncols(),
                    self.width
                ),
                "Take users and items from the same model.",
            ));
        }
        let count = users.nrows();
        let entries = count.saturating_mul(k.min(self.positions));
        // Whole rows of scores are held for the users of a task when there is something to add them to.
        let together = match onto {
            None => USERS,
            Some(_) => (HELD / self.positions.max(1) / GROUP * GROUP).clamp(GROUP, USERS),
        };
        let held = onto.map_or(0, |_| {
            self.positions
                .saturating_mul(together * rayon::current_num_threads())
        });
        let _memory = (
            reserve_for::<[u32; 3]>(host, entries, "recommendations")?,
            reserve_for::<f32>(host, held, "scores of users")?,
        );
        let chunks = count.div_ceil(together);
        let mut ranked = Ranked::with_room(count, entries);
        let mut done = 0;
        ordered(
            chunks,
            host,
            |chunk| {
                let first = chunk * together;
                let chunk = first..(first + together).min(count);
                self.chunk(users, chunk, k, exclusions, onto, host)
            },
            |lists| {
                for list in lists {
                    ranked.push_list(list.into_iter().map(|entry| (entry.item, entry.score)));
                }
                done += 1;
                if done % 64 == 0 || done == chunks {
                    host.progress("recommending", ranked.users() as u64, count as u64, None);
                }
                Ok(())
            },
        )?;
        Ok(ranked)
    }

    /// Lists of some users.
    fn chunk(
        &self,
        users: ArrayView2<'_, f32>,
        chunk: Range<usize>,
        k: usize,
        exclusions: &[Exclusion<'_>],
        onto: Option<&Onto<'_>>,
        host: &dyn Host,
    ) -> Result<Vec<Vec<Entry>>> {
        let (first, held) = (chunk.start, chunk.len());
        // Whole groups are interleaved, factor by factor; what is left goes one by one.
        let mut groups: Vec<(usize, Vec<f32>)> = Vec::new();
        let mut user = 0;
        while user < held {
            let size = if held - user >= GROUP { GROUP } else { 1 };
            let mut values = vec![0.0; size * self.width];
            for at in 0..size {
                for (factor, &value) in users.row(first + user + at).iter().enumerate() {
                    if !value.is_finite() {
                        return Err(Error::data(
                            format!("the factors of user {} are not finite", first + user + at),
                            "Train the model again.",
                        ));
                    }
                    values[factor * size + at] = value;
                }
            }
            groups.push((size, values));
            user += size;
        }

        let mut meter = Meter::new(host);
        let floor = onto.map_or(f32::NEG_INFINITY, |onto| onto.floor);
        let mut best: Vec<Best> = (0..held)
            .map(|user| Best::new(k, floor, self.excluded(first + user, exclusions)))
            .collect();
        let mut base = vec![0.0; onto.map_or(0, |_| held * self.positions)];
        if let Some(onto) = onto {
            for (user, scores) in base.chunks_exact_mut(self.positions.max(1)).enumerate() {
                meter.spend((onto.work)(first + user) + self.positions / 4)?;
                (onto.base)(first + user, scores);
                if self.width == 0
                    && let Some(best) = best.get_mut(user)
                {
                    best.offer(scores, 0, self.candidates.as_deref());
                }
            }
        }
        if self.width == 0 {
            return Ok(best.into_iter().map(Best::into_list).collect());
        }
        let tile = LANES * self.width;
        let run = (CACHED / tile).max(1);
        let mut scores = vec![0.0; GROUP * run * LANES];
        for start in (0..self.positions.div_ceil(LANES)).step_by(run) {
            let end = (start + run).min(self.positions.div_ceil(LANES));
            let tiles = self
                .packed
                .get(start * tile..end * tile)
                .unwrap_or_default();
            let from = start * LANES;
            let to = (end * LANES).min(self.positions);
            let length = (end - start) * LANES;
            let mut user = 0;
            for (size, values) in &groups {
                meter.spend(length * self.width * size / 8 + length)?;
                let scores = &mut scores[..size * length];
                if *size == GROUP {
                    score_group(tiles, values, length, scores);
                } else {
                    score_one(tiles, values, length, scores);
                }
                for scores in scores.chunks_exact_mut(length) {
                    let scores = &mut scores[..to - from];
                    if onto.is_some() {
                        let base = &base[user * self.positions..][from..to];
                        for (score, base) in scores.iter_mut().zip(base) {
                            *score += base;
                        }
                    }
                    best[user].offer(scores, from, self.candidates.as_deref());
                    user += 1;
                }
            }
        }
        Ok(best.into_iter().map(Best::into_list).collect())
    }

    /// Positions that a user is not to be offered, ascending.
    fn excluded(&self, user: usize, exclusions: &[Exclusion<'_>]) -> Vec<u32> {
        let mut positions = Vec::new();
        for exclusion in exclusions {
            let row = match exclusion.rows {
                None => Some(user),
                Some(rows) => rows.get(user).map(|row| *row as usize),
            };
            let items = row.map_or(&[][..], |row| exclusion.items.row(row));
            match &self.candidates {
                None => positions.extend_from_slice(items),
                Some(held) => positions.extend(
                    items
                        .iter()
                        .filter_map(|item| held.binary_search(item).ok())
                        .map(|position| position as u32),
                ),
            }
        }
        if exclusions.len() > 1 {
            positions.sort_unstable();
        }
        positions
    }
}

/// Rows of `factors` scaled to length one, so that dot products are cosines; rows of zeros stay.
pub fn unit_rows(factors: ArrayView2<'_, f32>) -> Array2<f32> {
    let mut unit = factors.to_owned();
    for mut row in unit.outer_iter_mut() {
        let square: f64 = row.iter().map(|&value| f64::from(value).powi(2)).sum();
        if square > 0.0 {
            let scale = 1.0 / square.sqrt();
            row.mapv_inplace(|value| (f64::from(value) * scale) as f32);
        }
    }
    unit
}

vectorised! {
    /// Scores of [`GROUP`] users, `length` for each, one user after the other.
    fn score_group<'a, S>(simd, tiles: &'a [f32], users: &'a [f32], length: usize, scores: &'a mut [f32]) -> () {
        score::<S, GROUP>(simd, tiles, users, length, scores);
    }
}

vectorised! {
    /// Scores of one user.
    fn score_one<'a, S>(simd, tiles: &'a [f32], users: &'a [f32], length: usize, scores: &'a mut [f32]) -> () {
        score::<S, 1>(simd, tiles, users, length, scores);
    }
}

#[inline(always)]
fn score<S: Simd, const N: usize>(
    simd: S,
    tiles: &[f32],
    users: &[f32],
    length: usize,
    scores: &mut [f32],
) {
    let (users, _) = users.as_chunks::<N>();
    for (at, tile) in tiles.chunks_exact(LANES * users.len()).enumerate() {
        let (tile, _) = tile.as_chunks::<LANES>();
        // Two vectors of items by N users are summed in registers.
        for pair in 0..LANES / (2 * S::F32_LANES) {
            let mut sums = [[simd.splat_f32s(0.0); 2]; N];
            for (items, users) in tile.iter().zip(users) {
                let (items, _) = S::as_simd_f32s(items);
                let items = [items[2 * pair], items[2 * pair + 1]];
                for (sums, user) in sums.iter_mut().zip(users) {
                    let user = simd.splat_f32s(*user);
                    for (sum, items) in sums.iter_mut().zip(items) {
                        *sum = simd.mul_add_f32s(user, items, *sum);
                    }
                }
            }
            let from = at * LANES + 2 * pair * S::F32_LANES;
            for (scores, sums) in scores.chunks_exact_mut(length).zip(sums) {
                let (to, _) = S::as_mut_simd_f32s(&mut scores[from..]);
                for (to, sum) in to.iter_mut().zip(sums) {
                    *to = sum;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
