"""A session of psycopg 3: types, parameters, both formats, streaming, cancelling, errors, transactions."""

import datetime
import decimal
import threading
import time

import psycopg

from harness import SOAK, check, holds, refused, same, served

UTC = datetime.timezone.utc

# An expression and what Python must get for it, in text and in binary.
VALUES = [
    ("1", 1),
    ("CAST(32767 AS smallint)", 32767),
    ("CAST(2147483647 AS integer)", 2147483647),
    ("CAST(9223372036854775807 AS bigint)", 9223372036854775807),
    ("CAST(1.5 AS real)", 1.5),
    ("CAST(0.1 AS double precision)", 0.1),
    ("CAST('Infinity' AS double precision)", float("inf")),
    ("CAST(12.50 AS numeric(12,2))", decimal.Decimal("12.50")),
    ("CAST(-0.01 AS numeric(4,2))", decimal.Decimal("-0.01")),
    ("'text'", "text"),
    ("''", ""),
    ("'ünïcödé 🌊'", "ünïcödé 🌊"),
    ("true", True),
    ("CAST(NULL AS text)", None),
    ("DATE '2017-01-31'", datetime.date(2017, 1, 31)),
    ("DATE '1969-12-31'", datetime.date(1969, 12, 31)),
    ("TIMESTAMP '2017-01-31 23:59:59.123456'", datetime.datetime(2017, 1, 31, 23, 59, 59, 123456)),
    (
        "TIMESTAMPTZ '2017-01-31 12:00:00+02'",
        datetime.datetime(2017, 1, 31, 10, 0, tzinfo=UTC),
    ),
    ("ARRAY[1, 2, 3]", [1, 2, 3]),
    ("ARRAY['a', NULL, 'b,\"c']", ["a", None, 'b,"c']),
]


@check("psycopg: values in text and in binary")
def values():
    with served() as made, made.connect() as connection:
        for expression, expected in VALUES:
            for binary in (False, True):
                cursor = connection.cursor(binary=binary)
                found = cursor.execute(f"SELECT {expression} AS value").fetchone()[0]
                if isinstance(expected, datetime.datetime) and expected.tzinfo:
                    found = found.astimezone(UTC)
                same(found, expected, f"{expression}, binary {binary}")
                same(type(found), type(expected), f"the type of {expression}, binary {binary}")
                same(cursor.description[0].name, "value")


