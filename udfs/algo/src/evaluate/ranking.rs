//! Metrics of recommendation lists against the items that users did choose, with confidence intervals.
//!
//! For a user with the truth T (a set of items) and the list r_1, r_2, ... let hits@k be the number of r_1 .. r_k in T. Lists may be shorter
//! than k; what is missing is no hit. Only users with a truth count; one without a list counts as zero.

use crate::host::{Host, Meter, reserve_for};
use crate::parallel::ordered;
use crate::random::Random;
use crate::sparse::Pattern;
use crate::{Error, Result};

/// A figure of merit at a cut-off k.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    /// `hits@k / k`.
    Precision,
    /// `hits@k / |T|` (NGCF, Wang et al. 2019; LightGCN, He et al. 2020).
    Recall,
    /// `hits@k / min(k, |T|)`, which can reach 1 (Liang et al. 2018, section 4.2).
    RecallMinK,
    /// Harmonic mean of a user's precision and recall, 0 without hits; averaged over users after.
    F1,
    /// `DCG@k / IDCG@k` with binary relevance: `sum over hits at position i of 1 / log2(i + 1)`, over the same sum for hits at
    /// the first min(k, |T|) positions (Jarvelin and Kekalainen 2002).
    Ndcg,
    /// Average precision: `sum over hits at position i <= k of (hits@i / i)`, divided by min(k, |T|).
    Map,
    /// Reciprocal of the position of the first hit, 0 without one up to k.
    Mrr,
    /// 1 with a hit, else 0.
    HitRate,
    /// Share of all items that are in the first k of somebody's list. Of the whole, not a mean over users, so without interval.
    Coverage,
}

impl Metric {
    /// All metrics, in the order they are reported.
    pub const ALL: [Self; 9] = [
        Self::Precision,
        Self::Recall,
        Self::RecallMinK,
        Self::F1,
        Self::Ndcg,
        Self::Map,
        Self::Mrr,
        Self::HitRate,
        Self::Coverage,
    ];

    /// Metrics that are means over users: all but the last.
    const MEANS: usize = 8;

    /// The name used in results, such as `ndcg_at_k`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Precision => "precision_at_k",
            Self::Recall => "recall_at_k",
            Self::RecallMinK => "recall_min_k",
            Self::F1 => "f1_at_k",
            Self::Ndcg => "ndcg_at_k",
            Self::Map => "map_at_k",
            Self::Mrr => "mrr_at_k",
            Self::HitRate => "hit_rate_at_k",
            Self::Coverage => "coverage_at_k",
        }
    }
}

/// One figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankingScore {
    /// Of what.
    pub metric: Metric,
    /// Cut-off.
    pub k: usize,
    /// Mean over the users with a truth, or the coverage.
    pub value: f64,
    /// Bounds of the confidence interval, where there is one.
    pub interval: Option<(f64, f64)>,
    /// Users with a truth.
    pub users: usize,
}

/// Parameters of the evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct RankingEvaluation {
    /// Cut-offs, each at least 1.
    pub k: Vec<usize>,
    /// Resamples of the users for the intervals; 0 for none.
    pub resamples: usize,
    /// Share of the resamples that the interval holds, between 0 and 1.
    pub confidence: f64,
    /// Seed of the resampling.
    pub seed: u64,
}

impl Default for RankingEvaluation {
    /// k = 10, 1000 resamples, confidence 0.95, seed 0.
    fn default() -> Self {
        Self {
            k: vec![10],
            resamples: 1000,
            confidence: 0.95,
            seed: 0,
        }
    }
}

/// Items recommended to each user, best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lists {
    starts: Vec<usize>,
    items: Vec<u32>,
}

