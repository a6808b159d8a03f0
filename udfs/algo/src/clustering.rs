//! Groups of alike rows: [`kmeans`], and the scaling of features that comes before it, [`scale`].

pub mod kmeans;
mod lloyd;
pub mod scale;
mod seeding;
mod tile;

pub use kmeans::{Clusters, Init, KMeans};
pub use scale::{Scale, Scaling};
