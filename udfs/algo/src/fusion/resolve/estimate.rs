//! Learning the parameters without labels: u from random pairs, m by expectation maximisation on counts of patterns.

use std::collections::HashMap;

use rayon::prelude::*;

use super::block::{BlockRule, Part, pairs_of};
use super::column::{Column, Kind};
use super::compare::Memo;
use super::model::{Model, Probabilities, Scorer, Wanted, level_in, pairs_in};
use crate::fusion::stitch::NULL;
use crate::host::Host;
use crate::parallel::ordered;
use crate::random::Random;
use crate::{Error, Result};

/// Random pairs of a chunk, and chunks at most.
const DRAWN: usize = 1 << 14;
const DRAWS: usize = 8;
/// Random pairs at each level after which u is known well enough: a relative error of about a twentieth.
const ENOUGH: u64 = 400;
/// Pairs that EM reads of each rule.
const SESSION_PAIRS: u64 = 100_000;
const ROUNDS: usize = 100;
/// Pairs that what is usual of equality counts for, and of other levels, which fades until so many are drawn; share of pairs of strangers
/// with neither equal nor quite different values. Without them a table of ten rows, most of whose equal values are of one
/// person, would learn that equality says nothing.
const FEW_PAIRS: f64 = 1000.0;
const FEW_DRAWS: f64 = 100.0;
const ENOUGH_DRAWS: f64 = 10_000.0;
const USUALLY_ALIKE: f64 = 0.03;

/// The pairs that one rule brings together, as counts.
struct Session {
    /// Pattern, whether the rule is the first that brings the pair together, and pairs.
    patterns: Vec<(u64, bool, f64)>,
    /// Whether each column is a part of the rule: all pairs agree on it, so that they say nothing of m.
    blocked: Vec<bool>,
    /// Pairs of the rule by pairs read.
    scale: f64,
    /// The parts of the rule.
    parts: Vec<(usize, Part)>,
    /// Share of all pairs in which both records have all values of the rule.
    held: f64,
}

/// From this level on names may sound alike.
const SIMILAR_NAME: usize = 1;

/// Learns the parameters from the records themselves.
pub(super) fn estimate(
    columns: &[Column],
    scorer: &Scorer,
    rules: &[BlockRule],
    wanted: Wanted<'_>,
    seed: u64,
    host: &dyn Host,
) -> Result<Model> {
    let u = random_agreement(columns, scorer, seed, host)?;
    let sessions = sessions(columns, scorer, rules, wanted, seed, host)?;
    let mut model = start(columns, u);
    let total = possible_pairs(columns, wanted);
    maximise(&mut model, &sessions, host)?;
    priors(&mut model, &sessions, total);
    Ok(model)
}

fn possible_pairs(columns: &[Column], wanted: Wanted<'_>) -> f64 {
    let records = columns.first().map_or(0, |column| column.codes.len());
    let mut within = 0;
    if let Some(source) = wanted.across {
        let mut sizes: HashMap<u32, usize> = HashMap::new();
        for source in source {
            *sizes.entry(*source).or_default() += 1;
        }
        within = sizes.values().map(|size| pairs_of(*size)).sum();
    }
    (pairs_of(records) - within).max(1) as f64
}

