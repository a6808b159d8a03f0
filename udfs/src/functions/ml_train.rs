//! `ml.train`: a model, as the rows of a model table.

use arrow::array::{Array, ArrayRef, StringArray};
use arrow::compute::cast;
use ndarray::Array2;
use serde_json::{Map, Value, json};
use tributary_algo::Csr;
use tributary_algo::factorization::{AlsExplicit, Bpr, Pca};
use tributary_algo::recommend::Popularity;
use tributary_algo::recommend::item_graph::{
    Ease, Graph, GraphFilter, ItemKnn, ItemModel, Rp3beta, Similarity,
};

use super::ml_kmeans::{CRITERION, INIT, K_MAX, MAX_ITER, N_INIT, TOL};
use super::{ml_dbscan, ml_gmm, ml_kmeans, ml_pca};
use crate::als::{ALPHA, FACTORS, ITERATIONS, NU, REGULARIZATION, SOLVER, als, als_options};
use crate::call::{Call, CallInput};
use crate::error::{Error, Kind, Result};
use crate::feature_model::{FEATURE_ALGORITHMS, Learned, feature_info, write_feature_model};
use crate::features::{FEATURES, Features, IMPUTE, SEED, STANDARDIZE, weight_column};
use crate::function::{
    Binding, Default, Example, Parameter, ParameterType, RelationFunction, ResultColumn, Signature,
};
use crate::input::{Input, Keys, input_of, optional_input_of};
use crate::interaction_model::{GRAPH, InteractionModel, PARAMETER};
use crate::interactions::{
    ITEM_ID, InteractionColumns, Interactions, RATING, USER_ID, WEIGHT, mean_matrix,
};
use crate::keys::distinct_text;
use crate::model::{
    FORMAT_VERSION, MODEL_TAG, Manifest, ModelInfo, ModelKey, ModelRow, model_schema, write_model,
};
use crate::output::{all_positions, positions, required};
use crate::run::Run;
use crate::types::sql_type;

/// See [`SIGNATURE`].
#[derive(Debug)]
pub struct Train;

/// The section of a model with a row for each user.
pub const USER: &str = "user";

/// The section of a model with a row for each item.
pub const ITEM: &str = "item";

const ALGORITHM: Parameter = Parameter::constant(
    "algorithm",
    ParameterType::Text,
    Default::Required,
    "What to train: 'als', 'als_explicit', 'bpr', 'item_knn', 'ease', 'graph_filter', 'rp3beta' or \
     'popularity' of interactions; 'kmeans', 'gmm', 'dbscan', 'pca' or 'svd' of features.",
);

const REL: Parameter = Parameter::relation("rel", "The interactions, or the rows with features.");

const WARM_START: Parameter = Parameter::new(
    "warm_start",
    ParameterType::Model,
    Default::Null,
    "'als': a model of kind 'als' and of as many factors to go on from; users and items are found by \
     their keys, and new ones begin at 0.",
);

const LEARNING_RATE: Parameter = Parameter::new(
    "learning_rate",
    ParameterType::Float,
    Default::Float(0.1),
    "'bpr': the length of a step, positive; 0.1.",
);

const NEIGHBOURS: Parameter = Parameter::new(
    "neighbours",
    ParameterType::Integer,
    Default::Integer(200),
    "How many neighbours of each item are kept: 200 of 'item_knn', 1000 of 'graph_filter' and 'rp3beta'.",
);

const SIMILARITY: Parameter = Parameter::new(
    "similarity",
    ParameterType::Text,
    Default::Text("cosine"),
    "'item_knn': how alike two items are, 'cosine', 'tfidf', 'bm25' or 'asymmetric'.",
);

const K1: Parameter = Parameter::new(
    "k1",
    ParameterType::Float,
    Default::Float(1.2),
    "'item_knn' with 'bm25': how slowly further weight saturates, positive; 1.2.",
);

const B: Parameter = Parameter::new(
    "b",
    ParameterType::Float,
    Default::Float(0.75),
    "'item_knn' with 'bm25': how much popular items are held down, from 0 to 1; 0.75.",
);

const BETA: Parameter = Parameter::new(
    "beta",
    ParameterType::Float,
    Default::Float(0.4),
    "'rp3beta': how strongly popular items are held down, from 0 to 2; 0.4.",
);

const LOW_PASS: Parameter = Parameter::new(
    "low_pass",
    ParameterType::Float,
    Default::Float(0.3),
    "'graph_filter': the weight of the ideal low-pass filter beside the linear one, from 0 to 100; 0.3.",
);

const K: Parameter = Parameter::new(
    "k",
    ParameterType::IntegerOrAuto,
    Default::Integer(8),
    "The number of clusters, 8 of 'kmeans' and to be given for 'gmm', or 'auto'; for 'pca' and 'svd' a \
     constant, how many components are kept, from 1 to the number of features, which is the default.",
);

const INITIAL_CENTROIDS: Parameter = Parameter::new(
    "initial_centroids",
    ParameterType::Relation,
    Default::Null,
    "'kmeans': the first centroids, one a row, k rows, under the features' names and in their units.",
);

const COVARIANCE: Parameter = Parameter::new(
    "covariance",
    ParameterType::Text,
    Default::Text("full"),
    "'gmm': the shape of the components, 'full' or 'diag'.",
);

