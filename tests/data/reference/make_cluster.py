#!/usr/bin/env python3
"""Makes cluster.json, the reference values that clustering and its evaluation are tested against.

    pip install numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 hdbscan==0.8.44
    OPENBLAS_NUM_THREADS=1 python make_cluster.py

The rows of breast_cancer are those that scikit-learn ships (UCI Machine Learning Repository, CC BY 4.0); those of iris, wine and
the first 240 of digits are in kmeans.json. Everything else is drawn from seeded generators. DBCV is that of the `hdbscan`
package, everything else that of scikit-learn.
"""

import json
import pathlib
from importlib.metadata import version

import numpy as np
import scipy
import sklearn
from hdbscan.validity import validity_index
from sklearn import metrics
from sklearn.cluster import DBSCAN, HDBSCAN, AgglomerativeClustering, KMeans
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import StandardScaler

HERE = pathlib.Path(__file__).resolve().parent
VERSIONS = {
    "numpy": np.__version__,
    "scipy": scipy.__version__,
    "scikit-learn": sklearn.__version__,
    "hdbscan": version("hdbscan"),
}
EXPECTED = {"numpy": "2.4.6", "scipy": "1.17.1", "scikit-learn": "1.9.1", "hdbscan": "0.8.44"}


def drawn():
    """Rows without ties: rings, blobs of unequal density and scattered noise, in 2 and 5 columns."""
    rng = np.random.default_rng(17)
    angle = rng.uniform(0, 2 * np.pi, 160)
    ring = np.c_[np.cos(angle), np.sin(angle)] * (4 + 0.15 * rng.standard_normal(160))[:, None]
    blobs = [
        rng.normal((0, 0), 0.4, (70, 2)),
        rng.normal((7, 7), 0.9, (110, 2)),
        rng.normal((-8, 5), 0.25, (60, 2)),
        rng.uniform(-11, 11, (50, 2)),
    ]
    plane = np.concatenate([ring, *blobs])
    centres = rng.uniform(-6, 6, (6, 5))
    spread = rng.uniform(0.3, 1.2, 6)
    space = np.concatenate(
        [rng.normal(c, s, (60, 5)) for c, s in zip(centres, spread)] + [rng.uniform(-8, 8, (40, 5))]
    )
    return (
        np.round(plane[rng.permutation(len(plane))], 6),
        np.round(space[rng.permutation(len(space))], 6),
    )


PLANE, SPACE = drawn()
DATA = {
    "iris": load_iris().data,
    "wine": load_wine().data,
    "digits": load_digits().data[:240],
    "breast_cancer": load_breast_cancer().data,
    "plane": PLANE,
    "space": SPACE,
}
SCALED = {"wine", "breast_cancer"}
TARGET = {
    "iris": load_iris().target,
    "wine": load_wine().target,
    "digits": load_digits().target[:240],
    "breast_cancer": load_breast_cancer().target,
}


def rows(name):
    return StandardScaler().fit_transform(DATA[name]) if name in SCALED else DATA[name]


