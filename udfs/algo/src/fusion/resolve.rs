//! Entity resolution: which records are of one person, by all that they say.
//!
//! The one idea: the table of pairs never exists. Values are normalised once each and become numbers ([`Field`]); pairs are formed
//! inside blocks only, one at a time, and are counted as patterns of agreement, from which expectation maximisation learns what
//! agreement means ([`Model`], after Fellegi and Sunter 1969 and Winkler 1988, with a class for relatives beside that of strangers); a second pass scores each pair in its block
//! and keeps those that may be links. Links by shared identifiers, by comparison and by a steward's decision go together, the best first,
//! through one guarded union-find, which refuses what breaks a rule and says so.
//!
//! Start at [`Resolve::fit`]. The parts: `column` (kinds and normal forms), `compare` (levels), `block`, `estimate` (u and
//! EM), `model` (scores), `cluster` (guards), `ledger` (increments).

mod block;
mod cluster;
mod column;
mod compare;
mod estimate;
mod ledger;
mod model;
mod nicknames;

use std::collections::{HashMap, HashSet, VecDeque};

use rayon::prelude::*;

pub use block::{BlockRule, LargeBlock, Part};
pub use cluster::{Basis, Edge, Guard, Refused};
pub(super) use column::date_digits as date_of;
pub use column::{Field, Kind};
pub use ledger::{IdField, Ledger, Portion};
pub use model::{Model, Probabilities, Waterfall, probability, weight_of};

use self::block::Blocks;
use self::cluster::{Clusters, Limits};
use self::column::{Column, Values, normal};
use self::compare::Memo;
use self::model::{Scorer, Wanted, pairs_in};
use super::stitch::{Cap, IdColumn, NULL};
use crate::host::{Host, reserve_for};
use crate::parallel::ordered;
use crate::{Error, Result};

/// Least mean evidence, in bits, of the pairs across two entities that a comparison would join. Measured on generated people at
/// three rates of error: from -1 to 2 bits precision rises by .08 and recall falls by .02.
const LEAST_EVIDENCE: f64 = 2.0;
/// The same for a shared identifier, which outweighs all but a clear contradiction.
const LEAST_ID_EVIDENCE: f64 = -6.0;

/// The records to resolve, in an order that depends on their content alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct Records<'a> {
    /// Number of records.
    pub records: usize,
    /// Columns to compare.
    pub fields: &'a [Field<'a>],
    /// Identifiers that link by themselves, the most trusted first.
    pub ids: &'a [IdColumn<'a>],
    /// For each record the number of its source; needed for [`Resolve::one_to_one`] and [`Resolve::across_sources`].
    pub source: Option<&'a [u32]>,
    /// Pairs that a steward has declared one.
    pub force: &'a [(u32, u32)],
    /// Pairs that a steward has declared two.
    pub forbid: &'a [(u32, u32)],
}

/// How records are resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolve {
    /// Which pairs are compared. Empty for rules made from the kinds of the columns.
    pub rules: Vec<BlockRule>,
    /// Least probability of a link, above 0 and below 1.
    pub threshold: f64,
    /// Least probability of a pair that a person should look at, at most `threshold`.
    pub review_threshold: f64,
    /// An identifier, e-mail address or telephone number held by more records than this is taken as missing. `None` for no
    /// limit; otherwise at least 2.
    pub max_records_per_value: Option<usize>,
    /// A block with more records than this is passed over and reported; at least 2.
    pub max_records_per_block: usize,
    /// A link that would make a larger entity is refused. `None` for no limit; otherwise at least 2.
    pub max_records_per_entity: Option<usize>,
    /// Whether an entity has at most one record of each source.
    pub one_to_one: bool,
    /// Whether only records of different sources are compared.
    pub across_sources: bool,
    /// Fixes which random pairs are drawn.
    pub seed: u64,
}

impl Default for Resolve {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            threshold: 0.5,
            review_threshold: 0.1,
            max_records_per_value: Some(50),
            max_records_per_block: 300,
            max_records_per_entity: Some(200),
            one_to_one: false,
            across_sources: false,
            seed: 0,
        }
    }
}