const REG_COVAR: Parameter = Parameter::new(
    "reg_covar",
    ParameterType::Float,
    Default::Float(1e-6),
    "'gmm': added to the variances, not negative; 0.000001.",
);

const EPS: Parameter = Parameter::new(
    "eps",
    ParameterType::FloatOrAuto,
    Default::Text("auto"),
    "'dbscan': the radius of a neighbourhood, or 'auto'.",
);

const MIN_SAMPLES: Parameter = Parameter::new(
    "min_samples",
    ParameterType::Integer,
    Default::Integer(5),
    "'dbscan': how many rows within the radius make a row a core; 5.",
);

const METRIC: Parameter = Parameter::new(
    "metric",
    ParameterType::Text,
    Default::Text("euclidean"),
    "'dbscan': how distances are measured, 'euclidean' or 'cosine'.",
);

/// A parameter with the default that an algorithm gives it.
const fn by_default(parameter: Parameter, default: Default) -> Parameter {
    Parameter {
        default,
        ..parameter
    }
}

/// A parameter as `ml.train` documents it: some algorithms require it, or give it a default.
const fn optional(parameter: Parameter) -> Parameter {
    by_default(parameter, Default::Null)
}

/// The arguments that an algorithm takes, with its defaults.
const fn taken(parameters: &'static [Parameter]) -> Signature {
    Signature {
        schema: "ml",
        name: "train",
        summary: "",
        prose: "",
        parameters,
        positional: 2,
        columns: &[],
        example: Example {
            setup: &[],
            sql: "",
            output: "",
        },
        source: "",
    }
}

static ALS: Signature = taken(&[
    ALGORITHM,
    REL,
    USER_ID,
    ITEM_ID,
    WEIGHT,
    FACTORS,
    ITERATIONS,
    REGULARIZATION,
    ALPHA,
    NU,
    SOLVER,
    WARM_START,
    SEED,
]);

static ALS_EXPLICIT: Signature = taken(&[
    ALGORITHM,
    REL,
    USER_ID,
    ITEM_ID,
    RATING,
    by_default(FACTORS, Default::Integer(16)),
    by_default(ITERATIONS, Default::Integer(20)),
    by_default(REGULARIZATION, Default::Float(0.1)),
    SEED,
]);

static BPR: Signature = taken(&[
    ALGORITHM,
    REL,
    USER_ID,
    ITEM_ID,
    WEIGHT,
    FACTORS,
    by_default(ITERATIONS, Default::Integer(60)),
    by_default(REGULARIZATION, Default::Float(0.01)),
    LEARNING_RATE,
    SEED,
]);

static ITEM_KNN: Signature = taken(&[
    ALGORITHM,
    REL,
    USER_ID,
    ITEM_ID,
    WEIGHT,
    NEIGHBOURS,
    SIMILARITY,
    K1,
    B,
    by_default(ALPHA, Default::Float(0.5)),
]);

static EASE: Signature = taken(&[
    ALGORITHM,
    REL,
    USER_ID,
    ITEM_ID,
    WEIGHT,
    by_default(REGULARIZATION, Default::Float(300.0)),
]);

static GRAPH_FILTER: Signature = taken(&[
    ALGORITHM,
    REL,
    USER_ID,
    ITEM_ID,
    WEIGHT,
    by_default(NEIGHBOURS, Default::Integer(1000)),
    by_default(FACTORS, Default::Null),
    LOW_PASS,
    SEED,
]);

static RP3BETA: Signature = taken(&[
    ALGORITHM,
    REL,
    USER_ID,
    ITEM_ID,
    WEIGHT,
    by_default(NEIGHBOURS, Default::Integer(1000)),
    by_default(ALPHA, Default::Float(0.6)),
    BETA,
]);

static POPULARITY: Signature = taken(&[ALGORITHM, REL, USER_ID, ITEM_ID, WEIGHT, SEED]);

static KMEANS: Signature = taken(&[
    ALGORITHM,
    REL,
    FEATURES,
    K,
    K_MAX,
    CRITERION,
    N_INIT,
    MAX_ITER,
    TOL,
    INIT,
    INITIAL_CENTROIDS,
    STANDARDIZE,
    IMPUTE,
    WEIGHT,
    SEED,
]);

static GMM: Signature = taken(&[
    ALGORITHM,
    REL,
    FEATURES,
    by_default(K, Default::Required),
    K_MAX,
    COVARIANCE,
    N_INIT,
    by_default(MAX_ITER, Default::Integer(100)),
    by_default(TOL, Default::Float(1e-3)),
    REG_COVAR,
    STANDARDIZE,
    IMPUTE,
    SEED,
]);

static DBSCAN: Signature = taken(&[
    ALGORITHM,
    REL,
    FEATURES,
    EPS,
    MIN_SAMPLES,
    METRIC,
    STANDARDIZE,
    IMPUTE,
]);

static COMPONENTS: Signature = taken(&[
    ALGORITHM,
    REL,
    FEATURES,
    by_default(K, Default::Null),
    STANDARDIZE,
    IMPUTE,
]);