impl Lists {
    /// The lists of `users` users from rows in any order: `item[i]` is recommended to `user[i]` at place `rank[i]`; the lowest
    /// rank is the best, and ranks need not be 1, 2, 3.
    ///
    /// # Errors
    /// [`Error::Data`] for a rank that is not finite, two items of a user at the same rank, an item twice in a list, or a user that
    /// is not below `users`; [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn from_rows(
        users: usize,
        user: &[u32],
        item: &[u32],
        rank: &[f64],
        host: &dyn Host,
    ) -> Result<Self> {
        if item.len() != user.len() || rank.len() != user.len() {
            return Err(Error::Internal("an item and a rank for each user"));
        }
        if let Some(row) = rank.iter().position(|rank| !rank.is_finite()) {
            return Err(Error::data(
                format!("rank in row {row} is not finite"),
                "Give the place of each item in its list, 1 for the best.",
            ));
        }
        if let Some(row) = user.iter().position(|user| *user as usize >= users) {
            return Err(Error::data(
                format!(
                    "user {} in row {row} is not one of the {users} users",
                    user[row]
                ),
                "Number the users from 0 without gaps.",
            ));
        }
        let _memory = reserve_for::<[u64; 3]>(host, user.len(), "recommended items")?;
        let mut rows: Vec<(u32, f64, u32)> = user
            .iter()
            .zip(rank)
            .zip(item)
            .map(|((&user, &rank), &item)| (user, rank, item))
            .collect();
        host.check()?;
        rows.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)));
        host.check()?;
        if let Some(pair) = rows
            .windows(2)
            .find(|pair| matches!(pair, [a, b] if a.0 == b.0 && a.1 == b.1 && a.2 != b.2))
        {
            let [(user, rank, _), ..] = pair else {
                return Err(Error::Internal("windows of two rows"));
            };
            return Err(Error::data(
                format!("user {user} has two items at rank {rank}"),
                "Number the items of each user without ties, as row_number() does.",
            ));
        }
        let mut starts = vec![0; users + 1];
        for &(user, ..) in &rows {
            starts[user as usize + 1] += 1;
        }
        for at in 0..users {
            starts[at + 1] += starts[at];
        }
        let lists = Self {
            starts,
            items: rows.into_iter().map(|(_, _, item)| item).collect(),
        };
        lists.check_items(host)?;
        Ok(lists)
    }

    /// Lists that are held one after another: that of user u is `items[starts[u]..starts[u + 1]]`.
    ///
    /// # Errors
    /// [`Error::Data`] when they are not, or an item is twice in a list.
    pub fn from_lists(starts: &[usize], items: &[u32], host: &dyn Host) -> Result<Self> {
        let ordered =
            starts.first() == Some(&0) && starts.last() == Some(&items.len()) && starts.is_sorted();
        if !ordered {
            return Err(Error::data(
                "the lists do not cover their items",
                "Give the start of each list and the end of the last.",
            ));
        }
        let _memory = reserve_for::<u32>(host, items.len(), "recommended items")?;
        let lists = Self {
            starts: starts.to_vec(),
            items: items.to_vec(),
        };
        lists.check_items(host)?;
        Ok(lists)
    }

    /// Refuses lists that hold an item twice.
    fn check_items(&self, host: &dyn Host) -> Result<()> {
        let mut meter = Meter::new(host);
        let mut sorted = Vec::new();
        for user in 0..self.users() {
            sorted.clear();
            sorted.extend_from_slice(self.list(user));
            meter.spend(16 * sorted.len() + 1)?;
            sorted.sort_unstable();
            let twice = sorted
                .windows(2)
                .find(|pair| matches!(pair, [a, b] if a == b));
            if let Some([item, ..]) = twice {
                return Err(Error::data(
                    format!("item {item} is recommended to user {user} more than once"),
                    "Remove the duplicates from the recommendations.",
                ));
            }
        }
        Ok(())
    }

    /// Number of users.
    pub fn users(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Items of one user, best first.
    pub fn list(&self, user: usize) -> &[u32] {
        match self.starts.get(user..) {
            Some([start, end, ..]) => self.items.get(*start..*end).unwrap_or_default(),
            _ => &[],
        }
    }
}

impl RankingEvaluation {
    /// Measures `lists` against `truth`, users x items with the chosen items of each user; `items` is the number of items
    /// that could have been recommended, for the coverage. The scores come cut-off by cut-off, in the order of
    /// [`Metric::ALL`].
    ///
    /// The interval is that of the percentile bootstrap (Efron 1979): users are drawn with replacement, as many as there
    /// are, and the means of the draws are sorted. Time O(list entries + resamples x users x metrics).
    ///
    /// # Errors
    /// [`Error::Parameter`] for no k or a k below 1, or a confidence not between 0 and 1; [`Error::Data`] when no user has a truth;
    /// [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub fn fit(
        &self,
        lists: &Lists,
        truth: &Pattern,
        items: usize,
        host: &dyn Host,
    ) -> Result<Vec<RankingScore>> {
        self.check()?;
        let judged: Vec<usize> = (0..truth.rows())
            .filter(|&user| !truth.row(user).is_empty())
            .collect();
        if judged.is_empty() {
            return Err(Error::data(
                "no user has a true item",
                "Give the items that users chose after the recommendation.",
            ));
        }
        let width = Metric::MEANS * self.k.len();
        let _memory = reserve_for::<f64>(
            host,
            judged.len().saturating_mul(width),
            "scores of the users",
        )?;
        let mut scores = Vec::with_capacity(judged.len() * width);
        let mut meter = Meter::new(host);
        for &user in &judged {
            let (list, truth) = (lists.list(user), truth.row(user));
            meter.spend(16 * list.len() + 16 * width)?;
            let hits: Vec<bool> = list
                .iter()
                .map(|item| truth.binary_search(item).is_ok())
                .collect();
            for &k in &self.k {
                scores.extend(user_scores(&hits, truth.len(), k));
            }
        }
        let means = mean_rows(&scores, width);
        let intervals = self.intervals(&scores, width, host)?;
        let mut result = Vec::with_capacity(Metric::ALL.len() * self.k.len());
        for (at, &k) in self.k.iter().enumerate() {
            for (metric, column) in Metric::ALL.into_iter().zip(at * Metric::MEANS..) {
                let of_all = metric == Metric::Coverage;
                let value = if of_all {
                    coverage(lists, &judged, k, items, host)?
                } else {
                    means.get(column).copied().unwrap_or(0.0)
                };
                result.push(RankingScore {
                    metric,
                    k,
                    value,
                    interval: intervals.get(column).copied().filter(|_| !of_all),
                    users: judged.len(),
                });
            }
        }
        Ok(result)
    }

    fn check(&self) -> Result<()> {
        if self.k.is_empty() || self.k.contains(&0) {
            return Err(Error::parameter(
                "k",
                "\"k\" must hold cut-offs of at least 1",
                "Give the cut-offs, such as ARRAY[5, 10, 20].",
            ));
        }
        if !(self.confidence > 0.0 && self.confidence < 1.0) {
            return Err(Error::parameter(
                "confidence",
                format!(
                    "\"confidence\" must be between 0 and 1, not {}",
                    self.confidence
                ),
                "Give the share of the resamples that the interval holds, such as 0.95.",
            ));
        }
        Ok(())
    }

    /// Bounds for each column of `scores`; none without resamples.
    fn intervals(&self, scores: &[f64], width: usize, host: &dyn Host) -> Result<Vec<(f64, f64)>> {
        let users = scores.len() / width;
        let length = self.resamples.saturating_mul(width);
        let _memory = reserve_for::<f64>(host, length, "resampled scores")?;
        let mut columns = vec![Vec::with_capacity(self.resamples); width];
        if self.resamples == 0 {
            return Ok(Vec::new());
        }
        let mut done = 0;
        ordered(
            self.resamples,
            host,
            |resample| {
                let mut random = Random::stream(self.seed, resample as u64);
                let mut meter = Meter::new(host);
                let mut sums = vec![0.0; width];
                for _ in 0..users {
                    meter.spend(width + 16)?;
                    let row = random.below(users) * width;
                    for (sum, score) in sums.iter_mut().zip(&scores[row..row + width]) {
                        *sum += score;
                    }
                }
                Ok(sums)
            },
            |sums| {
                for (column, sum) in columns.iter_mut().zip(sums) {
                    column.push(sum / users as f64);
                }
                done += 1;
                if done % 100 == 0 {
                    host.progress("resampling", done, self.resamples as u64, None);
                }
                Ok(())
            },
        )?;
        let tail = (1.0 - self.confidence) / 2.0;
        Ok(columns
            .into_iter()
            .map(|mut column| {
                column.sort_unstable_by(f64::total_cmp);
                (quantile(&column, tail), quantile(&column, 1.0 - tail))
            })
            .collect())
    }
}