/// Entities found by [`Resolve::fit`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Resolved {
    /// The smallest record of the entity of each record.
    pub entity: Vec<u32>,
    /// Records of that entity.
    pub entity_size: Vec<u32>,
    /// Of each record the link by which it came to its entity: the first one taken that it is an end of.
    pub link: Vec<Option<Edge>>,
    /// Of each record its best pair in the band of review that did not become one entity.
    pub review: Vec<Option<Edge>>,
    /// Links that a guard refused, in the order they were tried.
    pub refused: Vec<Refused>,
    /// Blocks passed over, the largest first.
    pub large_blocks: Vec<LargeBlock>,
    /// Values taken as missing: field or (behind the fields) id column, the first record that holds it, records.
    pub ignored_values: Vec<(u32, u32, u32)>,
    /// The rules that were used.
    pub rules: Vec<BlockRule>,
    /// What was learnt; `None` when no column is compared.
    pub model: Option<Model>,
    /// Pairs that the blocks brought together, each counted once a rule.
    pub pairs: u64,
}

/// Why two records are one entity, or are not.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// Whether they are.
    pub linked: bool,
    /// The chain of links from the first to the second, each beginning where the one before ends; none for a record and itself.
    pub steps: Vec<Step>,
    /// The rules that were used.
    pub rules: Vec<BlockRule>,
}

/// A link of a chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Where it begins.
    pub left: u32,
    /// Where it ends.
    pub right: u32,
    /// What it rests on; `None` for two records that are not linked.
    pub basis: Option<Basis>,
    /// What the columns say of the two; `None` when no column is compared.
    pub waterfall: Option<Waterfall>,
}

/// What comparing gave.
#[derive(Default)]
struct Compared {
    scorer: Option<Scorer>,
    /// The best first.
    edges: Vec<Edge>,
    rules: Vec<BlockRule>,
    model: Option<Model>,
    large: Vec<LargeBlock>,
    ignored: Vec<(u32, u32, u32)>,
    /// By column the numbers of the values taken as missing.
    placeholders: Vec<HashSet<u32>>,
    pairs: u64,
}

/// Columns with their numbered values: names share one numbering, so that exchanged names can be seen.
struct Prepared {
    columns: Vec<Column>,
    values: Vec<Values>,
    of_column: Vec<usize>,
}

