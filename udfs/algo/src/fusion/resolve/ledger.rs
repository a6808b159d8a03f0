//! A trained comparison that remembers: new records touch only what they touch.
//!
//! What was learnt stays as it is (the probabilities, how frequent values are, which values are placeholders); what grows is the
//! blocking index and the links. New records are compared with the records in their blocks, and of the entities only the
//! connected pieces that gained or lost a link are clustered again, from all their links and in the order of the records' keys. So it
//! does not matter in how many portions records come: the entities are those of one portion with the same model.
//!
//! Start at [`Ledger::train`].

mod bytes;

use std::collections::{HashMap, HashSet};

use super::block::{NONE, combined, part_key};
use super::cluster::{Basis, Clusters, Edge, Limits};
use super::column::{Kind, normal};
use super::compare::Memo;
use super::model::{Model, Scorer, weight_of};
use super::{
    BlockRule, Field, LEAST_EVIDENCE, LEAST_ID_EVIDENCE, Records, Resolve, best_first, shared,
};
use crate::fusion::intern::{Integers, Strings};
use crate::fusion::stitch::{Cap, NULL};
use crate::host::{Host, Meter, Reservation, reserve_for};
use crate::{Error, Result};

/// An identifier of new records.
#[derive(Debug, Clone, Copy)]
pub struct IdField<'a> {
    /// For each record the number of its value in `values`, or [`NULL`].
    pub codes: &'a [u32],
    /// The distinct values, normalised.
    pub values: &'a Strings,
    /// At most so many distinct values of this identifier in an entity; `None` for no limit.
    pub max_values: Option<usize>,
    /// Whether records with the same value are joined.
    pub links: bool,
}

/// Records to add.
#[derive(Debug, Clone, Copy, Default)]
pub struct Portion<'a> {
    /// A number for each record that is its own and depends on its key alone, such as a hash: it orders the records.
    pub ranks: &'a [u64],
    /// The columns to compare, of the same kinds in every portion.
    pub fields: &'a [Field<'a>],
    /// Identifiers, the same in every portion.
    pub ids: &'a [IdField<'a>],
    /// For each record the number of its source, where [`Resolve::one_to_one`] or [`Resolve::across_sources`] need it.
    pub source: Option<&'a [u32]>,
}

/// A trained comparison with the records it has been given.
#[derive(Debug)]
pub struct Ledger {
    options: Resolve,
    model: Model,
    scorer: Scorer,
    /// By column the values that were placeholders in training.
    ignored: Vec<HashSet<u32>>,
    kinds: Vec<Kind>,
    blocks: Vec<Index>,
    ids: Vec<Id>,
    ranks: Vec<u64>,
    known: HashSet<u64>,
    sources: Vec<u32>,
    edges: HashMap<(u32, u32), Edge>,
    around: Vec<Vec<u32>>,
    entity: Vec<u32>,
    link: Vec<Option<Edge>>,
    memory: Vec<Reservation>,
}

/// An identifier and its holders.
#[derive(Debug)]
struct Id {
    max_values: Option<usize>,
    links: bool,
    holders: Index,
}

/// Records by a key, in lists through the records.
#[derive(Debug, Default)]
struct Index {
    keys: Integers,
    heads: Vec<u32>,
    counts: Vec<u32>,
    /// By record the number of its key, and the record before it with the same.
    of_record: Vec<u32>,
    before: Vec<u32>,
}

impl Index {
    fn push(&mut self, key: Option<u64>, host: &dyn Host) -> Result<()> {
        let record = self.of_record.len() as u32;
        let Some(key) = key else {
            self.of_record.push(NONE);
            self.before.push(NONE);
            return Ok(());
        };
        let number = self.keys.intern(key, host)?;
        let at = number as usize;
        if at == self.heads.len() {
            self.heads.push(NONE);
            self.counts.push(0);
        }
        self.of_record.push(number);
        self.before.push(self.heads[at]);
        self.heads[at] = record;
        self.counts[at] += 1;
        Ok(())
    }

