//! `ml.evaluate_ranking`: recommendations against what users did choose.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, Int64Array, StringArray};
use arrow::compute::{cast, concat};
use arrow::datatypes::{DataType, Field, Schema};
use tributary_algo::Pattern;
use tributary_algo::evaluate::{Lists, RankingEvaluation};

use crate::call::{Call, CallInput};
use crate::error::{Error, Kind, Result};
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::input::{Input, Keys, check_numeric, distinct_keys, input_of};
use crate::interactions::{ITEM_ID, USER_ID, user_and_item};
use crate::keys::{counterpart, meeting_type};
use crate::output::{positions, required};
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct EvaluateRanking;

static SIGNATURE: Signature = Signature {
    schema: "ml",
    name: "evaluate_ranking",
    summary: "measures recommendations against what users did choose",
    prose: "Let T be the items that the truth holds for a user, and hits the number of the first k \
            recommended items that are in T. Then precision_at_k is hits / k, recall_at_k hits / |T|, \
            recall_min_k hits / min(k, |T|), f1_at_k the harmonic mean of the user's precision and \
            recall, ndcg_at_k the discounted gain (1 / log2(place + 1) for each hit) over the best \
            possible one, map_at_k the average precision over min(k, |T|), mrr_at_k one over the place \
            of the first hit, and hit_rate_at_k whether there is a hit. Each is averaged over the users \
            of the truth; one without recommendations counts 0, and recommendations to users outside \
            the truth do not count. coverage_at_k is the share of all items of both relations that \
            are among somebody's first k. The bounds are those of 95 % confidence, by the percentile \
            bootstrap with 1000 draws of the users. Ranks need not be 1, 2, 3; the lowest is the best. \
            An item recommended to a user twice, or two items at one rank, is an error; rows of the \
            truth may repeat.",
    parameters: &[
        Parameter::relation("rel", "The recommendations, one item a row."),
        Parameter::relation(
            "truth",
            "The items that users chose, one a row, under the same column names.",
        ),
        USER_ID,
        ITEM_ID,
        Parameter::constant(
            "rank",
            ParameterType::Column,
            Default::Text("rank"),
            "The column that holds an item's place in its user's list.",
        ),
        Parameter::new(
            "k",
            ParameterType::Integers,
            Default::Integers(&[5, 10, 20]),
            "The lengths at which lists are cut, each at least 1.",
        ),
        Parameter::new(
            "seed",
            ParameterType::Integer,
            Default::Integer(0),
            "Fixes the random draws.",
        ),
    ],
    positional: 1,
    columns: &[
        ResultColumn {
            name: "metric",
            data_type: "text",
            meaning: "precision_at_k, recall_at_k, recall_min_k, f1_at_k, ndcg_at_k, map_at_k, \
                      mrr_at_k, hit_rate_at_k or coverage_at_k.",
        },
        ResultColumn {
            name: "k",
            data_type: "bigint",
            meaning: "The length of the lists.",
        },
        ResultColumn {
            name: "value",
            data_type: "double precision",
            meaning: "The figure, from 0 to 1.",
        },
        ResultColumn {
            name: "ci_low",
            data_type: "double precision",
            meaning: "Lower bound of the figure; NULL for the coverage.",
        },
        ResultColumn {
            name: "ci_high",
            data_type: "double precision",
            meaning: "Upper bound of the figure; NULL for the coverage.",
        },
        ResultColumn {
            name: "users",
            data_type: "bigint",
            meaning: "How many users the figure is over.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT metric, k, value, users FROM ml.evaluate_ranking(\
              (SELECT * FROM (VALUES ('ann', 10, 1), ('ann', 20, 2), ('bob', 10, 1)) \
              AS offered (who, what, rank)), \
              truth => (SELECT * FROM (VALUES ('ann', 20), ('bob', 10), ('bob', 30)) AS bought (who, what)), \
              user_id => 'who', item_id => 'what', k => ARRAY[2]) \
              WHERE metric IN ('precision_at_k', 'recall_at_k', 'mrr_at_k', 'hit_rate_at_k') ORDER BY metric",
        output: "hit_rate_at_k|2|1|2\nmrr_at_k|2|0.75|2\nprecision_at_k|2|0.5|2\nrecall_at_k|2|0.75|2",
    },
    source: "K. Järvelin, J. Kekäläinen: Cumulated gain-based evaluation of IR techniques, ACM TOIS 20 \
             (2002); D. Liang et al.: Variational autoencoders for collaborative filtering, WWW 2018; \
             B. Efron: Bootstrap methods, Annals of Statistics 7 (1979).",
};

/// The columns a call names, each under its name in its relation.
struct Columns {
    user: String,
    item: String,
    rank: String,
    truth_user: String,
    truth_item: String,
    user_type: DataType,
    item_type: DataType,
}

impl Columns {
    fn of(call: &Call) -> Result<Self> {
        let (rel, truth) = (call.input("rel")?, call.input("truth")?);
        let (user, item) = user_and_item(call)?;
        let rank = rel.schema.field(rel.column(&call.required_text("rank")?)?);
        check_numeric(rel, rank.name(), rank.data_type())?;
        let in_truth = |name: &str| -> Result<String> {
            let position = counterpart(rel, name, truth, name)?;
            Ok(truth.schema.field(position).name().clone())
        };
        Ok(Self {
            rank: rank.name().clone(),
            truth_user: in_truth(&user)?,
            truth_item: in_truth(&item)?,
            user_type: meeting_type(rel, &user, truth, &user)?,
            item_type: meeting_type(rel, &item, truth, &item)?,
            user,
            item,
        })
    }
}

fn evaluation(call: &Call) -> Result<RankingEvaluation> {
    let mut cuts = call.integers("k")?;
    cuts.sort_unstable();
    cuts.dedup();
    let k = cuts
        .into_iter()
        .map(|k| match usize::try_from(k) {
            Ok(k) if (1..=i32::MAX as usize).contains(&k) => Ok(k),
            _ => Err(Error::new(
                Kind::InvalidParameter,
                format!("argument \"k\" of ml.evaluate_ranking is out of range: {k}"),
            )
            .hint(format!("Each must be from 1 to {}.", i32::MAX))),
        })
        .collect::<Result<Vec<_>>>()?;
    if k.is_empty() {
        return Err(Error::new(
            Kind::InvalidParameter,
            "argument \"k\" of ml.evaluate_ranking is empty",
        )
        .hint("Give at least one length, such as ARRAY[10]."));
    }
    Ok(RankingEvaluation {
        k,
        seed: call.seed()?,
        ..RankingEvaluation::default()
    })
}

impl RelationFunction for EvaluateRanking {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let columns = Columns::of(call)?;
        if call.is_complete() {
            evaluation(call)?;
        }
        Ok(Binding {
            schema: Arc::new(Schema::new(vec![
                Field::new("metric", DataType::Utf8, false),
                Field::new("k", DataType::Int64, false),
                Field::new("value", DataType::Float64, false),
                Field::new("ci_low", DataType::Float64, true),
                Field::new("ci_high", DataType::Float64, true),
                Field::new("users", DataType::Int64, false),
            ])),
            required: required(call, |input| match input.parameter {
                "truth" => positions(input, [&columns.truth_user, &columns.truth_item]),
                _ => positions(input, [&columns.user, &columns.item, &columns.rank]),
            })?,
            tags: vec![],
        })
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let columns = Columns::of(call)?;
        let evaluation = evaluation(call)?;
        let rel = Side {
            described: call.input("rel")?,
            rows: input_of(call, inputs, "rel")?,
        };
        let truth = Side {
            described: call.input("truth")?,
            rows: input_of(call, inputs, "truth")?,
        };
        let users = joint_keys(
            (&rel, &columns.user),
            (&truth, &columns.truth_user),
            &columns.user_type,
            run,
        )?;
        let items = joint_keys(
            (&rel, &columns.item),
            (&truth, &columns.truth_item),
            &columns.item_type,
            run,
        )?;
        run.reserve(rel.rows.rows().saturating_mul(8))?;
        let ranks = rel.rows.numbers(rel.described, &columns.rank)?;
        let (user, true_user) = users.codes.split_at(rel.rows.rows());
        let (item, true_item) = items.codes.split_at(rel.rows.rows());
        let lists = run
            .compute(|| Lists::from_rows(users.len(), user, item, &ranks, run))
            .map_err(|error| {
                let named = || ambiguous(rel.described, &users, &items, user, item, &ranks);
                match error {
                    tributary_algo::Error::Data { .. } => named().unwrap_or_else(|| error.into()),
                    other => other.into(),
                }
            })?;
        let scores = run.compute(|| {
            let truth = Pattern::from_pairs(users.len(), items.len(), true_user, true_item, run)?;
            evaluation.fit(&lists, &truth, items.len(), run)
        })?;
        let metrics: Vec<&str> = scores.iter().map(|score| score.metric.name()).collect();
        let bound = |which: fn((f64, f64)) -> f64| -> Float64Array {
            scores
                .iter()
                .map(|score| score.interval.map(which))
                .collect()
        };
        run.emit_columns(vec![
            Arc::new(StringArray::from(metrics)),
            Arc::new(Int64Array::from_iter_values(
                scores.iter().map(|score| score.k as i64),
            )),
            Arc::new(Float64Array::from_iter_values(
                scores.iter().map(|score| score.value),
            )),
            Arc::new(bound(|interval| interval.0)),
            Arc::new(bound(|interval| interval.1)),
            Arc::new(Int64Array::from_iter_values(
                scores.iter().map(|score| score.users as i64),
            )),
        ])
    }
}