/// The algorithms and what they take.
const ALGORITHMS: [(&str, &Signature); 13] = [
    ("als", &ALS),
    ("als_explicit", &ALS_EXPLICIT),
    ("bpr", &BPR),
    ("item_knn", &ITEM_KNN),
    ("ease", &EASE),
    ("graph_filter", &GRAPH_FILTER),
    ("rp3beta", &RP3BETA),
    ("popularity", &POPULARITY),
    ("kmeans", &KMEANS),
    ("gmm", &GMM),
    ("dbscan", &DBSCAN),
    ("pca", &COMPONENTS),
    ("svd", &COMPONENTS),
];

static SIGNATURE: Signature = Signature {
    schema: "ml",
    name: "train",
    summary: "trains a model, as the rows of a model table",
    prose: "Keep the result with CREATE TABLE m AS SELECT * FROM ml.train(...); the table is then the \
            model, to be used, queried, renamed, granted and dropped by its name. Each algorithm takes \
            arguments of its own, and refuses those of others. Of interactions: 'als' factorizes them as \
            ml.factorize() does; 'als_explicit' predicts ratings from factors and biases, several \
            ratings of one item by one user counting as their mean; 'bpr' learns factors that rank what \
            was chosen above what was not, whatever the weight; 'item_knn', 'ease', 'graph_filter' and \
            'rp3beta' learn what each item of a user's history adds to the score of the others; \
            'popularity' ranks items by the sum of their weights, the same for everyone. Of features: \
            'kmeans', 'gmm' and 'dbscan' cluster as the functions of those names, and 'pca' and 'svd' \
            find the directions of most variance, 'svd' without subtracting the means, as \
            scikit-learn's TruncatedSVD; what was done to the features first is kept, so that \
            ml.predict() treats further rows alike. Section 'manifest' has one row: \
            the algorithm as key, and as payload a JSON text with the arguments, the key columns, \
            counts, the loss after each iteration and a checksum over the whole model, by which a \
            model altered or written by half is refused when it is used. Section 'user' has a row for \
            each user, in ascending order from idx 0: the sum of the user's weights as value, the \
            factors (or what each item of the history counts) as vector, and as payload the idx of every item \
            of positive weight, four bytes each, the lowest first. Section 'item' has a row for each \
            item: the sum of its weights as value, the factors as vector. Section 'graph' has for each \
            item what it adds to others. Models of features have sections 'feature', 'cluster', 'component' \
            and 'core', with their numbers in double precision as payload. The same data, arguments and seed \
            give the same rows for any number of threads and any order of rows.",
    parameters: &[
        ALGORITHM,
        REL,
        optional(USER_ID),
        optional(ITEM_ID),
        WEIGHT,
        optional(RATING),
        optional(FACTORS),
        optional(ITERATIONS),
        optional(REGULARIZATION),
        optional(ALPHA),
        optional(NU),
        optional(SOLVER),
        optional(LEARNING_RATE),
        optional(NEIGHBOURS),
        optional(SIMILARITY),
        optional(K1),
        optional(B),
        optional(BETA),
        optional(LOW_PASS),
        WARM_START,
        optional(FEATURES),
        optional(K),
        optional(K_MAX),
        optional(CRITERION),
        optional(N_INIT),
        optional(MAX_ITER),
        optional(TOL),
        optional(INIT),
        INITIAL_CENTROIDS,
        optional(COVARIANCE),
        optional(REG_COVAR),
        optional(EPS),
        optional(MIN_SAMPLES),
        optional(METRIC),
        STANDARDIZE,
        IMPUTE,
        SEED,
    ],
    positional: 2,
    columns: &[
        ResultColumn {
            name: "section",
            data_type: "text",
            meaning: "The part of the model the row belongs to, such as 'manifest', 'user' or 'item'.",
        },
        ResultColumn {
            name: "idx",
            data_type: "bigint",
            meaning: "Its position within the section, from 0.",
        },
        ResultColumn {
            name: "key",
            data_type: "text",
            meaning: "The user, item or feature, as text.",
        },
        ResultColumn {
            name: "value",
            data_type: "double precision",
            meaning: "The sum of the weights, or another number; the size of a cluster.",
        },
        ResultColumn {
            name: "vector",
            data_type: "real[]",
            meaning: "The factors, or another list of numbers; the place of a cluster.",
        },
        ResultColumn {
            name: "payload",
            data_type: "bytea",
            meaning: "JSON in the manifest; for a user the items of the training interactions; numbers of \
                      double precision.",
        },
    ],
    example: Example {
        setup: &[],
        sql: "SELECT section, idx, key, value, cardinality(vector) AS width FROM ml.train('als', \
              (SELECT * FROM (VALUES ('ann', 10, 3), ('ann', 20, 1), ('bob', 10, 1)) \
              AS bought (who, what, times)), \
              user_id => 'who', item_id => 'what', weight => 'times', factors => 2) \
              WHERE section <> 'manifest' ORDER BY section, idx",
        output: "item|0|10|4|2\nitem|1|20|1|2\nuser|0|ann|4|2\nuser|1|bob|1|2",
    },
    source: "Y. Hu, Y. Koren, C. Volinsky: Collaborative filtering for implicit feedback datasets, \
             ICDM 2008; S. Rendle, W. Krichene, L. Zhang, Y. Koren: Revisiting the performance of iALS \
             on item recommendation benchmarks, RecSys 2022; Y. Koren, R. Bell, C. Volinsky: Matrix \
             factorization techniques for recommender systems, Computer 42 (2009); S. Rendle, C. \
             Freudenthaler, Z. Gantner, L. Schmidt-Thieme: BPR, UAI 2009; B. Sarwar, G. Karypis, J. \
             Konstan, J. Riedl: Item-based collaborative filtering, WWW 2001; H. Steck: Embarrassingly \
             shallow autoencoders for sparse data, WWW 2019; Y. Shen and others: How powerful is graph \
             convolution for recommendation?, CIKM 2021; B. Paudel, F. Christoffel, C. Newell, A. \
             Bernstein: Updatable, accurate, diverse, and scalable recommendations, TiiS 7 (2017).",
};