    /// The records that share a record's key, the newest first, unless they are more than `most`.
    fn mates(&self, record: u32, most: usize) -> impl Iterator<Item = u32> {
        let number = self.of_record[record as usize];
        let small = number != NONE && self.counts[number as usize] as usize <= most;
        let head = if small {
            self.heads[number as usize]
        } else {
            NONE
        };
        self.list(head)
    }

    fn list(&self, head: u32) -> impl Iterator<Item = u32> {
        let first = (head != NONE).then_some(head);
        std::iter::successors(first, |at| {
            Some(self.before[*at as usize]).filter(|before| *before != NONE)
        })
    }

    /// Whether two records share a key that at most `most` records have.
    fn share(&self, a: u32, b: u32, most: usize) -> bool {
        let number = self.of_record[a as usize];
        number != NONE
            && number == self.of_record[b as usize]
            && self.counts[number as usize] as usize <= most
    }
}

impl Ledger {
    /// Learns from `portion` as [`Resolve::fit`] does, and takes its records.
    ///
    /// # Errors
    /// As [`Resolve::fit`]; [`Error::Data`] when nothing could be learnt, for want of records or of values to compare, or when two records
    /// have the same rank.
    pub fn train(options: &Resolve, portion: &Portion<'_>, host: &dyn Host) -> Result<Self> {
        let data = Records {
            records: portion.ranks.len(),
            fields: portion.fields,
            source: portion.source,
            ..Records::default()
        };
        options.check(&data)?;
        let compared = options.compare(&data, host)?;
        let (Some(mut scorer), Some(model)) = (compared.scorer, compared.model) else {
            return Err(Error::data(
                "there is nothing to learn from",
                "Train on at least two records with values in the columns to compare.",
            ));
        };
        scorer.clear();
        let options = Resolve {
            rules: compared.rules,
            ..options.clone()
        };
        let mut ledger = Self::empty(options, model, scorer, compared.placeholders, portion);
        ledger.insert(portion, host)?;
        Ok(ledger)
    }

    fn empty(
        options: Resolve,
        model: Model,
        scorer: Scorer,
        ignored: Vec<HashSet<u32>>,
        portion: &Portion<'_>,
    ) -> Self {
        let ids = portion.ids.iter().map(|id| Id {
            max_values: id.max_values,
            links: id.links,
            holders: Index::default(),
        });
        Self {
            blocks: options.rules.iter().map(|_| Index::default()).collect(),
            kinds: portion.fields.iter().map(|field| field.kind).collect(),
            ids: ids.collect(),
            options,
            model,
            scorer,
            ignored,
            ranks: Vec::new(),
            known: HashSet::new(),
            sources: Vec::new(),
            edges: HashMap::new(),
            around: Vec::new(),
            entity: Vec::new(),
            link: Vec::new(),
            memory: Vec::new(),
        }
    }

    /// The same model without records.
    pub fn cleared(mut self) -> Self {
        self.scorer.clear();
        self.blocks = self
            .options
            .rules
            .iter()
            .map(|_| Index::default())
            .collect();
        for id in &mut self.ids {
            id.holders = Index::default();
        }
        self.known.clear();
        self.edges.clear();
        self.around.clear();
        self.ranks.clear();
        self.sources.clear();
        self.entity.clear();
        self.link.clear();
        self.memory.clear();
        self
    }

    /// How it resolves; the rules are those in use.
    pub fn options(&self) -> &Resolve {
        &self.options
    }

    /// Whether there is a record of this rank.
    pub fn contains(&self, rank: u64) -> bool {
        self.known.contains(&rank)
    }

    /// What was learnt.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The blocking rules.
    pub fn rules(&self) -> &[BlockRule] {
        &self.options.rules
    }

    /// For each record, in the order of coming, the record of its entity with the smallest rank.
    pub fn entity(&self) -> &[u32] {
        &self.entity
    }

    /// For each record the link by which it came to its entity.
    pub fn links(&self) -> &[Option<Edge>] {
        &self.link
    }

