//! Small dense linear algebra in f64, from `faer`, on one thread so that the bits do not depend on the pool.
//!
//! Matrices are row-major slices.

use faer::diag::DiagMut;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::linalg::matmul::matmul;
use faer::linalg::svd::{ComputeSvdVectors, svd, svd_scratch};
use faer::{Accum, MatMut, MatRef, Par};

use crate::{Error, Result};

/// A thin singular value decomposition `A = U diag(sigma) V^T` of an n x m matrix, with s = min(n, m) columns in U and V.
pub(crate) struct Thin {
    /// n x s.
    pub(crate) left: Vec<f64>,
    /// s values, falling.
    pub(crate) sigma: Vec<f64>,
    /// m x s.
    pub(crate) right: Vec<f64>,
}

/// Decomposes `a`, n x m, of finite values; O(n m min(n, m)) without a chance to cancel.
pub(crate) fn thin_svd(a: &[f64], n: usize, m: usize) -> Result<Thin> {
    let s = n.min(m);
    let mut thin = Thin {
        left: vec![0.0; n * s],
        sigma: vec![0.0; s],
        right: vec![0.0; m * s],
    };
    let vectors = ComputeSvdVectors::Thin;
    let need = svd_scratch::<f64>(n, m, vectors, vectors, Par::Seq, Default::default());
    svd(
        MatRef::from_row_major_slice(a, n, m),
        DiagMut::from_slice_mut(&mut thin.sigma),
        Some(MatMut::from_row_major_slice_mut(&mut thin.left, n, s)),
        Some(MatMut::from_row_major_slice_mut(&mut thin.right, m, s)),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(need)),
        Default::default(),
    )
    .map_err(|_| Error::Internal("the singular values of a finite matrix converge"))?;
    Ok(thin)
}

/// Eigenvalues, rising, and eigenvectors, the columns of an n x n matrix, of the symmetric `a`, n x n.
pub(crate) fn symmetric_eigen(a: &[f64], n: usize) -> Result<(Vec<f64>, Vec<f64>)> {
    let mut values = vec![0.0; n];
    let mut vectors = vec![0.0; n * n];
    let need =
        self_adjoint_evd_scratch::<f64>(n, ComputeEigenvectors::Yes, Par::Seq, Default::default());
    self_adjoint_evd(
        MatRef::from_row_major_slice(a, n, n),
        DiagMut::from_slice_mut(&mut values),
        Some(MatMut::from_row_major_slice_mut(&mut vectors, n, n)),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(need)),
        Default::default(),
    )
    .map_err(|_| Error::Internal("the eigenvalues of a finite matrix converge"))?;
    Ok((values, vectors))
}

/// `a b`, of n x k and k x m.
pub(crate) fn product(a: &[f64], b: &[f64], k: usize, m: usize) -> Vec<f64> {
    let n = a.len() / k.max(1);
    let mut c = vec![0.0; n * m];
    matmul(
        MatMut::from_row_major_slice_mut(&mut c, n, m),
        Accum::Replace,
        MatRef::from_row_major_slice(a, n, k),
        MatRef::from_row_major_slice(b, k, m),
        1.0,
        Par::Seq,
    );
    c
}

/// `a^T b`, of n x k and n x m.
pub(crate) fn inner_product(a: &[f64], b: &[f64], k: usize, m: usize) -> Vec<f64> {
    let n = a.len() / k.max(1);
    let mut c = vec![0.0; k * m];
    matmul(
        MatMut::from_row_major_slice_mut(&mut c, k, m),
        Accum::Replace,
        MatRef::from_row_major_slice(a, n, k).transpose(),
        MatRef::from_row_major_slice(b, n, m),
        1.0,
        Par::Seq,
    );
    c
}
