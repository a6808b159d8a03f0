//! `fusion.evaluate`: a clustering of records against the truth.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, StringArray};
use arrow::compute::{cast, concat};
use arrow::datatypes::{DataType, Field, Schema};
use tributary_algo::fusion::Agreement;
use tributary_algo::fusion::evaluate::evaluate;

use crate::call::{Call, CallInput};
use crate::error::{Error, Kind, Result};
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::input::{Input, Keys, distinct_keys, input_of};
use crate::keys::{counterpart, meeting_type};
use crate::output::{positions, required, resolved_names};
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct Evaluate;

static SIGNATURE: Signature = Signature {
    schema: "fusion",
    name: "evaluate",
    summary: "measures a clustering of records against the truth",
    prose: "Both relations hold the same records, one a row, found by their key: a record that is in \
            one of them only, twice in one, or without a cluster is an error, because leaving it out \
            would flatter the result. Pairwise figures are over pairs of records: a pair is predicted \
            when both are in one cluster of the first relation, true when both are in one cluster of \
            the truth. B-cubed figures are averages over records, of the share of a record's cluster \
            that is of its true cluster (precision) and the reverse (recall). A figure that would \
            divide by zero, such as precision without predicted pairs, is NULL. Time grows with \
            records x log records; no pairs are made.",
    parameters: &[
        Parameter::relation("rel", "The records with their predicted clusters."),
        Parameter::relation("truth", "The same records with their true clusters."),
        Parameter::constant(
            "key",
            ParameterType::Columns,
            Default::Required,
            "The columns that together identify a record, under these names in both relations.",
        ),
        Parameter::constant(
            "cluster",
            ParameterType::Column,
            Default::Text("unified_id"),
            "The column of the first relation that names the cluster.",
        ),
        Parameter::constant(
            "truth_cluster",
            ParameterType::Column,
            Default::Null,
            "The column of the truth that names the true cluster; absent, that of `cluster`.",
        ),
    ],
    positional: 1,
    columns: &[
        ResultColumn {
            name: "metric",
            data_type: "text",
            meaning: "pairwise_precision, pairwise_recall, pairwise_f1, bcubed_precision, \
                      bcubed_recall, bcubed_f1, true_positive_pairs, false_positive_pairs, \
                      false_negative_pairs, records, clusters, truth_clusters, exact_clusters (found \
                      exactly as they are in the truth), largest_cluster and truth_largest_cluster \
                      (in records).",
        },
        ResultColumn {
            name: "value",
            data_type: "double precision",
            meaning: "The figure; NULL where it is not defined.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT metric, value FROM fusion.evaluate(\
              (SELECT * FROM (VALUES (1, 'a'), (2, 'a'), (3, 'a'), (4, 'b')) AS found (id, unified_id)), \
              truth => (SELECT * FROM (VALUES (1, 7), (2, 7), (3, 8), (4, 8)) AS true_ones (id, person)), \
              key => 'id', truth_cluster => 'person') \
              WHERE metric IN ('pairwise_recall', 'bcubed_recall', 'clusters', 'exact_clusters') \
              ORDER BY metric",
        output: "bcubed_recall|0.75\nclusters|2\nexact_clusters|0\npairwise_recall|0.5",
    },
    source: "A. Bagga, B. Baldwin: Entity-based cross-document coreferencing using the vector space \
             model, COLING-ACL 1998.",
};

/// The columns a call names, each under its name in its relation.
struct Columns {
    key: Vec<String>,
    truth_key: Vec<String>,
    key_types: Vec<DataType>,
    cluster: String,
    truth_cluster: String,
}

impl Columns {
    fn of(call: &Call) -> Result<Self> {
        let rel = call.input("rel")?;
        let truth = call.input("truth")?;
        let key = resolved_names(rel, &call.columns("key")?)?;
        let truth_key = key
            .iter()
            .map(|name| {
                let position = counterpart(rel, name, truth, name)?;
                Ok(truth.schema.field(position).name().clone())
            })
            .collect::<Result<Vec<_>>>()?;
        let key_types = key
            .iter()
            .map(|name| meeting_type(rel, name, truth, name))
            .collect::<Result<Vec<_>>>()?;
        let asked = call.required_text("cluster")?;
        let name_in = |input: &CallInput, name: &str| -> Result<String> {
            Ok(input.schema.field(input.column(name)?).name().clone())
        };
        let cluster = name_in(rel, &asked)?;
        let truth_cluster = match call.text("truth_cluster")? {
            Some(name) => name_in(truth, &name)?,
            None => {
                let position = counterpart(rel, &cluster, truth, &cluster).map_err(|error| {
                    error.hint("Name the truth's own column with truth_cluster => '...'.")
                })?;
                truth.schema.field(position).name().clone()
            }
        };
        Ok(Self {
            key,
            truth_key,
            key_types,
            cluster,
            truth_cluster,
        })
    }
}

impl RelationFunction for Evaluate {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let columns = Columns::of(call)?;
        Ok(Binding {
            schema: Arc::new(Schema::new(vec![
                Field::new("metric", DataType::Utf8, false),
                Field::new("value", DataType::Float64, true),
            ])),
            required: required(call, |input| match input.parameter {
                "truth" => positions(
                    input,
                    columns.truth_key.iter().chain([&columns.truth_cluster]),
                ),
                _ => positions(input, columns.key.iter().chain([&columns.cluster])),
            })?,
            tags: vec![],
        })
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let columns = Columns::of(call)?;
        let (rel, truth) = (call.input("rel")?, call.input("truth")?);
        let rows = input_of(call, inputs, "rel")?;
        let true_rows = input_of(call, inputs, "truth")?;
        rows.unique_keys(rel, &columns.key, run)?;
        true_rows.unique_keys(truth, &columns.truth_key, run)?;
        let keys = keys_of_both(call, &columns, rows, true_rows, run)?;

        let predicted = clusters(rel, rows, &columns.cluster, run)?;
        let actual = clusters(truth, true_rows, &columns.truth_cluster, run)?;
        let (codes, true_codes) = keys.codes.split_at(rows.rows());
        let predicted = by_key(codes, &predicted.codes, keys.len())
            .map_err(|missing| lonely(&keys, missing, truth, rel))?;
        let actual = by_key(true_codes, &actual.codes, keys.len())
            .map_err(|missing| lonely(&keys, missing, rel, truth))?;
        let agreement = run.compute(|| evaluate(&predicted, &actual, run))?;
        let (metrics, values): (Vec<&str>, Vec<Option<f64>>) =
            figures(&agreement).into_iter().unzip();
        run.emit_columns(vec![
            Arc::new(StringArray::from(metrics)),
            Arc::new(Float64Array::from(values)),
        ])
    }
}

