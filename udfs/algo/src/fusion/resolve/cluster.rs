//! From scored pairs to entities: a union-find that takes the best link first and refuses what would break a rule.
//!
//! A single wrong link must not chain two people together. So a union is not only a matter of the two records that are linked: all the
//! records of both sides have a say, and a steward's decision is never overruled.

use std::collections::HashMap;

use super::compare::Memo;
use super::model::Scorer;
use crate::Result;
use crate::fusion::components::Forest;
use crate::fusion::stitch::Cap;
use crate::host::{Host, Meter, Reservation, reserve_for};

/// Why a link was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Guard {
    /// The entity would have too many records.
    EntitySize,
    /// The entity would have too many distinct values of the id column with this index.
    MaxValues(u32),
    /// The entity would have two records of one source.
    OneToOne,
    /// A steward keeps two of the records apart.
    Forbidden,
    /// The records of the two sides, taken together, speak against it.
    Evidence,
}

/// What a link rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Basis {
    /// A steward's decision.
    Forced,
    /// A value in common of the id column with this index.
    Id(u32),
    /// A comparison of pairs that the blocking rule with this index brought together.
    Compared(u32),
}

/// A possible link.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Edge {
    /// The record with the smaller number.
    pub left: u32,
    /// The record with the larger number.
    pub right: u32,
    /// log2 of the odds of a match; infinite for links that are certain.
    pub weight: f32,
    /// What it rests on.
    pub basis: Basis,
}

/// A link that a guard refused.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Refused {
    /// The link.
    pub edge: Edge,
    /// The guard.
    pub guard: Guard,
}

/// The limits of an entity.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub records: Option<usize>,
    /// Least mean evidence, in bits, of the pairs across two sides.
    pub evidence: f64,
    /// The same for links over ids.
    pub id_evidence: f64,
    /// Least weight of the two sides of a comparison, each taken for one person. Two that have a name in common, and in no record
    /// an address, a telephone or a date, are not joined by a third of which only the name is known.
    pub together: f64,
}

/// Pairs across two sides that are looked at when they are united; of larger sides, the first records of each.
const SIDE: usize = 8;
/// Bits beyond which a single pair has no more to say.
const LOUDEST: f64 = 12.0;

pub(super) struct Clusters<'a> {
    limits: Limits,
    scorer: Option<&'a Scorer>,
    /// What the scorer calls the records; `None` when it calls them as they are called here.
    names: Option<&'a [u32]>,
    memo: Memo,
    forest: Forest,
    sizes: Vec<u32>,
    /// The records of an entity in a ring, so that two rings become one by exchanging two links.
    next: Vec<u32>,
    caps: Vec<Cap>,
    /// The source of each record, when an entity has one record of each at most.
    sources: Option<&'a [u32]>,
    forbidden: HashMap<u32, Vec<u32>>,
    /// By root, whether a steward's decision is in the entity: then its records need not be alike.
    decided: Vec<bool>,
    /// Entities that spoke against each other, with their sizes: as long as they have not grown they will say the same.
    opposed: HashMap<(u32, u32), (u32, u32)>,
    pub accepted: Vec<Edge>,
    pub refused: Vec<Refused>,
    left: Vec<u32>,
    right: Vec<u32>,
    _memory: Vec<Reservation>,
}

impl<'a> Clusters<'a> {
    pub fn new(
        records: usize,
        limits: Limits,
        scorer: Option<&'a Scorer>,
        caps: Vec<Cap>,
        sources: Option<&'a [u32]>,
        forbid: &[(u32, u32)],
        host: &dyn Host,
    ) -> Result<Self> {
        let memory = reserve_for::<[u32; 4]>(host, records, "entities")?;
        let mut forbidden: HashMap<u32, Vec<u32>> = HashMap::new();
        for &(a, b) in forbid {
            forbidden.entry(a).or_default().push(b);
            forbidden.entry(b).or_default().push(a);
        }
        Ok(Self {
            limits,
            scorer,
            names: None,
            memo: Memo::new(scorer.map_or(0, Scorer::columns)),
            forest: Forest::new(records, host)?,
            sizes: vec![1; records],
            next: (0..records as u32).collect(),
            caps,
            sources,
            forbidden,
            decided: vec![false; records],
            opposed: HashMap::new(),
            accepted: Vec::new(),
            refused: Vec::new(),
            left: Vec::new(),
            right: Vec::new(),
            _memory: vec![memory],
        })
    }

    /// Gives the scorer's names of the records, ascending here in the order that the records are to be taken in.
    pub fn named(mut self, names: &'a [u32]) -> Self {
        self.names = Some(names);
        self
    }

    /// Tries links in the order given.
    pub fn join_all(&mut self, edges: &[Edge], host: &dyn Host) -> Result<()> {
        let mut meter = Meter::new(host);
        for edge in edges {
            meter.spend(256)?;
            self.try_join(edge);
        }
        Ok(())
    }

