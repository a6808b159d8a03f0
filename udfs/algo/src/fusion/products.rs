//! The same product in two catalogs: by title, brand, bar code, model code and price.
//!
//! The one idea: titles find the candidates, everything else decides among them. Each record is given the few records of the other
//! catalog whose titles share the rarest words; each candidate becomes a handful of levels (how alike the titles are, whether model
//! codes agree, brands, prices, bar codes), and expectation maximisation learns from the two catalogs themselves what each level means. In
//! its expectation step the candidates of a record compete, since a product has one partner at most: that is what tells the right one of ten
//! similar cameras. Nothing is tuned to a kind of goods.
//!
//! Start at [`MatchProducts::fit`].

use std::collections::HashMap;

use super::intern::Strings;
use crate::host::{Host, reserve_for};
use crate::parallel::ordered;
use crate::text::{gtin_norm, jaro_winkler, unaccent};
use crate::{Error, Result};

mod words;

use words::{Words, codes_agree, words_of};

/// A catalog: a row a product. Columns that a catalog does not have are empty slices.
#[derive(Debug, Clone, Copy, Default)]
pub struct Catalog<'a> {
    /// What the product is called.
    pub titles: &'a [&'a str],
    /// Who makes it; empty text where it is not known.
    pub brands: &'a [&'a str],
    /// Its bar code; empty text where it is not known.
    pub gtins: &'a [&'a str],
    /// What it costs; NaN where it is not known.
    pub prices: &'a [f64],
}

/// How two catalogs are matched.
#[derive(Debug, Clone, PartialEq)]
pub struct MatchProducts {
    /// Whether a product of one catalog matches at most one of the other.
    pub one_to_one: bool,
    /// Least probability of a match, above 0 and below 1.
    pub threshold: f64,
    /// Candidates looked at for each product, at least 1.
    pub candidates: usize,
}

impl Default for MatchProducts {
    fn default() -> Self {
        Self {
            one_to_one: true,
            threshold: 0.5,
            candidates: 10,
        }
    }
}

/// Two products that are one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProductMatch {
    /// Row of the first catalog.
    pub left: u32,
    /// Row of the second.
    pub right: u32,
    /// Probability of a match, given that its rivals are none.
    pub score: f64,
    /// What spoke for it the most.
    pub key: ProductKey,
}

/// A column that products agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProductKey {
    /// The titles.
    Title,
    /// A model code.
    Code,
    /// The brands.
    Brand,
    /// The prices.
    Price,
    /// The bar codes.
    Gtin,
}

const KEYS: [ProductKey; 5] = [
    ProductKey::Title,
    ProductKey::Code,
    ProductKey::Brand,
    ProductKey::Price,
    ProductKey::Gtin,
];
/// Levels of each key; of titles, steps of a twelfth of the similarity.
const LEVELS: [usize; 5] = [13, 3, 4, 5, 2];
const MOST_LEVELS: usize = 13;
const ROUNDS: usize = 40;

/// A candidate: two rows, the similarity of their titles and the level of each key.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    left: u32,
    right: u32,
    similarity: f32,
    levels: [Option<u8>; 5],
}

impl Candidate {
    fn same_code(&self) -> bool {
        self.levels[1] == Some(2)
    }

    fn same_gtin(&self) -> bool {
        self.levels[4] == Some(1)
    }
}

