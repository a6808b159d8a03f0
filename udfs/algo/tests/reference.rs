//! Results against those of scikit-learn, LAPACK, `implicit`, rapidfuzz, jellyfish and recordlinkage, stored with the scripts that made them in `tests/data/reference`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "reference/cluster.rs"]
mod cluster;

use std::num::NonZeroUsize;
use std::path::Path;

use ndarray::{Array2, ArrayView2};
use serde_json::Value;
use tributary_algo::clustering::{Init, KMeans, Scaling};
use tributary_algo::evaluate::{
    Classification, Lists, Metric, RankingEvaluation, Regression, auc, log_loss,
};
use tributary_algo::factorization::{Als, Nmf, Pca, Solver, Svd, SvdModel};
use tributary_algo::fusion::evaluate;
use tributary_algo::recommend::item_graph::{
    Ease, GraphFilter, ItemKnn, ItemModel, Rp3beta, Similarity,
};
use tributary_algo::text::{self, Phonetic};
use tributary_algo::{Csr, DenseBlocks, Duplicates, Pattern, Unlimited};

fn load(name: &str) -> Value {
    let path = Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap())
        .join("../../tests/data/reference")
        .join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn count(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

fn indices(value: &Value) -> Vec<u32> {
    numbers(value)
        .into_iter()
        .map(|index| index as u32)
        .collect()
}

fn table(value: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = value.as_array().unwrap().iter().map(numbers).collect();
    let columns = rows[0].len();
    Array2::from_shape_vec((rows.len(), columns), rows.concat()).unwrap()
}

#[track_caller]
fn assert_close(found: f64, expected: f64, tolerance: f64) {
    assert!(
        (found - expected).abs() <= tolerance * expected.abs().max(1.0),
        "{found} is not {expected}"
    );
}

fn scaled(x: &Array2<f64>, scaling: Scaling) -> Array2<f64> {
    let mut scaled = x.clone();
    for mut column in scaled.columns_mut() {
        let scale = scaling.fit(&column.to_vec()).unwrap();
        column.mapv_inplace(|value| scale.apply(value));
    }
    scaled
}

fn blocks(x: &Array2<f64>) -> DenseBlocks {
    DenseBlocks::from_rows(x.view(), &Unlimited).unwrap()
}

/// Adjusted Rand index (Hubert and Arabie 1985) from the counts of pairs.
fn adjusted_rand(labels: &[u32], truth: &[u32]) -> f64 {
    let found = evaluate::evaluate(labels, truth, &Unlimited).unwrap();
    let both = found.true_positive_pairs as f64;
    let (left, right) = (
        both + found.false_positive_pairs as f64,
        both + found.false_negative_pairs as f64,
    );
    let all = (labels.len() * (labels.len() - 1) / 2) as f64;
    let expected = left * right / all;
    (both - expected) / ((left + right) / 2.0 - expected)
}

#[test]
fn kmeans_from_given_centroids_is_that_of_scikit_learn() {
    let reference = load("kmeans.json");
    for case in reference["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let mut x = table(&reference["data"][case["data"].as_str().unwrap()]);
        if case["scale"] == "zscore" {
            x = scaled(&x, Scaling::ZScore);
        }
        let init = table(&case["init"]);
        let weights = case["weights"]
            .is_array()
            .then(|| numbers(&case["weights"]));
        let found = KMeans {
            k: init.nrows(),
            init: Init::Centroids(init),
            tol: number(&case["tol"]),
            ..KMeans::default()
        }
        .fit(&blocks(&x), weights.as_deref(), &Unlimited)
        .unwrap();
        assert_eq!(found.labels, indices(&case["labels"]), "{name}");
        assert_eq!(found.iterations, count(&case["iterations"]), "{name}");
        assert_close(found.inertia, number(&case["inertia"]), 1e-6);
        for (found, expected) in found.centroids.iter().zip(&table(&case["centroids"])) {
            assert_close(*found, *expected, 1e-6);
        }
        if case["target"].is_array() {
            let index = adjusted_rand(&found.labels, &indices(&case["target"]));
            assert_close(index, number(&case["adjusted_rand"]), 1e-12);
        }
    }
}

#[test]
fn kmeans_plus_plus_finds_the_best_known_clusters_of_wine() {
    let reference = load("kmeans.json");
    let x = scaled(&table(&reference["data"]["wine"]), Scaling::ZScore);
    let wine = |case: &&Value| case["data"] == "wine";
    let case = reference["cases"]
        .as_array()
        .unwrap()
        .iter()
        .find(wine)
        .unwrap();
    for seed in 0..5 {
        let found = KMeans {
            k: 3,
            n_init: 10,
            seed,
            ..KMeans::default()
        }
        .fit(&blocks(&x), None, &Unlimited)
        .unwrap();
        assert_close(found.inertia, 1_277.928_488_844_642_6, 1e-6);
        let index = adjusted_rand(&found.labels, &indices(&case["target"]));
        assert_close(index, 0.8975, 1e-4);
    }
}

#[test]
fn scales_are_those_of_scikit_learn() {
    let reference = load("kmeans.json");
    let x = table(&reference["data"]["wine"]);
    for (name, scaling) in [
        ("zscore", Scaling::ZScore),
        ("minmax", Scaling::MinMax),
        ("robust", Scaling::Robust),
    ] {
        let expected = table(&reference["wine_scaled"][name]);
        for (found, expected) in scaled(&x, scaling).iter().zip(&expected) {
            assert_close(*found, *expected, 1e-12);
        }
    }
}

fn check_svd(case: &Value, found: &SvdModel, tolerance: f64) {
    let sigma = numbers(&case["sigma"]);
    for (found, expected) in found.sigma.iter().zip(&sigma) {
        assert_close(*found, *expected, tolerance * sigma[0]);
    }
    let squares: f64 = found.sigma.iter().map(|sigma| sigma * sigma).sum();
    assert_close(
        found.squared_norm - squares,
        number(&case["rest"]),
        tolerance,
    );
    // A vector is known to the error of its value over the gap to the next.
    let vectors = tolerance.sqrt() * 10.0;
    for (found, expected) in found.right.t().iter().zip(&table(&case["right"])) {
        assert_close(*found, *expected, vectors);
    }
    for (found, expected) in found.left.iter().zip(&table(&case["left"])) {
        assert_close(*found, *expected, vectors);
    }
}

#[test]
fn svd_of_digits_is_that_of_lapack_with_the_signs_of_scikit_learn() {
    let digits = table(&load("kmeans.json")["data"]["digits"]);
    let (mut row, mut column, mut value) = (Vec::new(), Vec::new(), Vec::new());
    for ((i, j), &cell) in digits.indexed_iter() {
        row.push(i as u32);
        column.push(j as u32);
        value.push(cell);
    }
    let (n, m) = digits.dim();
    let matrix =
        Csr::from_triples(n, m, &row, &column, &value, Duplicates::Refuse, &Unlimited).unwrap();
    let case = &load("svd.json")["cases"][0];
    let found = Svd {
        k: count(&case["k"]),
        ..Svd::default()
    }
    .fit(&matrix, &Unlimited)
    .unwrap();
    assert_eq!(found.iterations, 0);
    check_svd(case, &found, 1e-12);
}

#[test]
fn svd_by_iteration_reaches_lapack_on_a_flat_spectrum() {
    let reference = load("svd.json");
    let sparse = &reference["sparse"];
    let matrix = Csr::from_triples(
        count(&sparse["shape"][0]),
        count(&sparse["shape"][1]),
        &indices(&sparse["row"]),
        &indices(&sparse["column"]),
        &numbers(&sparse["value"]),
        Duplicates::Refuse,
        &Unlimited,
    )
    .unwrap();
    let case = &reference["cases"][1];
    let found = Svd {
        k: count(&case["k"]),
        max_iter: 1000,
        tol: 1e-13,
        ..Svd::default()
    }
    .fit(&matrix, &Unlimited)
    .unwrap();
    assert!(found.iterations > 1 && found.converged);
    check_svd(case, &found, 1e-9);
}

#[test]
fn als_is_that_of_implicit() {
    let reference = load("als.json");
    let weights: Vec<f32> = numbers(&reference["weight"])
        .iter()
        .map(|w| *w as f32)
        .collect();
    let interactions = Csr::from_triples(
        count(&reference["users"]),
        count(&reference["items"]),
        &indices(&reference["row"]),
        &indices(&reference["column"]),
        &weights,
        Duplicates::Refuse,
        &Unlimited,
    )
    .unwrap();
    let users = table(&reference["first_users"]).mapv(|value| value as f32);
    let items = table(&reference["first_items"]).mapv(|value| value as f32);
    for case in reference["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let solver = match case["solver"].as_str().unwrap() {
            "cg" => Solver::ConjugateGradient {
                steps: NonZeroUsize::new(3).unwrap(),
            },
            _ => Solver::Cholesky,
        };
        let found = Als {
            factors: count(&reference["factors"]),
            iterations: count(&case["iterations"]),
            regularization: number(&case["regularization"]),
            alpha: number(&case["alpha"]),
            nu: number(&case["nu"]),
            solver,
            loss: true,
            seed: 0,
        }
        .fit(
            &interactions,
            Some((users.view(), items.view())),
            &Unlimited,
        )
        .unwrap();
        assert_close(*found.losses.last().unwrap(), number(&case["loss"]), 1e-6);
        // Ours are f32 with f32 systems, the reference is f64.
        assert_near(
            name,
            found.user_factors.view(),
            &table(&case["user_factors"]),
            2e-4,
        );
        assert_near(
            name,
            found.item_factors.view(),
            &table(&case["item_factors"]),
            2e-4,
        );
    }
}