/// u by column and level: equality from the counts of the values, exactly, the rest from random pairs.
fn random_agreement(
    columns: &[Column],
    scorer: &Scorer,
    seed: u64,
    host: &dyn Host,
) -> Result<Vec<Vec<f64>>> {
    let records = columns.first().map_or(0, |column| column.codes.len());
    let mut counts: Vec<Vec<u64>> = columns
        .iter()
        .map(|column| vec![0; column.kind.levels().len()])
        .collect();
    // Drawn in waves of a fixed size, so that the stop does not depend on the threads.
    const WAVE: usize = 4;
    // Few records have few pairs to learn from.
    let drawn = (pairs_of(records) as usize).clamp(1, DRAWN);
    for wave in 0..DRAWS / WAVE {
        ordered(
            WAVE,
            host,
            |chunk| {
                let mut random = Random::stream(seed, (wave * WAVE + chunk) as u64);
                let mut memo = Memo::new(columns.len());
                let mut found = vec![[0_u64; 8]; columns.len()];
                for _ in 0..drawn {
                    let (a, b) = (random.below(records) as u32, random.below(records) as u32);
                    if a == b {
                        continue;
                    }
                    let pattern = scorer.pattern(a, b, &mut memo);
                    for (at, found) in found.iter_mut().enumerate() {
                        if let Some(level) = level_in(pattern, at) {
                            found[level] += 1;
                        }
                    }
                }
                Ok(found)
            },
            |found| {
                for (counts, found) in counts.iter_mut().zip(found) {
                    for (count, found) in counts.iter_mut().zip(found) {
                        *count += found;
                    }
                }
                Ok(())
            },
        )?;
        let known = columns.iter().zip(&counts).all(|(column, counts)| {
            let exact = column.kind.exact();
            let levels = counts
                .iter()
                .enumerate()
                .filter(|(level, _)| *level < exact);
            levels.into_iter().all(|(_, count)| *count >= ENOUGH)
        });
        if known {
            break;
        }
    }
    let mut u: Vec<Vec<f64>> = Vec::with_capacity(columns.len());
    for (column, counts) in columns.iter().zip(&counts) {
        let exact = column.kind.exact();
        let equal = chance_of_equal(column);
        let other: u64 = counts
            .iter()
            .enumerate()
            .filter(|(level, _)| *level != exact)
            .map(|(_, n)| *n)
            .sum();
        // Half a pair that was not seen keeps a level from being impossible; where few are drawn, of which many may be of one person, more
        // weight is on what is usual.
        let prior = FEW_DRAWS * (1.0 - other as f64 / ENOUGH_DRAWS).max(0.0);
        let usual = |level: usize| {
            let share = if level == 0 {
                1.0 - USUALLY_ALIKE
            } else {
                USUALLY_ALIKE / (counts.len() - 2).max(1) as f64
            };
            (prior * share).max(0.5)
        };
        let unequal = (0..counts.len()).filter(|level| *level != exact);
        let whole = other as f64 + unequal.map(usual).sum::<f64>();
        let probabilities = counts.iter().enumerate().map(|(level, &count)| {
            if level == exact {
                equal
            } else {
                (count as f64 + usual(level)) / whole * (1.0 - equal)
            }
        });
        u.push(probabilities.collect());
    }
    if let Some((first, last)) = scorer.exchange() {
        let crossed = chance_of_exchange(&columns[first], &columns[last]);
        for at in [first, last] {
            u[at][5] = crossed;
        }
    }
    Ok(u)
}

/// Probability that two different records with a value have the same.
fn chance_of_equal(column: &Column) -> f64 {
    let pairs: u64 = column
        .counts
        .iter()
        .map(|&count| pairs_of(count as usize))
        .sum();
    let all = pairs_of(column.held).max(1);
    let equal = pairs as f64 + FEW_PAIRS * usual_chance(column.kind);
    (equal / (all as f64 + FEW_PAIRS)).min(1.0 - 1e-6)
}

/// How often two strangers have the same value, before anything is known.
fn usual_chance(kind: Kind) -> f64 {
    match kind {
        Kind::Name => 2e-3,
        Kind::Date | Kind::Street | Kind::Code => 1e-4,
        Kind::Email | Kind::Phone => 1e-5,
        Kind::Exact => 0.1,
        Kind::Numeric => 1e-2,
        Kind::Text => 5e-3,
    }
}

/// Probability that the names of two strangers agree crosswise: both agree, and in one record, not in the other, they have changed
/// places. How often they do is seen from how often a value of one column is met in the other.
fn chance_of_exchange(first: &Column, last: &Column) -> f64 {
    let common: f64 = first
        .counts
        .iter()
        .zip(&last.counts)
        .map(|(&a, &b)| f64::from(a) * f64::from(b))
        .sum();
    let crossed = common / (first.held.max(1) as f64 * last.held.max(1) as f64);
    let (a, b) = (chance_of_equal(first), chance_of_equal(last));
    let exchanged = (crossed / (a + b)).clamp(1e-4, 0.25);
    2.0 * exchanged * a * b
}

