"""After every commit, DuckDB with its own ducklake extension reads the same rows as we do."""

import datetime
import importlib.util
import pathlib
import struct

import duckdb

from harness import check, same, served

# Statements, each a commit, after each of which both are asked for everything.
COMMITS = [
    "CREATE SCHEMA web",
    "CREATE TABLE web.orders (id bigint NOT NULL, account text, amount numeric(12,2), paid boolean, day date, at timestamptz)",
    "INSERT INTO web.orders VALUES (1, 'a', 12.50, true, DATE '2017-01-31', TIMESTAMPTZ '2017-01-31 10:00:00.123456+00')",
    "INSERT INTO web.orders VALUES (2, NULL, NULL, NULL, NULL, NULL), (3, '', 0, false, DATE '1969-12-31', TIMESTAMPTZ '1969-12-31 23:59:59+00')",
    "CREATE TABLE numbers AS SELECT g AS n, g / 7.0::float8 AS x, 'row ' || g AS t FROM generate_series(1, 20000) AS s (g)",
    "INSERT INTO numbers SELECT n + 20000, -x, NULL FROM numbers WHERE n <= 100",
    "INSERT INTO numbers VALUES (0, 'NaN', 'not a number'), (-1, 'Infinity', 'ünïcödé 🌊''\"')",
    'CREATE TABLE "Odd ""name"" / .." ("Column One" integer, "select" text)',
    'INSERT INTO "Odd ""name"" / .." VALUES (1, \'x\')',
    "CREATE TABLE lists AS SELECT n, ARRAY[n, n + 1] AS pair FROM numbers WHERE n BETWEEN 1 AND 5",
    "CREATE VIEW many AS SELECT account, count(*) AS orders FROM web.orders GROUP BY account",
    "CREATE TABLE doomed AS SELECT 1 AS n",
    "DROP TABLE doomed",
    "ALTER TABLE numbers RENAME TO figures",
    "CREATE TABLE empty AS SELECT * FROM figures WHERE false",
    "CREATE TABLE model AS SELECT * FROM ml.train('als', (SELECT n % 10 AS u, n % 7 AS i FROM figures WHERE n > 0),"
    " user_id => 'u', item_id => 'i', factors => 4)",
    "DROP VIEW many",
    "DROP SCHEMA web CASCADE",
]


def extension(name):
    """The file of a DuckDB extension that its package carries: nothing is fetched."""
    package = pathlib.Path(importlib.util.find_spec(f"duckdb_extension_{name}").origin).parent
    (file,) = package.glob("extensions/*/*.duckdb_extension")
    return file


def attached(made):
    """A DuckDB that reads the warehouse's directory, and can do nothing to it."""
    other = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
    # DuckDB takes an extension's name from its file's.
    scanner = made.folder / "sqlite_scanner.duckdb_extension"
    if not scanner.exists():
        scanner.symlink_to(extension("sqlite"))
    other.execute(f"LOAD '{scanner}'")
    other.execute(f"LOAD '{extension('ducklake')}'")
    other.execute("SET TimeZone = 'UTC'")
    other.execute(f"ATTACH 'ducklake:sqlite:{made.directory}/catalog.sqlite' AS lake (READ_ONLY)")
    return other


def comparable(rows, columns):
    """Rows in an order and with values that do not depend on the client. `columns` are described as PostgreSQL does."""
    singles = [column.type_code in (700, 1021) for column in columns]

    def value(found, single):
        if isinstance(found, datetime.datetime) and found.tzinfo:
            return found.astimezone(datetime.timezone.utc)
        if single and isinstance(found, list):
            return [value(one, single) for one in found]
        if single and found is not None:
            # One client reads the shortest text of a real, the other its bits: they are the same number in four bytes.
            return struct.pack("<f", found)
        return found

    # By their representation, so that NaN is NaN.
    return sorted(repr(tuple(map(value, row, singles))) for row in rows)


def quoted(*names):
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def compare(made, what):
    """Reads all tables on both sides and fails on the first difference; the number of tables."""
    with made.connect() as connection, attached(made) as other:
        inside = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'"
            " AND table_schema NOT IN ('pg_catalog', 'information_schema', 'sys')"
        ).fetchall()
        outside = other.execute(
            "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'lake'"
        ).fetchall()
        same(sorted(outside), sorted(inside), f"the tables {what}")
        for table in inside:
            cursor = connection.execute(f"SELECT * FROM {quoted(*table)}")
            ours = comparable(cursor.fetchall(), cursor.description)
            theirs = comparable(
                other.execute(f"SELECT * FROM {quoted('lake', *table)}").fetchall(), cursor.description
            )
            same(theirs, ours, f"{quoted(*table)} {what}")
        return len(inside)


@check("DuckDB reads every table, with every value, after every commit")
def after_every_commit():
    with served() as made, made.connect() as connection:
        most = 0
        for statement in COMMITS:
            connection.execute(statement)
            most = max(most, compare(made, f"after {statement}"))
        same(most >= 6, True, "tables that were compared")


@check("DuckDB reads a warehouse that is not served, and what a rollback left out is not there")
def at_rest():
    with served() as made:
        with made.connect(autocommit=False) as connection:
            connection.execute("CREATE TABLE t AS SELECT 1 AS n")
            connection.commit()
            connection.execute("INSERT INTO t VALUES (2)")
            connection.execute("CREATE TABLE u AS SELECT 1 AS n")
            connection.rollback()
        same(made.stop(), 0)
        with attached(made) as other:
            same(
                other.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = 'lake'").fetchall(),
                [("t",)],
            )
            same(other.execute("SELECT n FROM lake.public.t").fetchall(), [(1,)])