impl Resolve {
    /// Finds the entities of `data`.
    ///
    /// Time O(records x columns) for the values, plus the pairs inside blocks, which are compared twice at most; memory about 4 bytes a record for
    /// each column and 8 for each rule, the distinct values, and 20 bytes a possible link.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a threshold or limit out of range, no column to compare and no id, or a rule about a column that is not
    /// compared; [`Error::Data`] for a pair both forced and forbidden, or too many records; [`Error::Internal`] for codes that do not
    /// fit; [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn fit(&self, data: &Records<'_>, host: &dyn Host) -> Result<Resolved> {
        self.check(data)?;
        let compared = self.compare(data, host)?;
        let (mut found, _) = self.cluster(data, &compared, host)?;
        found.ignored_values.extend(&compared.ignored);
        found
            .ignored_values
            .sort_unstable_by_key(|(field, first, records)| {
                (*field, std::cmp::Reverse(*records), *first)
            });
        found.large_blocks = compared.large;
        found.rules = compared.rules;
        found.model = compared.model;
        found.pairs = compared.pairs;
        Ok(found)
    }

    /// Every pair that shares a block and has at least the review threshold's probability, the best first, with the part of each
    /// column in it; before them the rules that were used.
    ///
    /// # Errors
    /// As [`Resolve::fit`].
    #[expect(clippy::type_complexity, reason = "rules, and pairs with their parts")]
    pub fn pairs(
        &self,
        data: &Records<'_>,
        host: &dyn Host,
    ) -> Result<(Vec<BlockRule>, Vec<(Edge, Waterfall)>)> {
        self.check(data)?;
        let compared = self.compare(data, host)?;
        let Compared { scorer, edges, .. } = compared;
        let Some(scorer) = scorer else {
            return Ok((compared.rules, Vec::new()));
        };
        let columns = data.fields.len();
        // A waterfall has a level and a weight for each column.
        let _memory = reserve_for::<[u64; 4]>(
            host,
            edges.len().saturating_mul(columns + 4),
            "scored pairs",
        )?;
        let mut pairs = Vec::with_capacity(edges.len());
        let chunks: Vec<&[Edge]> = edges.chunks(1 << 12).collect();
        ordered(
            chunks.len(),
            host,
            |chunk| {
                let mut memo = Memo::new(columns);
                let told =
                    |edge: &Edge| (*edge, scorer.waterfall(edge.left, edge.right, &mut memo));
                Ok(chunks[chunk].iter().map(told).collect::<Vec<_>>())
            },
            |told| {
                pairs.extend(told);
                Ok(())
            },
        )?;
        Ok((compared.rules, pairs))
    }

    /// Why two records are one entity: the shortest chain of links from `left` to `right`, of equally short ones that of the better links. Of records that
    /// are not one entity, the one comparison of the two, if there is anything to compare.
    ///
    /// # Errors
    /// As [`Resolve::fit`]; [`Error::Data`] for a record that is not there.
    pub fn explain(
        &self,
        data: &Records<'_>,
        left: u32,
        right: u32,
        host: &dyn Host,
    ) -> Result<Explanation> {
        self.check(data)?;
        if let Some(absent) = [left, right]
            .into_iter()
            .find(|record| *record as usize >= data.records)
        {
            return Err(Error::data(
                format!("there is no record {absent}"),
                "Ask about records of the relation.",
            ));
        }
        let compared = self.compare(data, host)?;
        let (found, links) = self.cluster(data, &compared, host)?;
        let linked = found.entity[left as usize] == found.entity[right as usize];
        let chain = if linked {
            shortest_chain(&links, &found.entity, left, right)
        } else {
            Vec::new()
        };
        let mut memo = Memo::new(data.fields.len());
        let mut told = |a: u32, b: u32| {
            compared
                .scorer
                .as_ref()
                .map(|scorer| scorer.waterfall(a, b, &mut memo))
        };
        let mut steps: Vec<Step> = chain
            .into_iter()
            .map(|(left, right, basis)| Step {
                left,
                right,
                basis: Some(basis),
                waterfall: told(left, right),
            })
            .collect();
        if !linked {
            let waterfall = told(left, right);
            steps.push(Step {
                left,
                right,
                basis: None,
                waterfall,
            });
        }
        Ok(Explanation {
            linked,
            steps,
            rules: compared.rules,
        })
    }

    fn check(&self, data: &Records<'_>) -> Result<()> {
        let within = |name: &'static str, value: f64| {
            if value > 0.0 && value < 1.0 {
                return Ok(());
            }
            Err(Error::parameter(
                name,
                format!("\"{name}\" must be above 0 and below 1, not {value}"),
                "It is a probability.",
            ))
        };
        within("threshold", self.threshold)?;
        within("review_threshold", self.review_threshold)?;
        if self.review_threshold > self.threshold {
            return Err(Error::parameter(
                "review_threshold",
                format!(
                    "\"review_threshold\" is {}, above \"threshold\", which is {}",
                    self.review_threshold, self.threshold
                ),
                "Pairs to review are those that are too doubtful to link.",
            ));
        }
        let limits = [
            ("max_records_per_value", self.max_records_per_value),
            ("max_records_per_block", Some(self.max_records_per_block)),
            ("max_records_per_entity", self.max_records_per_entity),
        ];
        for (name, limit) in limits {
            if let Some(limit @ 0..=1) = limit {
                return Err(Error::parameter(
                    name,
                    format!("\"{name}\" must be at least 2, not {limit}"),
                    "With a smaller limit no two records could ever be linked.",
                ));
            }
        }
        if data.fields.is_empty() && data.ids.is_empty() {
            return Err(Error::parameter(
                "compare",
                "there is no column to compare and no identifier",
                "Name columns in \"compare\" or \"ids\".",
            ));
        }
        if data.fields.len() > model::COLUMNS {
            return Err(Error::parameter(
                "compare",
                format!(
                    "\"compare\" names {} columns, more than {}",
                    data.fields.len(),
                    model::COLUMNS
                ),
                "Compare the columns that say most.",
            ));
        }
        if u32::try_from(data.records).is_err() {
            return Err(Error::data(
                format!("{} records are more than 4294967295", data.records),
                "Split the relation.",
            ));
        }
        let lengths = data.fields.iter().map(|field| field.codes.len());
        let mut lengths = lengths
            .chain(data.ids.iter().map(|id| id.codes.len()))
            .chain(data.source.map(<[u32]>::len));
        if lengths.any(|length| length != data.records) {
            return Err(Error::Internal("a code for each record"));
        }
        if data.source.is_none() && (self.one_to_one || self.across_sources) {
            return Err(Error::parameter(
                "one_to_one",
                "\"one_to_one\" needs to know where each record comes from",
                "Give the column that names the source.",
            ));
        }
        check_decisions(data)
    }

    fn prepare(&self, data: &Records<'_>, host: &dyn Host) -> Result<Prepared> {
        let distinct: usize = data.fields.iter().map(|field| field.values.len()).sum();
        let _memory = reserve_for::<[u64; 8]>(host, distinct, "normalised values")?;
        // Names share one numbering; every other column has its own.
        let mut sets: Vec<Vec<usize>> = Vec::new();
        let mut of_column = Vec::with_capacity(data.fields.len());
        let mut names = None;
        for (at, field) in data.fields.iter().enumerate() {
            let set = match names.filter(|_| field.kind == Kind::Name) {
                Some(set) => set,
                None => sets.len(),
            };
            if field.kind == Kind::Name {
                names = Some(set);
            }
            match sets.get_mut(set) {
                Some(columns) => columns.push(at),
                None => sets.push(vec![at]),
            }
            of_column.push(set);
        }
        host.progress("normalise", 0, 1, None);
        let numbered = sets
            .par_iter()
            .map(|set| self.number(set, data.fields, host))
            .collect::<Result<Vec<_>>>()?;
        host.progress("normalise", 1, 1, None);
        let mut values = Vec::with_capacity(numbered.len());
        let mut columns: Vec<(usize, Column)> = Vec::with_capacity(data.fields.len());
        for (of_set, in_set) in numbered {
            values.push(of_set);
            columns.extend(in_set);
        }
        columns.sort_unstable_by_key(|(at, _)| *at);
        let columns = columns.into_iter().map(|(_, column)| column).collect();
        Ok(Prepared {
            columns,
            values,
            of_column,
        })
    }

    /// Normalises the columns of a set and numbers their values together.
    fn number(
        &self,
        set: &[usize],
        fields: &[Field<'_>],
        host: &dyn Host,
    ) -> Result<(Values, Vec<(usize, Column)>)> {
        let mut values = Values::default();
        let mut columns = Vec::with_capacity(set.len());
        for &at in set {
            let field = fields
                .get(at)
                .ok_or(Error::Internal("a field of each column"))?;
            let normals: Vec<Option<String>> = (0..field.values.len() as u32)
                .into_par_iter()
                .with_min_len(1024)
                .map(|code| {
                    let text = std::str::from_utf8(field.values.get(code).unwrap_or_default());
                    normal(field.kind, text.unwrap_or_default())
                })
                .collect();
            host.check()?;
            columns.push((
                at,
                Column::of(
                    field,
                    &normals,
                    &mut values,
                    self.max_records_per_value,
                    host,
                )?,
            ));
        }
        Ok((values, columns))
    }

    /// Learns from the records and scores their pairs.
    fn compare(&self, data: &Records<'_>, host: &dyn Host) -> Result<Compared> {
        let Prepared {
            columns,
            values,
            of_column,
        } = self.prepare(data, host)?;
        let rules = if self.rules.is_empty() {
            default_rules(data.fields)
        } else {
            self.rules.clone()
        };
        let mut compared = Compared::default();
        let placeholders = columns
            .iter()
            .map(|column| column.ignored.iter().map(|(code, _)| *code).collect());
        compared.placeholders = placeholders.collect();
        for (field, column) in columns.iter().enumerate() {
            for (code, records) in &column.ignored {
                // The code is no longer in the column; its first holder is found in the field.
                let first = first_holder(&data.fields[field], values[of_column[field]].text(*code));
                compared.ignored.push((field as u32, first, *records));
            }
        }
        if rules.is_empty() || data.records < 2 || !columns.iter().any(estimate::is_usable) {
            return Ok(compared);
        }
        let blocks = Blocks::of(
            &rules,
            &columns,
            &values,
            &of_column,
            self.max_records_per_block,
            host,
        )?;
        let wanted = Wanted {
            blocks: &blocks,
            across: data.source.filter(|_| self.across_sources),
        };
        let _rows = reserve_for::<u32>(host, data.records * columns.len(), "records by row")?;
        let mut scorer = Scorer::new(&columns, values, of_column);
        let model = estimate::estimate(&columns, &scorer, &rules, wanted, self.seed, host)?;
        scorer.learn(&model, &columns);
        compared.edges = self.score(&scorer, wanted, columns.len(), host)?;
        compared.pairs = blocks.rules.iter().map(|rule| rule.pairs).sum();
        compared.large = blocks.large;
        compared.scorer = Some(scorer);
        compared.model = Some(model);
        compared.rules = rules;
        Ok(compared)
    }

    /// The pairs that may be links or should be reviewed, the best first.
    fn score(
        &self,
        scorer: &Scorer,
        wanted: Wanted<'_>,
        columns: usize,
        host: &dyn Host,
    ) -> Result<Vec<Edge>> {
        let floor = weight_of(self.review_threshold);
        let mut edges: Vec<Edge> = Vec::new();
        let mut memory = Vec::new();
        for (rule, runs) in wanted.blocks.rules.iter().enumerate() {
            host.progress("pairs", rule as u64, wanted.blocks.rules.len() as u64, None);
            let chunks = runs.chunks(1 << 16);
            ordered(
                chunks.len(),
                host,
                |chunk| {
                    let mut memo = Memo::new(columns);
                    let mut found = Vec::new();
                    for at in chunks[chunk].clone() {
                        for (a, b) in pairs_in(runs.block(at)) {
                            if !wanted.crosses(a, b) || !wanted.blocks.is_first(rule, a, b) {
                                continue;
                            }
                            if let Some(verdict) = scorer.score(a, b, floor, &mut memo) {
                                found.push(Edge {
                                    left: a.min(b),
                                    right: a.max(b),
                                    weight: verdict.weight as f32,
                                    basis: Basis::Compared(rule as u32),
                                });
                            }
                        }
                    }
                    Ok(found)
                },
                |found| {
                    if edges.capacity() - edges.len() < found.len() {
                        let more = found.len().max(edges.len() / 2);
                        memory.push(reserve_for::<Edge>(host, more, "possible links")?);
                        edges.reserve_exact(more);
                    }
                    edges.extend(found);
                    Ok(())
                },
            )?;
        }
        edges.par_sort_unstable_by(best_first);
        host.check()?;
        Ok(edges)
    }

    /// The entities, and all links inside them.
    fn cluster(
        &self,
        data: &Records<'_>,
        compared: &Compared,
        host: &dyn Host,
    ) -> Result<(Resolved, Vec<Edge>)> {
        let scorer = compared.scorer.as_ref();
        let edges = &compared.edges;
        let (ids, ignored_values) = self.id_edges(data, host)?;
        let mut caps = Vec::new();
        for (at, id) in data.ids.iter().enumerate() {
            if let Some(most) = id.max_values {
                let memory =
                    reserve_for::<u32>(host, data.records, "distinct values of the entities")?;
                caps.push(Cap::over(at as u32, most, self.counted(id)?, memory));
            }
        }
        let limits = Limits {
            records: self.max_records_per_entity,
            evidence: LEAST_EVIDENCE,
            id_evidence: LEAST_ID_EVIDENCE,
            together: weight_of(self.threshold),
        };
        let sources = data.source.filter(|_| self.one_to_one);
        let mut clusters = Clusters::new(
            data.records,
            limits,
            scorer,
            caps,
            sources,
            data.forbid,
            host,
        )?;
        let forced = data.force.iter().map(|&(a, b)| Edge {
            left: a.min(b),
            right: a.max(b),
            weight: f32::INFINITY,
            basis: Basis::Forced,
        });
        let mut forced: Vec<Edge> = forced.collect();
        forced.sort_unstable_by(best_first);
        clusters.join_all(&forced, host)?;
        clusters.join_all(&ids, host)?;
        let least = weight_of(self.threshold) as f32;
        let links = edges.partition_point(|edge| edge.weight >= least);
        let (links, doubtful) = edges.split_at(links);
        clusters.join_all(links, host)?;
        let (entity, entity_size, accepted, refused) = clusters.finish();

        let mut link = vec![None; data.records];
        for edge in accepted {
            for record in [edge.left, edge.right] {
                link[record as usize].get_or_insert(edge);
            }
        }
        let mut review = vec![None; data.records];
        let apart = |edge: &&Edge| entity[edge.left as usize] != entity[edge.right as usize];
        for edge in doubtful.iter().filter(apart) {
            for record in [edge.left, edge.right] {
                review[record as usize].get_or_insert(*edge);
            }
        }
        let inside = |edge: &&Edge| entity[edge.left as usize] == entity[edge.right as usize];
        let links = forced
            .iter()
            .chain(&ids)
            .chain(links)
            .filter(inside)
            .copied()
            .collect();
        let found = Resolved {
            entity,
            entity_size,
            link,
            review,
            refused,
            ignored_values,
            ..Resolved::default()
        };
        Ok((found, links))
    }

    /// The codes of an id column, without those that too many records hold to mean anything.
    fn counted(&self, id: &IdColumn<'_>) -> Result<Vec<u32>> {
        let mut holders = vec![0_usize; id.values];
        for code in id.codes.iter().filter(|code| **code != NULL) {
            *holders
                .get_mut(*code as usize)
                .ok_or(Error::Internal("id codes below the number of values"))? += 1;
        }
        let most = self
            .max_records_per_value
            .filter(|_| id.links)
            .unwrap_or(usize::MAX);
        let counts = |code: u32| {
            holders
                .get(code as usize)
                .is_some_and(|holders| *holders <= most)
        };
        Ok(id
            .codes
            .iter()
            .map(|&code| if counts(code) { code } else { NULL })
            .collect())
    }

    /// Links between the holders of each value of the id columns, and the values that too many hold.
    #[expect(
        clippy::type_complexity,
        reason = "a list of links and a list of values"
    )]
    fn id_edges(
        &self,
        data: &Records<'_>,
        host: &dyn Host,
    ) -> Result<(Vec<Edge>, Vec<(u32, u32, u32)>)> {
        let mut edges = Vec::new();
        let mut ignored = Vec::new();
        for (at, id) in data.ids.iter().enumerate().filter(|(_, id)| id.links) {
            let _memory = reserve_for::<[u64; 2]>(host, data.records, "holders of the id values")?;
            let counted = self.counted(id)?;
            host.check()?;
            edges.extend(shared(at as u32, &counted));
            host.check()?;
            let mut over: HashMap<u32, (u32, u32)> = HashMap::new();
            for (record, (code, counted)) in (0..).zip(id.codes.iter().zip(&counted)) {
                if code != counted {
                    over.entry(*code).or_insert((record, 0)).1 += 1;
                }
            }
            let field = (data.fields.len() + at) as u32;
            ignored.extend(
                over.into_values()
                    .map(|(first, records)| (field, first, records)),
            );
        }
        ignored.sort_unstable();
        Ok((edges, ignored))
    }
}

