//! `ml.recommend`: what to offer to whom.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, Int64Array, StringArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field};
use rayon::prelude::*;
use tributary_algo::fusion::intern::Strings;
use tributary_algo::recommend::{Exclusion, ItemScorer, ItemTable, Popularity, Ranked};
use tributary_algo::{Csr, Pattern};

use crate::call::{Call, CallInput};
use crate::error::{Error, Kind, Result};
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::functions::{ITEM, USER};
use crate::input::{Input, input_of, optional_input_of};
use crate::interaction_model::InteractionModel;
use crate::keys::{cannot_meet, common_type, key_text};
use crate::model::{ModelInfo, model_schema};
use crate::output::{distinct_fields, required};
use crate::run::Run;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct Recommend;

/// How many users are scored before their rows are handed on.
const USERS: usize = 4096;

static SIGNATURE: Signature = Signature {
    schema: "ml",
    name: "recommend",
    summary: "recommends the best items of a model to users",
    prose: "A user with training interactions gets the items of the highest scores: the dot products \
            of the model's factors, for 'als_explicit' the predicted rating, for 'item_knn', 'ease', \
            'graph_filter' and 'rp3beta' what the items of the user's history add up to. A user whom the model does not know, or of whom it knows no \
            interaction, gets the items of the largest weight in training. Equal scores are ordered \
            by item. Fewer than `k` items come where fewer are left. A user given twice is answered \
            once; users come in ascending order. Columns of further relations are found by the names \
            that the columns had in training; items that the model does not know are passed over. A \
            model that was altered, or written by half, is refused. Time is O(users x items x \
            factors).",
    parameters: &[
        Parameter::new(
            "model",
            ParameterType::Model,
            Default::Required,
            "The model table, made with ml.train() of interactions.",
        ),
        Parameter::new(
            "users",
            ParameterType::Relation,
            Default::Null,
            "Whom to recommend to; absent, all users of the model.",
        ),
        Parameter::new(
            "k",
            ParameterType::Integer,
            Default::Integer(10),
            "How many items each user gets at most.",
        ),
        Parameter::new(
            "exclude_seen",
            ParameterType::Boolean,
            Default::Boolean(true),
            "Whether the items that a user interacted with in training are left out.",
        ),
        Parameter::new(
            "exclude",
            ParameterType::Relation,
            Default::Null,
            "Items to leave out: of each user where it has the user column, of everyone where not.",
        ),
        Parameter::new(
            "candidates",
            ParameterType::Relation,
            Default::Null,
            "The only items to recommend: to each user where it has the user column, to everyone \
             where not; absent, all items of the model.",
        ),
    ],
    positional: 1,
    columns: &[
        ResultColumn {
            name: "<user column>",
            data_type: "as in users, or as in training",
            meaning: "The user, under the name the column had in training.",
        },
        ResultColumn {
            name: "rank",
            data_type: "bigint",
            meaning: "From 1, the best first.",
        },
        ResultColumn {
            name: "<item column>",
            data_type: "as in training",
            meaning: "The item, under the name the column had in training.",
        },
        ResultColumn {
            name: "score",
            data_type: "double precision",
            meaning: "The model's score, or the item's weight; comparable within one source.",
        },
        ResultColumn {
            name: "source",
            data_type: "text",
            meaning: "Where the score is from: 'model' or 'popularity'.",
        },
    ],
    example: Example {
        setup: &[
            "CREATE TABLE bought_model AS SELECT * FROM ml.train('popularity', \
                  (SELECT * FROM (VALUES ('ann', 10, 3), ('ann', 20, 1), ('bob', 10, 1), ('bob', 30, 2)) \
                  AS bought (who, what, times)), \
                  user_id => 'who', item_id => 'what', weight => 'times')",
        ],
        sql: "SELECT * FROM ml.recommend('bought_model', \
              users => (SELECT * FROM (VALUES ('ann'), ('eve')) AS asked (who)), k => 2) \
              ORDER BY who, rank",
        output: "ann|1|30|2|popularity\neve|1|10|4|popularity\neve|2|30|2|popularity",
    },
    source: "Y. Hu, Y. Koren, C. Volinsky: Collaborative filtering for implicit feedback datasets, \
             ICDM 2008.",
};

/// The key columns of the model, and where the further relations have them.
struct Columns {
    user: String,
    user_type: DataType,
    item: String,
    item_type: DataType,
    /// The user column's name in `users`.
    users: Option<String>,
    exclude: Option<Pairs>,
    candidates: Option<Pairs>,
}

/// The columns of a relation of items, perhaps of one user each.
struct Pairs {
    user: Option<String>,
    item: String,
}

