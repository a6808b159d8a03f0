//! Blocking: which pairs of records are looked at. Records that agree on all parts of a rule share a block, and only pairs inside
//! blocks are ever formed, one at a time.

use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::column::{Column, Kind, Values};
use crate::fusion::stitch::NULL;
use crate::host::{Host, Meter, Reservation, reserve_for};
use crate::{Error, Result};

/// Records are paired when they agree on all these parts, and have a value in each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockRule {
    /// Index of the column and what of its value must agree. Two names in a rule agree also when they have changed places.
    pub parts: Vec<(usize, Part)>,
}

/// What of a value must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// The sound of a name (double metaphone), the name in an e-mail address, the last seven digits of a telephone number; of
    /// other kinds, all of it.
    Sound,
    /// So many first characters.
    Start(usize),
}

/// A block too large to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LargeBlock {
    /// Index of the rule.
    pub rule: u32,
    /// Records in the block.
    pub records: u32,
    /// The first of them.
    pub first: u32,
}

/// No block: a part is missing, nobody else shares it, or too many do.
pub(super) const NONE: u32 = u32::MAX;

/// The blocks of all rules.
#[derive(Debug)]
pub(super) struct Blocks {
    /// For each record its block in each rule, or [`NONE`]; a row a record.
    ids: Vec<u32>,
    pub rules: Vec<Runs>,
    pub large: Vec<LargeBlock>,
    _memory: Reservation,
}

/// The blocks of one rule.
#[derive(Debug)]
pub(super) struct Runs {
    records: Vec<u32>,
    starts: Vec<u32>,
    /// Pairs inside all blocks.
    pub pairs: u64,
}

impl Runs {
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    pub fn block(&self, at: usize) -> &[u32] {
        &self.records[self.starts[at] as usize..self.starts[at + 1] as usize]
    }

    /// Ranges of blocks with about `pairs` pairs each.
    pub fn chunks(&self, pairs: u64) -> Vec<std::ops::Range<usize>> {
        let mut chunks = Vec::new();
        let (mut start, mut held) = (0, 0);
        for at in 0..self.len() {
            held += pairs_of(self.block(at).len());
            if held >= pairs {
                chunks.push(start..at + 1);
                (start, held) = (at + 1, 0);
            }
        }
        if start < self.len() {
            chunks.push(start..self.len());
        }
        chunks
    }
}

/// Pairs among `n` records.
pub(super) fn pairs_of(n: usize) -> u64 {
    let n = n as u64;
    n * n.saturating_sub(1) / 2
}

impl Blocks {
    pub fn of(
        rules: &[BlockRule],
        columns: &[Column],
        values: &[Values],
        of_column: &[usize],
        most: usize,
        host: &dyn Host,
    ) -> Result<Self> {
        let records = columns.first().map_or(0, |column| column.codes.len());
        let memory = reserve_for::<u32>(host, records * 2 * rules.len(), "blocking index")?;
        let _sorting = reserve_for::<[u64; 4]>(host, records, "sorting of the blocks")?;
        let mut ids = vec![NONE; records * rules.len()];
        let mut found = Vec::with_capacity(rules.len());
        let mut large = Vec::new();
        for (number, rule) in rules.iter().enumerate() {
            let keys = Keys::of(rule, columns, values, of_column)?;
            let mut keyed: Vec<(u64, u32)> = (0..records as u32)
                .into_par_iter()
                .filter_map(|record| keys.key(record as usize).map(|key| (key, record)))
                .collect();
            host.check()?;
            keyed.par_sort_unstable();
            host.check()?;
            let mut runs = Runs {
                records: Vec::new(),
                starts: vec![0],
                pairs: 0,
            };
            let mut meter = Meter::new(host);
            for run in keyed.chunk_by(|a, b| a.0 == b.0) {
                meter.spend(4 * run.len())?;
                if let [(_, first), _, ..] = run {
                    if run.len() > most {
                        large.push(LargeBlock {
                            rule: number as u32,
                            records: run.len() as u32,
                            first: *first,
                        });
                        continue;
                    }
                    let id = runs.len() as u32;
                    for (_, record) in run {
                        ids[*record as usize * rules.len() + number] = id;
                        runs.records.push(*record);
                    }
                    runs.starts.push(runs.records.len() as u32);
                    runs.pairs += pairs_of(run.len());
                }
            }
            found.push(runs);
        }
        large.sort_unstable_by_key(|block| {
            (std::cmp::Reverse(block.records), block.rule, block.first)
        });
        Ok(Self {
            ids,
            rules: found,
            large,
            _memory: memory,
        })
    }

