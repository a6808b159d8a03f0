//! Models that score an item by what each item of a user's history adds to it: neighbourhoods, walks, filters and linear autoencoders on the graph
//! of items.
//!
//! All of them are one [`ItemModel`]: for a history with weights h_j the score of item i is `sum_j h_j S_ji`, S being sparse, dense, or sparse with a
//! thin product beside it. So a user who was never trained on costs the same as any other, and every score is a sum over the history that can be shown
//! ([`ItemModel::because`]). How h is made (decay by age, see [`recency`]) is independent of the model. Start at [`ItemKnn`], the simplest.

use ndarray::{Array2, ArrayView1};

use super::top_k::{Exclusion, ItemTable, Onto, Ranked};
use crate::host::{Host, reserve_for};
use crate::sparse::{Csr, Pattern};
use crate::{Error, Result};

mod ease;
mod graph_filter;
mod item_knn;
mod neighbours;
pub mod recency;
mod rp3beta;

pub use ease::Ease;
pub use graph_filter::GraphFilter;
pub use item_knn::{ItemKnn, Similarity};
pub use recency::Recency;
pub use rp3beta::Rp3beta;

/// What an item of a history adds to the others.
#[derive(Debug)]
pub enum Graph {
    /// Items x items, row j being what item j adds; values are positive and what is not stored is nothing.
    Sparse(Csr<f32>),
    /// Items x items in full, row j being what item j adds.
    Dense(Array2<f32>),
}

/// A thin product that is added to a graph: item j adds `from_j to_i` to item i.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// Items x factors.
    pub from: Array2<f32>,
    /// Items x factors.
    pub to: Array2<f32>,
}

/// A model of item-to-item weights; see the module.
#[derive(Debug)]
pub struct ItemModel {
    graph: Graph,
    filter: Option<Filter>,
}

impl ItemModel {
    /// A model of its parts, as they were trained or have been read back.
    ///
    /// # Errors
    /// [`Error::Data`] for parts of different sizes, values that are not finite, or values of a sparse graph that are not positive.
    pub fn new(graph: Graph, filter: Option<Filter>) -> Result<Self> {
        let wrong = || {
            Error::data(
                "the parts of the model do not belong together",
                "Train the model again.",
            )
        };
        let items = match &graph {
            Graph::Sparse(graph) => {
                if graph.rows() != graph.columns()
                    || graph.values().iter().any(|value| *value <= 0.0)
                {
                    return Err(wrong());
                }
                graph.rows()
            }
            Graph::Dense(graph) => {
                if graph.nrows() != graph.ncols() || !graph.is_standard_layout() {
                    return Err(wrong());
                }
                if graph.iter().any(|value| !value.is_finite()) {
                    return Err(Error::data(
                        "the weights of the model are not finite",
                        "Raise \"regularization\".",
                    ));
                }
                graph.nrows()
            }
        };
        if let Some(Filter { from, to }) = &filter
            && (from.dim() != to.dim()
                || from.nrows() != items
                || from.iter().chain(to).any(|value| !value.is_finite()))
        {
            return Err(wrong());
        }
        Ok(Self { graph, filter })
    }

