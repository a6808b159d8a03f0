//! The parameters of a comparison and what they say of a pair.

use super::block::Blocks;
use super::column::{Column, Kind, Values};
use super::compare::Memo;
use crate::Result;
use crate::fusion::stitch::NULL;
use crate::host::Host;

/// Levels a column can have at most, and bits of a pattern that hold one (0 is a missing value).
pub(super) const LEVELS: usize = 6;
const BITS: u32 = 3;
/// The level of two names that have changed places.
const EXCHANGED: usize = 5;
/// From this level on two names may be one.
const SHORT_FORM: usize = 2;
/// The level of two e-mail addresses with names that are alike.
const SIMILAR_ADDRESS: u8 = 1;
/// Columns whose levels fit a pattern.
pub(super) const COLUMNS: usize = 64 / BITS as usize;

/// Probabilities of the levels of one column among three kinds of pairs.
#[derive(Debug, Clone, PartialEq)]
pub struct Probabilities {
    /// What the column holds.
    pub kind: Kind,
    /// Whether relatives agree on it no more than strangers.
    pub personal: bool,
    /// Given that two records are of one person, by level.
    pub m: Vec<f64>,
    /// Given that two records are of different people who share a home or a family, by level.
    pub related: Vec<f64>,
    /// Given that two records have nothing to do with each other, by level.
    pub u: Vec<f64>,
}

/// A trained comparison (Fellegi and Sunter 1969), with a third class for relatives.
///
/// The odds of a match are `lambda prod m / (lambda_r prod r + (1 - lambda - lambda_r) prod u)` over the columns where both
/// records have a value: the classical model has only strangers to tell a person from, and takes a household's shared
/// name, address and telephone for one person.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// By column.
    pub columns: Vec<Probabilities>,
    /// Probability that two random records are of one person.
    pub lambda: f64,
    /// Probability that two random records are of relatives; 0 when no column tells relatives apart.
    pub lambda_related: f64,
    /// Rounds of EM until nothing moved.
    pub iterations: usize,
}

/// A compared pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Verdict {
    /// log2 of the odds that it is a match.
    pub weight: f64,
    /// log2 of the odds against relatives and strangers were all three as frequent: what the values say without regard to
    /// how rare matches are.
    pub evidence: f64,
}

/// The probability whose odds are `2^weight`.
pub fn probability(weight: f64) -> f64 {
    1.0 / (1.0 + (-weight).exp2())
}

/// The log2 of the odds of a probability.
pub fn weight_of(probability: f64) -> f64 {
    (probability / (1.0 - probability)).log2()
}

/// Reads pairs of records against a model.
#[derive(Debug)]
pub(super) struct Scorer {
    kinds: Vec<Kind>,
    values: Vec<Values>,
    of_column: Vec<usize>,
    /// The codes again, a row a record, so that a record is one piece of memory.
    rows: Vec<u32>,
    /// Two name columns whose values may have changed places.
    exchange: Option<(usize, usize)>,
    tables: Vec<Table>,
    prior: f64,
    prior_related: f64,
}

/// log2 of the likelihood ratios of a column.
#[derive(Debug)]
struct Table {
    m: [f64; LEVELS],
    related: [f64; LEVELS],
    /// The largest of `m` below equality.
    best_unequal: f64,
    exact: usize,
    /// For each value, what its rarity adds to equality.
    rarity: Vec<f32>,
    /// The same for a value that was not there in training.
    unheard: f32,
    personal: bool,
}

impl Scorer {
    pub fn new(columns: &[Column], values: Vec<Values>, of_column: Vec<usize>) -> Self {
        let width = columns.len();
        let records = columns.first().map_or(0, |column| column.codes.len());
        let mut rows = vec![NULL; width * records];
        for (at, column) in columns.iter().enumerate() {
            for (row, code) in rows.chunks_exact_mut(width).zip(&column.codes) {
                row[at] = *code;
            }
        }
        let mut names = (0..width).filter(|at| columns[*at].kind == Kind::Name);
        let exchange = names.next().zip(names.next());
        Self {
            kinds: columns.iter().map(|column| column.kind).collect(),
            values,
            of_column,
            rows,
            exchange,
            tables: Vec::new(),
            prior: 0.0,
            prior_related: f64::NEG_INFINITY,
        }
    }

    /// The number of a normal value of a column, a new one if it is new.
    pub fn number(&mut self, column: usize, text: &str, host: &dyn Host) -> Result<u32> {
        let kind = self.kinds[column];
        self.values[self.of_column[column]].number_of_normal(kind, text, host)
    }

    /// The values that a column's numbers are of.
    pub fn values_of(&self, column: usize) -> &Values {
        &self.values[self.of_column[column]]
    }

    /// How many columns are compared.
    pub fn columns(&self) -> usize {
        self.kinds.len()
    }

