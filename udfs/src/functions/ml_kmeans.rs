//! `ml.kmeans`: k-means clustering.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::{DataType, Field};
use ndarray::Array2;
use tributary_algo::DenseBlocks;
use tributary_algo::clustering::{
    Clusters, Criterion, Init, KMeans as Algorithm, KMeansCurve, refuse_rounded,
};

use crate::call::Call;
use crate::error::{Error, Kind, Result};
use crate::features::{
    FEATURES, Features, IMPUTE, OUTPUT, Prepared, SEED, STANDARDIZE, Treatment, WEIGHT,
    bind_labels, emit_ordered, label_array, reordered, weight_column,
};
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::input::{Input, input_of};
use crate::output::{all_positions, positions, required};
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct KMeans;

static SIGNATURE: Signature = Signature {
    schema: "ml",
    name: "kmeans",
    summary: "clusters rows around k centroids (k-means)",
    prose: "Lloyd's algorithm from greedy k-means++ seeds, with the parameters and defaults of \
            scikit-learn's KMeans. Every input row comes back once, with all its columns. The \
            distance is Euclidean, in the units of the standardized features where `standardize` \
            is not 'none'. Features are kept in single precision around their means and sums in \
            double, all in double where that rounding would be felt within a cluster, such as among \
            values near 0 and near a billion that differ by 1. With k => 'auto' every k from 1 to \
            `k_max` is tried and the best kept, as in ml.kmeans_curve(). The same data, arguments and seed give the same labels for any number of \
            threads and any order of rows. Time is O(rows x k x features) an iteration.",
    parameters: &[
        Parameter::relation("rel", "The rows to cluster."),
        FEATURES,
        Parameter::new(
            "k",
            ParameterType::IntegerOrAuto,
            Default::Integer(8),
            "The number of clusters, from 1 to the number of rows, or 'auto'.",
        ),
        K_MAX,
        CRITERION,
        N_INIT,
        MAX_ITER,
        TOL,
        INIT,
        Parameter::new(
            "initial_centroids",
            ParameterType::Relation,
            Default::Null,
            "The first centroids, one a row, k rows, under the features' names and in their units; \
             then `init` and `seed` play no part and `n_init` must be 1.",
        ),
        STANDARDIZE,
        IMPUTE,
        WEIGHT,
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
            meaning: "The cluster's number, from 0 to k - 1.",
        },
        ResultColumn {
            name: "distance",
            data_type: "double precision",
            meaning: "Distance to the cluster's centroid.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT cluster_id = first_value(cluster_id) OVER (ORDER BY x) AS with_first, x, distance \
              FROM ml.kmeans((SELECT * FROM (VALUES (0.0), (2.0), (10.0), (14.0)) AS points (x)), \
              features => 'x', k => 2) ORDER BY x",
        output: "t|0.0|1\nt|2.0|1\nf|10.0|2\nf|14.0|2",
    },
    source: "S. Lloyd: Least squares quantization in PCM, IEEE Trans. Inf. Theory 28 (1982); \
             D. Arthur, S. Vassilvitskii: k-means++, SODA 2007.",
};

/// The largest k that is tried.
pub(super) const K_MAX: Parameter = Parameter::new(
    "k_max",
    ParameterType::Integer,
    Default::Integer(10),
    "The largest number of clusters that is tried; at least 2, and lowered to the number of rows.",
);

/// What chooses k.
pub(super) const CRITERION: Parameter = Parameter::new(
    "criterion",
    ParameterType::Text,
    Default::Text("silhouette"),
    "What chooses among them: 'silhouette', the largest mean silhouette of at most 5000 rows, or \
     'gap', the first k whose gap statistic is within one standard error of the next (10 uniform \
     data sets to compare with), which may also be 1.",
);

/// How many starts are made.
pub(super) const N_INIT: Parameter = Parameter::new(
    "n_init",
    ParameterType::Integer,
    Default::Integer(1),
    "How many times to start from other seeds; the result with the least inertia is kept.",
);

/// The most iterations.
pub(super) const MAX_ITER: Parameter = Parameter::new(
    "max_iter",
    ParameterType::Integer,
    Default::Integer(300),
    "The most iterations of one start.",
);

/// When iterations end.
pub(super) const TOL: Parameter = Parameter::new(
    "tol",
    ParameterType::Float,
    Default::Float(1e-4),
    "Ends a start once the centroids move less than this share of the features' mean variance.",
);

/// How first centroids are drawn.
pub(super) const INIT: Parameter = Parameter::new(
    "init",
    ParameterType::Text,
    Default::Text("k-means++"),
    "How the first centroids are drawn: 'k-means++' or 'random'.",
);

/// The algorithm with the arguments of a call, but for k, which is 1.
///
/// # Errors
/// For values out of range.
pub(super) fn algorithm(call: &Call) -> Result<Algorithm> {
    let init = match call.word("init", &["k-means++", "random"])? {
        "random" => Init::Random,
        _ => Init::KMeansPlusPlus,
    };
    Ok(Algorithm {
        k: 1,
        n_init: call.count("n_init", 1)?,
        max_iter: call.count("max_iter", 1)?,
        tol: call.float_from("tol", 0.0, false)?,
        init,
        seed: call.seed()?,
    })
}

