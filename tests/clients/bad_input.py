"""Wrong logins, wrong SQL and wrong bytes: each gets its error, and the server and the data are as before."""

import contextlib
import errno
import os
import socket
import struct
import time

import psycopg

from harness import SOAK, check, hang_up, holds, refused, same, served, unharmed


@contextlib.contextmanager
def login_refused(*parts):
    """The connection attempt inside must fail, and its text must hold these parts.

    libpq gives no SQLSTATE for a failed login, so `answer_to_startup` looks at that.
    """
    try:
        yield
    except psycopg.OperationalError as error:
        holds(str(error), *parts)
    else:
        raise AssertionError(f"a login was accepted where {parts} was expected")


@check("login: wrong password, unknown user, unknown database, no password")
def wrong_login():
    with served() as made, unharmed(made):
        with login_refused("password authentication failed for user"):
            made.connect(password="not this one")
        # An unknown user sees what a known one with a wrong password sees.
        with login_refused('password authentication failed for user "nobody_at_all"'):
            made.connect(user="nobody_at_all")
        with login_refused('database "elsewhere" does not exist'):
            made.connect(dbname="elsewhere")
        with login_refused("no password supplied"):
            made.connect(password="", passfile="/dev/null")


@check("login: without passwords a known user gets in and an unknown one does not")
def trust():
    with served("--trust") as made, unharmed(made):
        with made.connect(password="") as connection:
            same(connection.execute("SELECT 1").fetchone(), (1,))
        with login_refused('role "nobody_at_all" does not exist'):
            made.connect(user="nobody_at_all", password="")


def answer_to_startup(made, user, database):
    """What the server answers to a startup message, as far as it comes in one piece."""
    with socket.create_connection(("127.0.0.1", made.port), timeout=10) as wire:
        body = struct.pack("!i", 196608) + b"user\0" + user + b"\0database\0" + database + b"\0\0"
        wire.sendall(struct.pack("!i", len(body) + 4) + body)
        return wire.recv(4096)


@check("login: SCRAM is asked of everybody, and the SQLSTATE of a wrong database is 3D000")
def startup_answers():
    with served() as made:
        user = made.url.split("//")[1].split("@")[0].encode()
        for name in (user, b"nobody_at_all"):
            answer = answer_to_startup(made, name, b"tributary")
            same(answer[:1], b"R")
            holds(answer.decode("latin-1"), "SCRAM-SHA-256")
    with served("--trust") as made:
        answer = answer_to_startup(made, user, b"elsewhere").decode("latin-1")
        same(answer[:1], "E")
        holds(answer, "FATAL", "C3D000", 'database "elsewhere" does not exist')
        answer = answer_to_startup(made, b"nobody_at_all", b"tributary").decode("latin-1")
        holds(answer, "FATAL", "C28000")


# Statements and what must be said about them: SQLSTATE, parts of the message, a part of the hint or None.
WRONG = [
    ("SELEC 1", "42601", ["syntax error"], None),
    ("SELECT * FROM nowhere", "42P01", ['relation "nowhere" does not exist'], None),
    ("SELECT nothing FROM kept", "42703", ['column "nothing" does not exist'], None),
    ("SELECT no_such_function(1)", "42883", ["function no_such_function", "does not exist"], None),
    ("SELECT CAST(1 AS no_such_type)", "42704", ['type "no_such_type" does not exist'], None),
    ("SELECT CAST('seven' AS integer)", "22P02", ['invalid input syntax for type integer: "seven"'], None),
    ("SELECT 1 / (n - 7) FROM kept", "22012", ["division by zero"], None),
    ("SELECT CAST(n AS bigint) + 9223372036854775807 FROM kept", "22003", ["out of range"], None),
    ("SELECT n, count(*) FROM kept", "42803", ['"kept.n" must appear in the GROUP BY clause'], None),
    ("CREATE TABLE kept (n bigint)", "42P07", ['relation "kept" already exists'], None),
    ("CREATE TABLE no_such_schema.t (n bigint)", "3F000", ['schema "no_such_schema" does not exist'], None),
    ("DROP TABLE nowhere", "42P01", ['table "nowhere" does not exist'], None),
    ("INSERT INTO kept VALUES (1, 'a', 2)", "42601", ["INSERT has more expressions than target columns"], None),
    ("INSERT INTO kept (n) VALUES ('seven')", "22P02", ["invalid input syntax"], None),
    ("SELECT * FROM ml.no_such(kept)", "42883", ["ml.no_such", "does not exist"], None),
    ("SELECT * FROM ml.kmeans(kept, features => 'n', clusters => 2)", "42883", ['"clusters"'], "n_init"),
    ("SELECT * FROM ml.kmeans(kept)", "42883", ['"features"'], None),
    ("SELECT * FROM ml.kmeans(nowhere, features => 'n', k => 1)", "42P01", ['"nowhere" does not exist'], None),
    ("SELECT * FROM ml.kmeans(kept, features => 'absent', k => 1)", "42703", ['"absent"'], None),
    ("SELECT * FROM ml.kmeans(kept, features => 't', k => 1)", "42804", ['"t"'], ""),
    ("SELECT * FROM ml.kmeans(kept, features => 'n', k => 2)", "22023", ["2", "1"], ""),
    ("SELECT * FROM ml.kmeans(kept, features => 'n', k => 0)", "22023", ['"k"'], None),
    ("SELECT * FROM ml.kmeans((SELECT NULL::float8 AS x), features => 'x', k => 1)", "22004", ['"x"'], ""),
    ("SELECT * FROM ml.kmeans((SELECT 'NaN'::float8 AS x), features => 'x', k => 1)", "22023", ['"x"'], ""),
    ("SELECT * FROM ml.kmeans((SELECT n FROM kept WHERE false), features => 'n', k => 1)", "22023", ["no rows"], ""),
    ("SELECT * FROM ml.recommend('kept')", "42809", ['"kept"'], ""),
    ("SELECT * FROM ml.recommend('no_model')", "42P01", ['"no_model"'], None),
    ("SELECT * FROM fusion.stitch(kept, key => 'n')", "42703", ['"email"'], "ids =>"),
    ("SELECT * FROM fusion.stitch(kept, ids => 't')", "42883", ['"key"'], "ids columns"),
]


