#!/usr/bin/env python3
"""Makes the reference values that the algorithms are tested against: the JSON files beside this script.

    pip install numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 implicit==0.7.2
    OPENBLAS_NUM_THREADS=1 python make.py

The rows of iris, wine and digits are those that scikit-learn ships (UCI Machine Learning Repository, CC BY 4.0). Everything else is
drawn from seeded generators. Run again with the same versions, the script writes the same files up to the last digits.
"""

import json
import pathlib
import warnings

import implicit
import numpy as np
import scipy
import scipy.sparse as sp
import sklearn
import sklearn.metrics as sk
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.decomposition import NMF, TruncatedSVD
from sklearn.metrics import adjusted_rand_score, ndcg_score
from sklearn.metrics.cluster import pair_confusion_matrix
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

HERE = pathlib.Path(__file__).resolve().parent
VERSIONS = {
    "numpy": np.__version__,
    "scipy": scipy.__version__,
    "scikit-learn": sklearn.__version__,
    "implicit": implicit.__version__,
}
EXPECTED = {"numpy": "2.4.6", "scipy": "1.17.1", "scikit-learn": "1.9.1", "implicit": "0.7.2"}


def write(name, content):
    content = {"made_by": "make.py", "versions": VERSIONS, **content}
    text = json.dumps(content, separators=(",", ":"), default=lambda array: array.tolist())
    (HERE / name).write_text(text + "\n")


def kmeans():
    wine = load_wine()
    wine_z = StandardScaler().fit_transform(wine.data)
    digits = load_digits().data[:240]
    sets = [
        ("iris", load_iris().data, None, [0, 60, 120], 1e-4, None),
        ("iris, two clusters", load_iris().data, None, [10, 100], 0.0, None),
        ("wine, standardised", wine.data, "zscore", [0, 100, 150], 1e-4, wine.target),
        ("digits", digits, None, list(range(10)), 1e-4, None),
        ("iris, weighted", load_iris().data, None, [0, 60, 120], 1e-4, None),
        # Two first centroids far from every row: their clusters are empty after the first assignment.
        ("iris, empty clusters", load_iris().data, None, [0, 60, -1, -1], 1e-4, None),
    ]
    cases = []
    for name, data, scale, first, tol, target in sets:
        x = wine_z if scale else data
        init = np.array([x[i] if i >= 0 else np.full(x.shape[1], 1e3 + 7 * at) for at, i in enumerate(first)])
        weights = 1.0 + np.arange(len(x)) % 4 if "weighted" in name else None
        model = KMeans(len(first), init=init, n_init=1, tol=tol, algorithm="lloyd").fit(x, sample_weight=weights)
        case = {
            "name": name,
            "data": name.split(",")[0],
            "scale": scale,
            "tol": tol,
            "init": init,
            "weights": weights,
            "labels": model.labels_,
            "centroids": model.cluster_centers_,
            "inertia": model.inertia_,
            "iterations": model.n_iter_,
        }
        if target is not None:
            case["target"] = target
            case["adjusted_rand"] = adjusted_rand_score(target, model.labels_)
        cases.append(case)
    scales = {}
    for name, scaler in [("zscore", StandardScaler()), ("minmax", MinMaxScaler()), ("robust", RobustScaler())]:
        scales[name] = scaler.fit_transform(wine.data)[:5]
    write(
        "kmeans.json",
        {
            "data": {"iris": load_iris().data, "wine": wine.data, "digits": digits.astype(int)},
            "cases": cases,
            "wine_scaled": scales,
        },
    )


def svd():
    digits = load_digits().data[:240]
    rng = np.random.default_rng(3)
    # Large enough to be decomposed by iteration, with a spectrum that falls slowly.
    sparse = sp.random(420, 320, density=0.02, random_state=rng, data_rvs=lambda n: rng.integers(1, 6, n)).tocoo()
    cases = []
    for name, matrix, k in [("digits", digits, 5), ("sparse", sparse.toarray(), 6)]:
        model = TruncatedSVD(k, algorithm="arpack", tol=0.0)
        left = model.fit_transform(matrix) / model.singular_values_
        exact = np.linalg.svd(matrix, compute_uv=False)
        assert np.allclose(exact[:k], model.singular_values_, rtol=1e-12)
        cases.append(
            {"name": name, "k": k, "sigma": exact[:k], "right": model.components_, "left": left[:20], "rest": float((exact[k:] ** 2).sum())}
        )
    write(
        "svd.json",
        {
            "sparse": {"shape": sparse.shape, "row": sparse.row, "column": sparse.col, "value": sparse.data.astype(int)},
            "cases": cases,
        },
    )