/// The algorithm of a call, and the call with the arguments that the algorithm takes.
fn chosen(call: &Call) -> Result<(&'static str, Call)> {
    let words = ALGORITHMS.map(|(name, _)| name);
    let given = call.required_text("algorithm")?;
    if given.trim().eq_ignore_ascii_case("simplex") {
        return Err(Error::new(
            Kind::FeatureNotSupported,
            "algorithm \"simplex\" of ml.train is not supported yet",
        )
        .hint(format!("Its algorithms are: {}.", words.join(", "))));
    }
    let word = call.word("algorithm", &words)?;
    let (name, signature) = ALGORITHMS
        .into_iter()
        .find(|(name, _)| *name == word)
        .ok_or_else(|| Error::internal("a word is one of the algorithms"))?;
    let what = format!("algorithm \"{name}\" of ml.train");
    Ok((name, call.narrowed(signature, &what)?))
}

impl RelationFunction for Train {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn bind(&self, call: &Call) -> Result<Binding> {
        let (name, call) = chosen(call)?;
        if FEATURE_ALGORITHMS.contains(&name) {
            bind_features(name, &call)
        } else {
            bind_interactions(name, &call)
        }
    }

    fn run(&self, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
        let (name, call) = chosen(call)?;
        if FEATURE_ALGORITHMS.contains(&name) {
            return train_features(name, &call, inputs, run);
        }
        train_interactions(name, &call, inputs, run)
    }
}

fn bind_features(name: &str, call: &Call) -> Result<Binding> {
    let features = Features::bind(call)?;
    let mut further = None;
    let mut components = None;
    match name {
        "pca" | "svd" => {
            if call.is_deferred("k")? {
                return Err(Error::new(
                    Kind::FeatureNotSupported,
                    format!("argument \"k\" of ml.train('{name}', ...) must be a constant"),
                )
                .detail("It shapes the columns of predictions.")
                .hint("Write the value as a literal into the SQL."));
            }
            components = Some(ml_pca::components(call, &features)?);
        }
        "kmeans" => {
            further = weight_column(call)?;
            if let Some(centroids) = call.optional_input("initial_centroids")? {
                features.check(centroids)?;
            }
        }
        _ => {}
    }
    if call.is_complete() {
        features.check_options(call)?;
        match name {
            "kmeans" => {
                ml_kmeans::check_auto(call)?;
                ml_kmeans::algorithm(call)?;
                ml_kmeans::curve(call, 0)?;
            }
            "gmm" => {
                ml_gmm::algorithm(call)?;
            }
            "dbscan" => {
                ml_dbscan::algorithm(call)?;
            }
            _ => {}
        }
    }
    let info = feature_info(name, call.input("rel")?, &features, components)?;
    Ok(Binding {
        schema: model_schema(),
        required: required(call, |input| match input.parameter {
            "initial_centroids" => positions(input, &features.names),
            _ => positions(input, features.names.iter().chain(&further)),
        })?,
        tags: vec![(MODEL_TAG.to_owned(), info.to_tag()?)],
    })
}