    /// What items add to each other.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The thin product beside the graph, where the model has one.
    pub fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }

    /// Number of items.
    pub fn items(&self) -> usize {
        match &self.graph {
            Graph::Sparse(graph) => graph.rows(),
            Graph::Dense(graph) => graph.nrows(),
        }
    }

    /// Memory that the model holds.
    pub fn bytes(&self) -> usize {
        let graph = match &self.graph {
            Graph::Sparse(graph) => graph.bytes(),
            Graph::Dense(graph) => graph.len() * size_of::<f32>(),
        };
        let filter = self.filter.as_ref();
        graph + filter.map_or(0, |filter| 2 * filter.from.len() * size_of::<f32>())
    }

    /// The scores of all items for one history of items and weights of zero or more.
    ///
    /// # Errors
    /// [`Error::Data`] for an item that the model does not have or a negative weight.
    pub fn scores(&self, items: &[u32], weights: &[f32]) -> Result<Vec<f32>> {
        self.check_history(items, weights)?;
        let mut scores = vec![0.0; self.items()];
        self.add(items, weights, None, &mut scores);
        if let Some(filter) = &self.filter {
            let signal = signal(filter, items, weights);
            for (score, to) in scores.iter_mut().zip(filter.to.outer_iter()) {
                // In the order of `ItemTable`, so that the bits are those of a list.
                *score += product(&signal, to);
            }
        }
        Ok(scores)
    }

    /// The `n` items of a history that carry the most of the score of `item`, with what each adds, falling; items that add nothing or less are
    /// left out. Time O(history log neighbours).
    ///
    /// # Errors
    /// As [`ItemModel::scores`].
    pub fn because(
        &self,
        items: &[u32],
        weights: &[f32],
        item: u32,
        n: usize,
    ) -> Result<Vec<(u32, f32)>> {
        self.check_history(items, weights)?;
        self.check_history(&[item], &[1.0])?;
        let target = item as usize;
        let mut parts: Vec<(u32, f32)> = items
            .iter()
            .zip(weights)
            .map(|(&from, &weight)| {
                let row = from as usize;
                let direct = match &self.graph {
                    Graph::Sparse(graph) => {
                        let (columns, values) = graph.row(row);
                        let at = columns.binary_search(&item).ok();
                        at.and_then(|at| values.get(at).copied()).unwrap_or(0.0)
                    }
                    Graph::Dense(graph) => graph.get((row, target)).copied().unwrap_or(0.0),
                };
                let filtered = self.filter.as_ref().map_or(0.0, |filter| {
                    filter.from.row(row).dot(&filter.to.row(target))
                });
                (from, weight * (direct + filtered))
            })
            .filter(|(_, part)| *part > 0.0)
            .collect();
        parts.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        parts.truncate(n);
        Ok(parts)
    }

    /// Prepares lists of all items or of the `candidates` (in any order, repeated ones once), for any number of calls.
    ///
    /// # Errors
    /// [`Error::Data`] for a candidate that is not an item; [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn scorer(&self, candidates: Option<&[u32]>, host: &dyn Host) -> Result<ItemScorer<'_>> {
        let none = Array2::zeros((self.items(), 0));
        let to = self.filter.as_ref().map_or(&none, |filter| &filter.to);
        let table = ItemTable::new(to.view(), candidates, host)?;
        let positions = match table.candidates() {
            None => None,
            Some(candidates) => {
                // Not reserved: four bytes an item beside a model that holds far more for each.
                let mut positions = vec![u32::MAX; self.items()];
                for (position, &item) in candidates.iter().enumerate() {
                    if let Some(slot) = positions.get_mut(item as usize) {
                        *slot = position as u32;
                    }
                }
                Some(positions)
            }
        };
        Ok(ItemScorer {
            model: self,
            table,
            positions,
        })
    }

    /// The `k` items that each of `items` leads to most, itself left out.
    ///
    /// # Errors
    /// As [`ItemScorer::top_k`].
    pub fn similar(
        &self,
        items: &[u32],
        k: usize,
        candidates: Option<&[u32]>,
        host: &dyn Host,
    ) -> Result<Ranked> {
        let rows: Vec<u32> = (0..items.len() as u32).collect();
        let ones = vec![1.0_f32; items.len()];
        let histories = Csr::from_triples(
            items.len(),
            self.items(),
            &rows,
            items,
            &ones,
            crate::Duplicates::Refuse,
            host,
        )?;
        let itself = Exclusion {
            items: histories.pattern(),
            rows: None,
        };
        self.scorer(candidates, host)?
            .top_k(&histories, k, &[itself], host)
    }

    fn check_history(&self, items: &[u32], weights: &[f32]) -> Result<()> {
        if items.len() != weights.len() {
            return Err(Error::Internal("a weight for each item"));
        }
        let held = self.items();
        if let Some(item) = items.iter().find(|item| **item as usize >= held) {
            return Err(Error::data(
                format!("item {item} is not one of the {held} items of the model"),
                "Leave out items that the model was not trained on.",
            ));
        }
        check_weights(weights)
    }

    /// Adds what the graph gives to `scores`, one for each item or, with `positions`, for each position that an item has.
    fn add(&self, items: &[u32], weights: &[f32], positions: Option<&[u32]>, scores: &mut [f32]) {
        for (&item, &weight) in items.iter().zip(weights) {
            match (&self.graph, positions) {
                (Graph::Sparse(graph), None) => {
                    let (columns, values) = graph.row(item as usize);
                    for (&column, value) in columns.iter().zip(values) {
                        scores[column as usize] += weight * value;
                    }
                }
                (Graph::Sparse(graph), Some(positions)) => {
                    let (columns, values) = graph.row(item as usize);
                    for (&column, value) in columns.iter().zip(values) {
                        // An item that is no candidate has a position past the end.
                        if let Some(score) = scores.get_mut(positions[column as usize] as usize) {
                            *score += weight * value;
                        }
                    }
                }
                (Graph::Dense(graph), None) => {
                    for (score, value) in scores.iter_mut().zip(graph.row(item as usize)) {
                        *score += weight * value;
                    }
                }
                (Graph::Dense(graph), Some(positions)) => {
                    for (&position, value) in positions.iter().zip(graph.row(item as usize)) {
                        if let Some(score) = scores.get_mut(position as usize) {
                            *score += weight * value;
                        }
                    }
                }
            }
        }
    }
}

/// A model ready to make lists; see [`ItemModel::scorer`].
#[derive(Debug)]
pub struct ItemScorer<'a> {
    model: &'a ItemModel,
    table: ItemTable,
    /// Where each item is among the candidates, past the end when it is none; `None` when all are.
    positions: Option<Vec<u32>>,
}

