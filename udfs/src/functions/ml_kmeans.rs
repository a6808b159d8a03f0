//! `ml.kmeans`: k-means clustering.

use std::sync::Arc;

use arrow::array::{Float64Array, Int32Array};
use arrow::datatypes::{DataType, Field};
use ndarray::Array2;
use tributary_algo::DenseBlocks;
use tributary_algo::clustering::{Init, KMeans as Algorithm, Scale};

use crate::call::Call;
use crate::error::{Error, Kind, Result};
use crate::features::{FEATURE_PARAMETERS, Features};
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::input::{Input, check_numeric, input_of};
use crate::output::{all_positions, appended, positions, required};
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
            is not 'none'. Features are kept in single precision around their means, sums in \
            double. The same data, arguments and seed give the same labels for any number of \
            threads and any order of rows. Time is O(rows x k x features) an iteration.",
    parameters: &[
        Parameter::relation("rel", "The rows to cluster."),
        FEATURE_PARAMETERS[0],
        Parameter::new(
            "k",
            ParameterType::Integer,
            Default::Integer(8),
            "The number of clusters, from 1 to the number of rows.",
        ),
        Parameter::new(
            "n_init",
            ParameterType::Integer,
            Default::Integer(1),
            "How many times to start from other seeds; the result with the least inertia is kept.",
        ),
        Parameter::new(
            "max_iter",
            ParameterType::Integer,
            Default::Integer(300),
            "The most iterations of one start.",
        ),
        Parameter::new(
            "tol",
            ParameterType::Float,
            Default::Float(1e-4),
            "Ends a start once the centroids move less than this share of the features' mean variance.",
        ),
        Parameter::new(
            "init",
            ParameterType::Text,
            Default::Text("k-means++"),
            "How the first centroids are drawn: 'k-means++' or 'random'.",
        ),
        Parameter::new(
            "initial_centroids",
            ParameterType::Relation,
            Default::Null,
            "The first centroids, one a row, k rows, under the features' names and in their units; \
             then `init` and `seed` play no part and `n_init` must be 1.",
        ),
        FEATURE_PARAMETERS[1],
        FEATURE_PARAMETERS[2],
        Parameter::constant(
            "weight",
            ParameterType::Column,
            Default::Null,
            "A column with the weight of each row, not negative; absent, every row weighs 1.",
        ),
        Parameter::new(
            "seed",
            ParameterType::Integer,
            Default::Integer(0),
            "Fixes the random draws.",
        ),
        Parameter::constant(
            "output",
            ParameterType::Text,
            Default::Text("cluster_id"),
            "The name of the label column.",
        ),
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

fn algorithm(call: &Call) -> Result<Algorithm> {
    let init = match call.word("init", &["k-means++", "random"])? {
        "random" => Init::Random,
        _ => Init::KMeansPlusPlus,
    };
    Ok(Algorithm {
        k: call.count("k", 1)?,
        n_init: call.count("n_init", 1)?,
        max_iter: call.count("max_iter", 1)?,
        tol: call.float_from("tol", 0.0, false)?,
        init,
        seed: call.seed()?,
    })
}

fn weight_column(call: &Call) -> Result<Option<String>> {
    let input = call.input("rel")?;
    call.text("weight")?
        .map(|name| {
            let field = input.schema.field(input.column(&name)?);
            check_numeric(input, field.name(), field.data_type())?;
            Ok(field.name().clone())
        })
        .transpose()
}

impl RelationFunction for KMeans {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let input = call.input("rel")?;
        let features = Features::bind(call)?;
        weight_column(call)?;
        if call.is_complete() {
            algorithm(call)?;
            features.check_options(call)?;
        }
        if let Some(centroids) = call.optional_input("initial_centroids")? {
            for name in &features.names {
                let field = centroids.schema.field(centroids.column(name)?);
                check_numeric(centroids, name, field.data_type())?;
            }
        }
        let required = required(call, |input| match input.parameter {
            "initial_centroids" => positions(input, &features.names),
            _ => Ok(all_positions(input)),
        })?;
        let label = call.required_text("output")?;
        let schema = appended(
            input,
            vec![
                Field::new(label, DataType::Int32, false),
                Field::new("distance", DataType::Float64, false),
            ],
            "Rename the column in the subquery, or name the label column with output => '...'.",
        )?;
        Ok(Binding {
            schema,
            required,
            tags: vec![],
        })
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let described = call.input("rel")?;
        let rows = input_of(call, inputs, "rel")?;
        let features = Features::bind(call)?;
        let mut algorithm = algorithm(call)?;
        let weight = weight_column(call)?;
        let mut order_by = features.names.clone();
        order_by.extend(weight.clone());
        let order = rows.canonical_order(&order_by, run)?;
        let prepared = features.read(call, rows, &order, run)?;
        let weights = weight
            .map(|name| -> Result<Vec<f64>> {
                let values = rows.numbers(described, &name)?;
                Ok(reordered(&values, &order))
            })
            .transpose()?;
        if call.input_position("initial_centroids")?.is_some() {
            algorithm.init = Init::Centroids(initial_centroids(
                call,
                input_of(call, inputs, "initial_centroids")?,
                &features.names,
                &prepared.scales,
                algorithm.k,
            )?);
        }
        let clusters = run.compute(|| -> tributary_algo::Result<_> {
            let blocks = DenseBlocks::from_rows(prepared.matrix.view(), run)?;
            algorithm.fit(&blocks, weights.as_deref(), run)
        })?;
        let mut labels = vec![0_i32; rows.rows()];
        let mut distances = vec![0.0_f64; rows.rows()];
        for ((row, label), distance) in order.iter().zip(&clusters.labels).zip(&clusters.distances)
        {
            let (Some(to_label), Some(to_distance)) = (
                labels.get_mut(*row as usize),
                distances.get_mut(*row as usize),
            ) else {
                return Err(Error::internal("the order of rows is a permutation"));
            };
            *to_label = i32::try_from(*label).map_err(|_| Error::internal("a label fits i32"))?;
            *to_distance = *distance;
        }
        let labels = Int32Array::from(labels);
        let distances = Float64Array::from(distances);
        rows.with_columns(run, |range| {
            Ok(vec![
                Arc::new(labels.slice(range.start, range.len())),
                Arc::new(distances.slice(range.start, range.len())),
            ])
        })
    }
}

fn reordered(values: &[f64], order: &[u32]) -> Vec<f64> {
    order
        .iter()
        .filter_map(|row| values.get(*row as usize).copied())
        .collect()
}

fn initial_centroids(
    call: &Call,
    rows: &Input,
    names: &[String],
    scales: &[Scale],
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
    for (column, (name, scale)) in names.iter().zip(scales).enumerate() {
        let values = rows.numbers(
            described,
            described.schema.field(described.column(name)?).name(),
        )?;
        for (row, value) in values.into_iter().enumerate() {
            if let Some(slot) = centroids.get_mut((row, column)) {
                *slot = scale.apply(value);
            }
        }
    }
    Ok(centroids)
}
