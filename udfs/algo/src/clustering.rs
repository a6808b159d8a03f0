//! Groups of alike rows: [`kmeans`], [`dbscan`], [`hdbscan`], the scaling of features that comes before it, [`scale`], and the measures of what came
//! out, [`evaluate`].

pub mod dbscan;
pub mod evaluate;
pub mod hdbscan;
mod kdtree;
pub mod kmeans;
mod lloyd;
mod prune;
pub mod scale;
mod seeding;
mod tile;

pub use dbscan::{Dbscan, DensityClusters, DensityModel, Eps, PointType};
pub use evaluate::{ClusterEvaluation, ClusterScore, ClusterScores, LabelAgreement, agreement};
pub use hdbscan::{Hdbscan, HierarchicalClusters, Selection};
pub use kmeans::{Clusters, Init, KMeans};
pub use scale::{Scale, Scaling};