    /// Takes records in, and returns those, old and new, whose entity changed, ascending; new records always are among them.
    ///
    /// Time in proportion to the new records, the records in their blocks and the connected pieces they touch.
    ///
    /// # Errors
    /// [`Error::Data`] for a rank that is there already; [`Error::Internal`] for columns other than those of training;
    /// [`Error::OutOfMemory`]; [`Error::Cancelled`]. After an error the ledger is not to be used.
    pub fn insert(&mut self, portion: &Portion<'_>, host: &dyn Host) -> Result<Vec<u32>> {
        let first = self.ranks.len() as u32;
        self.take(portion, host)?;
        let end = self.ranks.len() as u32;
        let mut touched: Vec<u32> = (first..end).collect();
        self.overflow(first, &mut touched);
        self.compare(first..end, host)?;
        let changed = self.recluster(&touched, host)?;
        Ok(changed
            .into_iter()
            .chain(first..end)
            .collect::<std::collections::BTreeSet<u32>>()
            .into_iter()
            .collect())
    }

    /// Normalises the records and puts them into the indexes.
    fn take(&mut self, portion: &Portion<'_>, host: &dyn Host) -> Result<()> {
        let records = portion.ranks.len();
        let kinds = portion.fields.iter().map(|field| field.kind);
        let needs_source = self.options.one_to_one || self.options.across_sources;
        let fits = |length: usize| length == records;
        if !kinds.eq(self.kinds.iter().copied())
            || portion.ids.len() != self.ids.len()
            || !portion.fields.iter().all(|field| fits(field.codes.len()))
            || !portion.ids.iter().all(|id| fits(id.codes.len()))
            || !portion
                .source
                .map_or(!needs_source, |source| fits(source.len()))
        {
            return Err(Error::Internal("columns as in training"));
        }
        let width = self.kinds.len() + 2 * (self.blocks.len() + self.ids.len()) + 24;
        self.memory.push(reserve_for::<u32>(
            host,
            records.saturating_mul(width),
            "records of the model",
        )?);
        let mut columns = Vec::with_capacity(portion.fields.len());
        for (at, field) in portion.fields.iter().enumerate() {
            let mut numbers = Vec::with_capacity(field.values.len());
            for raw in 0..field.values.len() as u32 {
                let text = std::str::from_utf8(field.values.get(raw).unwrap_or_default())
                    .unwrap_or_default();
                let number = match normal(field.kind, text) {
                    None => NULL,
                    Some(text) => self.scorer.number(at, &text, host)?,
                };
                let placeholder = self
                    .ignored
                    .get(at)
                    .is_some_and(|ignored| ignored.contains(&number));
                numbers.push(if placeholder { NULL } else { number });
            }
            columns.push(numbers);
        }
        let mut meter = Meter::new(host);
        let mut row = vec![NULL; columns.len()];
        for record in 0..records {
            meter.spend(1024)?;
            if !self.known.insert(portion.ranks[record]) {
                return Err(Error::data(
                    format!("record {record} has the rank of another"),
                    "Give every record a key of its own.",
                ));
            }
            for (cell, (numbers, field)) in row.iter_mut().zip(columns.iter().zip(portion.fields)) {
                *cell = match field.codes[record] {
                    NULL => NULL,
                    code => *numbers
                        .get(code as usize)
                        .ok_or(Error::Internal("a code below the number of values"))?,
                };
            }
            self.scorer.push(&row);
            self.index(&row, host)?;
            for (id, field) in self.ids.iter_mut().zip(portion.ids) {
                let text = field
                    .values
                    .get(field.codes[record])
                    .filter(|_| field.codes[record] != NULL);
                id.holders
                    .push(text.map(xxhash_rust::xxh3::xxh3_64), host)?;
            }
            self.entity.push(self.ranks.len() as u32);
            self.ranks.push(portion.ranks[record]);
            self.sources
                .push(portion.source.map_or(0, |source| source[record]));
            self.around.push(Vec::new());
            self.link.push(None);
        }
        Ok(())
    }

    /// Puts the next record into the blocks.
    fn index(&mut self, row: &[u32], host: &dyn Host) -> Result<()> {
        for (rule, index) in self.options.rules.iter().zip(&mut self.blocks) {
            let part = |&(at, part): &(usize, super::Part)| {
                let (code, kind) = (row[at], self.kinds[at]);
                let hash = || part_key(kind, part, self.scorer.values_of(at), code);
                (code != NULL).then(|| (hash(), kind == Kind::Name))
            };
            index.push(combined(rule.parts.iter().map(part)), host)?;
        }
        Ok(())
    }