impl MatchProducts {
    /// Finds the products that two catalogs have in common.
    ///
    /// Time O(words x products that share them) for the candidates; memory 40 bytes a candidate and the words of the titles.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a threshold or number of candidates out of range; [`Error::Internal`] for columns of different lengths;
    /// [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn fit(
        &self,
        left: &Catalog<'_>,
        right: &Catalog<'_>,
        host: &dyn Host,
    ) -> Result<Vec<ProductMatch>> {
        self.check(left, right)?;
        let sides = [Side::of(left, host)?, Side::of(right, host)?];
        let words = Words::of(&sides[0].words, &sides[1].words, host)?;
        let brands = Words::of(&sides[0].brands, &sides[1].brands, host)?;
        let mut candidates = self.candidates(&words, &sides, host)?;
        let levels = |candidate: &mut Candidate| {
            let pair = Pair {
                sides: &sides,
                words: &words,
                brands: &brands,
                left: candidate.left as usize,
                right: candidate.right as usize,
            };
            candidate.similarity = pair.title() as f32;
            candidate.levels = pair.levels(candidate.similarity);
        };
        let mut done = Vec::with_capacity(candidates.len());
        let chunks: Vec<&[Candidate]> = candidates.chunks(1 << 10).collect();
        ordered(
            chunks.len(),
            host,
            |chunk| {
                let mut chunk = chunks[chunk].to_vec();
                chunk.iter_mut().for_each(levels);
                Ok(chunk)
            },
            |chunk| {
                done.extend(chunk);
                Ok(())
            },
        )?;
        candidates = done;
        let rivals = Rivals::of(&candidates, left.titles.len(), right.titles.len());
        let model = Mixture::learn(&candidates, &rivals, host)?;
        Ok(self.choose(&candidates, &model, &rivals))
    }

    fn check(&self, left: &Catalog<'_>, right: &Catalog<'_>) -> Result<()> {
        if !(self.threshold > 0.0 && self.threshold < 1.0) {
            return Err(Error::parameter(
                "threshold",
                format!(
                    "\"threshold\" must be above 0 and below 1, not {}",
                    self.threshold
                ),
                "It is a probability.",
            ));
        }
        if self.candidates == 0 {
            return Err(Error::parameter(
                "candidates",
                "\"candidates\" must be at least 1, not 0",
                "Give how many products to look at for each product.",
            ));
        }
        for catalog in [left, right] {
            let rows = catalog.titles.len();
            let fits = |length: usize| length == 0 || length == rows;
            if !fits(catalog.brands.len())
                || !fits(catalog.gtins.len())
                || !fits(catalog.prices.len())
            {
                return Err(Error::Internal("a value for each product"));
            }
            if u32::try_from(rows).is_err() {
                return Err(Error::data(
                    format!("{rows} products are more than 4294967295"),
                    "Split the catalog.",
                ));
            }
        }
        Ok(())
    }

    /// The best candidates of each row of either side by the words that titles share, and rows with the same bar code.
    fn candidates(
        &self,
        words: &Words,
        sides: &[Side; 2],
        host: &dyn Host,
    ) -> Result<Vec<Candidate>> {
        let mut pairs: Vec<(u32, u32)> = Vec::new();
        for from in [0, 1] {
            let rows = words.rows(from);
            let chunk_rows = 256;
            ordered(
                rows.div_ceil(chunk_rows),
                host,
                |chunk| {
                    let mut sums = vec![0.0_f32; words.rows(1 - from)];
                    let mut found = Vec::new();
                    for row in chunk * chunk_rows..((chunk + 1) * chunk_rows).min(rows) {
                        for near in words.nearest(from, row, self.candidates, &mut sums) {
                            found.push(if from == 0 {
                                (row as u32, near)
                            } else {
                                (near, row as u32)
                            });
                        }
                    }
                    Ok(found)
                },
                |found| {
                    pairs.extend(found);
                    Ok(())
                },
            )?;
        }
        let mut by_gtin: HashMap<&str, Vec<u32>> = HashMap::new();
        for (row, gtin) in (0..).zip(&sides[1].gtins) {
            if let Some(gtin) = gtin {
                by_gtin.entry(gtin).or_default().push(row);
            }
        }
        for (row, gtin) in (0..).zip(&sides[0].gtins) {
            let same = gtin.as_deref().and_then(|gtin| by_gtin.get(gtin));
            // A number that many products have is not theirs.
            for &other in same
                .filter(|same| same.len() <= self.candidates)
                .into_iter()
                .flatten()
            {
                pairs.push((row, other));
            }
        }
        pairs.sort_unstable();
        pairs.dedup();
        let _memory = reserve_for::<[u64; 5]>(host, pairs.len(), "candidate products")?;
        let candidate = |(left, right)| Candidate {
            left,
            right,
            similarity: 0.0,
            levels: [None; 5],
        };
        Ok(pairs.into_iter().map(candidate).collect())
    }

    fn choose(
        &self,
        candidates: &[Candidate],
        model: &Mixture,
        rivals: &Rivals,
    ) -> Vec<ProductMatch> {
        let posteriors = model.posteriors(candidates, rivals, self.one_to_one);
        let mut order: Vec<usize> = (0..candidates.len())
            .filter(|at| posteriors[*at] >= self.threshold)
            .collect();
        let rank = |at: usize| (posteriors[at], candidates[at].similarity);
        order.sort_by(|&a, &b| {
            let ((p, s), (q, t)) = (rank(a), rank(b));
            q.total_cmp(&p).then(t.total_cmp(&s)).then(a.cmp(&b))
        });
        let (mut left, mut right) = (
            vec![false; rivals.left.len()],
            vec![false; rivals.right.len()],
        );
        let mut matches = Vec::new();
        for at in order {
            let candidate = &candidates[at];
            let taken = left[candidate.left as usize] || right[candidate.right as usize];
            if self.one_to_one && taken {
                continue;
            }
            left[candidate.left as usize] = true;
            right[candidate.right as usize] = true;
            matches.push(ProductMatch {
                left: candidate.left,
                right: candidate.right,
                score: posteriors[at],
                key: model.loudest(candidate),
            });
        }
        matches.sort_unstable_by_key(|found| (found.left, found.right));
        matches
    }
}

