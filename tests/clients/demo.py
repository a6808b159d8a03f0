"""The demo from end to end, and what is in the warehouse that it leaves."""

import decimal
import pathlib
import time

import duckdb

from harness import SOAK, check, holds, same, tributary, warehouse

SLICE = pathlib.Path(__file__).parents[1] / "data" / "complete_journey"

# Rows, households and what was received, of the slice that is part of this repository.
LINES, HOUSEHOLDS = 348_956, 400


def run_demo(made, *arguments, seconds):
    made.directory = made.folder / "demo"
    began = time.monotonic()
    ended = tributary("demo", made.directory, *arguments, timeout=seconds)
    took = time.monotonic() - began
    same(ended.returncode, 0, f"{ended.stdout}\n{ended.stderr}")
    print(f"    the demo took {took:.1f} s", flush=True)
    made.password = (made.directory / "password").read_text().rstrip("\n")
    made.serve()
    return ended.stdout


@check("demo: the slice goes all the way, and the warehouse it leaves is right")
def demo_slice():
    with warehouse() as made:
        shown = run_demo(made, seconds=300)
        holds(shown, "simulated", "Accounts become customers", "Recommendations", "Segments", "psql")
        with made.connect() as connection, duckdb.connect() as other:
            lines, amount = connection.execute("SELECT count(*), sum(amount) FROM transactions").fetchone()
            raw = other.execute(
                f"SELECT count(*), sum(sales_value::decimal(12,2)) FROM '{SLICE}/transactions.parquet'"
            ).fetchone()
            same((lines, decimal.Decimal(amount)), raw, "lines and amount over all channels")
            same(lines, LINES)
            households = connection.execute("SELECT count(DISTINCT household_id) FROM truth.accounts").fetchone()
            same(households, (HOUSEHOLDS,))
            channels = connection.execute("SELECT DISTINCT channel FROM customers ORDER BY channel").fetchall()
            same(channels, [("app",), ("social",), ("store",), ("web",)])
            # Every contract has rows of every channel, and no column of another type.
            for contract in ("customers", "products", "events", "transactions", "service_interactions"):
                found = connection.execute(f"SELECT count(DISTINCT channel) FROM {contract}").fetchone()
                same(found, (4,), contract)
            # Fusion, scored here once more, by pairs of accounts.
            pairs = connection.execute(
                "WITH a AS (SELECT l.unified_id AS u, t.household_id AS h FROM customer_links AS l"
                " JOIN truth.accounts AS t ON t.channel = l.channel AND t.account_id = l.account_id),"
                " both_of AS (SELECT count(*) AS n FROM a GROUP BY u, h),"
                " found AS (SELECT count(*) AS n FROM a GROUP BY u),"
                " real AS (SELECT count(*) AS n FROM a GROUP BY h)"
                " SELECT (SELECT sum(n * (n - 1) / 2)::float8 FROM both_of),"
                " (SELECT sum(n * (n - 1) / 2)::float8 FROM found), (SELECT sum(n * (n - 1) / 2)::float8 FROM real)"
            ).fetchone()
            precision, recall = pairs[0] / pairs[1], pairs[0] / pairs[2]
            said = dict(
                connection.execute(
                    "SELECT metric, value FROM fusion.evaluate(customer_links, truth => truth.accounts,"
                    " key => 'channel, account_id', cluster => 'unified_id', truth_cluster => 'household_id')"
                ).fetchall()
            )
            same(abs(said["pairwise_precision"] - precision) < 1e-12, True, f"precision {precision}, {said}")
            same(abs(said["pairwise_recall"] - recall) < 1e-12, True, f"recall {recall}, {said}")
            if precision < 0.95 or recall < 0.65:
                raise AssertionError(f"precision {precision:.4f}, recall {recall:.4f}")
            # Recommendations are for the asked customer, new to them, and in order.
            (customer,) = connection.execute("SELECT unified_id FROM purchases ORDER BY unified_id LIMIT 1").fetchone()
            given = connection.execute(
                "SELECT rank, product_id, score FROM ml.recommend('recs_model',"
                " users => (SELECT %s::text AS unified_id), k => 10) ORDER BY rank",
                (customer,),
            ).fetchall()
            same([rank for rank, _, _ in given], list(range(1, 11)))
            same(sorted((score for _, _, score in given), reverse=True), [score for _, _, score in given])
            bought = connection.execute(
                "SELECT DISTINCT product_id FROM purchases WHERE unified_id = %s AND occurred_at < '2017-12-01Z'",
                (customer,),
            ).fetchall()
            same({(product,) for _, product, _ in given} & set(bought), set(), "what the customer had already")
            segments = connection.execute(
                "SELECT count(DISTINCT cluster_id), count(*) FROM customer_segments"
            ).fetchone()
            same(segments, (4, connection.execute("SELECT count(*) FROM customer_features").fetchone()[0]))


@check("demo: the same input gives the same customers, models and segments")
def demo_twice():
    tables = ("customer_links", "recs_model", "customer_segments")
    seen = []
    for _ in range(2):
        with warehouse() as made:
            run_demo(made, seconds=300)
            seen.append([made.rows(f"SELECT * FROM {table} ORDER BY 1, 2, 3") for table in tables])
    for table, first, second in zip(tables, *seen):
        same(first == second and len(first) > 0, True, f"{table} is the same")


@check("demo: a directory that is in use is left alone")
def demo_refused():
    with warehouse() as made:
        directory = made.folder / "full"
        directory.mkdir()
        (directory / "notes.txt").write_text("mine")
        ended = tributary("demo", directory)
        same(ended.returncode != 0, True)
        holds(ended.stderr, str(directory))
        same([path.name for path in directory.iterdir()], ["notes.txt"])


if SOAK:

    @check("demo: the whole of The Complete Journey, eight tables, within its bounds")
    def demo_full():
        with warehouse() as made:
            run_demo(made, "--full", seconds=900)
            same(made.rows("SELECT count(*) FROM transactions"), [(1_469_307,)])
            same(made.rows("SELECT count(*) FROM shop.promotions"), [(20_940_529,)])