/// The search for k with the arguments of a call.
///
/// # Errors
/// For values out of range.
pub(super) fn curve(call: &Call, references: usize) -> Result<KMeansCurve> {
    let criterion = match call.word("criterion", &["silhouette", "gap"])? {
        "gap" => Criterion::Gap,
        _ => Criterion::Silhouette,
    };
    Ok(KMeansCurve {
        k_max: call.count("k_max", 2)?,
        criterion,
        references: if criterion == Criterion::Gap {
            references.max(REFERENCES)
        } else {
            references
        },
        kmeans: algorithm(call)?,
        ..KMeansCurve::default()
    })
}

/// Uniform data sets that the gap statistic is computed from.
pub(super) const REFERENCES: usize = 10;

/// Refuses what has no part in the search for k, or none without it.
pub(super) fn check_auto(call: &Call) -> Result<()> {
    let auto = call.count_or_auto("k", 1)?.is_none();
    let idle: &[&str] = if auto {
        &["weight", "initial_centroids"]
    } else {
        &["k_max", "criterion"]
    };
    for name in idle {
        if call.signature.parameter(name).is_some() && call.has(name)? {
            return Err(Error::new(
                Kind::InvalidParameter,
                format!(
                    "argument \"{name}\" of {} {} k => 'auto'",
                    call.signature.qualified_name(),
                    if auto {
                        "cannot be given with"
                    } else {
                        "has a meaning only with"
                    }
                ),
            )
            .hint(if auto {
                "Give k as a number, or leave the argument out."
            } else {
                "Leave the argument out, or let k be found."
            }));
        }
    }
    Ok(())
}

/// Clusters the rows of `rel`, in the order that is returned with them.
///
/// # Errors
/// For bad arguments and data.
pub(super) fn cluster(
    call: &Call,
    inputs: &[Input],
    run: &Run,
) -> Result<(Vec<u32>, Prepared, Clusters)> {
    let described = call.input("rel")?;
    let rows = input_of(call, inputs, "rel")?;
    let features = Features::bind(call)?;
    let weight = weight_column(call)?;
    let order = rows.canonical_order(&features.names_and(&weight), run)?;
    let prepared = features.read(call, rows, &order, run)?;
    check_auto(call)?;
    let Some(k) = call.count_or_auto("k", 1)? else {
        let curve = curve(call, 0)?;
        let clusters = run.compute(|| -> tributary_algo::Result<_> {
            let blocks = DenseBlocks::from_rows(prepared.matrix.view(), run)?;
            let (_, clusters) = curve.fit(&blocks, run)?;
            let labels: Vec<i32> = clusters.labels.iter().map(|label| *label as i32).collect();
            refuse_rounded(prepared.matrix.view(), &labels, &features.names, run)?;
            Ok(clusters)
        })?;
        return Ok((order, prepared, clusters));
    };
    let mut algorithm = Algorithm {
        k,
        ..algorithm(call)?
    };
    let weights = weight
        .map(|name| -> Result<Vec<f64>> { Ok(reordered(&rows.numbers(described, &name)?, &order)) })
        .transpose()?;
    if call.signature.parameter("initial_centroids").is_some()
        && call.input_position("initial_centroids")?.is_some()
    {
        algorithm.init = Init::Centroids(initial_centroids(
            call,
            input_of(call, inputs, "initial_centroids")?,
            &features.names,
            &prepared.treatments,
            k,
        )?);
    }
    let clusters =
        run.compute(|| algorithm.fit_rows(prepared.matrix.view(), weights.as_deref(), run))?;
    Ok((order, prepared, clusters))
}

impl RelationFunction for KMeans {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let features = Features::bind(call)?;
        weight_column(call)?;
        if call.is_complete() {
            check_auto(call)?;
            algorithm(call)?;
            curve(call, 0)?;
            features.check_options(call)?;
        }
        if let Some(centroids) = call.optional_input("initial_centroids")? {
            features.check(centroids)?;
        }
        let binding = bind_labels(call, vec![Field::new("distance", DataType::Float64, false)])?;
        Ok(Binding {
            required: required(call, |input| match input.parameter {
                "initial_centroids" => positions(input, &features.names),
                _ => Ok(all_positions(input)),
            })?,
            ..binding
        })
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let (order, _, clusters) = cluster(call, inputs, run)?;
        let columns = [
            label_array(&clusters.labels)?,
            Arc::new(Float64Array::from(clusters.distances)) as ArrayRef,
        ];
        emit_ordered(input_of(call, inputs, "rel")?, &order, &columns, run)
    }
}

fn initial_centroids(
    call: &Call,
    rows: &Input,
    names: &[String],
    treatments: &[Treatment],
    k: usize,
) -> Result<Array2<f64>> {
    let described = call.input("initial_centroids")?;
    if rows.rows() != k {
        return Err(Error::new(
            Kind::InvalidData,
            format!(
                "{} holds {} rows, but k is {k}",
                described.describe(),
                rows.rows()
            ),
        )
        .hint("Give one row for each cluster."));
    }
    let mut centroids = Array2::zeros((k, names.len()));
    for (column, (name, treatment)) in names.iter().zip(treatments).enumerate() {
        let values = rows.numbers(
            described,
            described.schema.field(described.column(name)?).name(),
        )?;
        for (row, value) in values.into_iter().enumerate() {
            if let Some(slot) = centroids.get_mut((row, column)) {
                *slot = treatment.scale.apply(value);
            }
        }
    }
    Ok(centroids)
}