    fn try_join(&mut self, edge: &Edge) {
        let (a, b) = (self.forest.root(edge.left), self.forest.root(edge.right));
        if a == b {
            return;
        }
        if let Some(guard) = self.objection(a, b, edge) {
            self.refused.push(Refused { edge: *edge, guard });
            return;
        }
        let root = self.forest.join(a, b);
        let child = if root == a { b } else { a };
        self.sizes[root as usize] += self.sizes[child as usize];
        self.next.swap(a as usize, b as usize);
        self.decided[root as usize] |= self.decided[child as usize] || edge.basis == Basis::Forced;
        for cap in &mut self.caps {
            cap.join(root, child);
        }
        self.accepted.push(*edge);
    }

    fn objection(&mut self, a: u32, b: u32, edge: &Edge) -> Option<Guard> {
        if !self.forbidden.is_empty() && self.is_forbidden(a, b) {
            return Some(Guard::Forbidden);
        }
        if edge.basis == Basis::Forced {
            return None;
        }
        let size = u64::from(self.sizes[a as usize]) + u64::from(self.sizes[b as usize]);
        if self.limits.records.is_some_and(|most| size > most as u64) {
            return Some(Guard::EntitySize);
        }
        if let Some(cap) = self.caps.iter().find(|cap| cap.forbids(a, b)) {
            return Some(Guard::MaxValues(cap.id));
        }
        if self
            .sources
            .is_some_and(|sources| self.share_a_source(a, b, sources))
        {
            return Some(Guard::OneToOne);
        }
        let least = match edge.basis {
            _ if self.decided[a as usize] || self.decided[b as usize] => return None,
            Basis::Id(_) => self.limits.id_evidence,
            _ if size == 2 => return None,
            _ => self.limits.evidence,
        };
        let (low, high) = (a.min(b), a.max(b));
        let sizes = (self.sizes[low as usize], self.sizes[high as usize]);
        // Identifiers are tried first and ask for less, so that what was refused to them is refused to a comparison.
        if self.opposed.get(&(low, high)) == Some(&sizes) {
            return Some(Guard::Evidence);
        }
        let compared = matches!(edge.basis, Basis::Compared(_));
        let (evidence, together) = self.evidence(a, b)?;
        if evidence >= least && (!compared || together >= self.limits.together) {
            return None;
        }
        self.opposed.insert((low, high), sizes);
        Some(Guard::Evidence)
    }

    /// Mean evidence of the pairs across two entities, and their weight when each is taken for one person.
    fn evidence(&mut self, a: u32, b: u32) -> Option<(f64, f64)> {
        let scorer = self.scorer?;
        let (mut left, mut right) = (
            std::mem::take(&mut self.left),
            std::mem::take(&mut self.right),
        );
        self.members(a, &mut left);
        self.members(b, &mut right);
        let mut sum = 0.0;
        let name = |record: u32| self.names.map_or(record, |names| names[record as usize]);
        for &x in &left {
            for &y in &right {
                let verdict = scorer.score(name(x), name(y), f64::NEG_INFINITY, &mut self.memo)?;
                sum += verdict.evidence.clamp(-LOUDEST, LOUDEST);
            }
        }
        let mean = sum / (left.len() * right.len()) as f64;
        for record in left.iter_mut().chain(&mut right) {
            *record = name(*record);
        }
        let together = scorer.together(&left, &right, &mut self.memo);
        (self.left, self.right) = (left, right);
        Some((mean, together))
    }

    /// The first records of the entity of `root`, ascending.
    fn members(&self, root: u32, members: &mut Vec<u32>) {
        members.clear();
        members.extend(self.ring(root));
        if members.len() > SIDE {
            members.sort_unstable();
            members.truncate(SIDE);
        }
        // Sums of floating point numbers depend on their order.
        members.sort_unstable();
    }

    /// Whether two entities both have a record of some source. Each has at most one of each, so both are small.
    fn share_a_source(&self, a: u32, b: u32, sources: &[u32]) -> bool {
        self.ring(a).any(|x| {
            self.ring(b)
                .any(|y| sources[x as usize] == sources[y as usize])
        })
    }

    /// The records of the entity of `root`, in the order they were joined.
    fn ring(&self, root: u32) -> impl Iterator<Item = u32> {
        let rest = std::iter::successors(Some(self.next[root as usize]), |at| {
            Some(self.next[*at as usize])
        });
        std::iter::once(root).chain(rest.take_while(move |at| *at != root))
    }

    fn is_forbidden(&mut self, a: u32, b: u32) -> bool {
        let (small, other) = if self.sizes[a as usize] <= self.sizes[b as usize] {
            (a, b)
        } else {
            (b, a)
        };
        let mut at = small;
        loop {
            if let Some(apart) = self.forbidden.get(&at) {
                for record in apart.clone() {
                    if self.forest.root(record) == other {
                        return true;
                    }
                }
            }
            at = self.next[at as usize];
            if at == small {
                return false;
            }
        }
    }

    /// The root of each record, and the records of its entity.
    pub fn finish(self) -> (Vec<u32>, Vec<u32>, Vec<Edge>, Vec<Refused>) {
        let entity = self.forest.into_roots();
        let sizes = entity
            .iter()
            .map(|&root| self.sizes[root as usize])
            .collect();
        (entity, sizes, self.accepted, self.refused)
    }
}
