//! Matrices as products of thin ones: [`als`] for implicit feedback, [`bpr`] for rankings, [`explicit`] for ratings, [`nmf`] for parts without
//! signs, [`svd`] for the truncated singular value decomposition.

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
mod strata;
pub mod svd;

pub use als::{Als, AlsModel, FoldIn, Solver};
pub use bpr::{Bpr, RankingModel};
pub use explicit::{AlsExplicit, RatingModel};
pub use nmf::{Nmf, NmfModel};
pub use svd::{Svd, SvdModel};