def als():
    rng = np.random.default_rng(11)
    users, items, factors = 60, 40, 8
    cells = {}
    for user in range(users - 1):  # The last user has no interactions.
        taste = user % 4
        for _ in range(3 + user % 9):
            item = int(rng.integers(0, items))
            if rng.random() < 0.7:
                item = item // 4 * 4 + taste
            cells[user, item] = int(rng.integers(1, 5))
    row, column = np.array(sorted(cells)).T
    weight = np.array([cells[cell] for cell in sorted(cells)], dtype=np.float64)
    first_users = (rng.standard_normal((users, factors)) * 0.1).astype(np.float32)
    first_items = (rng.standard_normal((items, factors)) * 0.1).astype(np.float32)
    cases = []
    for name, use_cg, alpha, regularization in [("cholesky", False, 2.0, 0.05), ("cg", True, 4.0, 0.5)]:
        confidence = sp.csr_matrix((1.0 + alpha * weight, (row, column)), shape=(users, items))
        model = implicit.als.AlternatingLeastSquares(
            factors=factors,
            regularization=regularization,
            alpha=1.0,
            dtype=np.float64,
            use_native=True,
            use_cg=use_cg,
            iterations=6,
            num_threads=1,
        )
        model.cg_steps = 3
        model.user_factors = first_users.astype(np.float64)
        model.item_factors = first_items.astype(np.float64)
        model.fit(confidence, show_progress=False)
        cases.append(
            {
                "name": name,
                "solver": name,
                "alpha": alpha,
                "regularization": regularization,
                "nu": 0.0,
                "iterations": 6,
                "loss": objective(confidence, model.user_factors, model.item_factors, regularization, 0.0),
                "user_factors": np.round(model.user_factors, 8),
                "item_factors": np.round(model.item_factors, 8),
            }
        )
    # The penalty that grows with frequency is not in implicit: normal equations row by row, as in the paper.
    confidence = sp.csr_matrix((1.0 + 2.0 * weight, (row, column)), shape=(users, items))
    x, y = first_users.astype(np.float64), first_items.astype(np.float64)
    for _ in range(6):
        x = dense_step(confidence.toarray(), y, 0.003, 1.0)
        y = dense_step(confidence.toarray().T, x, 0.003, 1.0)
    cases.append(
        {
            "name": "frequency",
            "solver": "cholesky",
            "alpha": 2.0,
            "regularization": 0.003,
            "nu": 1.0,
            "iterations": 6,
            "loss": objective(confidence, x, y, 0.003, 1.0),
            "user_factors": np.round(x, 8),
            "item_factors": np.round(y, 8),
        }
    )
    write(
        "als.json",
        {
            "users": users,
            "items": items,
            "factors": factors,
            "row": row,
            "column": column,
            "weight": weight.astype(int),
            "first_users": [[float(f"{v:.9g}") for v in r] for r in first_users],
            "first_items": [[float(f"{v:.9g}") for v in r] for r in first_items],
            "cases": cases,
        },
    )


def penalties(confidence, regularization, nu):
    return regularization * np.where(confidence > 0, confidence, 1.0).sum(axis=1) ** nu


def dense_step(confidence, y, regularization, nu):
    """Equation 4 of Hu, Koren and Volinsky 2008, each row by itself."""
    full = np.where(confidence > 0, confidence, 1.0)
    penalty = penalties(confidence, regularization, nu)
    x = np.zeros((len(confidence), y.shape[1]))
    for u, c in enumerate(full):
        a = (y.T * c) @ y + penalty[u] * np.eye(y.shape[1])
        x[u] = np.linalg.solve(a, y.T @ (c * (confidence[u] > 0)))
    return x


def objective(confidence, x, y, regularization, nu):
    stored = confidence.toarray()
    full = np.where(stored > 0, stored, 1.0)
    fit = (full * ((stored > 0) - x @ y.T) ** 2).sum()
    return (
        fit
        + (penalties(stored, regularization, nu) * (x**2).sum(axis=1)).sum()
        + (penalties(stored.T, regularization, nu) * (y**2).sum(axis=1)).sum()
    )


def metrics():
    rng = np.random.default_rng(5)
    users, items = 12, 30
    truth = [sorted(map(int, rng.choice(items, 1 + user % 6, replace=False))) for user in range(users)]
    lists = [list(map(int, rng.permutation(items))) for _ in range(users)]
    ndcg = {}
    for k in (3, 10):
        relevance = np.array([[float(item in t) for item in range(items)] for t in truth])
        score = np.array([[-ranking.index(item) for item in range(items)] for ranking in lists], dtype=float)
        ndcg[str(k)] = ndcg_score(relevance, score, k=k)
    predicted, true = rng.integers(0, 25, 120), rng.integers(0, 20, 120)
    pairs = pair_confusion_matrix(true, predicted)
    write(
        "metrics.json",
        {
            "truth": truth,
            "lists": lists,
            "ndcg": ndcg,
            "clusters": {
                "predicted": predicted,
                "truth": true,
                # scikit-learn counts ordered pairs.
                "true_positive_pairs": int(pairs[1, 1]) // 2,
                "false_positive_pairs": int(pairs[0, 1]) // 2,
                "false_negative_pairs": int(pairs[1, 0]) // 2,
            },
        },
    )


