"""Real purchases and ratings that are fetched for the tests: CDNOW and MovieLens 100k."""

import math
import os
import pathlib

import duckdb

from harness import Skip, check, same, served

FOLDER = os.environ.get("TRIBUTARY_TEST_DATA")


def data_set(name):
    if not FOLDER or not pathlib.Path(FOLDER, name).is_file():
        raise Skip(f"{name} was not fetched")
    return pathlib.Path(FOLDER, name)


def to_parquet(query, path):
    with duckdb.connect() as other:
        other.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
    return path


@check("CDNOW: 69,659 purchases come in and are segmented")
def cdnow():
    text = data_set("CDNOW_master.txt")
    with served() as made, made.connect() as connection:
        # Columns of fixed width: customer, day, number of CDs, dollars.
        query = (
            "SELECT parts[1]::bigint AS customer, strptime(parts[2], '%Y%m%d')::date AS day,"
            " parts[3]::integer AS cds, parts[4]::decimal(10,2) AS amount"
            " FROM (SELECT regexp_split_to_array(trim(line), ' +') AS parts"
            f" FROM read_csv('{text}', columns = {{'line': 'varchar'}}, header = false, delim = '\\t'))"
            " WHERE parts[1] <> 'customer_id'"
        )
        file = to_parquet(query, made.folder / "cdnow.parquet")
        connection.execute(f"COPY cdnow FROM '{file}' (FORMAT parquet)")
        found = connection.execute(
            "SELECT count(*), count(DISTINCT customer), sum(cds), sum(amount) FROM cdnow"
        ).fetchone()
        same(found[:2], (69_659, 23_570))
        same(
            found,
            duckdb.sql(
                f"SELECT count(*), count(DISTINCT customer), sum(cds)::bigint, sum(amount) FROM '{file}'"
            ).fetchone(),
        )
        connection.execute(
            "CREATE TABLE rfm AS SELECT customer, (extract(epoch FROM DATE '1998-07-01') - extract(epoch FROM max(day))) / 86400 AS recency,"
            " ln(count(*)) AS frequency, ln(1 + CAST(sum(amount) AS double precision)) AS money"
            " FROM cdnow GROUP BY customer"
        )
        segments = connection.execute(
            "SELECT cluster_id, count(*), avg(frequency), avg(money) FROM ml.kmeans(rfm,"
            " features => 'recency, frequency, money', k => 4, standardize => 'zscore', n_init => 5)"
            " GROUP BY cluster_id ORDER BY 3 DESC"
        ).fetchall()
        same(len(segments), 4)
        same(sum(size for _, size, _, _ in segments), 23_570)
        # Two customers in three bought once or twice; the most frequent segment is small and spends most.
        same(
            segments[0][1] < 23_570 / 3 and segments[0][3] == max(money for *_, money in segments), True, str(segments)
        )


@check("MovieLens 100k: recommendations beat the most popular films, by a score computed twice")
def movielens():
    text = data_set("ml-100k.inter")
    with served() as made, made.connect() as connection:
        query = (
            'SELECT "user_id:token" AS user_id, "item_id:token" AS item_id, "rating:float"::float AS rating,'
            ' "timestamp:float"::bigint AS at, md5("user_id:token" || \' \' || "item_id:token") < \'4\' AS held_out'
            f" FROM read_csv('{text}', delim = '\\t', header = true)"
        )
        file = to_parquet(query, made.folder / "ml.parquet")
        connection.execute(f"COPY ratings FROM '{file}' (FORMAT parquet)")
        same(connection.execute("SELECT count(*) FROM ratings").fetchone(), (100_000,))
        connection.execute(
            "CREATE TABLE model AS SELECT * FROM ml.train('als', (SELECT user_id, item_id, rating FROM ratings"
            " WHERE NOT held_out), user_id => 'user_id', item_id => 'item_id', weight => 'rating',"
            " factors => 32, iterations => 15, seed => 1)"
        )
        connection.execute("CREATE TABLE given AS SELECT * FROM ml.recommend('model', k => 10)")
        said = dict(
            connection.execute(
                "SELECT metric, value FROM ml.evaluate_ranking(given, truth => (SELECT user_id, item_id FROM ratings"
                " WHERE held_out), user_id => 'user_id', item_id => 'item_id', k => ARRAY[10])"
            ).fetchall()
        )
        truth, given, popular = {}, {}, {}
        for user, item in connection.execute("SELECT user_id, item_id FROM ratings WHERE held_out"):
            truth.setdefault(user, set()).add(item)
        for user, item in connection.execute("SELECT user_id, item_id FROM given ORDER BY user_id, rank"):
            given.setdefault(user, []).append(item)
        seen = {}
        for user, item in connection.execute("SELECT user_id, item_id FROM ratings WHERE NOT held_out"):
            seen.setdefault(user, set()).add(item)
            popular[item] = popular.get(item, 0) + 1
        best = sorted(popular, key=lambda item: (-popular[item], item))
        baseline = {user: [item for item in best if item not in seen.get(user, set())][:10] for user in truth}

        def ndcg(lists):
            total = 0.0
            for user, wanted in truth.items():
                gains = [1 / math.log2(place + 2) for place, item in enumerate(lists.get(user, [])) if item in wanted]
                ideal = sum(1 / math.log2(place + 2) for place in range(min(10, len(wanted))))
                total += sum(gains) / ideal
            return total / len(truth)

        ours = ndcg(given)
        same(abs(said["ndcg_at_k"] - ours) < 1e-9, True, f"ndcg {ours}, {said}")
        same(any(set(items) & seen[user] for user, items in given.items()), False, "films seen before are recommended")
        if ours < 1.15 * ndcg(baseline):
            raise AssertionError(f"nDCG@10 {ours:.4f}, of the most popular {ndcg(baseline):.4f}")
        print(f"    nDCG@10 {ours:.4f}, of the most popular {ndcg(baseline):.4f}", flush=True)