    /// Adds a record by the numbers of its values.
    pub fn push(&mut self, row: &[u32]) {
        self.rows.extend_from_slice(row);
    }

    /// Forgets the records, not what was learnt.
    pub fn clear(&mut self) {
        self.rows.clear();
    }

    pub fn exchange(&self) -> Option<(usize, usize)> {
        self.exchange
    }

    /// A scorer as it was, from its parts: by column the rarity of its values and of a value not met in training, and the records by row.
    pub fn again(
        model: &Model,
        values: Vec<Values>,
        of_column: Vec<usize>,
        rarities: Vec<(Vec<f32>, f32)>,
        rows: Vec<u32>,
    ) -> Self {
        let kinds: Vec<Kind> = model.columns.iter().map(|column| column.kind).collect();
        let tables = model.columns.iter().zip(rarities);
        let tables = tables
            .map(|(probabilities, (rarity, unheard))| Table::new(probabilities, rarity, unheard));
        let mut names = (0..kinds.len()).filter(|at| kinds[*at] == Kind::Name);
        let exchange = names.next().zip(names.next());
        let mut scorer = Self {
            kinds,
            values,
            of_column,
            rows,
            exchange,
            tables: tables.collect(),
            prior: 0.0,
            prior_related: f64::NEG_INFINITY,
        };
        scorer.expect(model);
        scorer
    }

    fn expect(&mut self, model: &Model) {
        let strangers = (1.0 - model.lambda - model.lambda_related).max(f64::MIN_POSITIVE);
        self.prior = (model.lambda / strangers).log2();
        self.prior_related = (model.lambda_related / strangers).log2();
    }

    /// The sets of numbered values, and of each column which is its own.
    pub fn sets(&self) -> &[Values] {
        &self.values
    }

    /// See [`Scorer::sets`].
    pub fn set_of_column(&self) -> &[usize] {
        &self.of_column
    }

    /// By column the rarity of its values and of a value not met in training.
    pub fn rarities(&self) -> Vec<(&[f32], f32)> {
        self.tables
            .iter()
            .map(|table| (table.rarity.as_slice(), table.unheard))
            .collect()
    }

    /// The records, a row each.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// Takes the parameters to score with.
    pub fn learn(&mut self, model: &Model, columns: &[Column]) {
        self.expect(model);
        self.tables = model
            .columns
            .iter()
            .zip(columns)
            .map(|(probabilities, column)| Table::of(probabilities, column))
            .collect();
    }

    pub fn row(&self, record: u32) -> &[u32] {
        let width = self.kinds.len();
        &self.rows[record as usize * width..(record as usize + 1) * width]
    }

    /// The level of each column, plus one, packed into a word; 0 where a value is missing.
    pub fn pattern(&self, a: u32, b: u32, memo: &mut Memo) -> u64 {
        let (a, b) = (self.row(a), self.row(b));
        if let Some((first, _)) = self.exchanged(a, b) {
            return self.pack(a, b, memo, Some(first));
        }
        self.pack(a, b, memo, None)
    }

    fn pack(&self, a: &[u32], b: &[u32], memo: &mut Memo, exchanged: Option<usize>) -> u64 {
        let mut pattern = 0;
        for (at, (&x, &y)) in a.iter().zip(b).enumerate() {
            let level = if exchanged.is_some() && self.is_name_of_exchange(at) {
                // The first of the two names speaks for both.
                if exchanged == Some(at) {
                    EXCHANGED as u64 + 1
                } else {
                    0
                }
            } else if x == NULL || y == NULL {
                0
            } else {
                u64::from(self.level(at, a, b, memo)) + 1
            };
            pattern |= level << (BITS * at as u32);
        }
        pattern
    }

    fn is_name_of_exchange(&self, at: usize) -> bool {
        self.exchange
            .is_some_and(|(first, last)| at == first || at == last)
    }

    /// The two name columns, when their values have changed places.
    fn exchanged(&self, a: &[u32], b: &[u32]) -> Option<(usize, usize)> {
        let (first, last) = self.exchange?;
        let swapped = a[first] == b[last] && a[last] == b[first];
        (swapped && a[first] != a[last] && a[first] != NULL && a[last] != NULL)
            .then_some((first, last))
    }

    /// The level of two records that both have a value in a column.
    fn level(&self, at: usize, a: &[u32], b: &[u32], memo: &mut Memo) -> u8 {
        let (kind, x, y) = (self.kinds[at], a[at], b[at]);
        if x == y {
            return kind.exact() as u8;
        }
        let level = memo.level(at, kind, &self.values[self.of_column[at]], x, y);
        // Addresses are made of names: alike because the names are, they say nothing that the names did not. Measured on
        // generated people: of links by two equal names and a similar address six in ten were wrong.
        if kind == Kind::Email && level == SIMILAR_ADDRESS && self.names_agree(a, b, memo) {
            return 0;
        }
        level
    }

