//! The parameters of alternating least squares, the same in every function that factorizes with it.

use tributary_algo::factorization::Als;
use tributary_algo::factorization::als::FACTORS_MAX;

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
    Default::Float(0.01),
    "The strength of the penalty on the vectors, positive.",
);

/// The weight of an interaction in the confidence.
pub const ALPHA: Parameter = Parameter::new(
    "alpha",
    ParameterType::Float,
    Default::Float(1.0),
    "How much a unit of weight adds to the confidence in a preference, positive.",
);

/// The exponent of the frequency in the penalty.
pub const NU: Parameter = Parameter::new(
    "nu",
    ParameterType::Float,
    Default::Float(0.0),
    "How the penalty grows with a user's or item's share of the confidence: from 0, the same for all, \
     to 1, in proportion.",
);

/// The parameters that only alternating least squares takes.
pub const PARAMETERS: [&str; 5] = ["factors", "iterations", "regularization", "alpha", "nu"];

/// The algorithm with the arguments of a call; it reports the loss of each iteration.
///
/// # Errors
/// For values out of range.
pub fn als(call: &Call) -> Result<Als> {
    Ok(Als {
        factors: call.count_within("factors", 1, FACTORS_MAX as i64)?,
        iterations: call.count("iterations", 1)?,
        regularization: call.float_from("regularization", 0.0, true)?,
        alpha: call.float_from("alpha", 0.0, true)?,
        nu: call.float_from("nu", 0.0, false)?,
        loss: true,
        seed: call.seed()?,
        ..Als::default()
    })
}