impl Columns {
    fn of(call: &Call) -> Result<Self> {
        let info = model_info(call)?;
        let (user, trained_type) = info.key(USER)?;
        let (item, item_type) = info.key(ITEM)?;
        let (users, user_type) = match call.optional_input("users")? {
            None => (None, trained_type.clone()),
            Some(input) => {
                let name = column(call, input, &user.name, &trained_type)?;
                let given = input.schema.field(input.column(&name)?).data_type().clone();
                (Some(name), given)
            }
        };
        let pairs = |parameter: &str| -> Result<Option<Pairs>> {
            call.optional_input(parameter)?
                .map(|input| {
                    let has_user = match input.column(&user.name) {
                        Err(error) if error.kind == Kind::UndefinedColumn => false,
                        Err(error) => return Err(error),
                        Ok(_) => true,
                    };
                    Ok(Pairs {
                        user: has_user
                            .then(|| column(call, input, &user.name, &trained_type))
                            .transpose()?,
                        item: column(call, input, &item.name, &item_type)?,
                    })
                })
                .transpose()
        };
        Ok(Self {
            users,
            user_type,
            exclude: pairs("exclude")?,
            candidates: pairs("candidates")?,
            user: user.name.clone(),
            item: item.name.clone(),
            item_type,
        })
    }
}

/// What planning knows of the model of interactions that a call names.
///
/// # Errors
/// [`Kind::WrongObjectType`] for another table or model.
pub(super) fn model_info(call: &Call) -> Result<&ModelInfo> {
    let input = call.input("model")?;
    let info = input.model.as_ref().ok_or_else(|| {
        Error::new(
            Kind::WrongObjectType,
            format!("{} is not a model table", input.label),
        )
        .hint("Make one with CREATE TABLE m AS SELECT * FROM ml.train(...).")
    })?;
    if !info.keys.iter().any(|key| key.role == ITEM) {
        return Err(Error::new(
            Kind::WrongObjectType,
            format!(
                "{} cannot use {}, a model of kind \"{}\"",
                call.signature.qualified_name(),
                input.label,
                info.algorithm
            ),
        )
        .hint("Give a model that was trained on interactions."));
    }
    Ok(info)
}

/// The name under which `input` has a key column of the model, whose type must fit.
pub(super) fn column(
    call: &Call,
    input: &CallInput,
    name: &str,
    trained: &DataType,
) -> Result<String> {
    let model = call.input("model")?;
    let position = input.column(name).map_err(|error| {
        if error.kind == Kind::UndefinedColumn {
            error.detail(format!("{} was trained with it.", sentence(&model.label)))
        } else {
            error
        }
    })?;
    let field = input.schema.field(position);
    if common_type(field.data_type(), trained).is_none() {
        return Err(cannot_meet(
            (&model.describe(), name, trained),
            (&input.describe(), field.name(), field.data_type()),
        ));
    }
    Ok(field.name().clone())
}

fn sentence(words: &str) -> String {
    let mut characters = words.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}

impl RelationFunction for Recommend {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let columns = Columns::of(call)?;
        if call.is_complete() {
            call.count("k", 1)?;
            call.boolean("exclude_seen")?;
        }
        let positions_of = |input: &CallInput, names: &[&String]| {
            crate::output::positions(input, names.iter().copied())
        };
        let pairs = |input: &CallInput, pairs: &Option<Pairs>| match pairs {
            None => Ok(Vec::new()),
            Some(pairs) => {
                let names: Vec<&String> = pairs.user.iter().chain([&pairs.item]).collect();
                positions_of(input, &names)
            }
        };
        let required = required(call, |input| match input.parameter {
            "model" => model_positions(input),
            "users" => positions_of(input, &columns.users.iter().collect::<Vec<_>>()),
            "exclude" => pairs(input, &columns.exclude),
            _ => pairs(input, &columns.candidates),
        })?;
        Ok(Binding {
            schema: distinct_fields(vec![
                Field::new(&columns.user, columns.user_type, false),
                Field::new("rank", DataType::Int64, false),
                Field::new(&columns.item, columns.item_type, false),
                Field::new("score", DataType::Float64, false),
                Field::new("source", DataType::Utf8, false),
            ])?,
            required,
            tags: vec![],
        })
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let columns = Columns::of(call)?;
        let k = call.count("k", 1)?;
        let label = &call.input("model")?.label;
        let model = InteractionModel::read(label, input_of(call, inputs, "model")?, run)?;
        let asked = asked_users(call, &columns, &model, inputs, run)?;
        let exclude = columns
            .exclude
            .as_ref()
            .map(|pairs| Items::read(call, "exclude", pairs, inputs, &model, &asked, run))
            .transpose()?;
        let candidates = columns
            .candidates
            .as_ref()
            .map(|pairs| Items::read(call, "candidates", pairs, inputs, &model, &asked, run))
            .transpose()?;
        let recommender = Recommender {
            model: &model,
            k,
            exclude_seen: call.boolean("exclude_seen")?,
            popularity: Popularity::from_weights(model.item_weights().to_vec()),
            table: match (&candidates, model.item_factors()) {
                (_, None) | (Some(Items::OfEach(_)), _) => None,
                (Some(Items::OfAll(items)), Some(factors)) => {
                    Some(run.compute(|| ItemTable::new(factors.view(), Some(items.row(0)), run))?)
                }
                (None, Some(factors)) => {
                    Some(run.compute(|| ItemTable::new(factors.view(), None, run))?)
                }
            },
            scorer: match (&candidates, model.graph()) {
                (_, None) | (Some(Items::OfEach(_)), _) => None,
                (Some(Items::OfAll(items)), Some(graph)) => {
                    Some(run.compute(|| graph.scorer(Some(items.row(0)), run))?)
                }
                (None, Some(graph)) => Some(run.compute(|| graph.scorer(None, run))?),
            },
            exclude,
            candidates,
        };
        let items = model.keys(model.items(), &columns.item_type, run)?;
        for start in (0..asked.known.len()).step_by(USERS) {
            let end = asked.known.len().min(start + USERS);
            let known = asked.known.get(start..end).unwrap_or_default();
            recommender.recommend(start, known, &asked.keys, &items, run)?;
        }
        Ok(())
    }
}

