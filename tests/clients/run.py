#!/usr/bin/env python3
"""Tries the served program with real clients. Started by tests/run.

    python run.py --program target/release/tributary [--only TEXT] [--counts FILE]

Each check prints one line: passed, FAILED with the reason, or skipped with the reason. FILE gets the two numbers.
"""

import argparse
import pathlib
import sys

import harness


def main():
    arguments = argparse.ArgumentParser(description="client checks")
    arguments.add_argument("--program", required=True, type=pathlib.Path)
    arguments.add_argument("--only", default="", help="run the checks whose name contains this")
    arguments.add_argument("--counts", type=pathlib.Path)
    given = arguments.parse_args()
    harness.PROGRAM = str(given.program.resolve())

    # Each module registers its checks when it is imported.
    import bad_input  # noqa: F401
    import command_line  # noqa: F401
    import copy_stream  # noqa: F401
    import data_sets  # noqa: F401
    import demo  # noqa: F401
    import files  # noqa: F401
    import outside_reader  # noqa: F401
    import psql_session  # noqa: F401
    import psycopg_session  # noqa: F401

    passed, failed = harness.run_checks(given.only)
    if given.counts:
        given.counts.write_text(f"{passed} {failed}\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
