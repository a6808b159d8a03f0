//! Clustering and its evaluation against scikit-learn and, for DBCV, the `hdbscan` package.

use ndarray::Array2;
use serde_json::Value;
use tributary_algo::Unlimited;
use tributary_algo::clustering::{
    Agglomerative, ClusterEvaluation, Covariance, Dbscan, Eps, Gmm, Hdbscan, Init, Linkage,
    PointType, Scaling, Selection, agreement,
};

use crate::{assert_close, blocks, count, load, number, numbers, scaled, table};

fn labels(value: &Value) -> Vec<i32> {
    numbers(value)
        .into_iter()
        .map(|label| label as i32)
        .collect()
}

/// The rows of a data set as the script clustered them.
fn rows(reference: &Value, name: &str) -> Array2<f64> {
    let stored = &reference["data"][name];
    let x = if stored.is_null() {
        table(&load("kmeans.json")["data"][name])
    } else {
        table(stored)
    };
    match name {
        "wine" | "breast_cancer" => scaled(&x, Scaling::ZScore),
        _ => x,
    }
}

fn cases<'a>(reference: &'a Value, part: &str) -> &'a Vec<Value> {
    reference[part].as_array().unwrap()
}

#[test]
fn measures_are_those_of_scikit_learn() {
    let reference = load("cluster.json");
    for case in cases(&reference, "evaluation") {
        let x = rows(&reference, case["data"].as_str().unwrap());
        let labels = labels(&case["labels"]);
        let found = ClusterEvaluation::default()
            .fit(&blocks(&x), &labels, &Unlimited)
            .unwrap();
        for (found, name) in [
            (Some(found.inertia), "inertia"),
            (found.silhouette, "silhouette"),
            (found.davies_bouldin, "davies_bouldin"),
            (found.calinski_harabasz, "calinski_harabasz"),
        ] {
            assert_close(found.unwrap(), number(&case[name]), 1e-6);
        }
        let each = numbers(&case["cluster_silhouette"]);
        assert_eq!(found.clusters.len(), each.len());
        for (cluster, expected) in found.clusters.iter().zip(each) {
            assert_close(cluster.silhouette.unwrap(), expected, 1e-6);
        }
    }
}

#[test]
fn agreement_with_classes_is_that_of_scikit_learn() {
    let reference = load("cluster.json");
    let with_classes = cases(&reference, "evaluation")
        .iter()
        .filter(|case| case["target"].is_array());
    let mut seen = 0;
    for case in with_classes {
        seen += 1;
        let found = agreement(
            &labels(&case["labels"]),
            &labels(&case["target"]),
            &Unlimited,
        );
        let found = found.unwrap();
        for (found, name) in [
            (found.adjusted_rand, "adjusted_rand"),
            (
                found.adjusted_mutual_information,
                "adjusted_mutual_information",
            ),
            (found.homogeneity, "homogeneity"),
            (found.completeness, "completeness"),
            (found.v_measure, "v_measure"),
            (found.purity, "purity"),
        ] {
            assert_close(found, number(&case[name]), 1e-11);
        }
    }
    assert_eq!(seen, 4);
}

#[test]
fn density_based_validation_is_that_of_the_hdbscan_package() {
    let reference = load("cluster.json");
    for case in cases(&reference, "density") {
        let x = rows(&reference, case["data"].as_str().unwrap());
        let evaluation = ClusterEvaluation {
            density: true,
            ..ClusterEvaluation::default()
        };
        let found = evaluation
            .fit(&blocks(&x), &labels(&case["labels"]), &Unlimited)
            .unwrap();
        assert_close(found.dbcv.unwrap(), number(&case["dbcv"]), 1e-5);
        let each = numbers(&case["cluster_dbcv"]);
        assert_eq!(found.clusters.len(), each.len());
        for (cluster, expected) in found.clusters.iter().zip(each) {
            assert_close(cluster.dbcv.unwrap(), expected, 1e-5);
        }
    }
}

#[test]
fn dbscan_has_the_labels_of_scikit_learn() {
    let reference = load("cluster.json");
    for case in cases(&reference, "dbscan") {
        let name = case["data"].as_str().unwrap();
        let params = Dbscan {
            eps: Eps::Distance(number(&case["eps"])),
            min_samples: count(&case["min_samples"]),
        };
        let found = params
            .fit(rows(&reference, name).view(), &Unlimited)
            .unwrap();
        assert_eq!(found.labels, labels(&case["labels"]), "{name} {params:?}");
        let cores: Vec<f64> = (0..found.types.len())
            .filter(|row| found.types[*row] == PointType::Core)
            .map(|row| row as f64)
            .collect();
        assert_eq!(cores, numbers(&case["core"]), "{name} {params:?}");
    }
}