@check("SQL: what is wrong is named, with its SQLSTATE")
def wrong_statements():
    with served() as made, unharmed(made), made.connect() as connection:
        faults = []
        for statement, code, parts, hint in WRONG:
            try:
                with refused(code, *parts, hint=hint):
                    connection.execute(statement)
            except AssertionError as fault:
                faults.append(f"{statement}\n{fault}")
            same(connection.execute("SELECT 1").fetchone(), (1,), f"after {statement}")
        if faults:
            raise AssertionError("\n\n".join(faults))


@check("a client that leaves in the middle takes nothing with it")
def client_leaves():
    with served() as made, unharmed(made):
        turns = 100 if SOAK else 8
        for turn in range(turns):
            connection = made.connect()
            if turn % 2:
                # In the middle of rows.
                connection.pgconn.send_query(b"SELECT * FROM generate_series(1, 10000000) AS s (g)")
            else:
                # In the middle of a statement that writes.
                connection.pgconn.send_query(
                    b"CREATE TABLE left_behind AS SELECT g AS n FROM generate_series(1, 100000000) AS s (g)"
                )
            connection.pgconn.flush()
            time.sleep(0.05)
            hang_up(connection)
        # What they ran ends soon: no session is left, and the half-made table never came to be.
        deadline = time.monotonic() + 10
        sessions = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        while made.rows(sessions) != [(1,)] and time.monotonic() < deadline:
            time.sleep(0.2)
        same(made.rows(sessions), [(1,)], "sessions that are left")
        with made.connect() as connection, refused("42P01"):
            connection.execute("SELECT * FROM left_behind")


def listen_to_the_end(wire, bytes_sent):
    """Sends bytes and reads until the server closes, which it may do before it has read all of them."""
    try:
        wire.sendall(bytes_sent)
        wire.shutdown(socket.SHUT_WR)
        while wire.recv(4096):
            pass
    except (BrokenPipeError, ConnectionResetError):
        pass
    except OSError as error:
        if error.errno != errno.ENOTCONN:
            raise


@check("bytes that are no protocol end their connection and nothing else")
def hostile_bytes():
    with served() as made, unharmed(made):
        attempts = [
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"\0" * 64,
            struct.pack("!ii", 2_000_000_000, 196608),
            struct.pack("!ii", 3, 196608),
            struct.pack("!ii", 8, 80877103) + b"\x16\x03\x01",
            struct.pack("!ii", 9, 196608) + b"\xff",
            b"",
        ]
        for bytes_sent in attempts:
            with socket.create_connection(("127.0.0.1", made.port), timeout=15) as wire:
                listen_to_the_end(wire, bytes_sent)
        # A frame of 2 GB announced after the login is refused before it is read.
        connection = made.connect()
        with socket.socket(fileno=os.dup(connection.fileno())) as wire:
            wire.setblocking(True)
            wire.settimeout(15)
            listen_to_the_end(wire, b"Q" + struct.pack("!i", 2_000_000_000) + b"SELECT 1")
        connection.close()
