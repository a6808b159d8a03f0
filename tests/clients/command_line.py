"""The command line: what each command prints, its exit codes, and what it refuses."""

import json
import pathlib
import re
import socket
import time

import duckdb
from harness import check, holds, same, served, tributary, tributary_started, warehouse


@check("init: the warehouse, its superuser and the password's file")
def init():
    with warehouse() as made:
        names = {path.name for path in made.directory.iterdir()}
        same({"catalog.sqlite", "data", "password"} - names, set(), "files that are missing")
        same((made.directory / "password").stat().st_mode & 0o777, 0o600)
        same(made.directory.stat().st_mode & 0o777, 0o700)
        same(len(made.password) >= 16, True, "the length of the password")
        again = tributary("init", made.directory)
        same(again.returncode != 0, True, "a second init")
        holds(again.stderr, str(made.directory), "already")
        same((made.directory / "password").read_text().rstrip("\n"), made.password)


@check("init: the user and the password that are asked for")
def init_with_password():
    with warehouse() as made:
        file = made.folder / "given"
        file.write_text("correct horse battery staple\n")
        other = made.folder / "other"
        same(tributary("init", other, "--user", "anna", "--password-file", file).returncode, 0)
        made.directory, made.password = other, "correct horse battery staple"
        made.serve()
        holds(made.url, "//anna@127.0.0.1:")
        same(made.rows("SELECT current_user"), [("anna",)])


@check("serve: a directory that is not a warehouse is left alone")
def not_a_warehouse():
    with warehouse() as made:
        empty, other = made.folder / "empty", made.folder / "other"
        empty.mkdir()
        other.mkdir()
        (other / "notes.txt").write_text("mine")
        broken = made.folder / "broken"
        broken.mkdir()
        (broken / "catalog.sqlite").write_text("not a database, but long enough to be read as one. " * 40)
        before = {path: path.read_bytes() for path in made.folder.rglob("*") if path.is_file()}
        for directory in (made.folder / "absent", empty, other, broken, other / "notes.txt"):
            for command in (["serve", directory, "--listen", "127.0.0.1:0"], ["sql", directory, "-c", "SELECT 1"]):
                ended = tributary(*command)
                same(ended.returncode != 0, True, f"{command} succeeds")
                holds(ended.stderr, str(directory))
                same(ended.stdout, "")
        after = {path: path.read_bytes() for path in made.folder.rglob("*") if path.is_file()}
        same(after, before, "the files")
        same(list(empty.iterdir()), [])


@check("serve: a port that is taken, an address that is not local, an option that is unknown")
def listen_refused():
    with served() as made:
        taken = tributary("serve", made.directory, "--listen", f"127.0.0.1:{made.port}")
        same(taken.returncode != 0, True)
        holds(taken.stderr, f"127.0.0.1:{made.port}", "in use")
        same(taken.stdout, "")
        same(made.rows("SELECT 1"), [(1,)])
    with warehouse() as made:
        public = tributary("serve", made.directory, "--listen", "0.0.0.0:0", timeout=20)
        same(public.returncode != 0, True, "listening on every address without TLS")
        holds(public.stderr.lower(), "tls")
        public = tributary("serve", made.directory, "--listen", "0.0.0.0:0", "--trust", timeout=20)
        same(public.returncode != 0, True, "listening on every address without passwords")
        unknown = tributary("serve", made.directory, "--colour", "blue")
        same(unknown.returncode, 2)
        holds(unknown.stderr, "--colour")


@check("serve: SIGTERM ends it cleanly, with clients connected")
def terminated():
    with served() as made:
        connection = made.connect()
        connection.execute("CREATE TABLE t AS SELECT 1 AS n")
        same(made.stop(), 0, "the exit code")
        port = int(connection.info.port)
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except ConnectionRefusedError:
            pass
        else:
            raise AssertionError("something listens on the port still")
        made.serve()
        same(made.rows("SELECT n FROM t"), [(1,)])