    fn most_in_block(&self) -> usize {
        self.options.max_records_per_block
    }

    fn most_holders(&self) -> usize {
        self.options.max_records_per_value.unwrap_or(usize::MAX)
    }

    /// The first rule that brings two records together now.
    fn rule_of(&self, a: u32, b: u32) -> Option<u32> {
        let most = self.most_in_block();
        (0..)
            .zip(&self.blocks)
            .find(|(_, block)| block.share(a, b, most))
            .map(|(rule, _)| rule)
    }

    /// Blocks that have grown too large, and values with too many holders, link no more: their records are touched, and links that no other rule
    /// supports go.
    fn overflow(&mut self, first: u32, touched: &mut Vec<u32>) {
        let most = self.most_in_block();
        let grown = |index: &Index, most: usize| -> Vec<u32> {
            let new = index
                .of_record
                .iter()
                .skip(first as usize)
                .filter(|number| **number != NONE);
            let mut grown: Vec<u32> = new
                .copied()
                .filter(|number| index.counts[*number as usize] as usize > most)
                .collect();
            grown.sort_unstable();
            grown.dedup();
            // Those that were too large before have nothing left to lose.
            let oldest_new = |number: &u32| {
                let new = index
                    .list(index.heads[*number as usize])
                    .take_while(|record| *record >= first)
                    .count();
                index.counts[*number as usize] as usize - new <= most
            };
            grown.retain(oldest_new);
            grown
        };
        for id in &self.ids {
            for number in grown(&id.holders, self.most_holders()) {
                touched.extend(id.holders.list(id.holders.heads[number as usize]));
            }
        }
        for rule in 0..self.blocks.len() {
            for number in grown(&self.blocks[rule], most) {
                let members: Vec<u32> = self.blocks[rule]
                    .list(self.blocks[rule].heads[number as usize])
                    .collect();
                for &record in &members {
                    for other in self.around[record as usize].clone() {
                        let pair = (record.min(other), record.max(other));
                        match self.rule_of(record, other) {
                            Some(rule) => {
                                if let Some(edge) = self.edges.get_mut(&pair) {
                                    edge.basis = Basis::Compared(rule);
                                }
                            }
                            None => {
                                self.edges.remove(&pair);
                                self.around[record as usize].retain(|near| *near != other);
                                self.around[other as usize].retain(|near| *near != record);
                                touched.extend([record, other]);
                            }
                        }
                    }
                }
                touched.extend(members);
            }
        }
    }

    /// Compares new records with those in their blocks that came before.
    fn compare(&mut self, new: std::ops::Range<u32>, host: &dyn Host) -> Result<()> {
        let floor = weight_of(self.options.threshold);
        let most = self.most_in_block();
        let mut memo = Memo::new(self.kinds.len());
        let mut meter = Meter::new(host);
        for record in new {
            for (rule, index) in self.blocks.iter().enumerate() {
                for other in index.mates(record, most).filter(|other| *other < record) {
                    meter.spend(256)?;
                    let crosses = !self.options.across_sources
                        || self.sources[other as usize] != self.sources[record as usize];
                    let earlier = self.blocks[..rule]
                        .iter()
                        .any(|index| index.share(record, other, most));
                    if !crosses || earlier {
                        continue;
                    }
                    // Sums of floating point numbers depend on which record is asked about first.
                    let (a, b) = if self.ranks[other as usize] < self.ranks[record as usize] {
                        (other, record)
                    } else {
                        (record, other)
                    };
                    if let Some(verdict) = self.scorer.score(a, b, floor, &mut memo) {
                        let edge = Edge {
                            left: other,
                            right: record,
                            weight: verdict.weight as f32,
                            basis: Basis::Compared(rule as u32),
                        };
                        self.edges.insert((other, record), edge);
                        self.around[record as usize].push(other);
                        self.around[other as usize].push(record);
                    }
                }
            }
        }
        Ok(())
    }

