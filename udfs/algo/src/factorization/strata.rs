//! Stochastic gradient descent on interactions whose result does not depend on the number of threads.
//!
//! Users and items are cut into the same number of parts. In a round, each part of the users meets one part of the items, so that no two tasks share a
//! row and none waits for another; after as many rounds as there are parts every interaction was used once (Gemulla, Nijkamp, Haas and Sismanis 2011). Items that
//! a user did not choose are drawn from the part at hand. That it is no other than the whole is seen to by dealing the items to the parts
//! anew, at random, in each epoch. The parts are few enough to fill any usual machine and small enough for its caches.

use rayon::prelude::*;

use super::factors::Factors;
use crate::host::{Host, Meter, reserve_for};
use crate::random::Random;
use crate::sparse::Csr;
use crate::{Error, Result};

/// Parts at most.
const PARTS: usize = 16;

/// Items of a part at least, where there are so many: enough to draw from.
const ITEMS: usize = 64;

/// Draws of an item before a user is taken to have all of a part.
const DRAWS: usize = 16;

/// What is learned from one interaction.
pub(super) trait Rule: Sync {
    /// Moves the row of a user, that of the item at `chosen` and of items drawn from the block; returns the loss before.
    fn learn(&self, user: &mut [f32], chosen: usize, block: &mut Block<'_>) -> f64;
}

/// The items at hand.
pub(super) struct Block<'a> {
    /// Rows of the items, one after another.
    items: &'a mut [f32],
    stride: usize,
    /// The number of each.
    numbers: &'a [u32],
    /// The items that the user chose, ascending.
    held: &'a [u32],
    random: Random,
}

impl Block<'_> {
    /// A random item that the user did not choose; none when it looks as if there were none.
    pub(super) fn other(&mut self) -> Option<usize> {
        for _ in 0..DRAWS {
            let at = self.random.below(self.numbers.len());
            if self.held.binary_search(self.numbers.get(at)?).is_err() {
                return Some(at);
            }
        }
        None
    }

    /// Two different items to be changed.
    pub(super) fn pair_mut(&mut self, one: usize, two: usize) -> Option<(&mut [f32], &mut [f32])> {
        let row = |at: usize| at * self.stride..(at + 1) * self.stride;
        let [one, two] = self.items.get_disjoint_mut([row(one), row(two)]).ok()?;
        Some((one, two))
    }
}

/// The interactions and where they are in the current deal.
pub(super) struct Strata<'a> {
    interactions: &'a Csr<f32>,
    /// First user of each part, and the end of the last.
    users: Vec<usize>,
    /// Item of each position.
    numbers: Vec<u32>,
    /// Where a part begins, and the end of the last.
    items: Vec<usize>,
    seed: u64,
}

impl<'a> Strata<'a> {
    /// Cells of weight zero are no interactions; others count alike.
    pub(super) fn new(interactions: &'a Csr<f32>, seed: u64) -> Self {
        let (users, items) = (interactions.rows(), interactions.columns());
        let parts = (items / ITEMS).min(users).clamp(1, PARTS);
        // Parts of about as many cells each.
        let cells = interactions.pattern().cells();
        let mut bounds = vec![0];
        let mut passed = 0;
        for user in 0..users {
            if passed * parts >= cells * bounds.len() && bounds.len() < parts && user > 0 {
                bounds.push(user);
            }
            passed += interactions.row(user).0.len();
        }
        bounds.resize(parts + 1, users);
        Self {
            interactions,
            users: bounds,
            numbers: (0..items as u32).collect(),
            items: (0..=parts).map(|part| part * items / parts).collect(),
            seed,
        }
    }