/// The share of pairs in which both records have a value in all columns of a rule.
fn held_by_both(columns: &[Column], rule: &BlockRule) -> f64 {
    let records = columns.first().map_or(0, |column| column.codes.len());
    let has = |record: &usize| {
        rule.parts.iter().all(|(at, _)| {
            let column = columns.get(*at);
            column.is_some_and(|column| column.codes.get(*record).is_some_and(|code| *code != NULL))
        })
    };
    let holders = (0..records).into_par_iter().filter(has).count();
    (holders as f64 / records.max(1) as f64).powi(2)
}

fn sessions(
    columns: &[Column],
    scorer: &Scorer,
    rules: &[BlockRule],
    wanted: Wanted<'_>,
    seed: u64,
    host: &dyn Host,
) -> Result<Vec<Session>> {
    let width = columns.len();
    let mut sessions = Vec::with_capacity(rules.len());
    for (number, (rule, runs)) in rules.iter().zip(&wanted.blocks.rules).enumerate() {
        let share = SESSION_PAIRS as f64 / runs.pairs.max(1) as f64;
        let chosen = |at: usize| {
            // Whole blocks are drawn, by a hash of the records they begin with.
            let first = runs.block(at).first().copied().unwrap_or(0);
            let key = [u64::from(first), number as u64, seed]
                .map(u64::to_le_bytes)
                .concat();
            share >= 1.0 || (xxhash_rust::xxh3::xxh3_64(&key) as f64) < share * 2_f64.powi(64)
        };
        let chunks = runs.chunks(1 << 16);
        let mut counts: HashMap<(u64, bool), u64> = HashMap::new();
        let mut read = 0;
        ordered(
            chunks.len(),
            host,
            |chunk| {
                let mut found: HashMap<(u64, bool), u64> = HashMap::new();
                let mut memo = None;
                let mut read = 0;
                for at in chunks[chunk].clone().filter(|at| chosen(*at)) {
                    let memo = memo.get_or_insert_with(|| Memo::new(width));
                    read += pairs_of(runs.block(at).len());
                    for (a, b) in pairs_in(runs.block(at)).filter(|(a, b)| wanted.crosses(*a, *b)) {
                        let first = wanted.blocks.is_first(number, a, b);
                        *found
                            .entry((scorer.pattern(a, b, memo), first))
                            .or_default() += 1;
                    }
                }
                Ok((found, read))
            },
            |(found, pairs)| {
                read += pairs;
                for (pattern, count) in found {
                    *counts.entry(pattern).or_default() += count;
                }
                Ok(())
            },
        )?;
        let mut patterns: Vec<(u64, bool, f64)> = counts
            .into_iter()
            .map(|((pattern, first), count)| (pattern, first, count as f64))
            .collect();
        patterns.sort_unstable_by_key(|(pattern, first, _)| (*pattern, *first));
        let mut blocked = vec![false; width];
        for (at, _) in &rule.parts {
            if let Some(blocked) = blocked.get_mut(*at) {
                *blocked = true;
            }
        }
        sessions.push(Session {
            patterns,
            blocked,
            scale: runs.pairs as f64 / (read as f64).max(1.0),
            parts: rule.parts.clone(),
            held: held_by_both(columns, rule),
        });
    }
    Ok(sessions)
}

/// Where EM starts: a person's records mostly agree; relatives agree on half of what is not personal.
fn start(columns: &[Column], u: Vec<Vec<f64>>) -> Model {
    let tells_relatives = columns.iter().any(|column| column.personal);
    let columns: Vec<Probabilities> = columns
        .iter()
        .zip(u)
        .map(|(column, u)| {
            let m = usual_agreement(column.kind);
            let related = if column.personal {
                u.clone()
            } else {
                m.iter().zip(&u).map(|(m, u)| 0.5 * (m + u)).collect()
            };
            Probabilities {
                kind: column.kind,
                personal: column.personal,
                m,
                related,
                u,
            }
        })
        .collect();
    Model {
        columns,
        lambda: 0.0,
        lambda_related: f64::from(u8::from(tells_relatives)),
        iterations: 0,
    }
}