    fn names_agree(&self, a: &[u32], b: &[u32], memo: &mut Memo) -> bool {
        (0..self.kinds.len())
            .filter(|at| self.kinds[*at] == Kind::Name && a[*at] != NULL && b[*at] != NULL)
            .any(|at| usize::from(self.level(at, a, b, memo)) >= SHORT_FORM)
    }

    /// The verdict on a pair, or `None` as soon as its weight cannot reach `floor`.
    pub fn score(&self, a: u32, b: u32, floor: f64, memo: &mut Memo) -> Option<Verdict> {
        let (a, b) = (self.row(a), self.row(b));
        let exchanged = self.exchanged(a, b);
        let (mut ratio, mut related) =
            exchanged.map_or((0.0, 0.0), |names| self.exchange_weight(names, a));
        let spoken_for =
            |at: usize| exchanged.is_some_and(|(first, last)| at == first || at == last);
        // An upper bound first: what differs may still be as close as different values can be.
        let mut bound = self.prior + ratio;
        for (at, ((&x, &y), table)) in a.iter().zip(b).zip(&self.tables).enumerate() {
            if x == NULL || y == NULL || spoken_for(at) {
                continue;
            }
            bound += if x == y {
                table.equal(x)
            } else {
                table.best_unequal
            };
        }
        if bound < floor {
            return None;
        }
        for (at, table) in self.tables.iter().enumerate() {
            let (x, y) = (a[at], b[at]);
            if x == NULL || y == NULL || spoken_for(at) {
                continue;
            }
            if x == y {
                ratio += table.equal(x);
                related += table.equal_related(x);
                continue;
            }
            let level = usize::from(self.level(at, a, b, memo));
            bound += table.m[level] - table.best_unequal;
            ratio += table.m[level];
            related += table.related[level];
            if bound < floor {
                return None;
            }
        }
        Some(self.verdict(ratio, related)).filter(|verdict| verdict.weight >= floor)
    }

    /// The weight of two groups of records taken for two people: of each column the agreement of the two values, one of each group, that
    /// agree best.
    pub fn together(&self, left: &[u32], right: &[u32], memo: &mut Memo) -> f64 {
        let pairs = || {
            left.iter()
                .flat_map(|a| right.iter().map(move |b| (*a, *b)))
        };
        let better = |best: Option<(f64, f64)>, found: (f64, f64)| match best {
            Some(best) if best.0 >= found.0 => Some(best),
            _ => Some(found),
        };
        let mut of_column = vec![None; self.tables.len()];
        let mut exchange = None;
        for (a, b) in pairs() {
            let (a, b) = (self.row(a), self.row(b));
            if let Some(names) = self.exchanged(a, b) {
                exchange = better(exchange, self.exchange_weight(names, a));
            }
            for (at, (best, table)) in of_column.iter_mut().zip(&self.tables).enumerate() {
                let (x, y) = (a[at], b[at]);
                if x == NULL || y == NULL {
                    continue;
                }
                let found = if x == y {
                    (table.equal(x), table.equal_related(x))
                } else {
                    let level = usize::from(self.level(at, a, b, memo));
                    (table.m[level], table.related[level])
                };
                *best = better(*best, found);
            }
        }
        if let (Some(exchange), Some((first, last))) = (exchange, self.exchange) {
            let names: f64 = [first, last]
                .into_iter()
                .filter_map(|at| of_column[at])
                .map(|(ratio, _)| ratio)
                .sum();
            if exchange.0 > names {
                of_column[first] = Some(exchange);
                of_column[last] = None;
            }
        }
        let sum = |of: fn((f64, f64)) -> f64| of_column.iter().flatten().copied().map(of).sum();
        let (ratio, related) = (sum(|best| best.0), sum(|best| best.1));
        self.verdict(ratio, related).weight
    }

    /// What two names that have changed places say of a person and of relatives, who share one of them. They are as rare as in the column
    /// where they are common.
    fn exchange_weight(&self, (first, last): (usize, usize), row: &[u32]) -> (f64, f64) {
        let (given, family) = (&self.tables[first], &self.tables[last]);
        let (x, y) = (row[first], row[last]);
        let straight = given.rarity(x) + family.rarity(y);
        let crossed = given.rarity(y) + family.rarity(x);
        // Which of the two is the family name.
        let family_name = if straight <= crossed { y } else { x };
        let ratio = given.m[EXCHANGED] + straight.min(crossed);
        (ratio, family.equal_related(family_name))
    }