@check("serve: what was acknowledged before kill -9 is there after it")
def killed():
    with served() as made:
        connection = made.connect()
        connection.execute("CREATE TABLE t (n bigint)")
        for turn in range(5):
            connection.execute(f"INSERT INTO t VALUES ({turn})")
            connection.pgconn.send_query(b"INSERT INTO t SELECT 1000 + g FROM generate_series(1, 3000000) AS s (g)")
            connection.pgconn.flush()
            time.sleep(0.02 * turn)
            made.kill()
            began = time.monotonic()
            made.serve()
            took = time.monotonic() - began
            if took > 5:
                raise AssertionError(f"the start took {took:.1f} s")
            connection = made.connect()
            small = connection.execute("SELECT count(*), count(DISTINCT n) FROM t WHERE n < 1000").fetchone()
            same(small, (turn + 1, turn + 1))
            many = connection.execute("SELECT count(*) FROM t WHERE n > 1000").fetchone()[0]
            same(many % 3_000_000, 0, "rows of the statements that were cut off")


@check("sql: results as table, csv and json, with and without a server")
def sql_formats():
    query = "SELECT * FROM (VALUES (1, 'a,b'), (2, NULL)) AS t (n, word) ORDER BY n"
    with served() as made:
        for _ in range(2):
            table = tributary("sql", made.directory, "-c", query)
            same(table.returncode, 0, table.stderr)
            holds(table.stdout, "n", "word", "a,b")
            csv = tributary("sql", made.directory, "--format", "csv", "-c", query)
            same(csv.stdout, 'n,word\n1,"a,b"\n2,\n')
            rows = tributary("sql", made.directory, "--format", "json", "-c", query)
            same(json.loads(rows.stdout), [{"n": 1, "word": "a,b"}, {"n": 2, "word": None}])
            if made.server:
                # Written here, seen there.
                same(tributary("sql", made.directory, "-c", "CREATE TABLE beside AS SELECT 5 AS n").returncode, 0)
                same(made.rows("SELECT n FROM beside"), [(5,)])
                made.stop()


@check("sql: a script stops at its first error, and says where it is")
def sql_script():
    with warehouse() as made:
        script = made.folder / "job.sql"
        script.write_text("CREATE TABLE t AS SELECT 1 AS n;\n\nSELECT n\nFROM nowhere;\nDROP TABLE t;\n")
        ended = tributary("sql", made.directory, "-f", script)
        same(ended.returncode, 3)
        holds(ended.stderr, "job.sql:", "42P01", '"nowhere" does not exist')
        kept = tributary("sql", made.directory, "--format", "csv", "-c", "SELECT n FROM t")
        same(kept.stdout, "n\n1\n")
        script.write_text("CREATE TABLE u AS SELECT 1 AS n;\nSELECT 1 FROM nowhere;\n")
        same(tributary("sql", made.directory, "--single-transaction", "-f", script).returncode, 3)
        same(tributary("sql", made.directory, "-c", "SELECT * FROM u").returncode, 3)
        variable = tributary("sql", made.directory, "--format", "csv", "-v", "who=o'clock", "-c", "SELECT :'who' AS w")
        same(variable.stdout, "w\no'clock\n")


@check("check: a sound warehouse passes, an altered file is named")
def check_warehouse():
    with warehouse() as made:
        made_rows = "CREATE TABLE t AS SELECT g AS n FROM generate_series(1, 20000) AS s (g)"
        same(tributary("sql", made.directory, "-q", "-c", made_rows).returncode, 0)
        sound = tributary("check", made.directory)
        same((sound.returncode, sound.stderr), (0, ""))
        holds(sound.stdout, "1 files", " 0 faults")
        (file,) = pathlib.Path(made.directory).glob("data/**/*.parquet")
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.chmod(0o644)
        file.write_bytes(content)
        damaged = tributary("check", made.directory)
        same(damaged.returncode, 1)
        holds(damaged.stderr, file.name, "damaged")
        same(tributary("check", made.directory / "no such place").returncode, 1)


