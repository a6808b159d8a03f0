//! `ml.birch`: clusters very many rows by way of subclusters.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::{DataType, Field};
use tributary_algo::DenseBlocks;
use tributary_algo::clustering::{Birch, refuse_rounded};

use crate::call::Call;
use crate::error::Result;
use crate::features::{
    FEATURES, Features, IMPUTE, OUTPUT, SEED, STANDARDIZE, bind_labels, emit_ordered, label_array,
};
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::input::{Input, input_of};
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct BirchFunction;

static SIGNATURE: Signature = Signature {
    schema: "ml",
    name: "birch",
    summary: "sums very many rows up into subclusters and clusters those (BIRCH)",
    prose: "In one pass rows are summed up into subclusters, at most `subclusters_max`, whose radius grows where they would become more; these are clustered by k-means, weighted by their rows, and each row is given to the nearest centroid. For inputs so large that k-means itself takes too long. Unlike scikit-learn's Birch a subcluster's mean and spread lose no digits, and `threshold` is the least radius, not the only one. Every input row comes back once. A column whose rounding to single precision would be felt within a cluster is refused. Time is O(rows x features x log subclusters).",
    parameters: &[
        Parameter::relation("rel", "The rows to cluster."),
        FEATURES,
        Parameter::new(
            "k",
            ParameterType::Integer,
            Default::Integer(3),
            "The number of clusters, from 1 to the number of subclusters, or NULL: each subcluster is one.",
        ),
        Parameter::new(
            "threshold",
            ParameterType::Float,
            Default::Float(0.0),
            "The radius up to which rows are summed up, not negative: the root mean squared distance from their mean, in the units of the standardized features where `standardize` is not 'none'; 0 is as fine as `subclusters_max` allows.",
        ),
        Parameter::new(
            "branching",
            ParameterType::Integer,
            Default::Integer(50),
            "The most entries of a node of the tree, at least 2.",
        ),
        Parameter::new(
            "subclusters_max",
            ParameterType::Integer,
            Default::Integer(2000),
            "The most subclusters, at least 2.",
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
            meaning: "The cluster's number, from 0.",
        },
        ResultColumn {
            name: "distance",
            data_type: "double precision",
            meaning: "Distance to the cluster's centroid.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT x, cluster_id = first_value(cluster_id) OVER (ORDER BY x) AS with_first, distance FROM ml.birch((SELECT * FROM (VALUES (0.0), (2.0), (10.0), (14.0)) AS points (x)), features => 'x', k => 2) ORDER BY x",
        output: "0.0|t|1\n2.0|t|1\n10.0|f|2\n14.0|f|2",
    },
    source: "T. Zhang, R. Ramakrishnan, M. Livny: BIRCH, SIGMOD 1996; A. Lang, E. Schubert: BETULA, SISAP 2020.",
};

fn algorithm(call: &Call) -> Result<Birch> {
    Ok(Birch {
        k: match call.nullable_integer("k")? {
            None => None,
            Some(_) => Some(call.count("k", 1)?),
        },
        threshold: call.float_from("threshold", 0.0, false)?,
        branching: call.count("branching", 2)?,
        subclusters_max: call.count("subclusters_max", 2)?,
        seed: call.seed()?,
    })
}

impl RelationFunction for BirchFunction {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let features = Features::bind(call)?;
        if call.is_complete() {
            algorithm(call)?;
            features.check_options(call)?;
        }
        bind_labels(call, vec![Field::new("distance", DataType::Float64, false)])
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let rows = input_of(call, inputs, "rel")?;
        let features = Features::bind(call)?;
        let algorithm = algorithm(call)?;
        let order = rows.canonical_order(&features.names, run)?;
        let matrix = features.read(call, rows, &order, run)?.matrix;
        let found = run.compute(|| -> tributary_algo::Result<_> {
            let blocks = DenseBlocks::from_rows(matrix.view(), run)?;
            let found = algorithm.fit(&blocks, run)?;
            let labels: Vec<i32> = found.labels.iter().map(|label| *label as i32).collect();
            refuse_rounded(matrix.view(), &labels, &features.names, run)?;
            Ok(found)
        })?;
        let columns = [
            label_array(&found.labels)?,
            Arc::new(Float64Array::from(found.distances)) as ArrayRef,
        ];
        emit_ordered(rows, &order, &columns, run)
    }
}
