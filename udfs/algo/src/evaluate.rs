//! How good an answer is, once the truth is known: [`ranking`] for recommendations. Clusterings of records are measured by
//! [`crate::fusion::evaluate`].

pub mod ranking;

pub use ranking::{Lists, Metric, RankingEvaluation, RankingScore};