/// A catalog with its texts taken apart.
struct Side<'a> {
    words: Vec<Vec<String>>,
    brands: Vec<Vec<String>>,
    /// Letters and digits of the titles without anything between.
    squeezed: Vec<String>,
    codes: Vec<Vec<String>>,
    gtins: Vec<Option<String>>,
    prices: &'a [f64],
}

impl<'a> Side<'a> {
    fn of(catalog: &Catalog<'a>, host: &dyn Host) -> Result<Self> {
        let mut side = Self {
            words: Vec::with_capacity(catalog.titles.len()),
            brands: Vec::with_capacity(catalog.titles.len()),
            squeezed: Vec::with_capacity(catalog.titles.len()),
            codes: Vec::with_capacity(catalog.titles.len()),
            gtins: Vec::with_capacity(catalog.titles.len()),
            prices: catalog.prices,
        };
        for (row, title) in catalog.titles.iter().enumerate() {
            if row % 1024 == 0 {
                host.check()?;
            }
            let (words, codes) = words_of(title);
            let plain = unaccent(title).to_lowercase();
            side.squeezed
                .push(plain.chars().filter(|c| c.is_alphanumeric()).collect());
            side.words.push(words);
            side.codes.push(codes);
            side.brands
                .push(words_of(catalog.brands.get(row).copied().unwrap_or_default()).0);
            side.gtins
                .push(catalog.gtins.get(row).and_then(|gtin| gtin_norm(gtin)));
        }
        Ok(side)
    }

    fn price(&self, row: usize) -> Option<f64> {
        self.prices
            .get(row)
            .copied()
            .filter(|price| price.is_finite() && *price > 0.0)
    }
}

/// Two rows to compare.
struct Pair<'a> {
    sides: &'a [Side<'a>; 2],
    words: &'a Words,
    brands: &'a Words,
    left: usize,
    right: usize,
}

