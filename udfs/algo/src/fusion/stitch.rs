//! The identity graph: records that share the value of an identifier are one entity, unless a guard objects.
//!
//! Shared identifiers alone chain whole shops together, through a kiosk's device id or the phone of a call centre. So edges
//! are tried best first (identifiers in their given order, then rarer values, then record order) in a union-find that refuses
//! a union which would break a rule, and reports it. A refused union never comes back: sizes and sets of distinct values only
//! grow. Start at [`Stitch::fit`].

use std::collections::{HashMap, VecDeque};

use super::components::Forest;
use crate::host::{Host, Meter, Reservation, reserve_for};
use crate::{Error, Result};

/// The code of a missing value in an [`IdColumn`].
pub const NULL: u32 = u32::MAX;

/// One identifier of all records: an e-mail address, a device id.
#[derive(Debug, Clone, Copy)]
pub struct IdColumn<'a> {
    /// For each record the number of its value, below `values`, or [`NULL`]. Null-like values ([`super::is_null_like`])
    /// must have become [`NULL`].
    pub codes: &'a [u32],
    /// Number of distinct values.
    pub values: usize,
    /// At most so many distinct values of this identifier in an entity; `None` for no limit.
    pub max_values: Option<usize>,
    /// Whether records with the same value are joined. Otherwise the column only counts for `max_values`, and
    /// [`Stitch::max_records_per_value`] is not about it.
    pub links: bool,
}

/// The guards of the identity graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stitch {
    /// A value held by more records than this is taken as missing: it links nothing and does not count as a distinct value.
    /// `None` for no limit; otherwise at least 2.
    pub max_records_per_value: Option<usize>,
    /// A union that would make a larger entity is refused. `None` for no limit; otherwise at least 2.
    pub max_records_per_entity: Option<usize>,
}

impl Default for Stitch {
    /// 20 records a value, 200 records an entity.
    fn default() -> Self {
        Self {
            max_records_per_value: Some(20),
            max_records_per_entity: Some(200),
        }
    }
}

/// Entities found by [`Stitch::fit`]: for each record its place in one, and what was refused on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stitched {
    /// Smallest record of the entity of each record.
    pub entity: Vec<u32>,
    /// Records of that entity.
    pub entity_size: Vec<u32>,
    /// The link by which a record hangs together with the rest, one step nearer to the smallest record; `None` for that
    /// record itself.
    pub links: Vec<Option<Link>>,
    /// Unions that a guard refused, in the order they were tried. Of the entities that may not take a record over one value,
    /// the first is named.
    pub refusals: Vec<Refusal>,
    /// Values taken as missing because too many records hold them, by id column, most held first.
    pub ignored: Vec<IgnoredValue>,
}

/// An accepted link, from a record to the one it was joined to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The other record, which holds the same value.
    pub to: u32,
    /// Index of the id column that the value is of.
    pub id: u32,
}

/// Two records with a value in common whose entities were kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The record that stands for its entity: the one of the value's holders that came first.
    pub left: u32,
    /// The record that was to be joined.
    pub right: u32,
    /// Index of the id column that they agree on.
    pub id: u32,
    /// The guard that objected.
    pub rule: Rule,
}

/// A guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// [`Stitch::max_records_per_entity`].
    EntitySize,
    /// [`IdColumn::max_values`] of the id column with this index.
    MaxValues(u32),
}

/// A value over [`Stitch::max_records_per_value`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IgnoredValue {
    /// Index of the id column.
    pub id: u32,
    /// Code of the value in it.
    pub code: u32,
    /// Records that hold it.
    pub records: u32,
}

impl Stitch {
    /// Joins `records` records over the identifiers `ids`, the most trusted first.
    ///
    /// Time O(records x ids) apart from sorting the shared values; the holders of one value are at most tried pairwise, so a
    /// value held by m records costs up to m^2 / 2 steps when guards keep them all apart. Memory about 60 bytes a record,
    /// 8 bytes a record and id, and 16 bytes for each of at most records x ids refusals.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a guard out of range or no id column; [`Error::Data`] for more than 2^32 - 1 records;
    /// [`Error::Internal`] for codes that do not fit the column; [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn fit(&self, records: usize, ids: &[IdColumn<'_>], host: &dyn Host) -> Result<Stitched> {
        self.check(records, ids)?;
        let _memory = reserve_for::<[u32; 16]>(host, records, "identity graph")?;
        let columns = ids
            .iter()
            .map(|id| Holders::of(id, host))
            .collect::<Result<Vec<Holders>>>()?;
        let ignored = self.ignored(ids, &columns);

