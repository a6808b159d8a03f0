//! `ml.kmeans_curve`: how many clusters there are.

use std::sync::Arc;

use arrow::array::{BooleanArray, Float64Array, Int64Array};
use arrow::datatypes::{DataType, Field, Schema};
use tributary_algo::DenseBlocks;
use tributary_algo::clustering::refuse_rounded;

use super::ml_kmeans::{CRITERION, INIT, K_MAX, MAX_ITER, N_INIT, REFERENCES, TOL, curve};
use crate::call::Call;
use crate::error::Result;
use crate::features::{FEATURES, Features, IMPUTE, SEED, STANDARDIZE};
use crate::function::{Binding, Example, Parameter, RelationFunction, ResultColumn, Signature};
use crate::input::{Input, input_of};
use crate::output::{positions, required};
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct KMeansCurveFunction;

static SIGNATURE: Signature = Signature {
    schema: "ml",
    name: "kmeans_curve",
    summary: "measures k-means for each number of clusters and names the best",
    prose: "For each k from 1 to `k_max`: the inertia of ml.kmeans(), the mean silhouette of at most 5000 rows, and the gap statistic of those rows: how far the log of their inertia lies below that of 10 uniform data sets over the same box. The best k is that which ml.kmeans(k => 'auto') takes. A column whose rounding to single precision would be felt within the best clusters is refused. Time is that of k-means for each k, and of 10 further ones on the sample.",
    parameters: &[
        Parameter::relation("rel", "The rows to cluster."),
        FEATURES,
        K_MAX,
        CRITERION,
        N_INIT,
        MAX_ITER,
        TOL,
        INIT,
        STANDARDIZE,
        IMPUTE,
        SEED,
    ],
    positional: 1,
    columns: &[
        ResultColumn {
            name: "k",
            data_type: "bigint",
            meaning: "The number of clusters.",
        },
        ResultColumn {
            name: "inertia",
            data_type: "double precision",
            meaning: "The sum of the squared distances of all rows to their centroids.",
        },
        ResultColumn {
            name: "silhouette",
            data_type: "double precision",
            meaning: "The mean silhouette, from -1 to 1, more is better; NULL for one cluster.",
        },
        ResultColumn {
            name: "gap",
            data_type: "double precision",
            meaning: "The gap statistic; NULL where the inertia is 0.",
        },
        ResultColumn {
            name: "gap_error",
            data_type: "double precision",
            meaning: "The standard error of the gap.",
        },
        ResultColumn {
            name: "best",
            data_type: "boolean",
            meaning: "Whether this is the k to take.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT k, inertia, best FROM ml.kmeans_curve((SELECT * FROM (VALUES (0.0), (2.0), (10.0), (14.0)) AS points (x)), features => 'x', k_max => 3) ORDER BY k",
        output: "1|131|f\n2|10|t\n3|2|f",
    },
    source: "P. J. Rousseeuw: Silhouettes, J. Comput. Appl. Math. 20 (1987); R. Tibshirani, G. Walther, T. Hastie: Estimating the number of clusters in a data set via the gap statistic, J. R. Statist. Soc. B 63 (2001).",
};

impl RelationFunction for KMeansCurveFunction {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let features = Features::bind(call)?;
        if call.is_complete() {
            curve(call, REFERENCES)?;
            features.check_options(call)?;
        }
        Ok(Binding {
            schema: Arc::new(Schema::new(vec![
                Field::new("k", DataType::Int64, false),
                Field::new("inertia", DataType::Float64, false),
                Field::new("silhouette", DataType::Float64, true),
                Field::new("gap", DataType::Float64, true),
                Field::new("gap_error", DataType::Float64, true),
                Field::new("best", DataType::Boolean, false),
            ])),
            required: required(call, |input| positions(input, &features.names))?,
            tags: vec![],
        })
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let rows = input_of(call, inputs, "rel")?;
        let features = Features::bind(call)?;
        let curve = curve(call, REFERENCES)?;
        let order = rows.canonical_order(&features.names, run)?;
        let matrix = features.read(call, rows, &order, run)?.matrix;
        let points = run.compute(|| -> tributary_algo::Result<_> {
            let blocks = DenseBlocks::from_rows(matrix.view(), run)?;
            let (points, clusters) = curve.fit(&blocks, run)?;
            let labels: Vec<i32> = clusters.labels.iter().map(|label| *label as i32).collect();
            refuse_rounded(matrix.view(), &labels, &features.names, run)?;
            Ok(points)
        })?;
        run.emit_columns(vec![
            Arc::new(Int64Array::from_iter_values(
                points.iter().map(|point| point.k as i64),
            )),
            Arc::new(Float64Array::from_iter_values(
                points.iter().map(|point| point.inertia),
            )),
            Arc::new(Float64Array::from_iter(
                points.iter().map(|point| point.silhouette),
            )),
            Arc::new(Float64Array::from_iter(
                points.iter().map(|point| point.gap),
            )),
            Arc::new(Float64Array::from_iter(
                points.iter().map(|point| point.gap_error),
            )),
            Arc::new(BooleanArray::from_iter(
                points.iter().map(|point| Some(point.best)),
            )),
        ])
    }
}