impl Pair<'_> {
    /// Similarity of the titles, in 0..=1: two parts of the cosine of the weighted words and one of how much of the shorter title
    /// is in the longer.
    fn title(&self) -> f64 {
        let overlap = self.words.overlap(self.left, self.right);
        (2.0 * overlap.cosine + overlap.containment) / 3.0
    }

    fn levels(&self, similarity: f32) -> [Option<u8>; 5] {
        let steps = (LEVELS[0] - 1) as f32;
        let title = (similarity.clamp(0.0, 1.0) * steps).floor();
        [
            Some(title as u8),
            self.codes(),
            self.brand(),
            self.price(),
            self.gtin(),
        ]
    }

    fn codes(&self) -> Option<u8> {
        let [left, right] = self.sides;
        codes_agree(
            (&left.codes[self.left], &left.squeezed[self.left]),
            (&right.codes[self.right], &right.squeezed[self.right]),
        )
    }

    fn brand(&self) -> Option<u8> {
        let [left, right] = self.sides;
        let (a, b) = (&left.brands[self.left], &right.brands[self.right]);
        match (a.is_empty(), b.is_empty()) {
            (true, true) => None,
            (false, false) => Some(match self.brands.overlap(self.left, self.right).cosine {
                cosine if cosine >= 0.95 => 3,
                cosine if cosine >= 0.5 => 2,
                cosine if cosine >= 0.1 => 1,
                _ => 0,
            }),
            // One side's brand may be in the other's title; if it is not, nothing is known.
            (no_left, _) => {
                let (brand, title) = if no_left {
                    (b, &left.words[self.left])
                } else {
                    (a, &right.words[self.right])
                };
                brand.iter().all(|word| title.contains(word)).then_some(3)
            }
        }
    }

    fn price(&self) -> Option<u8> {
        let (a, b) = (
            self.sides[0].price(self.left)?,
            self.sides[1].price(self.right)?,
        );
        Some(match a.max(b) / a.min(b) {
            ratio if ratio <= 1.0 => 4,
            ratio if ratio <= 1.02 => 3,
            ratio if ratio <= 1.25 => 2,
            ratio if ratio <= 2.0 => 1,
            _ => 0,
        })
    }

    fn gtin(&self) -> Option<u8> {
        let (a, b) = (
            self.sides[0].gtins[self.left].as_ref()?,
            self.sides[1].gtins[self.right].as_ref()?,
        );
        Some(u8::from(a == b))
    }
}

/// The candidates of each row.
struct Rivals {
    left: Vec<Vec<u32>>,
    right: Vec<Vec<u32>>,
}

impl Rivals {
    fn of(candidates: &[Candidate], left: usize, right: usize) -> Self {
        let mut rivals = Self {
            left: vec![Vec::new(); left],
            right: vec![Vec::new(); right],
        };
        for (at, candidate) in (0..).zip(candidates) {
            rivals.left[candidate.left as usize].push(at);
            rivals.right[candidate.right as usize].push(at);
        }
        rivals
    }
}

/// What the levels mean: their probabilities among matches and among candidates that are none.
struct Mixture {
    m: [[f64; MOST_LEVELS]; 5],
    u: [[f64; MOST_LEVELS]; 5],
    /// Odds of a candidate before its levels are seen.
    odds: f64,
}

