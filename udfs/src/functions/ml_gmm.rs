//! `ml.gmm`: clusters by a mixture of normal distributions.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::{DataType, Field};
use tributary_algo::DenseBlocks;
use tributary_algo::clustering::{Covariance, Gmm, Init, Mixture, refuse_rounded};

use crate::call::Call;
use crate::error::{Error, Kind, Result};
use crate::features::{
    FEATURES, Features, IMPUTE, OUTPUT, Prepared, SEED, STANDARDIZE, bind_labels, emit_ordered,
    label_array,
};
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::input::{Input, input_of};
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct GmmFunction;

static SIGNATURE: Signature = Signature {
    schema: "ml",
    name: "gmm",
    summary: "clusters rows by a mixture of normal distributions",
    prose: "Expectation and maximisation from k-means clusters, with the parameters, defaults and stopping rule of scikit-learn's GaussianMixture. Every input row comes back once, with the component it most probably is of. With k => 'auto' every k from 1 to `k_max` is tried and that of the least Bayesian information criterion kept. A column whose rounding to single precision would be felt within a cluster is refused. Time is O(rows x k x features^2) an iteration, without the square when diagonal.",
    parameters: &[
        Parameter::relation("rel", "The rows to cluster."),
        FEATURES,
        Parameter::new(
            "k",
            ParameterType::IntegerOrAuto,
            Default::Required,
            "The number of components, from 1 to the number of rows, or 'auto'.",
        ),
        Parameter::new(
            "k_max",
            ParameterType::Integer,
            Default::Integer(10),
            "The largest number of components that 'auto' tries; lowered to the number of rows.",
        ),
        Parameter::new(
            "covariance",
            ParameterType::Text,
            Default::Text("full"),
            "The shape of the components: 'full', any ellipsoid, or 'diag', along the features.",
        ),
        Parameter::new(
            "n_init",
            ParameterType::Integer,
            Default::Integer(1),
            "How many times to start from other seeds; the result of the largest likelihood is kept.",
        ),
        Parameter::new(
            "max_iter",
            ParameterType::Integer,
            Default::Integer(100),
            "The most iterations of one start.",
        ),
        Parameter::new(
            "tol",
            ParameterType::Float,
            Default::Float(1e-3),
            "Ends a start once the mean log-likelihood of a row changes less than this, positive.",
        ),
        Parameter::new(
            "reg_covar",
            ParameterType::Float,
            Default::Float(1e-6),
            "Added to the variances, not negative, in squared units of the features.",
        ),
        STANDARDIZE,
        IMPUTE,
        SEED,
        OUTPUT,
    ],
    positional: 1,
    columns: &[
        ResultColumn {
            name: "<all input columns>",
            data_type: "as in the input",
            meaning: "The row that was clustered.",
        },
        ResultColumn {
            name: "cluster_id",
            data_type: "integer",
            meaning: "The component's number, from 0 to k - 1.",
        },
        ResultColumn {
            name: "probability",
            data_type: "double precision",
            meaning: "The probability that the row is of that component, from 0 to 1.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT x, cluster_id = first_value(cluster_id) OVER (ORDER BY x) AS with_first, probability > 0.99 AS sure FROM ml.gmm((SELECT * FROM (VALUES (0.0), (1.0), (2.0), (20.0), (21.0), (23.0)) AS points (x)), features => 'x', k => 2) ORDER BY x",
        output: "0.0|t|t\n1.0|t|t\n2.0|t|t\n20.0|f|t\n21.0|f|t\n23.0|f|t",
    },
    source: "A. P. Dempster, N. M. Laird, D. B. Rubin: Maximum likelihood from incomplete data via the EM algorithm, J. R. Statist. Soc. B 39 (1977); G. Schwarz: Estimating the dimension of a model, Ann. Statist. 6 (1978).",
};

/// The algorithm with the arguments of a call, but for k, which is 1.
///
/// # Errors
/// For values out of range.
pub(super) fn algorithm(call: &Call) -> Result<Gmm> {
    let covariance = match call.word("covariance", &["full", "diag"])? {
        "diag" => Covariance::Diagonal,
        _ => Covariance::Full,
    };
    let auto = call.count_or_auto("k", 1)?.is_none();
    call.count("k_max", 1)?;
    if !auto && call.has("k_max")? {
        return Err(Error::new(
            Kind::InvalidParameter,
            format!(
                "argument \"k_max\" of {} has a meaning only with k => 'auto'",
                call.signature.qualified_name()
            ),
        )
        .hint("Leave the argument out, or let k be found."));
    }
    Ok(Gmm {
        k: 1,
        covariance,
        n_init: call.count("n_init", 1)?,
        max_iter: call.count("max_iter", 1)?,
        tol: call.float_from("tol", 0.0, true)?,
        reg_covar: call.float_from("reg_covar", 0.0, false)?,
        init: Init::KMeansPlusPlus,
        seed: call.seed()?,
    })
}

/// Fits the rows of `rel`, in the order that is returned with them.
///
/// # Errors
/// For bad arguments and data.
pub(super) fn fit(
    call: &Call,
    inputs: &[Input],
    run: &Run,
) -> Result<(Vec<u32>, Prepared, Mixture)> {
    let rows = input_of(call, inputs, "rel")?;
    let features = Features::bind(call)?;
    let algorithm = algorithm(call)?;
    let order = rows.canonical_order(&features.names, run)?;
    let prepared = features.read(call, rows, &order, run)?;
    let numbers = match call.count_or_auto("k", 1)? {
        Some(k) => k..=k,
        None => 1..=call.count("k_max", 1)?.min(rows.rows().max(1)),
    };
    let mixture = run.compute(|| -> tributary_algo::Result<_> {
        let blocks = DenseBlocks::from_rows(prepared.matrix.view(), run)?;
        let mut best: Option<Mixture> = None;
        for k in numbers {
            let found = Gmm {
                k,
                ..algorithm.clone()
            }
            .fit(&blocks, run)?;
            if best.as_ref().is_none_or(|best| found.bic < best.bic) {
                best = Some(found);
            }
        }
        let found = best.ok_or(tributary_algo::Error::Internal("one k at least is tried"))?;
        let labels: Vec<i32> = found.labels.iter().map(|label| *label as i32).collect();
        refuse_rounded(prepared.matrix.view(), &labels, &features.names, run)?;
        Ok(found)
    })?;
    Ok((order, prepared, mixture))
}

impl RelationFunction for GmmFunction {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let features = Features::bind(call)?;
        if call.is_complete() {
            algorithm(call)?;
            features.check_options(call)?;
        }
        bind_labels(
            call,
            vec![Field::new("probability", DataType::Float64, false)],
        )
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let (order, _, mixture) = fit(call, inputs, run)?;
        let columns = [
            label_array(&mixture.labels)?,
            Arc::new(Float64Array::from(mixture.probabilities)) as ArrayRef,
        ];
        emit_ordered(input_of(call, inputs, "rel")?, &order, &columns, run)
    }
}
