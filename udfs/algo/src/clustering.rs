//! Groups of alike rows: [`kmeans`], the scaling of features that comes before it, [`scale`], and the measures of what came
//! out, [`evaluate`].

pub mod evaluate;
pub mod kmeans;
mod lloyd;
pub mod scale;
mod seeding;
mod tile;

pub use evaluate::{ClusterEvaluation, ClusterScore, ClusterScores, LabelAgreement, agreement};
pub use kmeans::{Clusters, Init, KMeans};
pub use scale::{Scale, Scaling};