/// The columns of a model table in the relation given as the model.
pub(super) fn model_positions(input: &CallInput) -> Result<Vec<usize>> {
    let schema = model_schema();
    let names: Vec<&String> = schema.fields().iter().map(|field| field.name()).collect();
    crate::output::positions(input, names).map_err(|error| {
        Error::new(
            Kind::WrongObjectType,
            format!("{} is not a model table", input.label),
        )
        .detail(format!("{}.", sentence(&error.message)))
        .hint("Make one with CREATE TABLE m AS SELECT * FROM ml.train(...).")
    })
}

/// Whom to recommend to, in ascending order, each once.
struct Asked {
    keys: ArrayRef,
    /// The model's index of each, where the model knows the user.
    known: Vec<Option<u32>>,
    /// The keys as text, numbered by their places; only where `users` is given.
    places: Option<Strings>,
}

fn asked_users(
    call: &Call,
    columns: &Columns,
    model: &InteractionModel,
    inputs: &[Input],
    run: &Run,
) -> Result<Asked> {
    let (Some(name), Some(rows)) = (&columns.users, optional_input_of(call, inputs, "users")?)
    else {
        return Ok(Asked {
            keys: model.keys(model.users(), &columns.user_type, run)?,
            known: (0..model.users().len() as u32).map(Some).collect(),
            places: None,
        });
    };
    let described = call.input("users")?;
    let keys = rows.keys(described, std::slice::from_ref(name), run)?;
    let text = crate::keys::distinct_text(described, name, &keys)?;
    run.reserve(text.get_array_memory_size() + keys.len().saturating_mul(8))?;
    let known = text
        .iter()
        .map(|key| key.and_then(|key| model.users().find(key)))
        .collect();
    let mut places = Strings::new();
    for key in text.iter() {
        places.intern(key.unwrap_or_default().as_bytes(), run)?;
    }
    let column = keys.values.into_iter().next();
    Ok(Asked {
        keys: column.ok_or_else(|| Error::internal("a single key has one column"))?,
        known,
        places: Some(places),
    })
}

impl Asked {
    /// The place of a user among those asked.
    fn place(&self, model: &InteractionModel, key: &str) -> Option<u32> {
        match &self.places {
            Some(places) => places.find(key.as_bytes()),
            None => model.users().find(key),
        }
    }
}

/// Items given for everyone, in row 0, or for each of the users asked, in the row of the user.
enum Items {
    OfAll(Pattern),
    OfEach(Pattern),
}