fn train_features(name: &str, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
    let features = Features::bind(call)?;
    let rows = input_of(call, inputs, "rel")?;
    let mut parameters = Map::new();
    let mut metrics = Map::new();
    for option in ["standardize", "impute"] {
        parameters.insert(option.to_owned(), json!(call.text(option)?));
    }
    let mut components = None;
    let (treatments, learned) = match name {
        "kmeans" => {
            let (_, prepared, clusters) = ml_kmeans::cluster(call, inputs, run)?;
            let mut sizes = vec![0_u64; clusters.centroids.nrows()];
            for label in &clusters.labels {
                if let Some(size) = sizes.get_mut(*label as usize) {
                    *size += 1;
                }
            }
            parameters.insert("k".to_owned(), json!(sizes.len()));
            parameters.insert("seed".to_owned(), json!(call.integer("seed")?));
            metrics.insert("inertia".to_owned(), json!(clusters.inertia));
            metrics.insert("iterations".to_owned(), json!(clusters.iterations));
            metrics.insert("converged".to_owned(), json!(clusters.converged));
            (
                prepared.treatments,
                Learned::Centroids(clusters.centroids, sizes),
            )
        }
        "gmm" => {
            let (_, prepared, mixture) = ml_gmm::fit(call, inputs, run)?;
            parameters.insert("k".to_owned(), json!(mixture.weights.len()));
            parameters.insert("covariance".to_owned(), json!(call.text("covariance")?));
            parameters.insert("seed".to_owned(), json!(call.integer("seed")?));
            metrics.insert("log_likelihood".to_owned(), json!(mixture.log_likelihood));
            metrics.insert("bic".to_owned(), json!(mixture.bic));
            metrics.insert("aic".to_owned(), json!(mixture.aic));
            metrics.insert("converged".to_owned(), json!(mixture.converged));
            (prepared.treatments, Learned::Mixture(mixture))
        }
        "dbscan" => {
            let (algorithm, cosine) = ml_dbscan::algorithm(call)?;
            let order = rows.canonical_order(&features.names, run)?;
            let mut prepared = features.read(call, rows, &order, run)?;
            if cosine {
                ml_dbscan::to_unit_length(&mut prepared.matrix)?;
            }
            let found = run.compute(|| algorithm.fit(prepared.matrix.view(), run))?;
            parameters.insert("eps".to_owned(), json!(found.eps));
            parameters.insert("min_samples".to_owned(), json!(algorithm.min_samples));
            parameters.insert("metric".to_owned(), json!(call.text("metric")?));
            metrics.insert("clusters".to_owned(), json!(found.clusters));
            run.reserve(prepared.matrix.len().saturating_mul(8))?;
            let model = found.model(prepared.matrix.view());
            (prepared.treatments, Learned::Cores(model, cosine))
        }
        _ => {
            let k = ml_pca::components(call, &features)?;
            let order = rows.canonical_order(&features.names, run)?;
            let prepared = features.read(call, rows, &order, run)?;
            let algorithm = Pca {
                k,
                centre: name == "pca",
            };
            let model = run.compute(|| algorithm.fit(prepared.matrix.view(), run))?;
            components = Some(k);
            parameters.insert("k".to_owned(), json!(k));
            if name == "pca" {
                metrics.insert("variances".to_owned(), json!(model.variances));
                metrics.insert("shares".to_owned(), json!(model.shares));
            }
            (prepared.treatments, Learned::Components(model))
        }
    };
    let info = feature_info(name, call.input("rel")?, &features, components)?;
    write_feature_model(
        run,
        info,
        parameters,
        rows.rows(),
        &treatments,
        (&learned, metrics),
    )
}

fn bind_interactions(name: &str, call: &Call) -> Result<Binding> {
    let columns = InteractionColumns::bind(call)?;
    if call.is_complete() {
        Learner::of(name, call)?;
    }
    if let Some(model) = call.optional_input("warm_start")? {
        let known = model.model.as_ref().map(|info| info.algorithm.as_str());
        if known != Some("als") {
            return Err(Error::new(
                Kind::WrongObjectType,
                format!("{} is not a model of kind \"als\"", model.label),
            )
            .hint("Leave warm_start out, or give a model made with ml.train('als', ...)."));
        }
    }
    Ok(Binding {
        schema: model_schema(),
        required: required(call, |input| match input.parameter {
            "warm_start" => Ok(all_positions(input)),
            _ => columns.positions(input),
        })?,
        tags: vec![(
            MODEL_TAG.to_owned(),
            info(name, call.input("rel")?, &columns)?.to_tag()?,
        )],
    })
}

/// What is learned from interactions, with its parameters.
pub(super) enum Learner {
    Als,
    AlsExplicit(AlsExplicit),
    Bpr(Bpr),
    ItemKnn(ItemKnn),
    Ease(Ease),
    /// The factors are those given, or as many as there may be up to 256.
    GraphFilter(GraphFilter, Option<usize>),
    Rp3beta(Rp3beta),
    Popularity,
}

impl Learner {
    /// # Errors
    /// For values out of range.
    pub(super) fn of(name: &str, call: &Call) -> Result<Self> {
        Ok(match name {
            "als" => {
                als_options(call)?;
                Self::Als
            }
            "als_explicit" => Self::AlsExplicit(AlsExplicit {
                factors: call.count_within("factors", 1, 2047)?,
                iterations: call.count("iterations", 1)?,
                regularization: call.float_from("regularization", 0.0, true)?,
                seed: call.seed()?,
            }),
            "bpr" => Self::Bpr(Bpr {
                factors: call.count_within("factors", 1, 2047)?,
                epochs: call.count("iterations", 1)?,
                learning_rate: call.float_from("learning_rate", 0.0, true)?,
                regularization: call.float_from("regularization", 0.0, false)?,
                seed: call.seed()?,
            }),
            "item_knn" => {
                let words = ["cosine", "tfidf", "bm25", "asymmetric"];
                let word = call.word("similarity", &words)?;
                for (parameter, of) in [("k1", "bm25"), ("b", "bm25"), ("alpha", "asymmetric")] {
                    if word != of && call.has(parameter)? {
                        return Err(Error::new(
                            Kind::InvalidParameter,
                            format!(
                                "argument \"{parameter}\" of ml.train has a meaning only with similarity => '{of}'"
                            ),
                        )
                        .hint("Leave the argument out, or name the similarity."));
                    }
                }
                Self::ItemKnn(ItemKnn {
                    neighbours: call.count("neighbours", 1)?,
                    similarity: match word {
                        "tfidf" => Similarity::TfIdf,
                        "bm25" => Similarity::Bm25 {
                            k1: call.float_from("k1", 0.0, true)?,
                            b: call.float_from("b", 0.0, false)?,
                        },
                        "asymmetric" => Similarity::Asymmetric {
                            alpha: call.float_from("alpha", 0.0, false)?,
                        },
                        _ => Similarity::Cosine,
                    },
                })
            }
            "ease" => Self::Ease(Ease {
                regularization: call.float_from("regularization", 0.0, true)?,
            }),
            "graph_filter" => {
                let factors = match call.integer("factors")? {
                    None => None,
                    Some(_) => Some(call.count("factors", 0)?),
                };
                let filter = GraphFilter {
                    neighbours: call.count("neighbours", 1)?,
                    factors: factors.unwrap_or_default(),
                    low_pass: call.float_from("low_pass", 0.0, false)?,
                    seed: call.seed()?,
                };
                Self::GraphFilter(filter, factors)
            }
            "rp3beta" => Self::Rp3beta(Rp3beta {
                neighbours: call.count("neighbours", 1)?,
                alpha: call.float_from("alpha", 0.0, false)?,
                beta: call.float_from("beta", 0.0, false)?,
            }),
            _ => Self::Popularity,
        })
    }
}