        let mut graph = Graph::new(records, ids, &columns, self, host)?;
        let total = ids.len() as u64;
        for (id, column) in columns.iter().enumerate() {
            host.progress("identity graph", id as u64, total, None);
            if ids.get(id).is_some_and(|id| id.links) {
                graph.join_holders(id as u32, column, host)?;
            }
        }
        host.progress("identity graph", total, total, None);
        graph.finish(records, ignored, host)
    }

    fn check(&self, records: usize, ids: &[IdColumn<'_>]) -> Result<()> {
        let at_least_two = |name: &'static str, limit: Option<usize>| match limit {
            Some(limit @ 0..=1) => Err(Error::parameter(
                name,
                format!("\"{name}\" must be at least 2, not {limit}"),
                "With a smaller limit no two records could ever be linked.",
            )),
            _ => Ok(()),
        };
        at_least_two("max_records_per_value", self.max_records_per_value)?;
        at_least_two("max_records_per_entity", self.max_records_per_entity)?;
        if !ids.iter().any(|id| id.links) {
            return Err(Error::parameter(
                "ids",
                "\"ids\" names no column",
                "Name at least one column that holds an identifier.",
            ));
        }
        for id in ids {
            if id.max_values == Some(0) {
                return Err(Error::parameter(
                    "max_values",
                    "\"max_values\" must be at least 1, not 0",
                    "Give the largest number of distinct values that one entity may have.",
                ));
            }
            if id.codes.len() != records {
                return Err(Error::Internal("a code for each record"));
            }
        }
        if u32::try_from(records).is_err() {
            return Err(Error::data(
                format!("{records} records are more than 4294967295"),
                "Split the relation.",
            ));
        }
        Ok(())
    }

    fn links(&self, holders: usize) -> bool {
        self.max_records_per_value
            .is_none_or(|most| holders <= most)
    }

    fn ignored(&self, ids: &[IdColumn<'_>], columns: &[Holders]) -> Vec<IgnoredValue> {
        let mut ignored = Vec::new();
        let linking = |(id, _): &(usize, _)| ids.get(*id).is_some_and(|id| id.links);
        for (id, column) in columns.iter().enumerate().filter(linking) {
            let start = ignored.len();
            for code in 0..column.values() {
                let records = column.of_value(code).len();
                if !self.links(records) {
                    ignored.push(IgnoredValue {
                        id: id as u32,
                        code: code as u32,
                        records: records as u32,
                    });
                }
            }
            ignored[start..].sort_by_key(|value| {
                let first = column.of_value(value.code as usize).first().copied();
                (std::cmp::Reverse(value.records), first)
            });
        }
        ignored
    }
}

/// The records that hold each value of an id column, in record order.
struct Holders {
    starts: Vec<u32>,
    records: Vec<u32>,
    _memory: Reservation,
}

impl Holders {
    fn of(id: &IdColumn<'_>, host: &dyn Host) -> Result<Self> {
        let bytes = id.values.saturating_add(1).saturating_add(id.codes.len());
        let memory = reserve_for::<u32>(host, bytes, "holders of the id values")?;
        let mut meter = Meter::new(host);
        let mut starts = vec![0_u32; id.values + 1];
        for &code in id.codes.iter().filter(|code| **code != NULL) {
            meter.spend(8)?;
            *starts
                .get_mut(code as usize)
                .filter(|_| (code as usize) < id.values)
                .ok_or(Error::Internal("id codes below the number of values"))? += 1;
        }
        let mut held = 0;
        for start in &mut starts {
            let count = *start;
            *start = held;
            held += count;
        }
        let mut next = starts.clone();
        let mut records = vec![0; held as usize];
        for (record, &code) in id.codes.iter().enumerate() {
            meter.spend(8)?;
            if code != NULL {
                let at = &mut next[code as usize];
                records[*at as usize] = record as u32;
                *at += 1;
            }
        }
        Ok(Self {
            starts,
            records,
            _memory: memory,
        })
    }

    fn values(&self) -> usize {
        self.starts.len() - 1
    }

    fn of_value(&self, code: usize) -> &[u32] {
        &self.records[self.starts[code] as usize..self.starts[code + 1] as usize]
    }
}