impl Items {
    fn read(
        call: &Call,
        parameter: &str,
        pairs: &Pairs,
        inputs: &[Input],
        model: &InteractionModel,
        asked: &Asked,
        run: &Run,
    ) -> Result<Self> {
        let described = call.input(parameter)?;
        let rows = input_of(call, inputs, parameter)?;
        let column = |name: &String| -> Result<StringArray> {
            let columns = rows.key_columns(described, std::slice::from_ref(name))?;
            match columns.as_slice() {
                [column] => key_text(described, name, column),
                _ => Err(Error::internal("a single key has one column")),
            }
        };
        run.reserve(rows.rows().saturating_mul(16))?;
        let items = column(&pairs.item)?;
        let users = pairs.user.as_ref().map(column).transpose()?;
        let (mut places, mut kept) = (Vec::new(), Vec::new());
        for (row, item) in items.iter().enumerate() {
            let place = match &users {
                None => Some(0),
                Some(users) => asked.place(model, users.value(row)),
            };
            let item = item.and_then(|item| model.items().find(item));
            if let (Some(place), Some(item)) = (place, item) {
                places.push(place);
                kept.push(item);
            }
        }
        let rows = if users.is_some() {
            asked.known.len()
        } else {
            1
        };
        let pattern =
            run.compute(|| Pattern::from_pairs(rows, model.items().len(), &places, &kept, run))?;
        Ok(if users.is_some() {
            Self::OfEach(pattern)
        } else {
            Self::OfAll(pattern)
        })
    }

    /// The items as an exclusion for the users at `places` among those asked.
    fn exclusion<'a>(&'a self, places: &'a [u32], nobody: &'a [u32]) -> Exclusion<'a> {
        match self {
            Self::OfAll(items) => Exclusion {
                items,
                rows: Some(nobody),
            },
            Self::OfEach(items) => Exclusion {
                items,
                rows: Some(places),
            },
        }
    }
}

/// What is the same for all users of a call.
struct Recommender<'a> {
    model: &'a InteractionModel,
    k: usize,
    exclude_seen: bool,
    popularity: Popularity,
    /// Where scores come from factors and the candidates are the same for everyone.
    table: Option<ItemTable>,
    /// Where scores come from histories and the candidates are the same for everyone.
    scorer: Option<ItemScorer<'a>>,
    exclude: Option<Items>,
    candidates: Option<Items>,
}

/// Users who are scored in the same way: their places among those asked, and the model's indices.
#[derive(Default)]
struct Group {
    places: Vec<u32>,
    users: Vec<u32>,
    seen: Vec<Vec<u32>>,
}