impl Mixture {
    /// Expectation maximisation, from the candidates that are each other's best: by bar code, by model code, then by how alike the
    /// titles are. Begun with titles alone it may end with equal codes among what is no match, where two shops call things
    /// differently: of generated products with equal codes, 82 in 100 were found, and so all of them.
    fn learn(candidates: &[Candidate], rivals: &Rivals, host: &dyn Host) -> Result<Self> {
        let best = |row: &Vec<u32>| {
            let by_rank = |a: &&u32, b: &&u32| {
                let (x, y) = (&candidates[**a as usize], &candidates[**b as usize]);
                (x.same_gtin().cmp(&y.same_gtin()))
                    .then(x.same_code().cmp(&y.same_code()))
                    .then(x.similarity.total_cmp(&y.similarity))
                    .then(b.cmp(a))
            };
            row.iter().max_by(by_rank).copied()
        };
        let mut posteriors = vec![0.02; candidates.len()];
        // A product has one partner at most: what is not the best of its row on either side is none.
        let mut is_best = vec![false; candidates.len()];
        for row in rivals.left.iter().chain(&rivals.right) {
            if let Some(at) = best(row) {
                is_best[at as usize] = true;
            }
        }
        for row in &rivals.left {
            let Some(at) = best(row) else { continue };
            let candidate = &candidates[at as usize];
            let mutual = best(&rivals.right[candidate.right as usize]) == Some(at);
            let contradicted = candidate.levels[1] == Some(0) || candidate.levels[4] == Some(0);
            if mutual && (candidate.same_gtin() || candidate.same_code()) {
                posteriors[at as usize] = 0.95;
            } else if mutual && !contradicted {
                posteriors[at as usize] = f64::from(candidate.similarity).clamp(0.02, 0.98);
            }
        }
        let mut model = Self {
            m: [[0.0; MOST_LEVELS]; 5],
            u: [[0.0; MOST_LEVELS]; 5],
            odds: 0.0,
        };
        for round in 0..ROUNDS {
            host.check()?;
            model.maximise(candidates, &posteriors, &is_best);
            let renewed = model.posteriors(candidates, rivals, true);
            let moved = renewed
                .iter()
                .zip(&posteriors)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f64::max);
            posteriors = renewed;
            host.progress(
                "product model",
                round as u64 + 1,
                ROUNDS as u64,
                Some(moved),
            );
            if moved < 1e-3 {
                break;
            }
        }
        Ok(model)
    }

    fn maximise(&mut self, candidates: &[Candidate], posteriors: &[f64], is_best: &[bool]) {
        let mut sums = [[[0.0; MOST_LEVELS]; 2]; 5];
        let mut matches = 0.0;
        for ((candidate, posterior), is_best) in candidates.iter().zip(posteriors).zip(is_best) {
            matches += posterior;
            for ((sums, level), key) in sums.iter_mut().zip(candidate.levels).zip(KEYS) {
                let Some(level) = level.map(usize::from) else {
                    continue;
                };
                sums[0][level] += posterior;
                // Codes agree by chance as often as among those that cannot be matches; counted among all, the matches that are
                // not yet found would speak against themselves.
                let by_chance = !matches!(key, ProductKey::Code | ProductKey::Gtin) || !is_best;
                if by_chance {
                    sums[1][level] += 1.0 - posterior;
                }
            }
        }
        self.odds = (matches / (candidates.len() as f64 - matches).max(1.0)).max(1e-9);
        for (key, sums) in sums.iter_mut().enumerate() {
            for (class, probabilities) in
                [&mut self.m[key], &mut self.u[key]].into_iter().enumerate()
            {
                let levels = LEVELS[key];
                let mut counts = sums[class];
                if key == 0 {
                    counts = smooth(counts);
                }
                // Where there are few products, what is usual decides.
                let weight = levels as f64;
                let whole: f64 = counts.iter().take(levels).sum::<f64>() + weight;
                let usual = usual(key, class == 0);
                for ((probability, count), usual) in
                    probabilities.iter_mut().zip(counts).zip(usual).take(levels)
                {
                    *probability = (count + weight * usual) / whole;
                }
            }
        }
        // More alike is never less of a match.
        let mut least = f64::NEG_INFINITY;
        for level in 0..LEVELS[0] {
            let ratio = (self.m[0][level] / self.u[0][level]).max(least);
            least = ratio;
            self.m[0][level] = ratio * self.u[0][level];
        }
    }

    /// The likelihood ratio of a candidate.
    fn ratio(&self, candidate: &Candidate) -> f64 {
        let mut ratio = 1.0;
        for (key, level) in candidate.levels.into_iter().enumerate() {
            if let Some(level) = level.map(usize::from) {
                ratio *= if key == 0 {
                    self.title_ratio(candidate.similarity)
                } else {
                    self.m[key][level] / self.u[key][level]
                };
            }
        }
        ratio
    }

    /// The ratio of a similarity, on the line between the middles of its step and the next, so that of two candidates on one step the more
    /// similar is ahead.
    fn title_ratio(&self, similarity: f32) -> f64 {
        let log = |level: usize| (self.m[0][level] / self.u[0][level]).ln();
        let last = LEVELS[0] - 1;
        let place = (f64::from(similarity).clamp(0.0, 1.0) * last as f64 - 0.5).max(0.0);
        let below = (place.floor() as usize).min(last);
        let above = (below + 1).min(last);
        let share = place - below as f64;
        ((1.0 - share) * log(below) + share * log(above)).exp()
    }

    /// The probability of each candidate; where they compete, of it and none of its rivals.
    fn posteriors(&self, candidates: &[Candidate], rivals: &Rivals, compete: bool) -> Vec<f64> {
        let odds: Vec<f64> = candidates
            .iter()
            .map(|candidate| self.odds * self.ratio(candidate))
            .collect();
        if !compete {
            return odds.iter().map(|odds| odds / (1.0 + odds)).collect();
        }
        let sums = |rows: &[Vec<u32>]| -> Vec<f64> {
            rows.iter()
                .map(|row| row.iter().map(|at| odds[*at as usize]).sum())
                .collect()
        };
        let (left, right) = (sums(&rivals.left), sums(&rivals.right));
        candidates
            .iter()
            .zip(&odds)
            .map(|(candidate, odds)| {
                let most = left[candidate.left as usize].max(right[candidate.right as usize]);
                odds / (1.0 + most)
            })
            .collect()
    }

    fn loudest(&self, candidate: &Candidate) -> ProductKey {
        let ratio = |key: usize| {
            candidate.levels[key].map_or(0.0, |level| {
                self.m[key][usize::from(level)] / self.u[key][usize::from(level)]
            })
        };
        let mut loudest = 0;
        for key in 1..KEYS.len() {
            if ratio(key) > ratio(loudest) {
                loudest = key;
            }
        }
        KEYS[loudest]
    }
}

