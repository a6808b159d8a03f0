//! Matrices as products of thin ones: [`als`] for implicit feedback, [`bpr`] for rankings, [`explicit`] for ratings, [`nmf`] for parts without
//! signs, [`pca`] for the directions of most variance, [`svd`] for the truncated singular value decomposition.

pub mod als;
pub mod bpr;
mod cholesky;
mod conjugate;
pub(crate) mod dense;
pub mod explicit;
mod factors;
pub(crate) mod inverse;
pub mod nmf;
mod normal;
mod panel;
pub mod pca;
mod strata;
pub mod svd;

pub use als::{Als, AlsModel, FoldIn, Solver};
pub use bpr::{Bpr, RankingModel};
pub use explicit::{AlsExplicit, RatingModel};
pub use nmf::{Nmf, NmfModel};
pub use pca::{Pca, PcaModel};
pub use svd::{Svd, SvdModel};