def item_graph():
    """Neighbourhoods by implicit; the walk, EASE and the graph filter by their formulas in numpy."""
    rng = np.random.default_rng(17)
    users, items = 50, 24
    cells = {}
    for user in range(users):
        for _ in range(3 + user % 7):
            item = int(rng.integers(0, items - 1) * rng.random())  # The last item is nobody's.
            cells[user, item] = int(rng.integers(1, 5))
    row, column = np.array(sorted(cells)).T
    weight = np.array([cells[cell] for cell in sorted(cells)], dtype=np.float64)
    x = sp.csr_matrix((weight, (row, column)), shape=(users, items))
    dense = x.toarray()
    models = {}
    for name, model in [
        ("cosine", implicit.nearest_neighbours.CosineRecommender(items, num_threads=1)),
        ("tfidf", implicit.nearest_neighbours.TFIDFRecommender(items, num_threads=1)),
        ("bm25", implicit.nearest_neighbours.BM25Recommender(items, K1=1.2, B=0.75, num_threads=1)),
    ]:
        model.fit(x, show_progress=False)
        models[name] = model.similarity.toarray()
    of_user, of_item = dense.sum(axis=1), dense.sum(axis=0)
    degree = np.maximum((dense > 0).sum(axis=0), 1)
    safe = np.where(of_item > 0, of_item, 1.0)
    first = np.where(dense > 0, dense / safe, 0.0) ** 0.6
    second = np.where(dense > 0, dense / of_user[:, None], 0.0) ** 0.6
    models["rp3beta"] = first.T @ second / degree**0.4
    inverse = np.linalg.inv(dense.T @ dense + 10.0 * np.eye(items))
    models["ease"] = -inverse / np.diag(inverse)
    normalised = dense / np.sqrt(of_user)[:, None] / np.sqrt(safe)
    v = np.linalg.svd(normalised, full_matrices=False)[2][:6].T
    ideal = (v @ v.T) * np.where(of_item > 0, np.sqrt(safe), 0.0) / np.sqrt(safe)[:, None]
    linear = normalised.T @ normalised
    np.fill_diagonal(linear, 0.0)
    models["graph_filter"] = linear + 0.3 * ideal * (of_item > 0)[:, None]
    for name in models:
        if name != "graph_filter":
            np.fill_diagonal(models[name], 0.0)
        models[name] = [[float(f"{value:.7g}") for value in line] for line in models[name]]
    write(
        "item_graph.json",
        {"users": users, "items": items, "row": row, "column": column, "weight": weight.astype(int), "models": models},
    )


def evaluate():
    rng = np.random.default_rng(23)
    actual = np.round(rng.normal(3, 2, 60), 3)
    predicted = np.round(actual + rng.normal(0, 1, 60), 3)
    classes = rng.integers(0, 4, 80)
    guesses = np.where(rng.random(80) < 0.6, classes, rng.integers(0, 4, 80))
    raw = rng.random((80, 4)) + np.eye(4)[classes]
    probabilities = raw / raw.sum(axis=1, keepdims=True)
    positive = classes == 1
    score = np.round(probabilities[:, 1], 1)  # With ties.
    each = sk.precision_recall_fscore_support(classes, guesses, zero_division=0)
    write(
        "evaluate.json",
        {
            "regression": {
                "actual": actual,
                "predicted": predicted,
                "mse": sk.mean_squared_error(actual, predicted),
                "rmse": sk.root_mean_squared_error(actual, predicted),
                "mae": sk.mean_absolute_error(actual, predicted),
                "r2": sk.r2_score(actual, predicted),
            },
            "classification": {
                "actual": classes,
                "predicted": guesses,
                "accuracy": sk.accuracy_score(classes, guesses),
                "confusion": sk.confusion_matrix(classes, guesses),
                "precision": each[0],
                "recall": each[1],
                "f1": each[2],
                "macro": sk.precision_recall_fscore_support(classes, guesses, average="macro")[:3],
                "weighted": sk.precision_recall_fscore_support(classes, guesses, average="weighted")[:3],
                "probabilities": probabilities,
                "log_loss": sk.log_loss(classes, probabilities),
                "score": score,
                "auc": sk.roc_auc_score(positive, score),
            },
        },
    )


def nmf():
    rng = np.random.default_rng(29)
    x = sp.random(40, 30, density=0.15, random_state=rng, data_rvs=lambda n: rng.integers(1, 6, n)).toarray()
    w, h = rng.random((40, 5)), rng.random((5, 30))
    w, h = np.round(w, 6), np.round(h, 6)
    model = NMF(5, init="custom", solver="cd", tol=0.0, max_iter=25, shuffle=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # It is told to stop before it converges.
        found = model.fit_transform(x, W=w.copy(), H=h.copy())
    row, column = x.nonzero()
    write(
        "nmf.json",
        {
            "row": row,
            "column": column,
            "value": x[row, column].astype(int),
            "first_rows": w,
            "first_columns": h.T,
            "rows": np.round(found, 9),
            "columns": np.round(model.components_.T, 9),
            "loss": float(model.reconstruction_err_**2),
        },
    )


if __name__ == "__main__":
    if VERSIONS != EXPECTED:
        raise SystemExit(f"these values are made with {EXPECTED}, not {VERSIONS}")
    kmeans()
    svd()
    als()
    metrics()
    item_graph()
    evaluate()
    nmf()