/// How often the levels of a key are met among matches, or among candidates that are none, before anything is known.
fn usual(key: usize, matches: bool) -> [f64; MOST_LEVELS] {
    let mut usual = [0.0; MOST_LEVELS];
    let levels: &[f64] = match (key, matches) {
        (1, true) => &[0.05, 0.10, 0.85],
        (1, false) => &[0.90, 0.07, 0.03],
        (2, true) => &[0.05, 0.05, 0.10, 0.80],
        (2, false) => &[0.60, 0.10, 0.10, 0.20],
        (3, true) => &[0.05, 0.10, 0.35, 0.25, 0.25],
        (3, false) => &[0.55, 0.20, 0.15, 0.05, 0.05],
        (4, true) => &[0.05, 0.95],
        (4, false) => &[0.99, 0.01],
        _ => {
            // Rising with the square of the similarity, or falling with it.
            for (at, usual) in usual.iter_mut().enumerate() {
                let step = if matches { at + 1 } else { MOST_LEVELS - at };
                *usual = (step * step) as f64 / 819.0;
            }
            return usual;
        }
    };
    for (usual, level) in usual.iter_mut().zip(levels) {
        *usual = *level;
    }
    usual
}

/// Counts of similarities, each step giving a quarter to its neighbours.
fn smooth(counts: [f64; MOST_LEVELS]) -> [f64; MOST_LEVELS] {
    let mut smoothed = [0.0; MOST_LEVELS];
    for (at, count) in counts.into_iter().enumerate() {
        let below = at.saturating_sub(1);
        let above = (at + 1).min(MOST_LEVELS - 1);
        smoothed[below] += 0.25 * count;
        smoothed[at] += 0.5 * count;
        smoothed[above] += 0.25 * count;
    }
    smoothed
}

#[cfg(test)]
mod tests;