    fn verdict(&self, ratio: f64, related: f64) -> Verdict {
        let weight = self.prior + ratio - (1.0 + (self.prior_related + related).exp2()).log2();
        let against = if self.prior_related.is_finite() {
            related
        } else {
            f64::NEG_INFINITY
        };
        Verdict {
            weight,
            evidence: ratio - (1.0 + against.exp2()).log2(),
        }
    }

    /// How the weight of a pair comes about.
    pub fn waterfall(&self, a: u32, b: u32, memo: &mut Memo) -> Waterfall {
        let pattern = self.pattern(a, b, memo);
        let (x, y) = (self.row(a), self.row(b));
        let levels: Vec<Option<usize>> = (0..self.kinds.len())
            .map(|at| level_in(pattern, at))
            .collect();
        let weights: Vec<f64> = levels
            .iter()
            .zip(&self.tables)
            .enumerate()
            .map(|(at, (level, table))| match level {
                None => 0.0,
                Some(_) if x[at] == y[at] => table.equal(x[at]),
                Some(EXCHANGED) => self
                    .exchange
                    .map_or(0.0, |names| self.exchange_weight(names, x).0),
                Some(level) => table.m[*level],
            })
            .collect();
        let weight = self
            .score(a, b, f64::NEG_INFINITY, memo)
            .map_or(f64::NEG_INFINITY, |verdict| verdict.weight);
        Waterfall {
            prior: self.prior,
            relatives: weight - self.prior - weights.iter().sum::<f64>(),
            levels,
            weights,
            weight,
        }
    }
}

/// How the weight of a pair comes about: `weight = prior + sum of weights + relatives`, all log2 of odds.
#[derive(Debug, Clone, PartialEq)]
pub struct Waterfall {
    /// Before anything is compared.
    pub prior: f64,
    /// By column the level of agreement, of [`Kind::levels`]; `None` where a value is missing, or where the first of two exchanged names
    /// speaks for both.
    pub levels: Vec<Option<usize>>,
    /// By column, 0 where there is no level.
    pub weights: Vec<f64>,
    /// What is taken off because relatives would agree as well; at most 0.
    pub relatives: f64,
    /// The sum.
    pub weight: f64,
}

/// The level of a column in a pattern.
pub(super) fn level_in(pattern: u64, at: usize) -> Option<usize> {
    let held = (pattern >> (BITS * at as u32)) & 7;
    (held as usize).checked_sub(1)
}

impl Table {
    fn of(probabilities: &Probabilities, column: &Column) -> Self {
        // Equal by a rare value says more, by a common one less (Winkler 2000).
        let u = probabilities.u[probabilities.kind.exact()];
        let rarity = |code| (u / column.frequency(code, u)).log2() as f32;
        let unheard = (u / column.frequency(u32::MAX, u)).log2() as f32;
        Self::new(
            probabilities,
            (0..column.counts.len() as u32).map(rarity).collect(),
            unheard,
        )
    }

    fn new(probabilities: &Probabilities, rarity: Vec<f32>, unheard: f32) -> Self {
        let mut m = [0.0; LEVELS];
        let mut related = [0.0; LEVELS];
        for (level, u) in probabilities.u.iter().enumerate() {
            m[level] = (probabilities.m[level] / u).log2();
            related[level] = (probabilities.related[level] / u).log2();
        }
        let exact = probabilities.kind.exact();
        Self {
            best_unequal: m
                .iter()
                .take(exact)
                .copied()
                .fold(f64::NEG_INFINITY, f64::max),
            m,
            related,
            exact,
            rarity,
            unheard,
            personal: probabilities.personal,
        }
    }

    fn equal(&self, code: u32) -> f64 {
        self.m[self.exact] + self.rarity(code)
    }

    fn equal_related(&self, code: u32) -> f64 {
        // Relatives agree on what is personal by chance, as strangers do, whatever the value.
        let rarity = if self.personal {
            0.0
        } else {
            self.rarity(code)
        };
        self.related[self.exact] + rarity
    }

    fn rarity(&self, code: u32) -> f64 {
        f64::from(
            self.rarity
                .get(code as usize)
                .copied()
                .unwrap_or(self.unheard),
        )
    }
}

/// A pair of records that share a block, with whether this is the first rule to bring them together.
pub(super) fn pairs_in(block: &[u32]) -> impl Iterator<Item = (u32, u32)> {
    block
        .iter()
        .enumerate()
        .flat_map(move |(at, &a)| block[at + 1..].iter().map(move |&b| (a, b)))
}

/// Which pairs are wanted: all, or only those between different sources.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub blocks: &'a Blocks,
    /// By record; `None` when records of one source may match too.
    pub across: Option<&'a [u32]>,
}

impl Wanted<'_> {
    pub fn crosses(&self, a: u32, b: u32) -> bool {
        self.across
            .is_none_or(|source| source[a as usize] != source[b as usize])
    }
}