def evaluation():
    cases = []
    for name, k in [("iris", 3), ("wine", 3), ("digits", 10), ("breast_cancer", 2), ("space", 7)]:
        x = rows(name)
        labels = KMeans(k, init=x[:: len(x) // k][:k], n_init=1).fit(x).labels_
        case = {
            "data": name,
            "labels": labels,
            "inertia": float(sum(((x[labels == c] - x[labels == c].mean(0)) ** 2).sum() for c in range(k))),
            "silhouette": metrics.silhouette_score(x, labels),
            "cluster_silhouette": [metrics.silhouette_samples(x, labels)[labels == c].mean() for c in range(k)],
            "davies_bouldin": metrics.davies_bouldin_score(x, labels),
            "calinski_harabasz": metrics.calinski_harabasz_score(x, labels),
        }
        if name in TARGET:
            target = TARGET[name]
            homogeneity, completeness, v_measure = metrics.homogeneity_completeness_v_measure(target, labels)
            table = metrics.cluster.contingency_matrix(target, labels)
            case |= {
                "target": target,
                "adjusted_rand": metrics.adjusted_rand_score(target, labels),
                "adjusted_mutual_information": metrics.adjusted_mutual_info_score(target, labels),
                "homogeneity": homogeneity,
                "completeness": completeness,
                "v_measure": v_measure,
                "purity": table.max(0).sum() / table.sum(),
            }
        cases.append(case)
    density = []
    for name, eps in [("plane", 0.8), ("space", 1.9)]:
        x = DATA[name]
        labels = DBSCAN(eps=eps, min_samples=5).fit(x).labels_
        value, each = validity_index(x, labels, per_cluster_scores=True)
        density.append({"data": name, "labels": labels, "dbcv": value, "cluster_dbcv": each})
    return cases, density


def dbscan():
    cases = []
    for name, eps, min_samples in [
        ("iris", 0.5, 5),
        ("iris", 0.3, 3),
        ("wine", 2.2, 5),
        ("digits", 21.0, 4),
        ("breast_cancer", 2.5, 8),
        ("plane", 0.8, 5),
        ("plane", 0.35, 3),
        ("plane", 1.2, 1),
        ("space", 1.9, 5),
        ("space", 1.2, 4),
    ]:
        model = DBSCAN(eps=eps, min_samples=min_samples, algorithm="brute" if name == "digits" else "kd_tree").fit(rows(name))
        cases.append(
            {
                "data": name,
                "eps": eps,
                "min_samples": min_samples,
                "labels": model.labels_,
                "core": model.core_sample_indices_,
            }
        )
    return cases


def density_hierarchy():
    # numpy's order of equal lengths depends on the processor: a stable one is the order that Prim's algorithm met them in.
    order = np.argsort
    np.argsort = lambda values: order(values, kind="stable")
    cases = []
    for name, size, samples, method in [
        ("plane", 5, 5, "eom"),
        ("plane", 15, 4, "eom"),
        ("plane", 5, 5, "leaf"),
        ("plane", 10, 1, "leaf"),
        ("space", 5, 5, "eom"),
        ("space", 20, 8, "eom"),
        ("space", 12, 3, "leaf"),
        ("wine", 5, 5, "eom"),
        ("breast_cancer", 10, 4, "eom"),
    ]:
        model = HDBSCAN(
            min_cluster_size=size,
            min_samples=samples,
            cluster_selection_method=method,
            algorithm="brute",
            copy=True,
        ).fit(rows(name))
        cases.append(
            {
                "data": name,
                "min_cluster_size": size,
                "min_samples": samples,
                "method": method,
                "labels": model.labels_,
                "probabilities": np.round(model.probabilities_, 9),
            }
        )
    np.argsort = order
    return cases


def mixtures():
    cases = []
    for name, first, covariance in [
        ("iris", [0, 60, 120], "full"),
        ("iris", [0, 60, 120], "diag"),
        ("wine", [0, 100, 150], "diag"),
        ("plane", [0, 1, 2, 3], "full"),
    ]:
        x = rows(name)
        labels = KMeans(len(first), init=x[first], n_init=1).fit(x).labels_
        resp = np.eye(len(first))[labels]
        start = GaussianMixture(len(first), covariance_type=covariance)
        start._initialize(x, resp)
        model = GaussianMixture(
            len(first),
            covariance_type=covariance,
            weights_init=start.weights_,
            means_init=start.means_,
            precisions_init=start.precisions_cholesky_ ** 2
            if covariance == "diag"
            else start.precisions_cholesky_ @ start.precisions_cholesky_.transpose(0, 2, 1),
        ).fit(x)
        cases.append(
            {
                "data": name,
                "init": x[first],
                "covariance": covariance,
                "weights": model.weights_,
                "means": model.means_,
                "covariances": model.covariances_,
                "labels": model.predict(x),
                "probability": np.round(model.predict_proba(x).max(axis=1), 9),
                "iterations": model.n_iter_,
                "lower_bound": model.lower_bound_,
                "bic": model.bic(x),
                "aic": model.aic(x),
            }
        )
    return cases


def agglomerative():
    cases = []
    for name, k in [("iris", 3), ("wine", 3), ("space", 7), ("breast_cancer", 4)]:
        for linkage in ["ward", "complete", "average", "single"]:
            model = AgglomerativeClustering(k, linkage=linkage, compute_distances=True).fit(rows(name))
            cases.append(
                {
                    "data": name,
                    "k": k,
                    "linkage": linkage,
                    "labels": model.labels_,
                    "last_distances": model.distances_[-5:],
                }
            )
    return cases


if __name__ == "__main__":
    if VERSIONS != EXPECTED:
        raise SystemExit(f"these values are made with {EXPECTED}, not {VERSIONS}")
    cases, density = evaluation()
    content = {
        "made_by": "make_cluster.py",
        "versions": VERSIONS,
        "data": {name: DATA[name] for name in ["breast_cancer", "plane", "space"]},
        "evaluation": cases,
        "density": density,
        "dbscan": dbscan(),
        "hdbscan": density_hierarchy(),
        "mixtures": mixtures(),
        "agglomerative": agglomerative(),
    }
    text = json.dumps(content, separators=(",", ":"), default=lambda value: value.tolist())
    (HERE / "cluster.json").write_text(text + "\n")