/// Links between all records that share a value of an id column, rarer values first.
fn shared(id: u32, codes: &[u32]) -> Vec<Edge> {
    let mut held: Vec<(u32, u32)> = codes
        .iter()
        .copied()
        .zip(0..)
        .filter(|(code, _)| *code != NULL)
        .collect();
    held.sort_unstable();
    let mut runs: Vec<&[(u32, u32)]> = held
        .chunk_by(|a, b| a.0 == b.0)
        .filter(|run| run.len() > 1)
        .collect();
    runs.sort_unstable_by_key(|run| (run.len(), run.first().map(|(_, record)| *record)));
    let mut edges = Vec::new();
    for run in runs {
        for (place, (_, right)) in run.iter().enumerate() {
            edges.extend(run[..place].iter().map(|(_, left)| Edge {
                left: *left,
                right: *right,
                weight: f32::INFINITY,
                basis: Basis::Id(id),
            }));
        }
    }
    edges
}

fn best_first(a: &Edge, b: &Edge) -> std::cmp::Ordering {
    b.weight
        .total_cmp(&a.weight)
        .then(a.left.cmp(&b.left))
        .then(a.right.cmp(&b.right))
}

/// The shortest way from one record to another over links of their entity, found breadth first; links are the best first.
fn shortest_chain(links: &[Edge], entity: &[u32], left: u32, right: u32) -> Vec<(u32, u32, Basis)> {
    let root = entity[left as usize];
    let mut around: HashMap<u32, Vec<(u32, Basis)>> = HashMap::new();
    for edge in links
        .iter()
        .filter(|edge| entity[edge.left as usize] == root)
    {
        around
            .entry(edge.left)
            .or_default()
            .push((edge.right, edge.basis));
        around
            .entry(edge.right)
            .or_default()
            .push((edge.left, edge.basis));
    }
    let mut reached: HashMap<u32, (u32, Basis)> = HashMap::new();
    let mut queue = VecDeque::from([left]);
    while let Some(at) = queue.pop_front() {
        if at == right {
            break;
        }
        for &(next, basis) in around.get(&at).map_or(&[][..], Vec::as_slice) {
            if next != left && !reached.contains_key(&next) {
                reached.insert(next, (at, basis));
                queue.push_back(next);
            }
        }
    }
    let mut chain = Vec::new();
    let mut at = right;
    while let Some(&(before, basis)) = reached.get(&at).filter(|_| at != left) {
        chain.push((before, at, basis));
        at = before;
    }
    chain.reverse();
    chain
}