fn assert_near(name: &str, found: ArrayView2<'_, f32>, expected: &Array2<f64>, tolerance: f64) {
    assert_eq!(found.dim(), expected.dim());
    let worst = found
        .iter()
        .zip(expected)
        .map(|(found, expected)| (f64::from(*found) - expected).abs())
        .fold(0.0, f64::max);
    assert!(worst <= tolerance, "{name}: {worst}");
}

fn item_models(interactions: &Csr<f32>) -> [(&'static str, ItemModel); 6] {
    let knn = |similarity| {
        let params = ItemKnn {
            neighbours: 100,
            similarity,
        };
        params.fit(interactions, &Unlimited).unwrap()
    };
    let walk = Rp3beta {
        neighbours: 100,
        alpha: 0.6,
        beta: 0.4,
    };
    let ease = Ease {
        regularization: 10.0,
    };
    let filter = GraphFilter {
        neighbours: 100,
        factors: 6,
        ..GraphFilter::default()
    };
    [
        ("cosine", knn(Similarity::Cosine)),
        ("tfidf", knn(Similarity::TfIdf)),
        ("bm25", knn(Similarity::Bm25 { k1: 1.2, b: 0.75 })),
        ("rp3beta", walk.fit(interactions, &Unlimited).unwrap()),
        ("ease", ease.fit(interactions, &Unlimited).unwrap()),
        (
            "graph_filter",
            filter.fit(interactions, &Unlimited).unwrap(),
        ),
    ]
}

#[test]
fn item_models_are_those_of_implicit_and_of_the_formulas() {
    let reference = load("item_graph.json");
    let weights: Vec<f32> = numbers(&reference["weight"])
        .iter()
        .map(|w| *w as f32)
        .collect();
    let interactions = Csr::from_triples(
        count(&reference["users"]),
        count(&reference["items"]),
        &indices(&reference["row"]),
        &indices(&reference["column"]),
        &weights,
        Duplicates::Refuse,
        &Unlimited,
    )
    .unwrap();
    for (name, model) in item_models(&interactions) {
        let expected = table(&reference["models"][name]);
        for (item, expected) in expected.outer_iter().enumerate() {
            let found = model.scores(&[item as u32], &[1.0]).unwrap();
            for (found, expected) in found.iter().zip(expected) {
                assert!(
                    (f64::from(*found) - expected).abs() < 2e-6 * expected.abs().max(1.0),
                    "{name}: {found} {expected}"
                );
            }
        }
    }
}

#[test]
fn ndcg_is_that_of_scikit_learn() {
    let reference = load("metrics.json");
    let truth: Vec<Vec<u32>> = reference["truth"]
        .as_array()
        .unwrap()
        .iter()
        .map(indices)
        .collect();
    let lists: Vec<Vec<u32>> = reference["lists"]
        .as_array()
        .unwrap()
        .iter()
        .map(indices)
        .collect();
    let (mut user, mut item, mut rank) = (Vec::new(), Vec::new(), Vec::new());
    for (u, list) in lists.iter().enumerate() {
        for (place, i) in list.iter().enumerate() {
            user.push(u as u32);
            item.push(*i);
            rank.push(place as f64);
        }
    }
    let lists = Lists::from_rows(lists.len(), &user, &item, &rank, &Unlimited).unwrap();
    let (mut user, mut item) = (Vec::new(), Vec::new());
    for (u, items) in truth.iter().enumerate() {
        user.extend(items.iter().map(|_| u as u32));
        item.extend(items);
    }
    let truth = Pattern::from_pairs(truth.len(), 30, &user, &item, &Unlimited).unwrap();
    let scores = RankingEvaluation {
        k: vec![3, 10],
        ..RankingEvaluation::default()
    }
    .fit(&lists, &truth, 30, &Unlimited)
    .unwrap();
    for score in scores.iter().filter(|score| score.metric == Metric::Ndcg) {
        assert_close(
            score.value,
            number(&reference["ndcg"][score.k.to_string()]),
            1e-12,
        );
    }
}

#[test]
fn pairs_of_clusters_are_those_of_scikit_learn() {
    let reference = &load("metrics.json")["clusters"];
    let found = evaluate::evaluate(
        &indices(&reference["predicted"]),
        &indices(&reference["truth"]),
        &Unlimited,
    )
    .unwrap();
    for (found, name) in [
        (found.true_positive_pairs, "true_positive_pairs"),
        (found.false_positive_pairs, "false_positive_pairs"),
        (found.false_negative_pairs, "false_negative_pairs"),
    ] {
        assert_eq!(Some(found), reference[name].as_u64(), "{name}");
    }
}

#[test]
fn similarities_are_those_of_rapidfuzz_jellyfish_and_recordlinkage() {
    let stored = load("text.json");
    let pairs = stored["pairs"].as_array().unwrap();
    assert!(pairs.len() > 300);
    for pair in pairs {
        let (a, b) = (pair["a"].as_str().unwrap(), pair["b"].as_str().unwrap());
        assert_close(text::jaro(a, b), number(&pair["jaro"]), 1e-12);
        assert_close(
            text::jaro_winkler(a, b),
            number(&pair["jaro_winkler"]),
            1e-12,
        );
        assert_eq!(
            text::levenshtein(a, b),
            count(&pair["levenshtein"]),
            "{a} {b}"
        );
        let damerau = count(&pair["damerau_levenshtein"]);
        assert_eq!(text::damerau_levenshtein(a, b), damerau, "{a} {b}");
        if let Some(cosine) = pair["cosine"].as_f64() {
            assert_close(text::cosine(a, b, 2), cosine, 1e-12);
        }
    }
}

#[test]
fn sounds_are_those_of_jellyfish_and_metaphone() {
    let stored = load("text.json");
    for sound in stored["sounds"].as_array().unwrap() {
        let name = sound["name"].as_str().unwrap();
        for (phonetic, key) in [
            (Phonetic::Soundex, "soundex"),
            (Phonetic::DoubleMetaphone, "double_metaphone"),
        ] {
            let found = text::name_key(name, phonetic);
            assert_eq!(found.as_deref(), sound[key].as_str(), "{name} {key}");
        }
    }
}

#[test]
fn errors_and_classes_are_those_of_scikit_learn() {
    let reference = load("evaluate.json");
    let expected = &reference["regression"];
    let found = Regression::of(
        &numbers(&expected["actual"]),
        &numbers(&expected["predicted"]),
    )
    .unwrap();
    for (found, name) in [
        (found.mse, "mse"),
        (found.rmse, "rmse"),
        (found.mae, "mae"),
        (found.r2, "r2"),
    ] {
        assert_close(found, number(&expected[name]), 1e-12);
    }

    let expected = &reference["classification"];
    let actual = indices(&expected["actual"]);
    let found = Classification::of(&actual, &indices(&expected["predicted"]), 4).unwrap();
    assert_close(found.accuracy, number(&expected["accuracy"]), 1e-12);
    let confusion = found.confusion.mapv(|count| count as f64);
    assert_eq!(confusion, table(&expected["confusion"]));
    for (class, score) in found.classes.iter().enumerate() {
        assert_close(
            score.precision,
            number(&expected["precision"][class]),
            1e-12,
        );
        assert_close(score.recall, number(&expected["recall"][class]), 1e-12);
        assert_close(score.f1, number(&expected["f1"][class]), 1e-12);
    }
    for (found, name) in [
        (found.macro_average, "macro"),
        (found.weighted_average, "weighted"),
    ] {
        let values = [found.precision, found.recall, found.f1];
        for (found, expected) in values.into_iter().zip(numbers(&expected[name])) {
            assert_close(found, expected, 1e-12);
        }
    }
    let loss = log_loss(&actual, table(&expected["probabilities"]).view()).unwrap();
    assert_close(loss, number(&expected["log_loss"]), 1e-12);
    let positive: Vec<bool> = actual.iter().map(|class| *class == 1).collect();
    let area = auc(&positive, &numbers(&expected["score"])).unwrap();
    assert_close(area, number(&expected["auc"]), 1e-12);
}

#[test]
fn parts_without_signs_are_those_of_scikit_learn() {
    let reference = load("nmf.json");
    let matrix = Csr::from_triples(
        40,
        30,
        &indices(&reference["row"]),
        &indices(&reference["column"]),
        &numbers(&reference["value"]),
        Duplicates::Refuse,
        &Unlimited,
    )
    .unwrap();
    let first = (
        table(&reference["first_rows"]),
        table(&reference["first_columns"]),
    );
    let found = Nmf {
        factors: 5,
        max_iter: 25,
        tol: 0.0,
        seed: 0,
    }
    .fit(&matrix, Some((&first.0, &first.1)), &Unlimited)
    .unwrap();
    assert_eq!(found.iterations, 25);
    assert_close(found.loss, number(&reference["loss"]), 1e-9);
    for (found, name) in [
        (&found.row_factors, "rows"),
        (&found.column_factors, "columns"),
    ] {
        for (found, expected) in found.iter().zip(&table(&reference[name])) {
            assert_close(*found, *expected, 1e-7);
        }
    }
}

#[test]
fn principal_components_are_those_of_scikit_learn() {
    let (rows, expected) = (load("kmeans.json"), load("pca.json"));
    for name in ["iris", "wine"] {
        let x = table(&rows["data"][name]);
        let expected = &expected[name];
        let pca = Pca { k: 3, centre: true }
            .fit(x.view(), &Unlimited)
            .unwrap();
        let close = |found: &[f64], expected: &Value, tolerance: f64| {
            for (found, expected) in found.iter().zip(numbers(expected)) {
                assert_close(*found, expected, tolerance);
            }
        };
        close(&pca.variances, &expected["variances"], 1e-9);
        close(&pca.shares, &expected["shares"], 1e-9);
        close(&pca.sigma, &expected["sigma"], 1e-9);
        let components = table(&expected["components"]);
        for (found, expected) in pca.components.iter().zip(&components) {
            assert_close(*found, *expected, 1e-7);
        }
        let first = x.slice(ndarray::s![..3, ..]);
        let scores = pca.transform(first, &Unlimited).unwrap();
        for (found, expected) in scores.iter().zip(&table(&expected["first_scores"])) {
            assert_close(*found, *expected, 1e-7);
        }
        let svd = Pca {
            k: 3,
            centre: false,
        }
        .fit(x.view(), &Unlimited)
        .unwrap();
        close(&svd.sigma, &expected["svd_sigma"], 1e-9);
        for (found, expected) in svd
            .components
            .iter()
            .zip(&table(&expected["svd_components"]))
        {
            // Its signs are those of another convention.
            assert_close(found.abs(), expected.abs(), 1e-6);
        }
    }
}
