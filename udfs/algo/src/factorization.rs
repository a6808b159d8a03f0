//! Matrices as products of thin ones: [`als`] for implicit feedback, [`svd`] for the truncated singular value decomposition.

pub mod als;
mod cholesky;
mod dense;
mod factors;
mod normal;
mod panel;
pub mod svd;

pub use als::{Als, AlsModel, FoldIn, Solver};
pub use svd::{Svd, SvdModel};
