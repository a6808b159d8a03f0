//! `ml.explain_clusters`: what sets clusters apart.

use std::sync::Arc;

use arrow::array::{Float64Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use tributary_algo::clustering::{ClusterExplanation, Direction, Rule, refuse_rounded};

use super::ml_evaluate_clusters::{Clustering, cluster_column};
use crate::call::Call;
use crate::error::Result;
use crate::features::{FEATURES, Features, IMPUTE, SEED, reordered};
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::input::{Input, input_of};
use crate::output::{positions, required};
use crate::run::Run;
use crate::types::sql_number;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct ExplainClusters;

static SIGNATURE: Signature = Signature {
    schema: "ml",
    name: "explain_clusters",
    summary: "says what sets each cluster apart: how its features differ, and a rule that picks it out",
    prose: "For each cluster and feature: the cluster's mean, and the effect, how far it lies above the mean of all other rows, in standard deviations of all rows. The features of a cluster come with the largest effect first. The rule is a condition in SQL that picks the cluster out, the same in all its rows: up to `conditions` comparisons, each adding at least 0.01 to the harmonic mean of precision and recall, with thresholds as round as they can be; NULL where no condition says anything. Rules are found on at most 50000 rows. Noise, of a negative number, is explained as a group as well. Values are those of the input, never standardized. A column whose rounding to single precision would be felt within a cluster is refused.",
    parameters: &[
        Parameter::relation("rel", "The rows with their clusters."),
        FEATURES,
        Parameter::constant(
            "cluster",
            ParameterType::Column,
            Default::Text("cluster_id"),
            "The column that holds a row's cluster, of any type.",
        ),
        Parameter::new(
            "conditions",
            ParameterType::Integer,
            Default::Integer(3),
            "The most conditions of a rule; 0 for no rules.",
        ),
        IMPUTE,
        SEED,
    ],
    positional: 1,
    columns: &[
        ResultColumn {
            name: "cluster_id",
            data_type: "as in the input",
            meaning: "The cluster.",
        },
        ResultColumn {
            name: "size",
            data_type: "bigint",
            meaning: "Its rows.",
        },
        ResultColumn {
            name: "feature",
            data_type: "text",
            meaning: "The feature.",
        },
        ResultColumn {
            name: "mean",
            data_type: "double precision",
            meaning: "Its mean in the cluster.",
        },
        ResultColumn {
            name: "overall_mean",
            data_type: "double precision",
            meaning: "Its mean over all rows.",
        },
        ResultColumn {
            name: "effect",
            data_type: "double precision",
            meaning: "How far the mean lies above that of the other rows, in standard deviations.",
        },
        ResultColumn {
            name: "rule",
            data_type: "text",
            meaning: "The condition that picks the cluster out.",
        },
        ResultColumn {
            name: "rule_precision",
            data_type: "double precision",
            meaning: "Of the rows that meet the rule, the share in the cluster.",
        },
        ResultColumn {
            name: "rule_recall",
            data_type: "double precision",
            meaning: "Of the rows in the cluster, the share that meets the rule.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT cluster_id, size, feature, mean, rule FROM ml.explain_clusters((SELECT * FROM (VALUES (10, 'a'), (12, 'a'), (14, 'a'), (90, 'b'), (98, 'b')) AS customers (spend, segment)), features => 'spend', cluster => 'segment') ORDER BY cluster_id",
        output: "a|3|spend|12|spend < 50\nb|2|spend|94|spend >= 50",
    },
    source: "J. H. Friedman, N. I. Fisher: Bump hunting in high-dimensional data, Stat. Comput. 9 (1999).",
};

fn algorithm(call: &Call) -> Result<ClusterExplanation> {
    Ok(ClusterExplanation {
        conditions: call.count("conditions", 0)?,
        seed: call.seed()?,
        ..ClusterExplanation::default()
    })
}

/// A rule as a condition in SQL.
fn condition(rule: &Rule, names: &[String]) -> Option<String> {
    let parts: Vec<String> = rule
        .conditions
        .iter()
        .map(|condition| {
            let name = names.get(condition.feature).map_or("", String::as_str);
            let comparison = match condition.direction {
                Direction::AtLeast => ">=",
                Direction::Below => "<",
            };
            format!(
                "{} {comparison} {}",
                identifier(name),
                sql_number(condition.threshold)
            )
        })
        .collect();
    (!parts.is_empty()).then(|| parts.join(" AND "))
}

/// A column's name as SQL takes it.
fn identifier(name: &str) -> String {
    let plain = name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
        && name
            .chars()
            .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_');
    if plain {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

impl RelationFunction for ExplainClusters {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let features = Features::bind(call)?;
        let input = call.input("rel")?;
        let cluster = cluster_column(call)?;
        if call.is_complete() {
            algorithm(call)?;
            features.check_options(call)?;
        }
        let field = input.schema.field(input.column(&cluster)?);
        Ok(Binding {
            schema: Arc::new(Schema::new(vec![
                Field::new("cluster_id", field.data_type().clone(), false),
                Field::new("size", DataType::Int64, false),
                Field::new("feature", DataType::Utf8, false),
                Field::new("mean", DataType::Float64, false),
                Field::new("overall_mean", DataType::Float64, false),
                Field::new("effect", DataType::Float64, false),
                Field::new("rule", DataType::Utf8, true),
                Field::new("rule_precision", DataType::Float64, true),
                Field::new("rule_recall", DataType::Float64, true),
            ])),
            required: required(call, |input| {
                positions(input, features.names.iter().chain([&cluster]))
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
        // Noise is profiled as it is named, each negative number by itself.
        let clustering = Clustering::read(call, rows, 0, run)?;
        let labels = reordered(&clustering.labels, &order);
        let profiles = run.compute(|| -> tributary_algo::Result<_> {
            refuse_rounded(matrix.view(), &labels, &features.names, run)?;
            algorithm.fit_rows(matrix.view(), &labels, run)
        })?;
        let mut found = Vec::new();
        for profile in &profiles {
            let mut effects: Vec<_> = profile.features.iter().zip(&features.names).collect();
            effects.sort_by(|a, b| b.0.effect.abs().total_cmp(&a.0.effect.abs()));
            let rule = condition(&profile.rule, &features.names);
            for (effect, name) in effects {
                found.push((profile, effect, name, rule.clone()));
            }
        }
        let figure = |of: fn(&Rule) -> f64| {
            Arc::new(Float64Array::from_iter(found.iter().map(
                |(profile, _, _, rule)| rule.as_ref().map(|_| of(&profile.rule)),
            )))
        };
        run.emit_columns(vec![
            clustering.names(found.iter().map(|row| Some(row.0.label)).collect())?,
            Arc::new(Int64Array::from_iter_values(
                found.iter().map(|row| row.0.size as i64),
            )),
            Arc::new(StringArray::from_iter_values(found.iter().map(|row| row.2))),
            Arc::new(Float64Array::from_iter_values(
                found.iter().map(|row| row.1.mean),
            )),
            Arc::new(Float64Array::from_iter_values(
                found.iter().map(|row| row.1.overall_mean),
            )),
            Arc::new(Float64Array::from_iter_values(
                found.iter().map(|row| row.1.effect),
            )),
            Arc::new(StringArray::from_iter(
                found.iter().map(|row| row.3.as_deref()),
            )),
            figure(|rule| rule.precision),
            figure(|rule| rule.recall),
        ])
    }
}