#[test]
fn hdbscan_has_the_labels_and_probabilities_of_scikit_learn() {
    let reference = load("cluster.json");
    let mut equal = 0;
    for case in cases(&reference, "hdbscan") {
        let name = case["data"].as_str().unwrap();
        let params = Hdbscan {
            min_cluster_size: count(&case["min_cluster_size"]),
            min_samples: Some(count(&case["min_samples"])),
            selection: match case["method"].as_str().unwrap() {
                "leaf" => Selection::Leaf,
                _ => Selection::ExcessOfMass,
            },
            allow_single_cluster: false,
        };
        let found = params
            .fit(rows(&reference, name).view(), &Unlimited)
            .unwrap();
        let expected = labels(&case["labels"]);
        let alike = agreement(&found.labels, &expected, &Unlimited).unwrap();
        assert!(alike.adjusted_rand >= 0.999, "{name} {params:?}");
        assert_eq!(alike.clusters, alike.classes, "{name} {params:?}");
        if found.labels != expected {
            continue;
        }
        equal += 1;
        for (found, expected) in found
            .probabilities
            .iter()
            .zip(numbers(&case["probabilities"]))
        {
            assert_close(*found, expected, 1e-6);
        }
    }
    // Where a row has several shortest edges, which of them the spanning tree has moves a row in one case and swaps two
    // numbers in another.
    assert_eq!(equal, 7);
}

#[test]
fn mixtures_are_those_of_scikit_learn() {
    let reference = load("cluster.json");
    for case in cases(&reference, "mixtures") {
        let name = case["data"].as_str().unwrap();
        let x = rows(&reference, name);
        let init = table(&case["init"]);
        let covariance = match case["covariance"].as_str().unwrap() {
            "diag" => Covariance::Diagonal,
            _ => Covariance::Full,
        };
        let found = Gmm {
            k: init.nrows(),
            covariance,
            init: Init::Centroids(init),
            ..Gmm::default()
        }
        .fit(&blocks(&x), &Unlimited)
        .unwrap();
        assert_eq!(found.iterations, count(&case["iterations"]), "{name}");
        assert!(found.converged);
        let own: Vec<i32> = found.labels.iter().map(|label| *label as i32).collect();
        assert_eq!(own, labels(&case["labels"]), "{name} {covariance:?}");
        for (found, expected) in [
            (found.lower_bound, "lower_bound"),
            (found.bic, "bic"),
            (found.aic, "aic"),
        ] {
            assert_close(found, number(&case[expected]), 1e-5);
        }
        let near = |found: &[f64], expected: &[f64]| {
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                assert_close(*found, *expected, 1e-5);
            }
        };
        near(&found.weights, &numbers(&case["weights"]));
        near(&found.probabilities, &numbers(&case["probability"]));
        let means: Vec<f64> = found.means.iter().copied().collect();
        near(&means, table(&case["means"]).as_slice().unwrap());
        let covariances: Vec<f64> = found.covariances.iter().flatten().copied().collect();
        let expected: Vec<f64> = match covariance {
            Covariance::Diagonal => table(&case["covariances"]).iter().copied().collect(),
            Covariance::Full => cases(case, "covariances")
                .iter()
                .flat_map(|matrix| table(matrix).into_iter())
                .collect(),
        };
        near(&covariances, &expected);
    }
}

#[test]
fn hierarchies_are_those_of_scikit_learn() {
    let reference = load("cluster.json");
    for case in cases(&reference, "agglomerative") {
        let name = case["data"].as_str().unwrap();
        let linkage = match case["linkage"].as_str().unwrap() {
            "ward" => Linkage::Ward,
            "complete" => Linkage::Complete,
            "average" => Linkage::Average,
            _ => Linkage::Single,
        };
        let params = Agglomerative {
            k: count(&case["k"]),
            linkage,
        };
        let found = params
            .fit(rows(&reference, name).view(), &Unlimited)
            .unwrap();
        let own: Vec<i32> = found.labels.iter().map(|label| *label as i32).collect();
        let alike = agreement(&own, &labels(&case["labels"]), &Unlimited).unwrap();
        assert_eq!(alike.adjusted_rand, 1.0, "{name} {linkage:?}");
        let last = &found.unions[found.unions.len() - 5..];
        for (found, expected) in last.iter().zip(numbers(&case["last_distances"])) {
            assert_close(found.distance, expected, 1e-9);
        }
    }
}
