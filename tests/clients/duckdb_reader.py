"""Reads a warehouse with DuckDB's official ducklake extension and prints, or compares, every value of every table.

    duckdb_reader.py DIR                    print all tables as JSON
    duckdb_reader.py DIR --expect FILE      compare with the JSON in FILE ("-" is standard input); exit 1 and say where they differ

The JSON is an object with one member a table, "schema.table", whose value is
    {"columns": [[name, type], ...], "rows": [[value, ...], ...]}.
In FILE the value may also be the bare list of rows. Rows are compared as a multiset, floating point exactly, and the set of tables must be
equal too. Integers, booleans, text and finite floating point are JSON values; NaN and the infinities are the strings "NaN", "Infinity" and
"-Infinity"; lists are arrays, structs and maps objects; everything else is the text DuckDB casts it to.

Needs the PyPI packages duckdb, duckdb-extensions, duckdb-extension-ducklake and duckdb-extension-sqlite, all of one version; no network.
"""

import argparse
import json
import math
import os
import sys

import duckdb
from duckdb_extensions import import_extension

PLAIN = {
    "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT",
    "FLOAT", "DOUBLE", "VARCHAR",
}


def quote(name):
    return '"' + name.replace('"', '""') + '"'


def connect(directory):
    extensions = os.path.join(sys.prefix, "duckdb-extensions")
    connection = duckdb.connect(config={"extension_directory": extensions, "allow_unsigned_extensions": "true"})
    for name in ("sqlite", "ducklake"):
        import_extension(name, con=connection)
        connection.execute(f"LOAD {name}")
    catalog = os.path.join(directory, "catalog.sqlite").replace("'", "''")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"ATTACH 'ducklake:sqlite:{catalog}' AS lake (READ_ONLY)")
    return connection


def is_plain(kind):
    """Whether Python values of the type, and of the parts it has, are JSON values as they are."""
    if kind.id in ("list", "array"):
        return is_plain(dict(kind.children)["child"])
    if kind.id in ("struct", "map"):
        return all(is_plain(child) for _, child in kind.children)
    return str(kind) in PLAIN


def as_json(value):
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, (list, tuple)):
        return [as_json(part) for part in value]
    if isinstance(value, dict):
        return {str(key): as_json(part) for key, part in value.items()}
    return value


def read(directory):
    connection = connect(directory)
    tables = connection.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'lake' ORDER BY 1, 2"
    ).fetchall()
    result = {}
    for schema, table in tables:
        relation = connection.sql(f"SELECT * FROM lake.{quote(schema)}.{quote(table)}")
        columns = list(zip(relation.columns, relation.types))
        listed = ", ".join(
            f"{quote(name)}" if is_plain(kind) else f"CAST({quote(name)} AS VARCHAR)" for name, kind in columns
        )
        rows = connection.execute(f"SELECT {listed} FROM lake.{quote(schema)}.{quote(table)}").fetchall()
        counted = connection.execute(f"SELECT count(*) FROM lake.{quote(schema)}.{quote(table)}").fetchone()[0]
        if counted != len(rows):
            raise SystemExit(f"{schema}.{table}: count(*) says {counted}, {len(rows)} rows were read")
        result[f"{schema}.{table}"] = {
            "columns": [[name, str(kind)] for name, kind in columns],
            "rows": [as_json(row) for row in rows],
        }
    return result


def ordered(rows):
    return sorted(json.dumps(row, sort_keys=True, ensure_ascii=False) for row in rows)


def compare(found, expected):
    problems = []
    for name in sorted(expected.keys() - found.keys()):
        problems.append(f"table {name} is missing")
    for name in sorted(found.keys() - expected.keys()):
        problems.append(f"table {name} is not expected")
    for name in sorted(expected.keys() & found.keys()):
        want = expected[name]
        if isinstance(want, dict):
            if "columns" in want and want["columns"] != found[name]["columns"]:
                problems.append(f"{name}: columns {found[name]['columns']}, expected {want['columns']}")
            want = want["rows"]
        have, want = ordered(found[name]["rows"]), ordered(want)
        if have != want:
            surplus, lack = list(have), []
            for row in want:
                if row in surplus:
                    surplus.remove(row)
                else:
                    lack.append(row)
            problems.append(f"{name}: {len(have)} rows, expected {len(want)}")
            problems += [f"  only in DuckDB: {row}" for row in surplus[:5]]
            problems += [f"  only expected: {row}" for row in lack[:5]]
    return problems


def main():
    parser = argparse.ArgumentParser(description="Reads a warehouse with DuckDB.")
    parser.add_argument("directory")
    parser.add_argument("--expect", metavar="FILE")
    arguments = parser.parse_args()
    found = read(arguments.directory)
    if arguments.expect is None:
        json.dump(found, sys.stdout, ensure_ascii=False, sort_keys=True)
        print()
        return 0
    with sys.stdin if arguments.expect == "-" else open(arguments.expect, encoding="utf-8") as file:
        expected = json.load(file)
    problems = compare(found, expected)
    for problem in problems:
        print(problem)
    if not problems:
        rows = sum(len(table["rows"]) for table in found.values())
        print(f"{len(found)} tables, {rows} rows equal")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