/// The metrics of [`Metric::ALL`] that are means over users, for one user; `hits` says which places of
/// the list are in the truth.
fn user_scores(hits: &[bool], truth: usize, k: usize) -> [f64; Metric::MEANS] {
    let mut found = 0_usize;
    let mut first = 0.0;
    let mut gain = 0.0;
    let mut precisions = 0.0;
    for (at, _) in hits.iter().take(k).enumerate().filter(|(_, hit)| **hit) {
        found += 1;
        if found == 1 {
            first = 1.0 / (at + 1) as f64;
        }
        gain += discount(at);
        precisions += found as f64 / (at + 1) as f64;
    }
    let reachable = k.min(truth);
    let ideal: f64 = (0..reachable).map(discount).sum();
    let hits = found as f64;
    [
        hits / k as f64,
        hits / truth as f64,
        hits / reachable as f64,
        // 2 P R / (P + R) with P = hits / k and R = hits / |T|.
        2.0 * hits / (k + truth) as f64,
        gain / ideal,
        precisions / reachable as f64,
        first,
        if found > 0 { 1.0 } else { 0.0 },
    ]
}

/// Weight of a hit at a position counted from 0.
fn discount(at: usize) -> f64 {
    1.0 / ((at + 2) as f64).log2()
}

fn mean_rows(scores: &[f64], width: usize) -> Vec<f64> {
    let count = (scores.len() / width) as f64;
    let mut sums = vec![0.0; width];
    for row in scores.chunks_exact(width) {
        for (sum, score) in sums.iter_mut().zip(row) {
            *sum += score;
        }
    }
    sums.into_iter().map(|sum| sum / count).collect()
}

fn coverage(
    lists: &Lists,
    judged: &[usize],
    k: usize,
    items: usize,
    host: &dyn Host,
) -> Result<f64> {
    let mut meter = Meter::new(host);
    let mut seen = Vec::new();
    for &user in judged {
        let list = lists.list(user);
        meter.spend(8 * list.len().min(k) + 1)?;
        for &item in list.iter().take(k) {
            let item = item as usize;
            if item >= seen.len() {
                seen.resize(item + 1, false);
            }
            seen[item] = true;
        }
    }
    let distinct = seen.iter().filter(|seen| **seen).count();
    Ok(if items == 0 {
        0.0
    } else {
        distinct as f64 / items as f64
    })
}

/// Quantile of sorted values with linear interpolation.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let position = share * sorted.len().saturating_sub(1) as f64;
    let low = sorted
        .get(position.floor() as usize)
        .copied()
        .unwrap_or(0.0);
    let high = sorted.get(position.ceil() as usize).copied().unwrap_or(low);
    low + (high - low) * position.fract()
}

#[cfg(test)]
mod tests;
