"""Channel files come in: by COPY and by `tributary ingest`, once each, whole or not at all."""

import pathlib

import duckdb

from harness import SOAK, check, holds, refused, same, served, tributary, warehouse


def parquet(path, query):
    """Writes the rows of a DuckDB query as a Parquet file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as other:
        other.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
    return path


def events(path, first, rows=1000):
    return parquet(
        path,
        f"SELECT i AS id, 'user ' || i % 7 AS account, TIMESTAMP '2017-01-01' + INTERVAL 1 MINUTE * i AS happened,"
        f" CAST(i % 100 / 4 AS decimal(10,2)) AS amount FROM range({first}, {first + rows}) AS r (i)",
    )


@check("COPY: a table takes its columns from the files, and a file is taken once")
def copy_once():
    with served() as made, made.connect() as connection:
        inbox = made.folder / "inbox"
        events(inbox / "1.parquet", 0)
        events(inbox / "2.parquet", 1000)
        taken = connection.execute(f"COPY web.events FROM '{inbox}/*.parquet' (FORMAT parquet)")
        same((taken.rowcount, taken.statusmessage), (2000, "COPY 2000"))
        same(
            connection.execute(
                "SELECT count(*), sum(id), sum(amount), min(happened), count(DISTINCT account) FROM web.events"
            ).fetchall(),
            duckdb.sql(
                f"SELECT count(*), sum(id)::bigint, sum(amount), min(happened), count(DISTINCT account) FROM '{inbox}/*.parquet'"
            ).fetchall(),
        )
        again = connection.execute(f"COPY web.events FROM '{inbox}/*.parquet' (FORMAT parquet)")
        same(again.rowcount, 0, "rows of files that were taken before")
        events(inbox / "3.parquet", 2000)
        more = connection.execute(f"COPY web.events FROM '{inbox}/*.parquet' (FORMAT parquet)")
        same(more.rowcount, 1000, "rows of the new file")
        # What is rolled back was not taken.
        events(inbox / "4.parquet", 3000)
        connection.execute("BEGIN")
        connection.execute(f"COPY web.events FROM '{inbox}/4.parquet' (FORMAT parquet)")
        connection.execute("ROLLBACK")
        same(connection.execute("SELECT count(*) FROM web.events").fetchone(), (3000,))
        same(connection.execute(f"COPY web.events FROM '{inbox}/4.parquet' (FORMAT parquet)").rowcount, 1000)


@check("COPY: a file that is missing, empty, cut off, altered or no Parquet loads nothing")
def copy_broken():
    with served() as made, made.connect() as connection:
        inbox = made.folder / "inbox"
        good = events(inbox / "good.parquet", 0)
        connection.execute(f"COPY web.events FROM '{good}' (FORMAT parquet)")
        bytes_of = events(inbox / "whole.parquet", 1000, 50_000).read_bytes()
        broken = {
            "empty.parquet": b"",
            "text.parquet": b"id,account\n1,me\n",
            "cut.parquet": bytes_of[: len(bytes_of) // 2],
            "headless.parquet": b"PAR2" + bytes_of[4:-4] + b"PAR2",
            # The footer is whole and a page in the middle is not.
            "altered.parquet": bytes_of[:5000] + bytes(len(bytes_of) // 3) + bytes_of[5000 + len(bytes_of) // 3 :],
        }
        for name, content in broken.items():
            (inbox / name).write_bytes(content)
            for table in ("web.events", "web.made_for_it"):
                try:
                    with refused("22P04", name):
                        connection.execute(f"COPY {table} FROM '{inbox / name}' (FORMAT parquet)")
                except AssertionError as fault:
                    raise AssertionError(f"{name} into {table}: {fault}") from fault
        with refused("58P01", "absent.parquet"):
            connection.execute(f"COPY web.events FROM '{inbox / 'absent.parquet'}' (FORMAT parquet)")
        with refused("58P01", "absent"):
            connection.execute(f"COPY web.events FROM '{inbox / 'absent-*.parquet'}' (FORMAT parquet)")
        # One bad file among good ones: nothing of the good ones either.
        mixed = made.folder / "mixed"
        events(mixed / "1.parquet", 5000)
        (mixed / "2.parquet").write_bytes(broken["cut.parquet"])
        events(mixed / "3.parquet", 6000)
        with refused("22P04", "2.parquet"):
            connection.execute(f"COPY web.events FROM '{mixed}/*.parquet' (FORMAT parquet)")
        same(connection.execute("SELECT count(*), sum(id) FROM web.events").fetchone(), (1000, 499500))
        with refused("42P01"):
            connection.execute("SELECT * FROM web.made_for_it")
        # And the good ones are not remembered as taken.
        (mixed / "2.parquet").unlink()
        same(connection.execute(f"COPY web.events FROM '{mixed}/*.parquet' (FORMAT parquet)").rowcount, 2000)


@check("COPY: a file whose columns do not fit is named, with the column and both types")
def copy_mismatch():
    with served() as made, made.connect() as connection:
        inbox = made.folder / "inbox"
        events(inbox / "1.parquet", 0)
        connection.execute(f"COPY web.events FROM '{inbox}/1.parquet' (FORMAT parquet)")
        parquet(
            inbox / "2.parquet",
            "SELECT 'one' AS id, 'a' AS account, now()::timestamp AS happened, 1.5::decimal(10,2) AS amount",
        )
        with refused("42804", "2.parquet", '"id"', "bigint", "text"):
            connection.execute(f"COPY web.events FROM '{inbox}/2.parquet' (FORMAT parquet)")
        parquet(inbox / "3.parquet", "SELECT 1::bigint AS id, 'a' AS account, 2 AS surplus")
        with refused("42703", "3.parquet", '"surplus"'):
            connection.execute(f"COPY web.events FROM '{inbox}/3.parquet' (FORMAT parquet)")
        same(connection.execute("SELECT count(*) FROM web.events").fetchone(), (1000,))
        with refused("22023", '"shape"'):
            connection.execute(f"COPY web.events FROM '{inbox}/1.parquet' (FORMAT shape)")
        with refused("42601", '"no_such_option"'):
            connection.execute(f"COPY web.events FROM '{inbox}/1.parquet' (FORMAT parquet, no_such_option 1)")


@check("COPY: the types that Parquet files bring")
def copy_types():
    with served() as made, made.connect() as connection:
        query = (
            "SELECT i::tinyint AS i8, i::smallint AS i16, i::integer AS i32, i::bigint AS i64,"
            " i::utinyint AS u8, i::usmallint AS u16, i::uinteger AS u32, i::float AS f32, i / 7 AS f64,"
            " i::decimal(4,1) AS d4, i::decimal(18,3) AS d18, i::decimal(38,9) AS d38, i % 2 = 0 AS flag,"
            " 'text ' || i AS t, ('blob' || i)::blob AS b, DATE '1960-01-01' + i::integer AS day,"
            " TIMESTAMP '1960-01-01 00:00:00.123456' + INTERVAL 1 DAY * i AS moment,"
            " (TIMESTAMP '2017-01-01' + INTERVAL 1 HOUR * i) AT TIME ZONE 'UTC' AS moment_tz,"
            " CASE WHEN i % 3 = 0 THEN NULL ELSE i END AS holes, [i, i + 1] AS list"
            " FROM range(0, 100) AS r (i)"
        )
        file = parquet(made.folder / "types.parquet", f"{query} ORDER BY i64")
        connection.execute(f"COPY typed FROM '{file}' (FORMAT parquet)")
        plain = ", ".join(
            ["i8, i16, i32, i64, u8, u16, u32, f32, f64, d4, d18, d38, flag, t, b, day, moment, holes, list"]
        )
        found = connection.execute(f"SELECT {plain} FROM typed ORDER BY i64").fetchall()
        with duckdb.connect() as other:
            expected = other.execute(f"SELECT {plain} FROM '{file}' ORDER BY i64").fetchall()
            same(found, expected)
            zoned = other.execute(f"SELECT epoch_us(moment_tz) FROM '{file}' ORDER BY i64").fetchall()
        moments = connection.execute("SELECT moment_tz FROM typed ORDER BY i64").fetchall()
        same([(round(moment.timestamp() * 1_000_000),) for (moment,) in moments], zoned)


@check("ingest: the command loads a channel's files, and says what it did")
def ingest_command():
    with warehouse() as made:
        inbox = made.folder / "inbox"
        events(inbox / "events.parquet", 0)
        parquet(inbox / "customers.parquet", "SELECT i AS id, 'name ' || i AS name FROM range(10) AS r (i)")
        first = tributary("ingest", made.directory, "web", inbox / "events.parquet", inbox / "customers.parquet")
        same(first.returncode, 0, first.stderr)
        second = tributary("ingest", made.directory, "web", f"{inbox}/*.parquet")
        same(second.returncode, 0, second.stderr)
        counts = tributary(
            "sql",
            made.directory,
            "--format",
            "csv",
            "-c",
            "SELECT (SELECT count(*) FROM web.events) AS e, (SELECT count(*) FROM web.customers) AS c",
        )
        same(counts.stdout, "e,c\n1000,10\n", counts.stderr)
        (inbox / "broken.parquet").write_text("no Parquet")
        third = tributary("ingest", made.directory, "web", inbox / "broken.parquet")
        same(third.returncode != 0, True)
        holds(third.stderr, "broken.parquet")
        missing = tributary("ingest", made.directory, "web", inbox / "absent.parquet")
        same(missing.returncode != 0, True)
        holds(missing.stderr, "absent.parquet")


@check("a data file that was altered or removed is named, and the rest goes on")
def damaged_data():
    with served() as made:
        with made.connect() as connection:
            connection.execute("CREATE TABLE sound AS SELECT g AS n FROM generate_series(1, 1000) AS s (g)")
            before = set(pathlib.Path(made.directory, "data").rglob("*.parquet"))
            connection.execute("CREATE TABLE hurt AS SELECT g AS n FROM generate_series(1, 1000) AS s (g)")
            (file,) = set(pathlib.Path(made.directory, "data").rglob("*.parquet")) - before
        same(made.stop(), 0)
        content = bytearray(file.read_bytes())
        content[len(content) // 3] ^= 0xFF
        for damage in (bytes(content), content[:-20], None):
            file.unlink()
            if damage is not None:
                file.write_bytes(damage)
            made.serve()
            with made.connect() as connection:
                try:
                    with refused("XX001", file.name):
                        connection.execute("SELECT sum(n) FROM hurt")
                except AssertionError as fault:
                    raise AssertionError(f"with {len(damage or b'')} bytes: {fault}") from fault
                same(connection.execute("SELECT sum(n) FROM sound").fetchone(), (500500,))
                connection.execute("CREATE TABLE IF NOT EXISTS later AS SELECT 1 AS n")
            same(made.stop(), 0)
            if damage is None:
                file.write_bytes(b"")


@check("a large file is loaded within the memory limit")
def large_file():
    rows = 20_000_000 if SOAK else 2_000_000
    with served() as made, made.connect() as connection:
        file = events(made.folder / "large.parquet", 0, rows)
        same(connection.execute(f"COPY web.events FROM '{file}' (FORMAT parquet)").rowcount, rows)
        found = connection.execute("SELECT count(*), sum(id), max(happened)::text FROM web.events").fetchone()
        same(found[:2], (rows, rows * (rows - 1) // 2))
        status = pathlib.Path(f"/proc/{made.server.pid}/status")
        if status.exists():
            (peak,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
            megabytes = int(peak.split()[1]) // 1024
            if megabytes > 1500:
                raise AssertionError(f"the server needed {megabytes} MB")


@check("COPY: files whose names hold other letters, blanks and signs")
def copy_odd_names():
    with served() as made, made.connect() as connection:
        inbox = made.folder / "inbox é"
        inbox.mkdir()
        names = ["pé.parquet", "50%.parquet", "a#b?.parquet", "x[1].parquet", "y{1}.parquet", "b\\c.parquet", "it's 1+1.parquet"]
        for number, name in enumerate(names):
            file = events(made.folder / "plain.parquet", number * 10, 10)
            file = pathlib.Path(file).rename(inbox / name)
            quoted = str(file).replace("'", "''")
            same(connection.execute(f"COPY web.events FROM '{quoted}' (FORMAT parquet)").rowcount, 10, name)
        rows = 10 * len(names)
        found = connection.execute("SELECT count(*), sum(id) FROM web.events").fetchone()
        same(found, (rows, rows * (rows - 1) // 2))
        same(connection.execute(f"COPY web.events FROM '{inbox}/*.parquet' (FORMAT parquet)").rowcount, 0)