    /// Uses every interaction once, from the factors and to them; `items` are in the order of the last deal. Returns the mean loss.
    pub(super) fn epoch(
        &mut self,
        epoch: u64,
        rule: &impl Rule,
        users: &mut Factors,
        items: &mut Factors,
        host: &dyn Host,
    ) -> Result<f64> {
        let stride = users.stride;
        let parts = self.items.len() - 1;
        let cells = self.interactions.pattern().cells();
        let _memory = (
            reserve_for::<[u32; 2]>(host, cells, "order of the interactions")?,
            reserve_for::<f32>(host, items.values.len(), "item factors in another order")?,
        );
        self.deal(epoch, items);
        let mut places = vec![0_u32; self.numbers.len()];
        for (place, &item) in self.numbers.iter().enumerate() {
            if let Some(slot) = places.get_mut(item as usize) {
                *slot = place as u32;
            }
        }
        let buckets = (0..parts)
            .into_par_iter()
            .map(|part| self.buckets(part, &places, host))
            .collect::<Result<Vec<_>>>()?;
        let (mut loss, mut used) = (0.0, 0);
        for round in 0..parts {
            let mut item_parts: Vec<Option<&mut [f32]>> = Vec::with_capacity(parts);
            let mut rest = items.values.as_mut_slice();
            for bounds in self.items.windows(2) {
                let (part, further) = rest.split_at_mut((bounds[1] - bounds[0]) * stride);
                item_parts.push(Some(part));
                rest = further;
            }
            let mut tasks = Vec::with_capacity(parts);
            let mut rest = users.values.as_mut_slice();
            for (part, bounds) in self.users.windows(2).enumerate() {
                let (rows, further) = rest.split_at_mut((bounds[1] - bounds[0]) * stride);
                rest = further;
                let met = (part + round) % parts;
                let items = item_parts
                    .get_mut(met)
                    .and_then(Option::take)
                    .ok_or(Error::Internal("each part of the items is met once"))?;
                tasks.push((part, met, rows, items));
            }
            let losses = tasks
                .into_par_iter()
                .map(|(part, met, rows, items)| {
                    let stream = ((epoch + 1) << 16) + (part * parts + met) as u64;
                    let mut block = Block {
                        items,
                        stride,
                        numbers: &self.numbers[self.items[met]..self.items[met + 1]],
                        held: &[],
                        random: Random::stream(self.seed, (1 << 40) + stream),
                    };
                    let mut meter = Meter::new(host);
                    let mut loss = 0.0;
                    for &(user, place) in &buckets[part][met] {
                        meter.spend(8 * stride)?;
                        block.held = self.interactions.row(self.users[part] + user as usize).0;
                        let row = &mut rows[user as usize * stride..][..stride];
                        loss += rule.learn(row, place as usize, &mut block);
                    }
                    Ok((loss, buckets[part][met].len()))
                })
                .collect::<Result<Vec<(f64, usize)>>>()?;
            for (part, count) in losses {
                loss += part;
                used += count;
            }
        }
        Ok(loss / used.max(1) as f64)
    }

    /// Deals the items to the parts anew and moves their rows there.
    fn deal(&mut self, epoch: u64, items: &mut Factors) {
        let mut random = Random::stream(self.seed, (1 << 50) + epoch);
        let mut order: Vec<usize> = (0..self.numbers.len()).collect();
        for last in (1..order.len()).rev() {
            order.swap(last, random.below(last + 1));
        }
        self.reorder(&order, items);
    }

    /// Brings the items back into their own order.
    pub(super) fn gather(&mut self, items: &mut Factors) {
        let mut order: Vec<usize> = (0..self.numbers.len()).collect();
        order.sort_unstable_by_key(|at| self.numbers[*at]);
        self.reorder(&order, items);
    }

    fn reorder(&mut self, order: &[usize], items: &mut Factors) {
        let stride = items.stride;
        let mut values = Vec::with_capacity(items.values.len());
        for &from in order {
            values.extend_from_slice(&items.values[from * stride..(from + 1) * stride]);
        }
        items.values = values;
        self.numbers = order.iter().map(|from| self.numbers[*from]).collect();
    }

    /// For each part of the items, the users of a part (counted from its first) and the places of what they chose there.
    fn buckets(
        &self,
        part: usize,
        places: &[u32],
        host: &dyn Host,
    ) -> Result<Vec<Vec<(u32, u32)>>> {
        let parts = self.items.len() - 1;
        let mut buckets = vec![Vec::new(); parts];
        let mut meter = Meter::new(host);
        let first = self.users[part];
        let mut part_of = vec![0_u32; places.len()];
        for (at, bounds) in self.items.windows(2).enumerate() {
            part_of[bounds[0]..bounds[1]].fill(at as u32);
        }
        for user in first..self.users[part + 1] {
            let (items, weights) = self.interactions.row(user);
            meter.spend(8 * items.len() + 1)?;
            for (&item, &weight) in items.iter().zip(weights) {
                if weight > 0.0 {
                    let place = places[item as usize];
                    let part = part_of[place as usize] as usize;
                    buckets[part].push(((user - first) as u32, place - self.items[part] as u32));
                }
            }
        }
        Ok(buckets)
    }
}