impl Recommender<'_> {
    /// Recommends to the users from place `first` on, whose indices in the model are `known`.
    fn recommend(
        &self,
        first: usize,
        known: &[Option<u32>],
        keys: &ArrayRef,
        items: &ArrayRef,
        run: &Run,
    ) -> Result<()> {
        let (mut scored, mut popular) = (Group::default(), Group::default());
        for (user, place) in known.iter().zip(first as u32..) {
            let seen = match user {
                Some(user) => self.model.seen(*user)?,
                None => Vec::new(),
            };
            let has_scores = self.model.item_factors().is_some() || self.model.graph().is_some();
            let by_factors = has_scores && !seen.is_empty();
            let group = if by_factors {
                &mut scored
            } else {
                &mut popular
            };
            group.places.push(place);
            group.users.push(user.unwrap_or_default());
            group
                .seen
                .push(if self.exclude_seen { seen } else { Vec::new() });
        }
        let by_model = run.compute(|| self.ranked(&scored, true, run))?;
        let by_popularity = run.compute(|| self.ranked(&popular, false, run))?;
        let mut lists: Vec<(u32, usize, bool)> = scored
            .places
            .iter()
            .enumerate()
            .map(|(list, place)| (*place, list, true))
            .chain(
                popular
                    .places
                    .iter()
                    .enumerate()
                    .map(|(list, place)| (*place, list, false)),
            )
            .collect();
        lists.sort_unstable();
        let length = by_model.items.len() + by_popularity.items.len();
        run.check()?;
        let mut users = Vec::with_capacity(length);
        let mut ranks = Vec::with_capacity(length);
        let mut chosen = Vec::with_capacity(length);
        let mut scores = Vec::with_capacity(length);
        let mut sources = Vec::with_capacity(length);
        for (place, list, from_model) in lists {
            let (source, ranked) = if from_model {
                ("model", &by_model)
            } else {
                ("popularity", &by_popularity)
            };
            let (items, values) = ranked.list(list);
            for ((item, score), rank) in items.iter().zip(values).zip(1_i64..) {
                users.push(place);
                ranks.push(rank);
                chosen.push(*item);
                let mean = if from_model { self.model.mean() } else { 0.0 };
                scores.push(f64::from(*score) + mean);
                sources.push(source);
            }
        }
        run.emit_columns(vec![
            take(keys, &UInt32Array::from(users), None)?,
            Arc::new(Int64Array::from(ranks)),
            take(items, &UInt32Array::from(chosen), None)?,
            Arc::new(Float64Array::from(scores)),
            Arc::new(StringArray::from(sources)),
        ])
    }

    /// The lists of a group, by factors or by popularity.
    fn ranked(&self, group: &Group, by_factors: bool, run: &Run) -> Result<Ranked> {
        let seen = seen_pattern(&group.seen, self.model.items().len(), run)?;
        match &self.candidates {
            Some(Items::OfEach(candidates)) => {
                let lists = (0..group.places.len())
                    .into_par_iter()
                    .map(|at| {
                        let place = *group
                            .places
                            .get(at)
                            .ok_or_else(|| Error::internal("a place for each user"))?;
                        let own = Some(candidates.row(place as usize));
                        self.lists(group, at..at + 1, by_factors, &seen, own, run)
                    })
                    .collect::<Result<Vec<Ranked>>>()?;
                Ok(joined(&lists))
            }
            Some(Items::OfAll(candidates)) => {
                let all = 0..group.places.len();
                self.lists(group, all, by_factors, &seen, Some(candidates.row(0)), run)
            }
            None => self.lists(group, 0..group.places.len(), by_factors, &seen, None, run),
        }
    }

    /// The lists of the users of a group in `range`, with the same candidates for all of them.
    fn lists(
        &self,
        group: &Group,
        range: std::ops::Range<usize>,
        by_factors: bool,
        seen: &Pattern,
        candidates: Option<&[u32]>,
        run: &Run,
    ) -> Result<Ranked> {
        let places = group.places.get(range.clone()).unwrap_or_default();
        let own: Vec<u32> = range.clone().map(|at| at as u32).collect();
        let nobody = vec![0; places.len()];
        let mut exclusions = Vec::with_capacity(2);
        if self.exclude_seen {
            exclusions.push(Exclusion {
                items: seen,
                rows: Some(&own),
            });
        }
        if let Some(exclude) = &self.exclude {
            exclusions.push(exclude.exclusion(places, &nobody));
        }
        if let (true, Some(graph)) = (by_factors, self.model.graph()) {
            let histories = self.histories(group.users.get(range).unwrap_or_default(), run)?;
            return Ok(match &self.scorer {
                Some(scorer) => scorer.top_k(&histories, self.k, &exclusions, run)?,
                None => {
                    graph
                        .scorer(candidates, run)?
                        .top_k(&histories, self.k, &exclusions, run)?
                }
            });
        }
        let factors = self.model.item_factors().filter(|_| by_factors);
        let Some(factors) = factors else {
            let lists =
                self.popularity
                    .top_k(places.len(), self.k, &exclusions, candidates, run)?;
            return Ok(lists);
        };
        let users = self
            .model
            .user_factors(group.users.get(range).unwrap_or_default())?;
        Ok(match &self.table {
            Some(table) => table.top_k(users.view(), self.k, &exclusions, run)?,
            None => ItemTable::new(factors.view(), candidates, run)?.top_k(
                users.view(),
                self.k,
                &exclusions,
                run,
            )?,
        })
    }
}

impl Recommender<'_> {
    /// What the users interacted with in training, a row each.
    fn histories(&self, users: &[u32], run: &Run) -> Result<Csr<f32>> {
        histories(self.model, users, run)
    }
}

/// What the users interacted with in training, a row each.
///
/// # Errors
/// As [`InteractionModel::history`].
pub(super) fn histories(model: &InteractionModel, users: &[u32], run: &Run) -> Result<Csr<f32>> {
    let (mut starts, mut items, mut weights) = (vec![0], Vec::new(), Vec::new());
    for user in users {
        let (seen, counts) = model.history(*user)?;
        items.extend(seen);
        weights.extend(counts);
        starts.push(items.len());
    }
    Ok(Csr::from_rows(
        model.items().len(),
        starts,
        items,
        weights,
        run,
    )?)
}

fn seen_pattern(seen: &[Vec<u32>], items: usize, run: &Run) -> Result<Pattern> {
    let users: Vec<u32> = seen
        .iter()
        .zip(0..)
        .flat_map(|(items, user)| std::iter::repeat_n(user, items.len()))
        .collect();
    let all: Vec<u32> = seen.concat();
    Ok(Pattern::from_pairs(seen.len(), items, &users, &all, run)?)
}

/// Lists of several calls, one after another.
fn joined(parts: &[Ranked]) -> Ranked {
    let mut whole = Ranked {
        starts: vec![0],
        ..Ranked::default()
    };
    for part in parts {
        for user in 0..part.users() {
            let (items, scores) = part.list(user);
            whole.items.extend_from_slice(items);
            whole.scores.extend_from_slice(scores);
            whole.starts.push(whole.items.len());
        }
    }
    whole
}