/// What users and items came to.
#[derive(Default)]
pub(super) struct Vectors {
    /// Users x factors.
    pub(super) users: Option<Array2<f32>>,
    /// Items x factors.
    pub(super) items: Option<Array2<f32>>,
    /// What items add to each other.
    pub(super) graph: Option<ItemModel>,
    /// What is added to products of factors.
    pub(super) mean: Option<f64>,
    /// The arguments that were learned with.
    parameters: Map<String, Value>,
    /// How it went.
    metrics: Map<String, Value>,
}

/// The rating column of those algorithms that take one.
pub(super) const OPTIONAL_RATING: Parameter = optional(RATING);

/// The algorithm of a call, which must be one that learns from interactions, and the arguments that it takes.
///
/// # Errors
/// For another word.
pub(super) fn algorithm(call: &Call) -> Result<(&'static str, &'static Signature)> {
    let words = [
        "als",
        "als_explicit",
        "bpr",
        "item_knn",
        "ease",
        "graph_filter",
        "rp3beta",
        "popularity",
    ];
    let word = call.word("algorithm", &words)?;
    ALGORITHMS
        .into_iter()
        .find(|(name, _)| *name == word)
        .ok_or_else(|| Error::internal("a word is one of the algorithms"))
}

fn train_interactions(name: &str, call: &Call, inputs: &[Input], run: &Run) -> Result<()> {
    let described = call.input("rel")?;
    let columns = InteractionColumns::bind(call)?;
    let rows = input_of(call, inputs, "rel")?;
    let interactions = columns.read(call, rows, run)?;
    let users = model_keys(described, &columns.user, &interactions.users)?;
    let items = model_keys(described, &columns.item, &interactions.items)?;
    let training = counts(rows, &interactions)?;
    let matrix = &interactions.matrix;
    let learner = Learner::of(name, call)?;
    let (first, ratings) = match &learner {
        Learner::Als => {
            let factors = als_options(call)?.factors;
            (
                warm_start(call, inputs, (&users, &items), factors, run)?,
                None,
            )
        }
        Learner::AlsExplicit(_) => {
            let ratings = mean_matrix(call, rows, &columns, &interactions, run)?;
            (None, Some(ratings))
        }
        _ => (None, None),
    };
    let mut vectors = learn(
        &learner,
        call,
        matrix,
        ratings.as_ref(),
        first.as_ref(),
        run,
    )?;
    let mut parameters = std::mem::take(&mut vectors.parameters);
    let mut note = |name: &str, value: Value| parameters.insert(name.to_owned(), value);
    for (name, column) in [("weight", &columns.weight), ("rating", &columns.rating)] {
        if let Some(column) = column {
            note(name, json!(column));
        }
    }
    let popularity = run.compute(|| Popularity::fit(matrix, run))?;
    let manifest = Manifest {
        checksum: String::new(),
        info: info(name, described, &columns)?,
        rows: 0,
        parameters,
        training,
        metrics: std::mem::take(&mut vectors.metrics),
    };
    write_model(run, manifest, |visit| {
        user_rows(&users, &interactions, &vectors, visit)?;
        item_rows(&items, &popularity.weights, vectors.items.as_ref(), visit)?;
        if let Some(mean) = vectors.mean {
            visit(ModelRow {
                section: PARAMETER,
                idx: Some(0),
                key: Some("mean"),
                value: Some(mean),
                ..ModelRow::default()
            })?;
        }
        match &vectors.graph {
            None => Ok(()),
            Some(model) => graph_rows(model, visit),
        }
    })
}