fn check_decisions(data: &Records<'_>) -> Result<()> {
    let ordered = |&(a, b): &(u32, u32)| (a.min(b), a.max(b));
    let beyond = |(a, b): &&(u32, u32)| (*a).max(*b) as usize >= data.records;
    if data
        .force
        .iter()
        .chain(data.forbid)
        .any(|pair| beyond(&pair))
    {
        return Err(Error::Internal("decisions about records"));
    }
    let forbidden: HashSet<(u32, u32)> = data.forbid.iter().map(ordered).collect();
    if let Some((a, b)) = data
        .force
        .iter()
        .map(ordered)
        .find(|pair| forbidden.contains(pair))
    {
        return Err(Error::data(
            format!("records {a} and {b} are both forced together and forbidden"),
            "Take one of the two decisions back.",
        ));
    }
    if let Some((a, _)) = forbidden.iter().find(|(a, b)| a == b) {
        return Err(Error::data(
            format!("record {a} is forbidden to be itself"),
            "Give two different records.",
        ));
    }
    Ok(())
}

/// The first record whose value has this normal form.
fn first_holder(field: &Field<'_>, text: &str) -> u32 {
    let holds = |code: &u32| {
        let raw = field
            .values
            .get(*code)
            .and_then(|raw| std::str::from_utf8(raw).ok());
        raw.and_then(|raw| normal(field.kind, raw)).as_deref() == Some(text)
    };
    (0..)
        .zip(field.codes)
        .find(|(_, code)| **code != NULL && holds(code))
        .map_or(NULL, |(record, _)| record)
}

/// Rules for columns of these kinds: each that identifies by itself, and pairs of those that do so together.
fn default_rules(fields: &[Field<'_>]) -> Vec<BlockRule> {
    let of = |kind: Kind| -> Vec<usize> {
        (0..fields.len())
            .filter(|at| fields.get(*at).is_some_and(|field| field.kind == kind))
            .collect()
    };
    let mut rules: Vec<Vec<(usize, Part)>> = Vec::new();
    for kind in [Kind::Email, Kind::Phone, Kind::Code] {
        rules.extend(of(kind).into_iter().map(|at| vec![(at, Part::Whole)]));
    }
    let names = of(Kind::Name);
    for other in [Kind::Date, Kind::Street].map(of).concat() {
        rules.extend(
            names
                .iter()
                .map(|name| vec![(*name, Part::Sound), (other, Part::Whole)]),
        );
    }
    if let [first, last, ..] = names[..] {
        rules.push(vec![(first, Part::Whole), (last, Part::Whole)]);
    }
    if rules.is_empty() {
        rules.extend((0..fields.len()).map(|at| vec![(at, Part::Whole)]));
    }
    rules.into_iter().map(|parts| BlockRule { parts }).collect()
}

#[cfg(test)]
mod tests;
