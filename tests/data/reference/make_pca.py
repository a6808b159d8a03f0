#!/usr/bin/env python3
"""Makes pca.json: principal components of the data sets that scikit-learn ships, by scikit-learn.

    pip install numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1
    OPENBLAS_NUM_THREADS=1 python make_pca.py

The rows of iris and wine are in kmeans.json. Run again with the same versions, the script writes the same file up to the last digits.
"""

import json
import pathlib

import numpy as np
import scipy
import sklearn
from sklearn.datasets import load_iris, load_wine
from sklearn.decomposition import PCA, TruncatedSVD

HERE = pathlib.Path(__file__).resolve().parent


def main():
    found = {"versions": {"numpy": np.__version__, "scipy": scipy.__version__, "scikit-learn": sklearn.__version__}}
    for name, load in (("iris", load_iris), ("wine", load_wine)):
        x = load().data
        pca = PCA(n_components=3, svd_solver="full").fit(x)
        svd = TruncatedSVD(n_components=3, algorithm="arpack", random_state=0).fit(x)
        found[name] = {
            "components": pca.components_.tolist(),
            "variances": pca.explained_variance_.tolist(),
            "shares": pca.explained_variance_ratio_.tolist(),
            "sigma": pca.singular_values_.tolist(),
            "first_scores": pca.transform(x[:3]).tolist(),
            "svd_components": svd.components_.tolist(),
            "svd_sigma": svd.singular_values_.tolist(),
        }
    (HERE / "pca.json").write_text(json.dumps(found, indent=1) + "\n")


main()