/// Learns from the weights of users x items; of ratings, and from where an earlier model ended, where the algorithm takes them.
///
/// # Errors
/// For bad arguments and data.
pub(super) fn learn(
    learner: &Learner,
    call: &Call,
    matrix: &Csr<f32>,
    ratings: Option<&Csr<f32>>,
    first: Option<&(Array2<f32>, Array2<f32>)>,
    run: &Run,
) -> Result<Vectors> {
    let mut parameters = Map::new();
    let mut metrics = Map::new();
    let mut note = |name: &str, value: Value| parameters.insert(name.to_owned(), value);
    let mut vectors = Vectors::default();
    let graph = |model: tributary_algo::Result<ItemModel>| -> Result<Vectors> {
        let model = model?;
        run.reserve(model.bytes())?;
        Ok(Vectors {
            graph: Some(model),
            ..Vectors::default()
        })
    };
    match learner {
        Learner::Popularity => {}
        Learner::Als => {
            let als = als(call, matrix)?;
            let views = first.map(|(x, y)| (x.view(), y.view()));
            let model = run.compute(|| als.fit(matrix, views, run))?;
            run.reserve(model.bytes())?;
            note("factors", json!(als.factors));
            note("iterations", json!(als.iterations));
            note("regularization", json!(als.regularization));
            note("alpha", json!(als.alpha));
            note("nu", json!(als.nu));
            note("solver", json!(call.text("solver")?));
            note("warm_start", json!(first.is_some()));
            note("seed", json!(call.integer("seed")?));
            metrics.insert("loss".to_owned(), json!(model.losses));
            vectors.users = Some(model.user_factors);
            vectors.items = Some(model.item_factors);
        }
        Learner::AlsExplicit(als) => {
            let ratings = ratings.ok_or_else(|| call.missing("rating"))?;
            let model = run.compute(|| als.fit(ratings, run))?;
            run.reserve(model.bytes().saturating_mul(2))?;
            note("factors", json!(als.factors));
            note("iterations", json!(als.iterations));
            note("regularization", json!(als.regularization));
            note("seed", json!(call.integer("seed")?));
            metrics.insert("rmse".to_owned(), json!(model.errors));
            let (of_users, of_items) = model.product_form();
            vectors.mean = Some(model.mean);
            vectors.users = Some(of_users);
            vectors.items = Some(of_items);
        }
        Learner::Bpr(bpr) => {
            let model = run.compute(|| bpr.fit(matrix, run))?;
            run.reserve(model.bytes())?;
            note("factors", json!(bpr.factors));
            note("iterations", json!(bpr.epochs));
            note("regularization", json!(bpr.regularization));
            note("learning_rate", json!(bpr.learning_rate));
            note("seed", json!(call.integer("seed")?));
            metrics.insert("loss".to_owned(), json!(model.losses));
            vectors.users = Some(model.user_factors);
            vectors.items = Some(model.item_factors);
        }
        Learner::ItemKnn(knn) => {
            note("neighbours", json!(knn.neighbours));
            note("similarity", json!(call.text("similarity")?));
            match knn.similarity {
                Similarity::Bm25 { k1, b } => {
                    note("k1", json!(k1));
                    note("b", json!(b));
                }
                Similarity::Asymmetric { alpha } => {
                    note("alpha", json!(alpha));
                }
                _ => {}
            }
            vectors = graph(run.compute(|| knn.fit(matrix, run)))?;
        }
        Learner::Ease(ease) => {
            note("regularization", json!(ease.regularization));
            vectors = graph(run.compute(|| ease.fit(matrix, run)))?;
        }
        Learner::GraphFilter(filter, factors) => {
            let smaller = matrix.rows().min(matrix.columns());
            let filter = GraphFilter {
                factors: factors.unwrap_or(smaller.min(GraphFilter::default().factors)),
                ..*filter
            };
            note("neighbours", json!(filter.neighbours));
            note("factors", json!(filter.factors));
            note("low_pass", json!(filter.low_pass));
            note("seed", json!(call.integer("seed")?));
            vectors = graph(run.compute(|| filter.fit(matrix, run)))?;
        }
        Learner::Rp3beta(walk) => {
            note("neighbours", json!(walk.neighbours));
            note("alpha", json!(walk.alpha));
            note("beta", json!(walk.beta));
            vectors = graph(run.compute(|| walk.fit(matrix, run)))?;
        }
    }
    vectors.parameters = parameters;
    vectors.metrics = metrics;
    Ok(vectors)
}

/// The factors of an earlier model for these users and items; 0 for those it does not have.
fn warm_start(
    call: &Call,
    inputs: &[Input],
    (users, items): (&StringArray, &StringArray),
    factors: usize,
    run: &Run,
) -> Result<Option<(Array2<f32>, Array2<f32>)>> {
    let Some(rows) = optional_input_of(call, inputs, "warm_start")? else {
        return Ok(None);
    };
    let label = &call.input("warm_start")?.label;
    let model = InteractionModel::read(label, rows, run)?;
    let width = model.item_factors().map_or(0, Array2::ncols);
    if width != factors {
        return Err(Error::new(
            Kind::InvalidParameter,
            format!("{label} has {width} factors, but \"factors\" is {factors}"),
        )
        .hint(format!("Give factors => {width}.")));
    }
    run.reserve((users.len() + items.len()).saturating_mul(4 * width))?;
    let mut first = (
        Array2::zeros((users.len(), width)),
        Array2::zeros((items.len(), width)),
    );
    let place = |keys: &StringArray, section: &crate::interaction_model::Section| {
        let found = keys.iter().enumerate().filter_map(|(at, key)| {
            let index = section.find(key?)?;
            Some((at, index))
        });
        found.collect::<Vec<(usize, u32)>>()
    };
    for (at, index) in place(users, model.users()) {
        first
            .0
            .row_mut(at)
            .assign(&model.user_factors(&[index])?.row(0));
    }
    if let Some(known) = model.item_factors() {
        for (at, index) in place(items, model.items()) {
            first.1.row_mut(at).assign(&known.row(index as usize));
        }
    }
    Ok(Some(first))
}

