//! Matrices as products of thin ones: [`als`] for implicit feedback, [`svd`] for the truncated singular value decomposition.

pub mod als;
mod cholesky;
pub(crate) mod dense;
mod factors;
pub(crate) mod inverse;
mod normal;
mod panel;
pub mod svd;

pub use als::{Als, AlsModel, FoldIn, Solver};
pub use svd::{Svd, SvdModel};
