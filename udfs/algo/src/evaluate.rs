//! How good an answer is, once the truth is known: [`ranking`] for recommendations with [`beyond`] for what is not a hit, [`regression`] for numbers,
//! [`classification`] for classes, and [`split`] for what is kept back to know the truth. Clusterings of records are measured by
//! [`crate::fusion::evaluate`].

pub mod beyond;
pub mod classification;
pub mod ranking;
pub mod regression;
pub mod split;

pub use classification::{ClassScore, Classification, auc, log_loss};
pub use ranking::{Lists, Metric, RankingEvaluation, RankingScore};
pub use regression::Regression;