/// One of the two relations.
struct Side<'a> {
    described: &'a CallInput,
    rows: &'a Input,
}

impl Side<'_> {
    fn key(&self, name: &str, key_type: &DataType) -> Result<ArrayRef> {
        let columns = self.rows.key_columns(self.described, &[name.to_owned()])?;
        match columns.as_slice() {
            [column] => Ok(cast(column, key_type)?),
            _ => Err(Error::internal("a single key has one column")),
        }
    }
}

/// The keys of both relations' rows, those of the first before those of the second.
fn joint_keys(
    left: (&Side<'_>, &str),
    right: (&Side<'_>, &str),
    key_type: &DataType,
    run: &Run,
) -> Result<Keys> {
    let both = concat(&[
        left.0.key(left.1, key_type)?.as_ref(),
        right.0.key(right.1, key_type)?.as_ref(),
    ])?;
    let rows = both.len();
    distinct_keys(&[both], rows, run)
}

/// The error for a list that is no ranking, with its user and item by name.
fn ambiguous(
    described: &CallInput,
    users: &Keys,
    items: &Keys,
    user: &[u32],
    item: &[u32],
    ranks: &[f64],
) -> Option<Error> {
    let mut rows: Vec<(u32, u32, f64)> = user
        .iter()
        .zip(item)
        .zip(ranks)
        .map(|((user, item), rank)| (*user, *item, *rank))
        .collect();
    rows.sort_unstable_by_key(|row| (row.0, row.1));
    for pair in rows.windows(2) {
        if let [(user, item, _), (next_user, next_item, _)] = pair
            && (user, item) == (next_user, next_item)
        {
            return Some(
                Error::new(
                    Kind::InvalidData,
                    format!(
                        "item {} is recommended to user {} more than once in {}",
                        items.display(*item).ok()?,
                        users.display(*user).ok()?,
                        described.describe()
                    ),
                )
                .hint("Leave the duplicates out with SELECT DISTINCT or GROUP BY."),
            );
        }
    }
    rows.sort_unstable_by(|left, right| left.0.cmp(&right.0).then(left.2.total_cmp(&right.2)));
    for pair in rows.windows(2) {
        if let [(user, _, rank), (next_user, _, next_rank)] = pair
            && user == next_user
            && rank == next_rank
        {
            return Some(
                Error::new(
                    Kind::InvalidData,
                    format!(
                        "user {} has two items at rank {rank} in {}",
                        users.display(*user).ok()?,
                        described.describe()
                    ),
                )
                .hint("Number the items of each user without ties, as row_number() does."),
            );
        }
    }
    None
}
