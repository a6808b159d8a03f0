"""Sessions of psql, compared to the byte with what is expected.

`psql/postgres.out` is what psql 15 printed for `psql/postgres.sql` at a PostgreSQL 15.18 server (a database `tributary`
owned by a superuser `anna`, locale C.UTF-8), and is never changed to suit us. `psql/tributary.out` holds the answers that
only Tributary gives; `TRIBUTARY_PSQL_COMPLETE=1` writes them anew.
"""

import difflib
import os
import pathlib
import re
import subprocess

from harness import Skip, check, holds, same, tributary, warehouse

FOLDER = pathlib.Path(__file__).parent


def version():
    try:
        said = subprocess.run(["psql", "--version"], capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        raise Skip("psql is not installed") from None
    return int(re.search(r"(\d+)", said).group(1))


def session(script):
    """What psql prints for a script, as the superuser `anna`; machine-dependent parts are named."""
    with warehouse() as made:
        password = made.folder / "given"
        password.write_text("anna's password\n")
        made.directory, made.password = made.folder / "annas", "anna's password"
        ended = tributary("init", made.directory, "--user", "anna", "--password-file", password)
        same(ended.returncode, 0, ended.stderr)
        made.serve()
        environment = {
            "PATH": os.environ["PATH"],
            "PGPASSWORD": made.password,
            "LC_ALL": "C.UTF-8",
            "PGTZ": "UTC",
            "PSQL_PAGER": "",
        }
        ended = subprocess.run(
            ["psql", "-X", "-f", f"psql/{script}", made.url],
            cwd=FOLDER,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        same(ended.returncode, 0, ended.stdout)
        return ended.stdout


def compare(found, expected, name):
    if found != expected:
        difference = difflib.unified_diff(
            expected.splitlines(), found.splitlines(), f"{name}, expected", f"{name}, found", lineterm="", n=2
        )
        raise AssertionError("\n".join(difference))


@check("psql: a session prints what it prints at PostgreSQL 15")
def as_postgres():
    if version() != 15:
        raise Skip(f"psql is version {version()}, and the expected output is that of 15")
    compare(session("postgres.sql"), (FOLDER / "psql/postgres.out").read_text(), "postgres.out")


@check("psql: functions, schemas, roles and databases of Tributary")
def as_tributary():
    if version() != 15:
        raise Skip(f"psql is version {version()}, and the expected output is that of 15")
    found = session("tributary.sql")
    file = FOLDER / "psql/tributary.out"
    if os.environ.get("TRIBUTARY_PSQL_COMPLETE") == "1":
        file.write_text(found)
    compare(found, file.read_text(), "tributary.out")


@check("psql: any version describes tables and functions without an error")
def any_version():
    version()
    with warehouse() as made:
        made.serve()
        script = "CREATE TABLE t (n bigint);\nCREATE VIEW v AS SELECT n FROM t;\n\\d\n\\d t\n\\d+ t\n\\dt\n\\dn\n\\dv\n\\l\n\\du\n\\df ml.*\n\\dt *.*\n"
        ended = made.psql("-v", "ON_ERROR_STOP=1", script=script)
        same((ended.returncode, ended.stderr), (0, ""))
        holds(ended.stdout, "bigint", "kmeans", "tributary")
        wrong = made.psql("-c", "SELECT * FROM nowhere", "-v", "VERBOSITY=verbose")
        same(wrong.returncode, 1)
        holds(wrong.stderr, 'ERROR:  42P01: relation "nowhere" does not exist', "LINE 1: SELECT * FROM nowhere")