impl ItemScorer<'_> {
    /// Memory that this holds beside the model.
    pub fn bytes(&self) -> usize {
        self.table.bytes()
            + self
                .positions
                .as_ref()
                .map_or(0, |held| held.len() * size_of::<u32>())
    }

    /// The `k` best items for each of `histories`, q x items with weights of zero or more, that no exclusion names: fewer when there are
    /// fewer. A model that is only a sparse graph offers no item that nothing in the history leads to.
    ///
    /// Time `O(q (items (1 + factors) + neighbours of the history))`, memory 12 bytes an entry of the result.
    ///
    /// # Errors
    /// [`Error::Parameter`] for k below 1; [`Error::Data`] for more items than the model has or a negative weight; [`Error::OutOfMemory`];
    /// [`Error::Cancelled`].
    pub fn top_k(
        &self,
        histories: &Csr<f32>,
        k: usize,
        exclusions: &[Exclusion<'_>],
        host: &dyn Host,
    ) -> Result<Ranked> {
        let held = self.model.items();
        if histories.columns() > held {
            return Err(Error::data(
                format!(
                    "there are {} items, but the model has {held}",
                    histories.columns()
                ),
                "Leave out items that the model was not trained on.",
            ));
        }
        check_weights(histories.values())?;
        let users = histories.rows();
        let factors = self.model.filter.as_ref().map_or(0, |f| f.from.ncols());
        let _memory =
            reserve_for::<f32>(host, users.saturating_mul(factors), "filtered histories")?;
        let mut signals = Array2::zeros((users, factors));
        if let Some(filter) = &self.model.filter {
            for (user, mut row) in signals.outer_iter_mut().enumerate() {
                if user % 64 == 0 {
                    host.check()?;
                }
                let (items, weights) = histories.row(user);
                row.assign(&ArrayView1::from(&signal(filter, items, weights)));
            }
        }
        let positive = self.model.filter.is_none() && matches!(self.model.graph, Graph::Sparse(_));
        let onto = Onto {
            floor: if positive { 0.0 } else { f32::NEG_INFINITY },
            base: &|user, scores| {
                let (items, weights) = histories.row(user);
                self.model
                    .add(items, weights, self.positions.as_deref(), scores);
            },
            work: &|user| self.work(histories.pattern(), user),
        };
        self.table
            .top_k_onto(signals.view(), k, exclusions, Some(&onto), host)
    }

    /// Additions for the history of a user.
    fn work(&self, histories: &Pattern, user: usize) -> usize {
        let items = histories.row(user);
        match &self.model.graph {
            Graph::Sparse(graph) => items
                .iter()
                .map(|item| graph.pattern().row(*item as usize).len())
                .sum(),
            Graph::Dense(graph) => items.len() * graph.ncols() / 4,
        }
    }
}

/// A history in the space of the filter.
fn signal(filter: &Filter, items: &[u32], weights: &[f32]) -> Vec<f32> {
    let mut signal = vec![0.0_f32; filter.from.ncols()];
    for (&item, &weight) in items.iter().zip(weights) {
        for (sum, value) in signal.iter_mut().zip(filter.from.row(item as usize)) {
            *sum += weight * value;
        }
    }
    signal
}

fn product(signal: &[f32], to: ArrayView1<'_, f32>) -> f32 {
    signal
        .iter()
        .zip(to)
        .fold(0.0, |sum: f32, (a, b)| a.mul_add(*b, sum))
}

fn checked_neighbours(neighbours: usize) -> Result<usize> {
    if neighbours < 1 {
        return Err(Error::parameter(
            "neighbours",
            "\"neighbours\" must be at least 1",
            "Give the number of neighbours that are kept of each item, such as 200.",
        ));
    }
    Ok(neighbours)
}

fn checked_exponent(name: &'static str, value: f64) -> Result<()> {
    if (0.0..=2.0).contains(&value) {
        return Ok(());
    }
    Err(Error::parameter(
        name,
        format!("\"{name}\" must be from 0 to 2, not {value}"),
        "Give a number such as 0.5.",
    ))
}

fn checked_weights(interactions: &Csr<f32>) -> Result<()> {
    check_weights(interactions.values())?;
    if interactions.values().iter().all(|weight| *weight == 0.0) {
        return Err(Error::data(
            "there are no interactions to learn from",
            "Give a relation with at least one row of positive weight.",
        ));
    }
    Ok(())
}

fn check_weights(weights: &[f32]) -> Result<()> {
    match weights
        .iter()
        .find(|weight| !weight.is_finite() || **weight < 0.0)
    {
        None => Ok(()),
        Some(weight) => Err(Error::data(
            format!("weight {weight} is negative or not finite"),
            "Give weights of zero or more.",
        )),
    }
}

#[cfg(test)]
mod tests;