    /// Whether `rule` is the first in which two records share a block.
    pub fn is_first(&self, rule: usize, a: u32, b: u32) -> bool {
        let width = self.rules.len();
        let (a, b) = (a as usize * width, b as usize * width);
        let (a, b) = (&self.ids[a..a + rule], &self.ids[b..b + rule]);
        a.iter().zip(b).all(|(x, y)| x != y || *x == NONE)
    }
}

/// The keys of one rule.
struct Keys<'a> {
    parts: Vec<(&'a [u32], Vec<u64>, bool)>,
}

impl<'a> Keys<'a> {
    fn of(
        rule: &BlockRule,
        columns: &'a [Column],
        values: &[Values],
        of_column: &[usize],
    ) -> Result<Self> {
        let missing = || {
            Error::parameter(
                "block_on",
                "\"block_on\" names a column that is not compared",
                "Block on columns of \"compare\".",
            )
        };
        if rule.parts.is_empty() {
            return Err(missing());
        }
        let parts = rule.parts.iter().map(|&(at, part)| {
            let column = columns.get(at).ok_or_else(missing)?;
            let values = of_column.get(at).and_then(|set| values.get(*set));
            let values = values.ok_or(Error::Internal("values of each column"))?;
            Ok((
                column.codes.as_slice(),
                part_keys(column.kind, part, values),
                column.kind == Kind::Name,
            ))
        });
        Ok(Self {
            parts: parts.collect::<Result<_>>()?,
        })
    }

    fn key(&self, record: usize) -> Option<u64> {
        let part = |(codes, of_value, name): &(&[u32], Vec<u64>, bool)| {
            let code = *codes.get(record)?;
            Some((*of_value.get(code as usize)?, *name))
        };
        combined(self.parts.iter().map(part))
    }
}

/// The key of a record from the hashes of its parts, each with whether it is a name; `None` when a part is missing.
///
/// Names are added up, so that exchanged ones share a block; other parts are mixed in turn.
pub(super) fn combined(parts: impl Iterator<Item = Option<(u64, bool)>>) -> Option<u64> {
    let mut names = 0_u64;
    let mut key = 0x9e37_79b9_7f4a_7c15_u64;
    for part in parts {
        let (part, name) = part?;
        if part == 0 {
            return None;
        }
        if name {
            names = names.wrapping_add(part);
        } else {
            key = (key ^ part).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            key ^= key >> 29;
        }
    }
    key = (key ^ names).wrapping_mul(0x94d0_49bb_1331_11eb);
    Some(key ^ key >> 32)
}

/// A hash of the part of each value; 0 for a value without the part.
fn part_keys(kind: Kind, part: Part, values: &Values) -> Vec<u64> {
    (0..values.texts.len() as u32)
        .into_par_iter()
        .map(|code| part_key(kind, part, values, code))
        .collect()
}

/// A hash of the part of one value; never 0. Sounds are hashed by their number, which holds for one set of values.
pub(super) fn part_key(kind: Kind, part: Part, values: &Values, code: u32) -> u64 {
    let hash = |text: &str| xxh3_64_with_seed(text.as_bytes(), kind as u64).max(1);
    let text = values.text(code);
    let sound = values.traits(code).part;
    match part {
        Part::Sound if sound != NULL => {
            xxh3_64_with_seed(&sound.to_le_bytes(), !(kind as u64)).max(1)
        }
        Part::Whole | Part::Sound => hash(text),
        Part::Start(length) => match text.char_indices().nth(length) {
            Some((end, _)) => hash(text.get(..end).unwrap_or(text)),
            None => hash(text),
        },
    }
}