fn graph_rows(model: &ItemModel, visit: &mut dyn FnMut(ModelRow<'_>) -> Result<()>) -> Result<()> {
    let [section, from, to] = GRAPH;
    let mut columns = Vec::new();
    for item in 0..model.items() {
        let row = ModelRow {
            section,
            idx: Some(item as i64),
            ..ModelRow::default()
        };
        match model.graph() {
            Graph::Dense(graph) => visit(ModelRow {
                vector: vector(Some(graph), item)?,
                ..row
            })?,
            Graph::Sparse(graph) => {
                let (items, weights) = graph.row(item);
                columns.clear();
                columns.extend(items.iter().flat_map(|item| item.to_le_bytes()));
                visit(ModelRow {
                    vector: Some(weights),
                    payload: Some(&columns),
                    ..row
                })?;
            }
        }
    }
    if let Some(filter) = model.filter() {
        for (section, side) in [(from, &filter.from), (to, &filter.to)] {
            for item in 0..side.nrows() {
                visit(ModelRow {
                    section,
                    idx: Some(item as i64),
                    vector: vector(Some(side), item)?,
                    ..ModelRow::default()
                })?;
            }
        }
    }
    Ok(())
}

/// What planning will know of the model.
fn info(algorithm: &str, input: &CallInput, columns: &InteractionColumns) -> Result<ModelInfo> {
    let key = |role: &str, name: &str| -> Result<ModelKey> {
        let field = input.schema.field(input.column(name)?);
        Ok(ModelKey {
            role: role.to_owned(),
            name: field.name().clone(),
            data_type: field.data_type().to_string(),
        })
    };
    Ok(ModelInfo {
        format_version: FORMAT_VERSION,
        algorithm: algorithm.to_owned(),
        keys: vec![key(USER, &columns.user)?, key(ITEM, &columns.item)?],
        components: None,
    })
}

/// The distinct keys as text, from which they can be had back.
fn model_keys(described: &CallInput, name: &str, keys: &Keys) -> Result<StringArray> {
    let text = distinct_text(described, name, keys)?;
    let [column] = keys.values.as_slice() else {
        return Err(Error::internal("a single key has one column"));
    };
    let same = |back: ArrayRef| back.as_ref() == column.as_ref();
    if cast(&text, column.data_type()).is_ok_and(same) {
        return Ok(text);
    }
    Err(Error::new(
        Kind::DatatypeMismatch,
        format!(
            "column \"{name}\" of {} cannot be a key of a model",
            described.describe()
        ),
    )
    .detail(format!(
        "A value of type {} cannot be had back from its text.",
        sql_type(column.data_type())
    ))
    .hint("Cast it to text or to a number in the subquery."))
}

/// How much there is to learn from, which must be something.
fn counts(rows: &Input, interactions: &Interactions) -> Result<Map<String, Value>> {
    let positive = interactions
        .matrix
        .values()
        .iter()
        .filter(|weight| **weight > 0.0)
        .count();
    if positive == 0 {
        return Err(
            Error::new(Kind::InvalidData, "there are no interactions to learn from")
                .hint("Give a relation with at least one row of positive weight."),
        );
    }
    let mut counts = Map::new();
    counts.insert("rows".to_owned(), json!(rows.rows()));
    counts.insert("users".to_owned(), json!(interactions.users.len()));
    counts.insert("items".to_owned(), json!(interactions.items.len()));
    counts.insert("interactions".to_owned(), json!(positive));
    Ok(counts)
}

fn user_rows(
    users: &StringArray,
    interactions: &Interactions,
    vectors: &Vectors,
    visit: &mut dyn FnMut(ModelRow<'_>) -> Result<()>,
) -> Result<()> {
    let mut seen = Vec::new();
    let mut history = Vec::new();
    for (user, key) in users.iter().enumerate() {
        let (items, weights) = interactions.matrix.row(user);
        seen.clear();
        history.clear();
        let mut sum = 0.0;
        for (item, weight) in items
            .iter()
            .zip(weights)
            .filter(|(_, weight)| **weight > 0.0)
        {
            seen.extend_from_slice(&item.to_le_bytes());
            history.push(*weight);
            sum += f64::from(*weight);
        }
        visit(ModelRow {
            section: USER,
            idx: Some(user as i64),
            key,
            value: Some(sum),
            vector: if vectors.graph.is_some() {
                Some(&history)
            } else {
                vector(vectors.users.as_ref(), user)?
            },
            payload: Some(&seen),
        })?;
    }
    Ok(())
}

fn item_rows(
    items: &StringArray,
    weights: &[f64],
    factors: Option<&Array2<f32>>,
    visit: &mut dyn FnMut(ModelRow<'_>) -> Result<()>,
) -> Result<()> {
    for ((item, key), weight) in items.iter().enumerate().zip(weights) {
        visit(ModelRow {
            section: ITEM,
            idx: Some(item as i64),
            key,
            value: Some(*weight),
            vector: vector(factors, item)?,
            payload: None,
        })?;
    }
    Ok(())
}

fn vector(factors: Option<&Array2<f32>>, row: usize) -> Result<Option<&[f32]>> {
    let Some(factors) = factors else {
        return Ok(None);
    };
    let width = factors.ncols();
    factors
        .as_slice()
        .and_then(|values| values.get(row * width..(row + 1) * width))
        .map(Some)
        .ok_or_else(|| Error::internal("factors are rows in one piece"))
}
