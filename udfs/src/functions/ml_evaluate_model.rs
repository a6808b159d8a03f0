//! `ml.evaluate_model`: a model against rows of which the answer is known.

use tributary_algo::clustering::agreement;

use super::ml_evaluate::FIGURES;
use super::ml_predict::Asked;
use super::ml_recommend::model_positions;
use crate::call::Call;
use crate::error::{Error, Kind, Result};
use crate::evaluation::{Figures, whole_numbers_of};
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, Signature,
};
use crate::input::{Input, check_numeric, input_of};
use crate::output::{all_positions, required};
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct EvaluateModel;

static SIGNATURE: Signature = Signature {
    schema: "ml",
    name: "evaluate_model",
    summary: "measures a model by rows of which the answer is known",
    prose: "The rows are answered as by ml.predict(), and the answers measured: of 'als_explicit' the rating \
            against the actual one, by mse, rmse, mae, r2 and rows; of 'kmeans', 'gmm' and 'dbscan' the clusters \
            against the actual classes, by adjusted_rand, adjusted_mutual_information, homogeneity, \
            completeness, v_measure, purity and rows; of the other models of interactions the score against \
            whether there was an interaction, of two values, by auc. Lists of recommendations are measured \
            by ml.evaluate_ranking(). Models of components have no answer to measure.",
    parameters: &[
        Parameter::new(
            "model",
            ParameterType::Model,
            Default::Required,
            "The model table, made with ml.train().",
        ),
        Parameter::relation("data", "The rows to ask about, with the answer."),
        Parameter::constant(
            "actual",
            ParameterType::Column,
            Default::Required,
            "The column of `data` that holds the answer.",
        ),
    ],
    positional: 1,
    columns: &FIGURES,
    example: Example {
        setup: &[
            "CREATE TABLE two_groups AS SELECT * FROM ml.train('kmeans', \
             (SELECT * FROM (VALUES (0.0), (2.0), (10.0), (14.0)) AS points (x)), features => 'x', k => 2)",
        ],
        sql: "SELECT metric, value FROM ml.evaluate_model(two_groups, \
              data => (SELECT * FROM (VALUES (1.0, 'a'), (3.0, 'a'), (12.0, 'b')) AS points (x, kind)), \
              actual => 'kind') WHERE metric IN ('adjusted_rand', 'purity') ORDER BY metric",
        output: "adjusted_rand|1\npurity|1",
    },
    source: "As the measures of ml.evaluate and ml.evaluate_clusters.",
};

/// How the answers of a model are measured.
#[derive(PartialEq)]
enum Task {
    Ratings,
    Clusters,
    Scores,
}

fn task(call: &Call) -> Result<(Task, Asked, String)> {
    let input = call.input("data")?;
    let asked = Asked::of(call, input, None)?;
    let model = call.input("model")?;
    let algorithm = model
        .model
        .as_ref()
        .map_or("", |info| info.algorithm.as_str());
    let task = match algorithm {
        "als_explicit" => Task::Ratings,
        "kmeans" | "gmm" | "dbscan" => Task::Clusters,
        "pca" | "svd" => {
            return Err(Error::new(
                Kind::WrongObjectType,
                format!(
                    "ml.evaluate_model cannot use {}, a model of kind \"{algorithm}\"",
                    model.label
                ),
            )
            .hint("Give a model of clusters, ratings or scores."));
        }
        _ => Task::Scores,
    };
    let field = input
        .schema
        .field(input.column(&call.required_text("actual")?)?);
    if task == Task::Ratings {
        check_numeric(input, field.name(), field.data_type())?;
    }
    Ok((task, asked, field.name().clone()))
}

impl RelationFunction for EvaluateModel {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        task(call)?;
        Ok(Binding {
            schema: Figures::schema(),
            required: required(call, |input| match input.parameter {
                "model" => model_positions(input),
                _ => Ok(all_positions(input)),
            })?,
            tags: vec![],
        })
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let described = call.input("data")?;
        let rows = input_of(call, inputs, "data")?;
        let (task, asked, actual) = task(call)?;
        let model = input_of(call, inputs, "model")?;
        let answers = asked.answers(call, model, described, rows, run)?;
        let answer = answers
            .first()
            .ok_or_else(|| Error::internal("a prediction has a column"))?;
        let mut figures = Figures::default();
        match task {
            Task::Ratings => {
                let truth = rows.numbers(described, &actual)?;
                figures.regression(&truth, &whole_numbers_of(answer, "the predicted rating")?)?;
            }
            Task::Scores => {
                let truth = rows.key_columns(described, &[actual])?;
                let truth = truth
                    .first()
                    .ok_or_else(|| Error::internal("one key column"))?;
                let scores = whole_numbers_of(answer, "the score")?;
                figures.probabilities(truth, &scores, false, run)?;
            }
            Task::Clusters => {
                let truth = rows.keys(described, &[actual], run)?;
                let truth: Vec<i32> = truth.codes.iter().map(|code| *code as i32).collect();
                let labels = whole_numbers_of(answer, "the cluster")?;
                let labels: Vec<i32> = labels.iter().map(|label| *label as i32).collect();
                let found = run.compute(|| agreement(&labels, &truth, run))?;
                figures.whole("adjusted_rand", found.adjusted_rand);
                figures.whole(
                    "adjusted_mutual_information",
                    found.adjusted_mutual_information,
                );
                figures.whole("homogeneity", found.homogeneity);
                figures.whole("completeness", found.completeness);
                figures.whole("v_measure", found.v_measure);
                figures.whole("purity", found.purity);
                figures.whole("rows", labels.len() as f64);
            }
        }
        figures.emit(run)
    }
}