/// The entities so far.
struct Graph<'a> {
    guards: &'a Stitch,
    forest: Forest,
    /// Records of each entity, by root.
    sizes: Vec<u32>,
    /// One for each id column with a cap.
    caps: Vec<Cap>,
    links: Vec<(u32, Link)>,
    refusals: Vec<Refusal>,
    refusals_memory: Vec<Reservation>,
}

impl<'a> Graph<'a> {
    fn new(
        records: usize,
        ids: &[IdColumn<'_>],
        columns: &[Holders],
        guards: &'a Stitch,
        host: &dyn Host,
    ) -> Result<Self> {
        let mut caps = Vec::new();
        for (id, (column, holders)) in ids.iter().zip(columns).enumerate() {
            if let Some(most) = column.max_values {
                caps.push(Cap::new(id as u32, most, column, holders, guards, host)?);
            }
        }
        Ok(Self {
            guards,
            forest: Forest::new(records, host)?,
            sizes: vec![1; records],
            caps,
            links: Vec::new(),
            refusals: Vec::new(),
            refusals_memory: Vec::new(),
        })
    }

    /// Tries all links over one id column: rarer values first, then in the order of their first holders.
    fn join_holders(&mut self, id: u32, column: &Holders, host: &dyn Host) -> Result<()> {
        let _memory = reserve_for::<[u32; 3]>(host, column.values(), "shared id values")?;
        let mut shared: Vec<(u32, u32, u32)> = (0..column.values())
            .filter_map(|code| match column.of_value(code) {
                holders @ [first, _, ..] if self.guards.links(holders.len()) => {
                    Some((holders.len() as u32, *first, code as u32))
                }
                _ => None,
            })
            .collect();
        host.check()?;
        shared.sort_unstable();
        let mut meter = Meter::new(host);
        // Of each entity among the holders, the holder that came first, and the entity's root.
        let mut met: Vec<(u32, u32)> = Vec::new();
        for (_, first, code) in shared {
            met.clear();
            met.push((first, self.forest.root(first)));
            for &record in column.of_value(code as usize).iter().skip(1) {
                meter.spend(64 * met.len())?;
                self.join_record(id, record, &mut met, host)?;
            }
        }
        Ok(())
    }

    /// Joins `record` to the first of the entities `met` that may take it.
    fn join_record(
        &mut self,
        id: u32,
        record: u32,
        met: &mut Vec<(u32, u32)>,
        host: &dyn Host,
    ) -> Result<()> {
        let root = self.forest.root(record);
        if met.iter().any(|&(_, other)| other == root) {
            return Ok(());
        }
        let mut refused = None;
        for (left, other) in met.iter_mut() {
            match self.objection(*other, root) {
                None => {
                    *other = self.join(*other, root);
                    self.links.push((record, Link { to: *left, id }));
                    return refused.map_or(Ok(()), |refusal| self.refuse(refusal, host));
                }
                Some(rule) => {
                    refused.get_or_insert(Refusal {
                        left: *left,
                        right: record,
                        id,
                        rule,
                    });
                }
            }
        }
        met.push((record, root));
        refused.map_or(Ok(()), |refusal| self.refuse(refusal, host))
    }

    /// The guard that forbids joining two entities, given by their roots.
    fn objection(&self, a: u32, b: u32) -> Option<Rule> {
        let size = u64::from(self.sizes[a as usize]) + u64::from(self.sizes[b as usize]);
        if self
            .guards
            .max_records_per_entity
            .is_some_and(|most| size > most as u64)
        {
            return Some(Rule::EntitySize);
        }
        self.caps
            .iter()
            .find(|cap| cap.forbids(a, b))
            .map(|cap| Rule::MaxValues(cap.id))
    }

    fn join(&mut self, a: u32, b: u32) -> u32 {
        let root = self.forest.join(a, b);
        let child = if root == a { b } else { a };
        self.sizes[root as usize] += self.sizes[child as usize];
        for cap in &mut self.caps {
            cap.join(root, child);
        }
        root
    }

    fn refuse(&mut self, refusal: Refusal, host: &dyn Host) -> Result<()> {
        if self.refusals.len() == self.refusals.capacity() {
            let more = self.refusals.len().max(1024);
            self.refusals_memory
                .push(reserve_for::<Refusal>(host, more, "refused links")?);
            self.refusals.reserve_exact(more);
        }
        self.refusals.push(refusal);
        Ok(())
    }

    fn finish(
        self,
        records: usize,
        ignored: Vec<IgnoredValue>,
        host: &dyn Host,
    ) -> Result<Stitched> {
        let entity = self.forest.into_roots();
        let entity_size = entity
            .iter()
            .map(|&root| self.sizes[root as usize])
            .collect();
        Ok(Stitched {
            links: towards_roots(records, &entity, &self.links, host)?,
            entity,
            entity_size,
            refusals: self.refusals,
            ignored,
        })
    }
}

/// The distinct values of one capped id column in each entity.
pub(super) struct Cap {
    pub(super) id: u32,
    most: usize,
    /// By root, the value of an entity that has no set; [`NULL`] for one without a value.
    values: Vec<u32>,
    /// By root, the values of an entity with more than one, ascending.
    sets: HashMap<u32, Vec<u32>>,
    _memory: Reservation,
}

impl Cap {
    fn new(
        id: u32,
        most: usize,
        column: &IdColumn<'_>,
        holders: &Holders,
        guards: &Stitch,
        host: &dyn Host,
    ) -> Result<Self> {
        let memory =
            reserve_for::<u32>(host, column.codes.len(), "distinct values of the entities")?;
        let values = column
            .codes
            .iter()
            .map(|&code| match code {
                NULL => NULL,
                code if !column.links || guards.links(holders.of_value(code as usize).len()) => {
                    code
                }
                _ => NULL,
            })
            .collect();
        Ok(Self::over(id, most, values, memory))
    }

