#!/usr/bin/env python3
"""Resolves a table with Splink, as its tutorial does, and writes the clusters at several thresholds.

    pip install splink==5.0.0
    python splink_people.py people|febrl3|febrl4 IN OUT

IN is tab separated, with unique_id and source. The time told is from the table in memory to the clusters: normalised columns,
training, prediction, clustering at one threshold. Comparisons are Splink's own for the kinds of the columns; the
blocking rules are those that `fusion.resolve` makes by default.
"""

import json
import logging
import resource
import sys
import time

import duckdb
import splink
import splink.comparison_library as cl
from splink import DuckDBAPI, Linker, SettingsCreator, block_on

logging.disable(logging.WARNING)
THRESHOLDS = [0.5, 0.9, 0.99, 0.999]

kind, source, out = sys.argv[1:]
con = duckdb.connect()
con.execute("SET threads = 2")
con.execute(f"CREATE TABLE raw AS SELECT * FROM read_csv('{source}', delim='\t', quote='', all_varchar=true, nullstr='')")
started = time.perf_counter()
if kind == "people":
    con.execute(
        """CREATE TABLE input AS SELECT unique_id::INT AS unique_id, source, lower(first_name) AS first_name,
        lower(last_name) AS last_name, dob, lower(email) AS email,
        CASE WHEN phone IN ('0000000000', '1234567890', '5555555555') THEN NULL ELSE phone END AS phone,
        lower(street) AS street FROM raw"""
    )
    comparisons = [
        cl.NameComparison("first_name").configure(term_frequency_adjustments=True),
        cl.NameComparison("last_name").configure(term_frequency_adjustments=True),
        cl.DateOfBirthComparison("dob", input_is_string=True),
        cl.EmailComparison("email").configure(term_frequency_adjustments=True),
        cl.DamerauLevenshteinAtThresholds("phone", [1]).configure(term_frequency_adjustments=True),
        cl.JaroWinklerAtThresholds("street", [0.95, 0.88]).configure(term_frequency_adjustments=True),
    ]
    rules = [
        block_on("email"),
        block_on("phone"),
        block_on("first_name", "dob"),
        block_on("last_name", "dob"),
        block_on("first_name", "street"),
        block_on("last_name", "street"),
        block_on("first_name", "last_name"),
    ]
    sure = [block_on("email", "last_name"), block_on("first_name", "last_name", "dob")]
    recall = 0.6
    sessions = [block_on("email"), block_on("first_name", "last_name")]
    link_type = "dedupe_only"
else:
    con.execute("CREATE TABLE input AS SELECT * REPLACE (unique_id::INT AS unique_id) FROM raw")
    comparisons = [
        cl.NameComparison("given_name").configure(term_frequency_adjustments=True),
        cl.NameComparison("surname").configure(term_frequency_adjustments=True),
        cl.DamerauLevenshteinAtThresholds("date_of_birth", [1, 2]).configure(term_frequency_adjustments=True),
        cl.DamerauLevenshteinAtThresholds("soc_sec_id", [1, 2]),
        cl.ExactMatch("street_number").configure(term_frequency_adjustments=True),
        cl.JaroWinklerAtThresholds("address_1", [0.9, 0.7]),
        cl.DamerauLevenshteinAtThresholds("postcode", [1, 2]).configure(term_frequency_adjustments=True),
    ]
    rules = [
        block_on("soc_sec_id"),
        block_on("given_name", "surname"),
        block_on("date_of_birth"),
        block_on("given_name", "postcode"),
        block_on("surname", "postcode"),
        block_on("surname", "address_1"),
    ]
    sure = [block_on("soc_sec_id"), block_on("given_name", "surname", "date_of_birth")]
    recall = 0.9
    sessions = [block_on("date_of_birth"), block_on("soc_sec_id")]
    link_type = "dedupe_only" if kind == "febrl3" else "link_only"

settings = SettingsCreator(
    link_type=link_type,
    comparisons=comparisons,
    blocking_rules_to_generate_predictions=rules,
    retain_intermediate_calculation_columns=False,
    retain_matching_columns=False,
)
api = DuckDBAPI(connection=con)
if link_type == "link_only":
    for number in "01":
        con.execute(f"CREATE TABLE side{number} AS SELECT * EXCLUDE (source) FROM input WHERE source = '{number}'")
    linker = Linker([api.register("side0"), api.register("side1")], settings)
else:
    con.execute("ALTER TABLE input DROP source")
    linker = Linker(api.register("input"), settings)
linker.training.estimate_probability_two_random_records_match(sure, recall=recall)
linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=1)
for rule in sessions:
    linker.training.estimate_parameters_using_expectation_maximisation(rule)
predictions = linker.inference.predict(threshold_match_probability=0.1)
clusters = {}
for number, threshold in enumerate(THRESHOLDS):
    found = linker.clustering.cluster_pairwise_predictions_at_threshold(predictions, threshold_match_probability=threshold)
    if number == 0:
        seconds = time.perf_counter() - started
    table = found.as_duckdbpyrelation().df()[["unique_id", "cluster_id"]]
    labels, _ = table["cluster_id"].factorize()
    clusters[threshold] = dict(zip(table["unique_id"].astype(int), labels))
records = con.execute("SELECT count(*) FROM raw").fetchone()[0]
with open(out, "w") as file:
    file.write("\t".join(f"threshold_{threshold}" for threshold in THRESHOLDS) + "\n")
    for record in range(records):
        file.write("\t".join(str(clusters[threshold][record]) for threshold in THRESHOLDS) + "\n")
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"peer": f"splink {splink.__version__}", "seconds": seconds, "peak_memory_mb": peak}))
