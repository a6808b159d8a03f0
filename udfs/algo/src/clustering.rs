//! Groups of alike rows: [`kmeans`] and the [`curve`] that chooses its k, [`gmm`], [`dbscan`], [`hdbscan`],
//! [`agglomerative`], [`birch`]; what f32 cannot hold apart, [`double`]; the scaling of features that comes before, [`scale`]; what sets the groups apart, [`explain`], and how
//! good they are, [`evaluate`].

pub mod agglomerative;
pub mod birch;
pub mod curve;
pub mod dbscan;
pub mod double;
pub mod evaluate;
pub mod explain;
pub mod gmm;
pub mod hdbscan;
mod kdtree;
pub mod kmeans;
mod lloyd;
mod prune;
pub mod scale;
mod seeding;
mod tile;

pub use agglomerative::{AGGLOMERATIVE_ROWS_MAX, Agglomerative, Dendrogram, Linkage, Union};
pub use birch::{Birch, BirchClusters};
pub use curve::{Criterion, CurvePoint, KMeansCurve};
pub use dbscan::{Dbscan, DensityClusters, DensityModel, Eps, PointType};
pub use double::{nearest_centroids, refuse_rounded};
pub use evaluate::{ClusterEvaluation, ClusterScore, ClusterScores, LabelAgreement, agreement};
pub use explain::{ClusterExplanation, ClusterProfile, Condition, Direction, FeatureEffect, Rule};
pub use gmm::{Covariance, Gmm, Mixture};
pub use hdbscan::{Hdbscan, HierarchicalClusters, Selection};
pub use kmeans::{Clusters, Init, KMeans};
pub use scale::{Scale, Scaling};