/// The keys of both relations' rows, those of the first before those of the truth.
fn keys_of_both(
    call: &Call,
    columns: &Columns,
    rows: &Input,
    true_rows: &Input,
    run: &Run,
) -> Result<Keys> {
    let left = rows.key_columns(call.input("rel")?, &columns.key)?;
    let right = true_rows.key_columns(call.input("truth")?, &columns.truth_key)?;
    let both = left
        .iter()
        .zip(&right)
        .zip(&columns.key_types)
        .map(|((left, right), key_type)| {
            let (left, right) = (cast(left, key_type)?, cast(right, key_type)?);
            Ok(concat(&[left.as_ref(), right.as_ref()])?)
        })
        .collect::<Result<Vec<ArrayRef>>>()?;
    distinct_keys(&both, rows.rows() + true_rows.rows(), run)
}

/// The clusters of the rows, none of them NULL.
fn clusters(described: &CallInput, rows: &Input, name: &str, run: &Run) -> Result<Keys> {
    let column = rows.column(name)?;
    let nulls = column.logical_null_count();
    if nulls > 0 {
        return Err(Error::new(
            Kind::NullNotAllowed,
            format!(
                "cluster column \"{name}\" of {} holds {nulls} NULL",
                described.describe()
            ),
        )
        .hint("Give each record a cluster, if only one of its own."));
    }
    distinct_keys(&[column], rows.rows(), run)
}

/// The clusters in the order of their records' keys, or a key that has none.
fn by_key(codes: &[u32], clusters: &[u32], keys: usize) -> Result<Vec<u32>, u32> {
    let mut ordered = vec![None; keys];
    for (code, cluster) in codes.iter().zip(clusters) {
        if let Some(slot) = ordered.get_mut(*code as usize) {
            *slot = Some(*cluster);
        }
    }
    ordered
        .into_iter()
        .enumerate()
        .map(|(key, cluster)| cluster.ok_or(key as u32))
        .collect()
}

/// The error for a record that is in one of the relations only.
fn lonely(keys: &Keys, key: u32, present: &CallInput, absent: &CallInput) -> Error {
    let record = keys.display(key).unwrap_or_default();
    Error::new(
        Kind::InvalidData,
        format!(
            "record ({record}) of {} is not in {}",
            present.describe(),
            absent.describe()
        ),
    )
    .detail(
        "Records in one of the relations only would make the figures look better than they are.",
    )
    .hint("Restrict both relations to the same records.")
}

fn figures(agreement: &Agreement) -> Vec<(&'static str, Option<f64>)> {
    let count = |number: usize| Some(number as f64);
    let pairs = |number: u64| Some(number as f64);
    vec![
        ("pairwise_precision", agreement.pairwise.precision),
        ("pairwise_recall", agreement.pairwise.recall),
        ("pairwise_f1", agreement.pairwise.f1),
        ("bcubed_precision", agreement.bcubed.precision),
        ("bcubed_recall", agreement.bcubed.recall),
        ("bcubed_f1", agreement.bcubed.f1),
        ("true_positive_pairs", pairs(agreement.true_positive_pairs)),
        (
            "false_positive_pairs",
            pairs(agreement.false_positive_pairs),
        ),
        (
            "false_negative_pairs",
            pairs(agreement.false_negative_pairs),
        ),
        ("records", count(agreement.records)),
        ("clusters", count(agreement.clusters)),
        ("truth_clusters", count(agreement.truth_clusters)),
        ("exact_clusters", count(agreement.exact_clusters)),
        ("largest_cluster", count(agreement.largest_cluster)),
        (
            "truth_largest_cluster",
            count(agreement.truth_largest_cluster),
        ),
    ]
}
