//! `ml.evaluate_clusters`: how good a clustering is.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array, StringArray};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Schema};
use tributary_algo::DenseBlocks;
use tributary_algo::clustering::{ClusterEvaluation, agreement, refuse_rounded};

use crate::call::Call;
use crate::error::{Error, Result};
use crate::features::{FEATURES, Features, IMPUTE, SEED, STANDARDIZE, reordered};
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::input::{Input, Keys, input_of};
use crate::output::{positions, required};
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct EvaluateClusters;

static SIGNATURE: Signature = Signature {
    schema: "ml",
    name: "evaluate_clusters",
    summary: "measures a clustering by its rows and, where they are known, by their classes",
    prose: "For the whole, where cluster_id is NULL: rows, noise, clusters, inertia, silhouette, davies_bouldin, calinski_harabasz and dbcv, as scikit-learn and the hdbscan package define them; a measure that is not defined for the clusters there are is NULL. For each cluster: size, inertia, compactness (the mean distance of its rows to their mean), separation (the distance of its mean to the nearest other), silhouette and dbcv. With `label`, the column of the true classes: adjusted_rand, adjusted_mutual_information, homogeneity, completeness, v_measure and purity, over all rows. A negative number of a cluster is noise, which the measures of rows leave out but for dbcv. A column whose rounding to single precision would be felt within a cluster is refused. Time of silhouette and dbcv is O(sample^2 x features).",
    parameters: &[
        Parameter::relation("rel", "The rows with their clusters."),
        FEATURES,
        Parameter::constant(
            "cluster",
            ParameterType::Column,
            Default::Text("cluster_id"),
            "The column that holds a row's cluster, of any type.",
        ),
        Parameter::constant(
            "label",
            ParameterType::Column,
            Default::Null,
            "The column that holds the true class of a row, of any type; absent, classes are not compared.",
        ),
        Parameter::new(
            "sample",
            ParameterType::Integer,
            Default::Integer(20000),
            "How many rows silhouette and dbcv look at, at least 2, or NULL for all.",
        ),
        Parameter::new(
            "density",
            ParameterType::Boolean,
            Default::Boolean(false),
            "Whether to compute dbcv, which takes as long as the silhouette once more; else it is NULL.",
        ),
        STANDARDIZE,
        IMPUTE,
        SEED,
    ],
    positional: 1,
    columns: &[
        ResultColumn {
            name: "metric",
            data_type: "text",
            meaning: "The measure.",
        },
        ResultColumn {
            name: "cluster_id",
            data_type: "as in the input",
            meaning: "The cluster that it is of, NULL for the whole.",
        },
        ResultColumn {
            name: "value",
            data_type: "double precision",
            meaning: "The figure.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT metric, cluster_id, value FROM ml.evaluate_clusters((SELECT * FROM (VALUES (0.0, 0), (2.0, 0), (10.0, 1), (14.0, 1)) AS points (x, cluster_id)), features => 'x') WHERE metric IN ('inertia', 'size', 'separation') ORDER BY metric, cluster_id NULLS FIRST",
        output: "inertia||10\ninertia|0|2\ninertia|1|8\nseparation|0|11\nseparation|1|11\nsize|0|2\nsize|1|2",
    },
    source: "P. J. Rousseeuw: Silhouettes, J. Comput. Appl. Math. 20 (1987); D. Moulavi, P. A. Jaskowiak, R. J. G. B. Campello, A. Zimek, J. Sander: Density-based clustering validation, SDM 2014; L. Hubert, P. Arabie: Comparing partitions, J. Classif. 2 (1985).",
};

/// Clusters of rows as numbers, in the order of their values; those below zero are noise and have none.
pub(super) struct Clustering {
    /// The distinct values.
    values: ArrayRef,
    /// For each row its cluster, or a negative number.
    pub(super) labels: Vec<i32>,
}

impl Clustering {
    /// Reads the column named by `cluster` in the relation `rel`.
    ///
    /// # Errors
    /// For NULL.
    pub(super) fn read(call: &Call, rows: &Input, noise: i32, run: &Run) -> Result<Self> {
        let described = call.input("rel")?;
        let name = cluster_column(call)?;
        let keys = rows.keys(described, &[name], run)?;
        let labels = numbered(&keys, noise)?;
        let values = keys.values.into_iter().next();
        Ok(Self {
            values: values.ok_or_else(|| Error::internal("a single key has one column"))?,
            labels,
        })
    }

    /// The values of the clusters with these numbers.
    pub(super) fn names(&self, numbers: Vec<Option<i32>>) -> Result<ArrayRef> {
        Ok(take(&self.values, &Int32Array::from(numbers), None)?)
    }
}

/// The name of the column of clusters in the relation `rel`.
pub(super) fn cluster_column(call: &Call) -> Result<String> {
    let input = call.input("rel")?;
    let position = input.column(&call.required_text("cluster")?)?;
    Ok(input.schema.field(position).name().clone())
}

/// The code of each row's key; with `noise` for negative numbers when it is not negative itself, else the code less one
/// for each negative number.
fn numbered(keys: &Keys, noise: i32) -> Result<Vec<i32>> {
    let negative = match keys.values.first() {
        Some(values) if values.data_type().is_signed_integer() => {
            let values = arrow::compute::cast(values, &DataType::Int64)?;
            let values =
                arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(&values);
            values.values().iter().filter(|value| **value < 0).count()
        }
        _ => 0,
    };
    keys.codes
        .iter()
        .map(|code| {
            if (*code as usize) < negative && noise < 0 {
                return Ok(noise);
            }
            i32::try_from(*code).map_err(|_| Error::internal("a cluster's number fits i32"))
        })
        .collect()
}

fn algorithm(call: &Call) -> Result<ClusterEvaluation> {
    Ok(ClusterEvaluation {
        sample: match call.nullable_integer("sample")? {
            None => None,
            Some(_) => Some(call.count("sample", 2)?),
        },
        silhouette: true,
        density: call.boolean("density")?,
        seed: call.seed()?,
    })
}

fn label_column(call: &Call) -> Result<Option<String>> {
    let input = call.input("rel")?;
    call.text("label")?
        .map(|name| Ok(input.schema.field(input.column(&name)?).name().clone()))
        .transpose()
}

impl RelationFunction for EvaluateClusters {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let features = Features::bind(call)?;
        let input = call.input("rel")?;
        let cluster = cluster_column(call)?;
        let label = label_column(call)?;
        if call.is_complete() {
            algorithm(call)?;
            features.check_options(call)?;
        }
        let field = input.schema.field(input.column(&cluster)?);
        Ok(Binding {
            schema: Arc::new(Schema::new(vec![
                Field::new("metric", DataType::Utf8, false),
                Field::new("cluster_id", field.data_type().clone(), true),
                Field::new("value", DataType::Float64, true),
            ])),
            required: required(call, |input| {
                positions(input, features.names.iter().chain([&cluster]).chain(&label))
            })?,
            tags: vec![],
        })
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let rows = input_of(call, inputs, "rel")?;
        let features = Features::bind(call)?;
        let algorithm = algorithm(call)?;
        let cluster = cluster_column(call)?;
        let order = rows.canonical_order(&features.names_and(&Some(cluster)), run)?;
        let matrix = features.read(call, rows, &order, run)?.matrix;
        let clustering = Clustering::read(call, rows, -1, run)?;
        let labels = reordered(&clustering.labels, &order);
        let scores = run.compute(|| -> tributary_algo::Result<_> {
            let blocks = DenseBlocks::from_rows(matrix.view(), run)?;
            refuse_rounded(matrix.view(), &labels, &features.names, run)?;
            algorithm.fit(&blocks, &labels, run)
        })?;
        let mut found: Vec<(&str, Option<i32>, Option<f64>)> = vec![
            ("rows", None, Some(scores.rows as f64)),
            ("noise", None, Some(scores.noise as f64)),
            ("clusters", None, Some(scores.clusters.len() as f64)),
            ("inertia", None, Some(scores.inertia)),
            ("silhouette", None, scores.silhouette),
            ("davies_bouldin", None, scores.davies_bouldin),
            ("calinski_harabasz", None, scores.calinski_harabasz),
            ("dbcv", None, scores.dbcv),
        ];
        if let Some(label) = label_column(call)? {
            let classes = rows.keys(call.input("rel")?, &[label], run)?;
            let classes: Vec<i32> = numbered(&classes, 0)?;
            // By their own codes: here noise is a cluster like the others.
            let all = Clustering::read(call, rows, 0, run)?;
            let agreed = run.compute(|| agreement(&all.labels, &classes, run))?;
            found.extend([
                ("adjusted_rand", None, Some(agreed.adjusted_rand)),
                (
                    "adjusted_mutual_information",
                    None,
                    Some(agreed.adjusted_mutual_information),
                ),
                ("homogeneity", None, Some(agreed.homogeneity)),
                ("completeness", None, Some(agreed.completeness)),
                ("v_measure", None, Some(agreed.v_measure)),
                ("purity", None, Some(agreed.purity)),
            ]);
        }
        for cluster in &scores.clusters {
            let of = Some(cluster.label);
            found.extend([
                ("size", of, Some(cluster.size as f64)),
                ("inertia", of, Some(cluster.inertia)),
                ("compactness", of, Some(cluster.compactness)),
                ("separation", of, cluster.separation),
                ("silhouette", of, cluster.silhouette),
                ("dbcv", of, cluster.dbcv),
            ]);
        }
        run.emit_columns(vec![
            Arc::new(StringArray::from_iter_values(
                found.iter().map(|(metric, _, _)| metric),
            )),
            clustering.names(found.iter().map(|(_, cluster, _)| *cluster).collect())?,
            Arc::new(Float64Array::from_iter(
                found.iter().map(|(_, _, value)| *value),
            )),
        ])
    }
}