@check("psycopg: parameters of every type, sent as text and as binary")
def parameters():
    with served() as made, made.connect() as connection:
        connection.execute(
            "CREATE TABLE sent (n bigint, r double precision, d numeric(12,2), t text, b boolean, day date,"
            " at timestamptz)"
        )
        day = datetime.date(2017, 12, 31)
        moment = datetime.datetime(2017, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
        row = (2**62, 0.1, decimal.Decimal("-12.34"), "o'clock; --", True, day, moment)
        for kind in ("%s", "%t", "%b"):
            marks = ", ".join([kind] * 7)
            cursor = connection.execute(f"INSERT INTO sent VALUES ({marks})", row)
            same(cursor.rowcount, 1)
        connection.execute("INSERT INTO sent VALUES (%s, %s, %s, %s, %s, %s, %s)", (None,) * 7)
        rows = connection.execute("SELECT * FROM sent WHERE n IS NOT NULL").fetchall()
        same([(*found[:-1], found[-1].astimezone(UTC)) for found in rows], [row] * 3)
        same(connection.execute("SELECT count(*) FROM sent WHERE t IS NULL AND at IS NULL").fetchone(), (1,))
        found = connection.execute("SELECT n FROM sent WHERE t = %s AND day = %s LIMIT 1", ("o'clock; --", day))
        same(found.fetchone(), (2**62,))
        found = connection.execute("SELECT v FROM (VALUES (1), (2), (3)) AS x (v) WHERE v = ANY(%s)", ([1, 3],))
        same(sorted(found.fetchall()), [(1,), (3,)])
        found = connection.execute(
            "SELECT cardinality(%s::text[]), %s::text[], cardinality(%s::int[])", (["a", "b c"], ["x", None, ""], [])
        )
        same(found.fetchone(), (2, ["x", None, ""], 0))
        # The client does not say the type of a text; the cast does.
        same(connection.execute("SELECT cardinality(%s::text[])", ("{a,b}",)).fetchone(), (2,))
        same(connection.execute("SELECT (%s::int[])[2]", ("{1,2}",)).fetchone(), (2,))
        described = connection.pgconn.prepare(b"arrays", b"SELECT $1::text[], $1 IS NULL, $2::int[]")
        same(described.status, psycopg.pq.ExecStatus.COMMAND_OK)
        described = connection.pgconn.describe_prepared(b"arrays")
        same([described.param_type(position) for position in range(described.nparams)], [1009, 1007])
        with refused("22P02", "invalid input syntax"):
            connection.execute("SELECT %s::bigint", ("twelve",))


@check("psycopg: a statement prepared once and executed often")
def prepared():
    with served() as made, made.connect() as connection:
        connection.execute("CREATE TABLE numbers (n bigint)")
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO numbers VALUES (%s)", [(n,) for n in range(50)])
            same(cursor.rowcount, 50)
        for least in range(0, 50, 10):
            found = connection.execute("SELECT count(*) FROM numbers WHERE n >= %s", (least,), prepare=True)
            same(found.fetchone(), (50 - least,))
        # A prepared statement sees what was written after it was prepared.
        connection.execute("INSERT INTO numbers VALUES (1000)")
        found = connection.execute("SELECT count(*) FROM numbers WHERE n >= %s", (40,), prepare=True)
        same(found.fetchone(), (11,))


@check("psycopg: many statements in one pipeline, with an error in the middle")
def pipeline():
    with served() as made, made.connect() as connection:
        with connection.pipeline():
            cursors = [connection.execute("SELECT %s::bigint + 1", (n,)) for n in range(100)]
        same([cursor.fetchone()[0] for cursor in cursors], list(range(1, 101)))
        with refused("42P01", "nowhere"), connection.pipeline():
            connection.execute("SELECT 1")
            connection.execute("SELECT * FROM nowhere")
            connection.execute("SELECT 2")
        same(connection.execute("SELECT 3").fetchone(), (3,))


@check("psycopg: a relation function with arguments given as parameters")
def function_arguments():
    with served() as made, made.connect() as connection:
        connection.execute(
            "CREATE TABLE points AS SELECT * FROM (VALUES (1, 0.0, 0.0), (2, 0.1, 0.0), (3, 9.0, 9.0), (4, 9.1, 9.0))"
            " AS p (id, x, y)"
        )
        query = "SELECT id, cluster_id FROM ml.kmeans(points, features => 'x, y', k => %s, seed => %s) ORDER BY id"
        labels = [cluster for _, cluster in connection.execute(query, (2, 7)).fetchall()]
        same((labels[0] == labels[1], labels[2] == labels[3], labels[0] == labels[2]), (True, True, False))


@check("psycopg: rows arrive while the query runs, and a client may stop reading")
def streaming():
    rows = 20_000_000 if SOAK else 2_000_000
    with served() as made, made.connect() as connection:
        query = f"SELECT g AS n, 'row ' || g AS t FROM generate_series(1, {rows}) AS s (g)"
        began = time.monotonic()
        with connection.cursor() as cursor:
            total = 0
            for number, (n, _) in enumerate(cursor.stream(query)):
                if number == 0:
                    first = time.monotonic() - began
                total += n
        whole = time.monotonic() - began
        same((number + 1, total), (rows, rows * (rows + 1) // 2))
        if first > max(0.5, whole / 2):
            raise AssertionError(f"the first row came after {first:.2f} s of {whole:.2f} s")
        # Left in the middle: psycopg cancels, and the connection goes on.
        with connection.cursor() as cursor:
            for number, _ in enumerate(cursor.stream(query)):
                if number == 10:
                    break
        same(connection.execute("SELECT 1").fetchone(), (1,))


LONG = "SELECT count(*) FROM generate_series(1, 1000000) AS a (n), generate_series(1, 1000000) AS b (n) WHERE a.n * b.n = 7"


@check("psycopg: a running query is cancelled from outside")
def cancelling():
    with served() as made, made.connect() as connection:
        for attempt in range(10 if SOAK else 2):
            timer = threading.Timer(0.5, connection.cancel)
            timer.start()
            began = time.monotonic()
            with refused("57014", "canceling statement due to user request"):
                connection.execute(LONG)
            took = time.monotonic() - began
            timer.join()
            if took > 3:
                raise AssertionError(f"it took {took:.1f} s until the query ended")
            same(connection.execute("SELECT 1").fetchone(), (1,), f"after cancel {attempt}")


@check("psycopg: statement_timeout ends a query and only that")
def statement_timeout():
    with served() as made, made.connect() as connection, made.connect() as other:
        connection.execute("SET statement_timeout = '300ms'")
        same(connection.execute("SHOW statement_timeout").fetchone(), ("300ms",))
        same(other.execute("SHOW statement_timeout").fetchone(), ("0",))
        with refused("57014", "canceling statement due to statement timeout"):
            connection.execute(LONG)
        same(connection.execute("SELECT 1").fetchone(), (1,))
        connection.execute("RESET statement_timeout")
        same(connection.execute("SHOW statement_timeout").fetchone(), ("0",))


@check("psycopg: a transaction is whole or not at all")
def transactions():
    with served() as made, made.connect(autocommit=False) as connection, made.connect() as other:
        connection.execute("CREATE TABLE t (n bigint)")
        connection.execute("INSERT INTO t VALUES (1), (2)")
        same(connection.execute("SELECT count(*) FROM t").fetchone(), (2,), "what the transaction sees")
        with refused("42P01"):
            other.execute("SELECT * FROM t")
        connection.rollback()
        with refused("42P01"):
            connection.execute("SELECT * FROM t")
        with refused("25P02", "current transaction is aborted"):
            connection.execute("SELECT 1")
        connection.rollback()
        connection.execute("CREATE TABLE t (n bigint)")
        connection.execute("INSERT INTO t VALUES (3)")
        connection.commit()
        same(other.execute("SELECT n FROM t").fetchall(), [(3,)])


@check("psycopg: sessions do not see each other's settings")
def sessions():
    with served() as made, made.connect() as first, made.connect() as second:
        first.execute("CREATE SCHEMA one")
        first.execute("CREATE TABLE one.t AS SELECT 1 AS n")
        first.execute("SET search_path = one, public")
        first.execute("SET application_name = 'first'")
        same(first.execute("SELECT n FROM t").fetchall(), [(1,)])
        same(second.execute("SHOW application_name").fetchone(), ("",))
        with refused("42P01", '"t" does not exist'):
            second.execute("SELECT n FROM t")


@check("psycopg: many clients at once")
def many_clients():
    clients, statements = (64, 200) if SOAK else (16, 25)
    with served() as made:
        made.rows("CREATE TABLE shared AS SELECT g AS n FROM generate_series(1, 1000) AS s (g)")
        faults = []

        def work(number):
            try:
                with made.connect() as connection:
                    for turn in range(statements):
                        least = (number * 37 + turn) % 1000
                        found = connection.execute("SELECT count(*) FROM shared WHERE n > %s", (least,))
                        same(found.fetchone(), (1000 - least,))
            except Exception as fault:
                faults.append(fault)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if faults:
            raise faults[0]


@check("psycopg: the server names itself as PostgreSQL 15 to drivers")
def identity():
    with served() as made, made.connect() as connection:
        same(connection.info.server_version // 10000, 15)
        same(connection.info.parameter_status("server_encoding"), "UTF8")
        same(connection.info.parameter_status("standard_conforming_strings"), "on")
        same(connection.info.dbname, "tributary")
        holds(connection.execute("SELECT version()").fetchone()[0], "PostgreSQL 15", "Tributary")
        same(connection.execute("SELECT current_database(), current_schema()").fetchone(), ("tributary", "public"))
        with refused("42601", "syntax error"):
            connection.execute("SELEC 1")
        try:
            connection.execute("SELECT 1 FROM\n  nowhere")
        except psycopg.Error as error:
            same(error.diag.statement_position, "17", "the position of the error")


@check("psycopg: a machine's time zone at startup is no obstacle, and the client is told which is used")
def zone_of_the_machine():
    with served() as made:
        told = []
        with psycopg.connect(made.url, password=made.password, options="-c TimeZone=Europe/Berlin") as connection:
            connection.add_notice_handler(lambda notice: told.append(notice.message_primary))
            same(connection.info.parameter_status("TimeZone"), "UTC")
            same(
                connection.execute("SELECT timestamptz '2018-01-01 00:00+00'").fetchone()[0].isoformat(),
                "2018-01-01T00:00:00+00:00",
            )
        try:
            psycopg.connect(made.url, password=made.password, options="-c TimeZone=Nowhere/Land").close()
        except psycopg.Error as error:
            holds(str(error), "TimeZone", "Nowhere/Land")
        else:
            raise AssertionError("a zone that does not exist is accepted")
