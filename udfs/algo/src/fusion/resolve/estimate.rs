//! Learning the parameters without labels: u from random pairs, m by expectation maximisation on counts of patterns.

use std::collections::HashMap;

use super::block::{BlockRule, pairs_of};
use super::column::{Column, Kind};
use super::compare::Memo;
use super::model::{Model, Probabilities, Scorer, Wanted, level_in, pairs_in};
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

/// The pairs that one rule brings together, as counts.
struct Session {
    /// Pattern, whether the rule is the first that brings the pair together, and pairs.
    patterns: Vec<(u64, bool, f64)>,
    /// Whether each column is a part of the rule: all pairs agree on it, so that they say nothing of m.
    blocked: Vec<bool>,
    /// Pairs of the rule by pairs read.
    scale: f64,
}

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
    let sessions = sessions(columns.len(), scorer, rules, wanted, seed, host)?;
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
        // Half a pair that was not seen keeps a level from being impossible.
        let other: u64 = counts
            .iter()
            .enumerate()
            .filter(|(level, _)| *level != exact)
            .map(|(_, n)| *n)
            .sum();
        let whole = other as f64 + 0.5 * (counts.len() - 1) as f64;
        let probabilities = counts.iter().enumerate().map(|(level, &count)| {
            if level == exact {
                equal
            } else {
                (count as f64 + 0.5) / whole * (1.0 - equal)
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
    ((pairs as f64 + 0.5) / (all as f64 + 1.0)).min(1.0 - 1e-6)
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

fn sessions(
    width: usize,
    scorer: &Scorer,
    rules: &[BlockRule],
    wanted: Wanted<'_>,
    seed: u64,
    host: &dyn Host,
) -> Result<Vec<Session>> {
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
            let exact = column.kind.exact();
            let others = (u.len() - 2).max(1) as f64;
            let m: Vec<f64> = (0..u.len())
                .map(|level| match level {
                    _ if level == exact => 0.85,
                    0 => 0.05,
                    _ => 0.1 / others,
                })
                .collect();
            let whole: f64 = m.iter().sum();
            let m: Vec<f64> = m.into_iter().map(|m| m / whole).collect();
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
            moved = moved.max(renew(&mut column.m, &sums[0], &column.u, true));
            if with_relatives && !column.personal {
                moved = moved.max(renew(&mut column.related, &sums[1], &column.u, false));
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
/// being impossible, and a column without pairs where it was.
fn renew(probabilities: &mut [f64], sums: &[f64; 8], u: &[f64], matches: bool) -> f64 {
    const PRIOR: f64 = 10.0;
    let seen: f64 = sums.iter().take(probabilities.len()).sum();
    let mut moved: f64 = 0.0;
    if seen < 1.0 {
        return moved;
    }
    let flat = 1.0 / probabilities.len() as f64;
    for ((probability, sum), u) in probabilities.iter_mut().zip(sums).zip(u) {
        let prior = if matches { flat } else { *u };
        let new = (sum + PRIOR * prior) / (seen + PRIOR);
        moved = moved.max((new - *probability).abs());
        *probability = new;
    }
    moved
}

/// The shares of matches and of relatives among all pairs: those for which the pairs in blocks, each counted once, hold as
/// many as expected. Blocking is taken to bring together all of them.
fn priors(model: &mut Model, sessions: &[Session], total: f64) {
    let with_relatives = model.lambda_related > 0.0;
    let ratios: Vec<(f64, f64, f64)> = sessions
        .iter()
        .flat_map(|session| {
            session
                .patterns
                .iter()
                .filter(|(_, first, _)| *first)
                .map(move |pattern| (session.scale, pattern))
        })
        .map(|(scale, &(pattern, _, count))| {
            let (mut m, mut related) = (1.0, 1.0);
            for (at, column) in model.columns.iter().enumerate() {
                if let Some(level) = level_in(pattern, at) {
                    m *= column.m[level] / column.u[level];
                    related *= column.related[level] / column.u[level];
                }
            }
            (m, related, count * scale)
        })
        .collect();
    let blocked: f64 = ratios.iter().map(|(.., count)| count).sum();
    let least = 0.5 / total;
    let mut lambda = (0.3 * blocked / total).clamp(least, 0.5);
    let mut related_share = if with_relatives {
        (0.1 * blocked / total).clamp(least, 0.4)
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
        let new = (matches / total).clamp(least, 0.5);
        let still = (new - lambda).abs() < 1e-9 * lambda;
        lambda = new;
        if with_relatives {
            related_share = (relatives / total).clamp(least, 0.4);
        }
        if still {
            break;
        }
    }
    model.lambda = lambda;
    model.lambda_related = related_share;
}

/// Whether a column's values are compared at all: some pair has both.
pub(super) fn is_usable(column: &Column) -> bool {
    column.held >= 2
        && (column.kind != Kind::Exact
            || column.counts.iter().filter(|count| **count > 0).count() >= 2)
}