@check("--help names every command, and --version the version")
def help_text():
    helped = tributary("--help")
    same(helped.returncode, 0)
    holds(helped.stdout, "init", "serve", "sql", "ingest", "contracts", "check", "demo")
    version = tributary("--version")
    same(bool(re.fullmatch(r"tributary \d+\.\d+\.\d+\n", version.stdout)), True, version.stdout)
    same(tributary("no-such-command").returncode, 2)
    same(tributary().returncode, 2)


@check("contracts: a mapping that cannot work says whose it is, a channel can be forgotten, an empty one is refused")
def contracts_mended():
    with warehouse() as made:
        tables = (
            "CREATE SCHEMA web; CREATE TABLE web.items AS SELECT 'a' AS sku, 'cheap' AS price; "
            "CREATE SCHEMA app; CREATE TABLE app.items AS SELECT 'b' AS sku, '2.50' AS price"
        )
        same(tributary("sql", made.directory, "-c", tables).returncode, 0)
        mapping = '[products]\nsource = "{0}.items"\n[products.columns]\nproduct_id = "sku"\n{1}'
        good, bad = made.folder / "app.toml", made.folder / "web.toml"
        good.write_text('channel = "app"\n' + mapping.format("app", 'price = "price"\n'))
        bad.write_text('channel = "web"\n' + mapping.format("web", 'price = "price"\n'))
        same(tributary("contracts", made.directory, good).returncode, 0)
        refused = tributary("contracts", made.directory, bad)
        same(refused.returncode != 0, True, "a price that is no number")
        holds(refused.stderr, "22P02", '"cheap"', str(bad), '"products"', '"web"')
        price = ["sql", made.directory, "--format", "csv", "-c", "SELECT channel, price FROM products ORDER BY 1"]
        same(tributary(*price).stdout.split(), ["channel,price", "app,2.50"])
        bad.write_text('channel = "web"\n' + mapping.format("web", ""))
        same(tributary("contracts", made.directory, bad).returncode, 0)
        same(tributary(*price).stdout.split(), ["channel,price", "app,2.50", "web,"])
        same(tributary("contracts", made.directory, "--forget", "app").returncode, 0)
        same(tributary(*price).stdout.split(), ["channel,price", "web,"])
        unknown = tributary("contracts", made.directory, "--forget", "app")
        same(unknown.returncode != 0, True, "forgetting what is not kept")
        holds(unknown.stderr, '"app"', "web")
        bad.write_text('channel = "web"\n')
        empty = tributary("contracts", made.directory, bad)
        same(empty.returncode != 0, True, "a mapping of nothing")
        holds(empty.stderr, str(bad), "maps no contract", "customers")
        same(tributary("contracts", made.directory, "--forget", "web").returncode, 0)
        same(tributary(*price).returncode, 3, "a view of no channel")


@check("ingest: of several files all or none are loaded, also by several processes at once")
def ingest_together():
    with warehouse() as made:
        files = made.folder / "files"
        files.mkdir()
        for n in range(6):
            duckdb.sql(f"COPY (SELECT {n}::INTEGER AS n) TO '{files / f'part-{n}.parquet'}' (FORMAT parquet)")
        (files / "zz.parquet").write_text("not parquet")
        refused = tributary("ingest", made.directory, "web", files)
        same(refused.returncode != 0, True)
        holds(refused.stderr, "zz.parquet", "Nothing was loaded")
        same(tributary("sql", made.directory, "-c", "SELECT count(*) FROM web.part").returncode, 3)
        (files / "zz.parquet").unlink()
        started = [
            tributary_started("ingest", made.directory, "web", files / f"part-{n}.parquet") for n in range(6)
        ]
        for process in started:
            out, err = process.communicate(timeout=60)
            same((process.returncode, err), (0, ""), out)
        rows = tributary("sql", made.directory, "--format", "csv", "-c", "SELECT count(*), sum(n) FROM web.part")
        same(rows.stdout.split(), ["count,sum", "6,15"])