/// EM over all sessions at once (Winkler 1988, with u held fixed): the classes have the same m everywhere, but their own
/// shares in each session, and a session says nothing of the columns it is blocked on.
fn maximise(model: &mut Model, sessions: &[Session], host: &dyn Host) -> Result<()> {
    let with_relatives = model.lambda_related > 0.0;
    // Of one person, of relatives, of strangers.
    let begin = if with_relatives {
        [0.4, 0.1, 0.5]
    } else {
        [0.5, 0.0, 0.5]
    };
    let mut shares = vec![begin; sessions.len()];
    for round in 0..ROUNDS {
        host.check()?;
        let mut sums: Vec<[[f64; 8]; 2]> = vec![[[0.0; 8]; 2]; model.columns.len()];
        let mut moved: f64 = 0.0;
        for (session, share) in sessions.iter().zip(&mut shares) {
            let mut members = [0.0; 3];
            for &(pattern, _, count) in &session.patterns {
                let mut likelihood = *share;
                for (at, column) in model.columns.iter().enumerate() {
                    if session.blocked[at] {
                        continue;
                    }
                    if let Some(level) = level_in(pattern, at) {
                        likelihood[0] *= column.m[level];
                        likelihood[1] *= column.related[level];
                        likelihood[2] *= column.u[level];
                    }
                }
                let whole: f64 = likelihood.iter().sum();
                if whole <= 0.0 {
                    continue;
                }
                let posterior = likelihood.map(|part| count * part / whole);
                for (member, part) in members.iter_mut().zip(posterior) {
                    *member += part;
                }
                for (at, sums) in sums.iter_mut().enumerate() {
                    if let Some(level) = level_in(pattern, at).filter(|_| !session.blocked[at]) {
                        sums[0][level] += posterior[0] * session.scale;
                        sums[1][level] += posterior[1] * session.scale;
                    }
                }
            }
            let whole: f64 = members.iter().sum();
            if whole > 0.0 {
                for (share, members) in share.iter_mut().zip(members) {
                    let new = members / whole;
                    moved = moved.max((new - *share).abs());
                    *share = new;
                }
            }
        }
        for (column, sums) in model.columns.iter_mut().zip(&sums) {
            let usual = usual_agreement(column.kind);
            moved = moved.max(renew(&mut column.m, &sums[0], &usual));
            if with_relatives && !column.personal {
                moved = moved.max(renew(&mut column.related, &sums[1], &column.u));
            }
        }
        model.iterations = round + 1;
        host.progress(
            "comparison model",
            round as u64 + 1,
            ROUNDS as u64,
            Some(moved),
        );
        if moved < 1e-4 {
            break;
        }
    }
    if model
        .columns
        .iter()
        .any(|column| column.m.iter().any(|m| !m.is_finite()))
    {
        return Err(Error::Internal("finite probabilities of the levels"));
    }
    Ok(())
}

/// New probabilities from expected counts; returns the largest change. A few pairs of prior weight keep a level that was not seen from
/// being impossible, and a column of few pairs where it was.
fn renew(probabilities: &mut [f64], sums: &[f64; 8], usual: &[f64]) -> f64 {
    const PRIOR: f64 = 10.0;
    let seen: f64 = sums.iter().take(probabilities.len()).sum();
    let mut moved: f64 = 0.0;
    if seen < 1.0 {
        return moved;
    }
    for ((probability, sum), usual) in probabilities.iter_mut().zip(sums).zip(usual) {
        let new = (sum + PRIOR * usual) / (seen + PRIOR);
        moved = moved.max((new - *probability).abs());
        *probability = new;
    }
    moved
}

/// How often the levels of a kind are met among records of one person, before anything is known.
fn usual_agreement(kind: Kind) -> Vec<f64> {
    let (levels, exact) = (kind.levels().len(), kind.exact());
    let others = (levels - 2).max(1) as f64;
    let usual: Vec<f64> = (0..levels)
        .map(|level| match level {
            _ if level == exact => 0.85,
            0 => 0.05,
            _ => 0.1 / others,
        })
        .collect();
    let whole: f64 = usual.iter().sum();
    usual.into_iter().map(|usual| usual / whole).collect()
}

