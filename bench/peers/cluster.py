"""Runs what other programs make of the work of the suite `cluster`.

    pip install numpy scikit-learn==1.9.1 dbscan==1.0.0 fast_hdbscan==0.3.4

Reads one request a line, a JSON object, and answers each with one: the seconds of the call alone, and its inertia or the
file where its labels are. Started by `tributary-bench cluster --python PYTHON`, which runs it in turn with its own work.
"""

import json
import sys
import time
import warnings

import numpy as np

warnings.filterwarnings("ignore")
DATA = {}


def rows(request, kind):
    key = request["data"], kind
    if key not in DATA:
        DATA.clear()
        stored = np.fromfile(request["data"], dtype=np.float64)
        DATA[key] = np.ascontiguousarray(stored.reshape(request["rows"], request["columns"]), dtype=kind)
    return DATA[key]


def kmeans(request, peer):
    from sklearn.cluster import KMeans

    x = rows(request, np.float32)
    first = x[request["first"]].copy()
    model = KMeans(len(first), init=first, n_init=1, max_iter=request["iterations"], tol=0.0, algorithm=peer.split("-")[1])
    started = time.perf_counter()
    model.fit(x)
    return time.perf_counter() - started, {"inertia": float(model.inertia_)}


def seeding(request, peer):
    from sklearn.cluster import kmeans_plusplus

    x = rows(request, np.float32)
    started = time.perf_counter()
    centres, _ = kmeans_plusplus(x, request["k"], random_state=0)
    seconds = time.perf_counter() - started
    squares = (x**2).sum(1)[:, None] - 2 * x[:100_000] @ centres.T if len(x) <= 100_000 else None
    return seconds, {} if squares is None else {"inertia": float(squares.min(1).sum())}


def dbscan(request, peer):
    x = rows(request, np.float64)
    eps, samples = request["eps"], request["min_samples"]
    if peer == "wang":
        from dbscan import DBSCAN

        started = time.perf_counter()
        labels, _ = DBSCAN(x, eps=eps, min_samples=samples)
    else:
        from sklearn.cluster import DBSCAN

        started = time.perf_counter()
        labels = DBSCAN(eps=eps, min_samples=samples, n_jobs=2).fit(x).labels_
    return time.perf_counter() - started, {"labels": labels}


def hdbscan(request, peer):
    x = rows(request, np.float64)
    size, samples = request["min_cluster_size"], request["min_samples"]
    if peer == "fast_hdbscan":
        from fast_hdbscan import HDBSCAN

        # It does not count the row itself.
        model = HDBSCAN(min_cluster_size=size, min_samples=samples - 1)
    else:
        from sklearn.cluster import HDBSCAN

        model = HDBSCAN(min_cluster_size=size, min_samples=samples, n_jobs=2, copy=True)
    started = time.perf_counter()
    model.fit(x)
    return time.perf_counter() - started, {"labels": model.labels_}


def silhouette(request, peer):
    from sklearn.metrics import silhouette_score

    x = rows(request, np.float64)
    labels = np.fromfile(request["labels"], dtype=np.int32)
    started = time.perf_counter()
    value = silhouette_score(x, labels)
    return time.perf_counter() - started, {"silhouette": float(value)}


WORK = {"kmeans": kmeans, "seeding": seeding, "dbscan": dbscan, "hdbscan": hdbscan, "silhouette": silhouette}

for line in sys.stdin:
    request = json.loads(line)
    seconds, found = WORK[request["work"]](request, request["peer"])
    if "labels" in found:
        path = request["data"] + ".labels"
        np.asarray(found["labels"], dtype=np.int32).tofile(path)
        found["labels"] = path
    print(json.dumps({"seconds": seconds, **found}), flush=True)