    /// Clusters the connected pieces of the touched records again; returns the records whose entity changed.
    fn recluster(&mut self, touched: &[u32], host: &dyn Host) -> Result<Vec<u32>> {
        let mut seen = vec![false; self.ranks.len()];
        let mut changed = Vec::new();
        let mut meter = Meter::new(host);
        for &start in touched {
            if seen[start as usize] {
                continue;
            }
            let piece = self.piece(start, &mut seen, &mut meter)?;
            self.cluster(&piece, &mut changed, host)?;
        }
        Ok(changed)
    }

    /// All records that hang together with one, by links or shared identifiers, in the order of their ranks.
    fn piece(&self, start: u32, seen: &mut [bool], meter: &mut Meter<'_>) -> Result<Vec<u32>> {
        let mut piece = vec![start];
        seen[start as usize] = true;
        let mut at = 0;
        while let Some(&record) = piece.get(at) {
            at += 1;
            meter.spend(256)?;
            let linking = self.ids.iter().filter(|id| id.links);
            let holders = linking.flat_map(|id| id.holders.mates(record, self.most_holders()));
            for near in self.around[record as usize].iter().copied().chain(holders) {
                if !std::mem::replace(&mut seen[near as usize], true) {
                    piece.push(near);
                }
            }
        }
        piece.sort_unstable_by_key(|record| self.ranks[*record as usize]);
        Ok(piece)
    }

    fn cluster(&mut self, piece: &[u32], changed: &mut Vec<u32>, host: &dyn Host) -> Result<()> {
        let place: HashMap<u32, u32> = piece.iter().copied().zip(0..).collect();
        let local = |record: u32| {
            place
                .get(&record)
                .copied()
                .ok_or(Error::Internal("links stay in their piece"))
        };
        let mut edges = Vec::new();
        for &record in piece {
            for other in self.around[record as usize]
                .iter()
                .filter(|other| **other < record)
            {
                let edge = self
                    .edges
                    .get(&(*other, record))
                    .ok_or(Error::Internal("an edge of each pair"))?;
                let (a, b) = (local(*other)?, local(record)?);
                edges.push(Edge {
                    left: a.min(b),
                    right: a.max(b),
                    ..*edge
                });
            }
        }
        edges.sort_unstable_by(best_first);
        let mut caps = Vec::new();
        let mut id_edges = Vec::new();
        for (at, id) in (0_u32..).zip(&self.ids) {
            let few = |number: u32| {
                number != NONE
                    && (!id.links
                        || id.holders.counts[number as usize] as usize <= self.most_holders())
            };
            let number = |record: &u32| {
                Some(id.holders.of_record[*record as usize])
                    .filter(|number| few(*number))
                    .unwrap_or(NULL)
            };
            let numbers: Vec<u32> = piece.iter().map(number).collect();
            if id.links {
                id_edges.extend(shared(at, &numbers));
            }
            if let Some(most) = id.max_values {
                let memory =
                    reserve_for::<u32>(host, piece.len(), "distinct values of the entities")?;
                caps.push(Cap::over(at, most, numbers, memory));
            }
        }
        let limits = Limits {
            records: self.options.max_records_per_entity,
            evidence: LEAST_EVIDENCE,
            id_evidence: LEAST_ID_EVIDENCE,
            together: weight_of(self.options.threshold),
        };
        let sources: Option<Vec<u32>> = self.options.one_to_one.then(|| {
            piece
                .iter()
                .map(|record| self.sources[*record as usize])
                .collect()
        });
        let scorer = Some(&self.scorer);
        let clusters = Clusters::new(
            piece.len(),
            limits,
            scorer,
            caps,
            sources.as_deref(),
            &[],
            host,
        )?;
        let mut clusters = clusters.named(piece);
        clusters.join_all(&id_edges, host)?;
        clusters.join_all(&edges, host)?;
        let (entity, _, accepted, _) = clusters.finish();
        for (record, root) in piece.iter().zip(entity) {
            let root = piece[root as usize];
            if std::mem::replace(&mut self.entity[*record as usize], root) != root {
                changed.push(*record);
            }
            self.link[*record as usize] = None;
        }
        for edge in accepted {
            let (left, right) = (piece[edge.left as usize], piece[edge.right as usize]);
            let edge = Edge {
                left: left.min(right),
                right: left.max(right),
                ..edge
            };
            for record in [left, right] {
                self.link[record as usize].get_or_insert(edge);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