    /// A cap over the value of each record, [`NULL`] for none.
    pub(super) fn over(id: u32, most: usize, values: Vec<u32>, memory: Reservation) -> Self {
        Self {
            id,
            most,
            values,
            sets: HashMap::new(),
            _memory: memory,
        }
    }

    fn of_entity(&self, root: u32) -> &[u32] {
        match self.sets.get(&root) {
            Some(set) => set,
            None => match &self.values[root as usize] {
                &NULL => &[],
                value => std::slice::from_ref(value),
            },
        }
    }

    pub(super) fn forbids(&self, a: u32, b: u32) -> bool {
        let (a, b) = (self.of_entity(a), self.of_entity(b));
        let common = a.iter().filter(|value| b.binary_search(value).is_ok());
        !a.is_empty() && !b.is_empty() && a.len() + b.len() - common.count() > self.most
    }

    pub(super) fn join(&mut self, root: u32, child: u32) {
        let mut union = [self.of_entity(root), self.of_entity(child)].concat();
        union.sort_unstable();
        union.dedup();
        self.sets.remove(&child);
        match union[..] {
            [] => {}
            [value] => self.values[root as usize] = value,
            _ => {
                self.sets.insert(root, union);
            }
        }
    }
}

/// The link of each record towards the smallest record of its entity, by breadth-first search over the accepted links,
/// which are a tree in each entity.
fn towards_roots(
    records: usize,
    entity: &[u32],
    links: &[(u32, Link)],
    host: &dyn Host,
) -> Result<Vec<Option<Link>>> {
    let mut starts = vec![0_u32; records + 1];
    for (record, link) in links {
        starts[*record as usize] += 1;
        starts[link.to as usize] += 1;
    }
    let mut held = 0;
    for start in &mut starts {
        let count = *start;
        *start = held;
        held += count;
    }
    let mut next = starts.clone();
    let mut neighbours = vec![Link { to: 0, id: 0 }; held as usize];
    for &(record, link) in links {
        for (from, to) in [(record, link.to), (link.to, record)] {
            let at = &mut next[from as usize];
            neighbours[*at as usize] = Link { to, id: link.id };
            *at += 1;
        }
    }

    let mut meter = Meter::new(host);
    let mut towards: Vec<Option<Link>> = vec![None; records];
    let mut queue = VecDeque::new();
    for root in (0..records as u32).filter(|&record| entity[record as usize] == record) {
        meter.spend(16)?;
        queue.push_back(root);
        while let Some(at) = queue.pop_front() {
            meter.spend(64)?;
            let around = starts[at as usize] as usize..starts[at as usize + 1] as usize;
            for link in &neighbours[around] {
                let slot = &mut towards[link.to as usize];
                if link.to != root && slot.is_none() {
                    *slot = Some(Link {
                        to: at,
                        id: link.id,
                    });
                    queue.push_back(link.to);
                }
            }
        }
    }
    Ok(towards)
}

#[cfg(test)]
mod tests;
