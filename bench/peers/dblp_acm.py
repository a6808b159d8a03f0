#!/usr/bin/env python3
"""Writes the bibliographies of DBLP and ACM (Köpcke, Thor and Rahm 2010) as tab separated text: id, title, authors, year, and the
pairs that py-entitymatching ships with a judgement: left, right, 0 or 1.

    python dblp_acm.py DATASETS LEFT RIGHT LABELS

DATASETS is the directory `py_entitymatching/datasets` of py-entitymatching 0.4.2.
"""

import pathlib
import sys

import pandas as pd

data, *outs = map(pathlib.Path, sys.argv[1:])
numbers = {}
for name, out in zip(["DBLP", "ACM"], outs):
    table = pd.read_csv(data / f"{name}.csv", dtype=str).fillna("")
    table["year"] = table["year"].str.replace(".0", "", regex=False)
    numbers[name] = dict(zip(table["id"], range(len(table))))
    table[["id", "title", "authors", "year"]].to_csv(out, sep="\t", index=False, quoting=3, escapechar="\\")
labels = pd.read_csv(data / "dblp_acm_demo_labels.csv", dtype=str)
rows = [
    (numbers["DBLP"][left], numbers["ACM"][right], gold)
    for left, right, gold in zip(labels["ltable.id"], labels["rtable.id"], labels["gold"])
    if left in numbers["DBLP"] and right in numbers["ACM"]
]
pd.DataFrame(rows, columns=["left", "right", "gold"]).to_csv(outs[2], sep="\t", index=False)
