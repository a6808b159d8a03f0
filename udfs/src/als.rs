//! The parameters of alternating least squares, the same in every function that factorizes with it.

use std::num::NonZeroUsize;

use tributary_algo::Csr;
use tributary_algo::factorization::als::FACTORS_MAX;
use tributary_algo::factorization::{Als, Solver};

use crate::call::Call;
use crate::error::Result;
use crate::function::{Default, Parameter, ParameterType};

/// The length of the vectors.
pub const FACTORS: Parameter = Parameter::new(
    "factors",
    ParameterType::Integer,
    Default::Integer(64),
    "The length of the vectors, from 1 to 2048.",
);

/// The number of iterations.
pub const ITERATIONS: Parameter = Parameter::new(
    "iterations",
    ParameterType::Integer,
    Default::Integer(15),
    "How many times users, then items are solved for.",
);

/// The strength of the penalty.
pub const REGULARIZATION: Parameter = Parameter::new(
    "regularization",
    ParameterType::Float,
    Default::Null,
    "The strength of the penalty on the vectors, positive. Absent, 'als' takes what suits the size of \
     the matrix: a tenth of the confidence that the interactions of an average row add; 'als_explicit' \
     0.1, 'bpr' 0.01, 'ease' 300.",
);

/// The weight of an interaction in the confidence.
pub const ALPHA: Parameter = Parameter::new(
    "alpha",
    ParameterType::Float,
    Default::Float(20.0),
    "'als': how much a unit of weight adds to the confidence in a preference, positive; 20. Of \
     'item_knn' with 'asymmetric': 0 to 1, the chance of the other item given this one at 1; 0.5. Of \
     'rp3beta': the exponent of the chances, 0 to 2; 0.6.",
);

/// The exponent of the frequency in the penalty.
pub const NU: Parameter = Parameter::new(
    "nu",
    ParameterType::Float,
    Default::Float(1.0),
    "'als': how the penalty grows with a user's or item's share of the confidence: from 0, the same for all, \
     to 1, in proportion.",
);

/// How the system of each user and item is solved.
pub const SOLVER: Parameter = Parameter::new(
    "solver",
    ParameterType::Text,
    Default::Text("cholesky"),
    "'als': how each user and item is solved for, 'cholesky', exactly, or 'cg', by three steps of \
     conjugate gradients from the last iterate, which is faster for many factors.",
);

/// The algorithm with the arguments of a call, but for what follows from the interactions; it reports the loss of each iteration.
///
/// # Errors
/// For values out of range.
pub fn als_options(call: &Call) -> Result<Als> {
    if call.float("regularization")?.is_some() {
        call.float_from("regularization", 0.0, true)?;
    }
    Ok(Als {
        factors: call.count_within("factors", 1, FACTORS_MAX as i64)?,
        iterations: call.count("iterations", 1)?,
        regularization: 0.0,
        alpha: call.float_from("alpha", 0.0, true)?,
        nu: call.float_from("nu", 0.0, false)?,
        solver: match call.word("solver", &["cholesky", "cg"])? {
            "cg" => Solver::ConjugateGradient {
                steps: NonZeroUsize::MIN.saturating_add(2),
            },
            _ => Solver::Cholesky,
        },
        loss: true,
        seed: call.seed()?,
    })
}

/// The algorithm with the arguments of a call, for these interactions.
///
/// # Errors
/// For values out of range.
pub fn als(call: &Call, interactions: &Csr<f32>) -> Result<Als> {
    let als = als_options(call)?;
    Ok(Als {
        regularization: match call.float("regularization")? {
            Some(given) => given,
            None => als.suited_regularization(interactions),
        },
        ..als
    })
}
