#!/usr/bin/env python3
"""Makes text.json: similarities and phonetic codes of pairs of names, by the libraries of record.

    pip install rapidfuzz==3.14.6 jellyfish==1.3.0 Metaphone==0.6 recordlinkage==0.16 pandas==2.3.3
    python make_text.py

Left out is `thumb`, of which Metaphone 0.6 keeps the b that is silent in Philips's own code. The names are written here, their errors are drawn with a seed. Run again with the same versions, the script writes the same file.
"""

import importlib.metadata
import json
import pathlib
import random

import jellyfish
import pandas as pd
from metaphone import doublemetaphone
from rapidfuzz.distance import DamerauLevenshtein, JaroWinkler, Levenshtein
from recordlinkage.algorithms.string import cosine_similarity

HERE = pathlib.Path(__file__).resolve().parent
EXPECTED = {"rapidfuzz": "3.14.6", "jellyfish": "1.3.0", "Metaphone": "0.6", "recordlinkage": "0.16", "pandas": "2.3.3"}
NAMES = (
    "smith johnson williams brown jones garcia miller davis rodriguez martinez hernandez lopez gonzalez wilson anderson "
    "thomas taylor moore jackson martin lee perez thompson white harris sanchez clark ramirez lewis robinson walker young "
    "allen king wright scott torres nguyen hill flores green adams nelson baker hall rivera campbell mitchell carter roberts "
    "catherine kathryn stephen steven philip schmidt schwarz ashcraft pfister tymczak knight wright xavier czerny "
    "macdonald mcdonald vandenberg oconnor gough laugh cough bridgewater worcestershire featherstonehaugh cholmondeley"
).split()
WIDE = ["müller", "søren", "nguyễn", "andré", "张伟", "王小明", "иванов", "παπαδόπουλος", "o'neill", "anne-marie von der heide"]


def wrong(word, rng):
    letters = list(word)
    for _ in range(rng.randint(0, 3)):
        at = rng.randrange(len(letters) + 1)
        kind = rng.randrange(4)
        if kind == 0:
            letters.insert(at, rng.choice("aeiourstn"))
        elif at < len(letters) and kind == 1 and len(letters) > 1:
            del letters[at]
        elif at < len(letters) and kind == 2:
            letters[at] = rng.choice("aeiourstn")
        elif at + 1 < len(letters):
            letters[at], letters[at + 1] = letters[at + 1], letters[at]
    return "".join(letters)


def main():
    versions = {name: importlib.metadata.version(name) for name in EXPECTED}
    assert versions == EXPECTED, versions
    rng = random.Random(5)
    names = NAMES + WIDE
    pairs = [(name, wrong(name, rng)) for name in names for _ in range(3)]
    pairs += [(rng.choice(names), rng.choice(names)) for _ in range(80)]
    pairs += [(" ".join(rng.sample(names, 14)), " ".join(rng.sample(names, 12))) for _ in range(4)]
    cosine = cosine_similarity(pd.Series([a for a, _ in pairs]), pd.Series([b for _, b in pairs]))
    # recordlinkage strips accents before it counts and knows no other case.
    rows = [
        {
            "a": a,
            "b": b,
            "jaro": jellyfish.jaro_similarity(a, b),
            "jaro_winkler": JaroWinkler.similarity(a, b),
            "levenshtein": Levenshtein.distance(a, b),
            "damerau_levenshtein": DamerauLevenshtein.distance(a, b),
            "cosine": float(c) if (a + b).isascii() else None,
        }
        for (a, b), c in zip(pairs, cosine)
    ]
    sounds = [
        {
            "name": name,
            "soundex": jellyfish.soundex(name),
            "double_metaphone": doublemetaphone(name)[0][:4],
        }
        for name in sorted(set(NAMES))
    ]
    content = {"made_by": "make_text.py", "versions": versions, "pairs": rows, "sounds": sounds}
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    (HERE / "text.json").write_text(text + "\n", encoding="utf-8")


main()