/// The shares of matches and of relatives among all pairs: those for which the pairs in blocks hold as many as expected.
///
/// A rule brings together a part of the matches and another of the relatives, which is known from the model: both records must have
/// the values, and agree on them. Of relatives that part is small. Without regard to it they are taken for rarer than they are, and a household for one
/// person: measured on generated people, records that shared a family name and a street had a probability of .93 and were one
/// person in 43 of 100 cases.
fn priors(model: &mut Model, sessions: &[Session], total: f64) {
    let with_relatives = model.lambda_related > 0.0;
    // Likelihood ratios of matches and relatives, and how many pairs.
    let mut ratios: Vec<(f64, f64, f64)> = Vec::new();
    // Pairs that each class would have in the blocks if all pairs were of it.
    let mut reach = [0.0; 2];
    for session in sessions {
        for (reach, probabilities) in reach.iter_mut().zip([
            &(|column: &Probabilities| column.m.clone()) as &dyn Fn(&Probabilities) -> Vec<f64>,
            &|column: &Probabilities| column.related.clone(),
        ]) {
            let agree = session.parts.iter().map(|&(at, part)| {
                model.columns.get(at).map_or(1.0, |column| {
                    agreement(column.kind, part, &probabilities(column))
                })
            });
            *reach += total * session.held * agree.product::<f64>();
        }
        for &(pattern, _, count) in &session.patterns {
            let (mut m, mut related) = (1.0, 1.0);
            for (at, column) in model.columns.iter().enumerate() {
                if let Some(level) = level_in(pattern, at) {
                    m *= column.m[level] / column.u[level];
                    related *= column.related[level] / column.u[level];
                }
            }
            ratios.push((m, related, count * session.scale));
        }
    }
    let blocked: f64 = ratios.iter().map(|(.., count)| count).sum();
    let least = 0.5 / total;
    let reach = reach.map(|reach| reach.max(1.0));
    let share = |found: f64, reach: f64, most: f64| (found / reach).clamp(least, most.max(least));
    let mut lambda = share(0.3 * blocked, reach[0], 0.5);
    let mut related_share = if with_relatives {
        share(0.1 * blocked, reach[1], 0.4)
    } else {
        0.0
    };
    for _ in 0..ROUNDS {
        let strangers = 1.0 - lambda - related_share;
        let (mut matches, mut relatives) = (0.0, 0.0);
        for &(m, related, count) in &ratios {
            let (m, related) = (lambda * m, related_share * related);
            let whole = m + related + strangers;
            matches += count * m / whole;
            relatives += count * related / whole;
        }
        let new = share(matches, reach[0], 0.5);
        let still = (new - lambda).abs() < 1e-9 * lambda;
        lambda = new;
        if with_relatives {
            related_share = share(relatives, reach[1], 0.4);
        }
        if still {
            break;
        }
    }
    model.lambda = lambda;
    model.lambda_related = related_share;
}

/// Probability that two values, both there, share a block by this part of them.
fn agreement(kind: Kind, part: Part, probabilities: &[f64]) -> f64 {
    let from = match (kind, part) {
        (_, Part::Whole) => kind.exact(),
        // Names that sound alike are similar at least; the first characters agree when one error is behind them.
        (Kind::Name, _) => SIMILAR_NAME,
        (_, Part::Sound) => kind.exact(),
        (_, Part::Start(_)) => kind.exact().saturating_sub(1),
    };
    let agreeing = probabilities.iter().take(kind.exact() + 1).skip(from);
    agreeing.sum::<f64>().clamp(1e-6, 1.0)
}

/// Whether a column's values are compared at all: some pair has both.
pub(super) fn is_usable(column: &Column) -> bool {
    column.held >= 2
        && (column.kind != Kind::Exact
            || column.counts.iter().filter(|count| **count > 0).count() >= 2)
}
