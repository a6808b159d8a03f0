"""COPY between client and server: psycopg's copy, psql's \\copy, and files of the server, compared with what PostgreSQL writes."""

import subprocess

import duckdb
from harness import SOAK, check, holds, refused, same, served, tributary, warehouse

MADE = (
    "CREATE TABLE mixed (n integer, t text, d date, x numeric(8,2), f double precision, b boolean, s varchar(5));"
    "INSERT INTO mixed VALUES (1, 'plain', '2018-01-31', 1.5, 0.1, true, 'abc'),"
    " (2, E'tab\\there, \"quotes\" and \\\\ back', NULL, -2, 'Infinity', false, ''), (NULL, '', NULL, NULL, NULL, NULL, NULL),"
    " (3, E'two\\nlines', '2018-02-01', 0, 1e300, NULL, 'é')"
)

TEXT = (
    "1\tplain\t2018-01-31\t1.50\t0.1\tt\tabc\n"
    '2\ttab\\there, "quotes" and \\\\ back\t\\N\t-2.00\tInfinity\tf\t\n'
    "3\ttwo\\nlines\t2018-02-01\t0.00\t1e+300\t\\N\té\n"
    "\\N\t\t\\N\t\\N\t\\N\t\\N\t\\N\n"
)

CSV = (
    "n,t,d,x,f,b,s\n"
    "1,plain,2018-01-31,1.50,0.1,t,abc\n"
    '2,"tab\there, ""quotes"" and \\ back",,-2.00,Infinity,f,""\n'
    '3,"two\nlines",2018-02-01,0.00,1e+300,,é\n'
    ',"",,,,,\n'
)


def copied(connection, statement):
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        return b"".join(bytes(data) for data in copy).decode()


def fill(connection, statement, data):
    with connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            copy.write(data)
        return cursor.rowcount


@check("COPY: rows go out and come back in text and CSV")
def out_and_in():
    with served() as made, made.connect() as connection:
        connection.execute(MADE)
        query = "(SELECT * FROM mixed ORDER BY n)"
        same(copied(connection, f"COPY {query} TO STDOUT"), TEXT)
        same(copied(connection, f"COPY {query} TO STDOUT WITH (FORMAT csv, HEADER)"), CSV)
        same(copied(connection, f"COPY {query} TO STDOUT CSV HEADER"), CSV)
        same(
            copied(
                connection,
                "COPY (SELECT n, s FROM mixed ORDER BY n) TO STDOUT (FORMAT csv, DELIMITER ';', NULL 'nil', FORCE_QUOTE (n))",
            ),
            '"1";abc\n"2";\n"3";é\nnil;nil\n',
        )
        same(copied(connection, "COPY mixed (s, n) TO STDOUT").count("\n"), 4)
        for number, (statement, data) in enumerate(
            [
                ("COPY back{} FROM STDIN", TEXT),
                ("COPY back{} FROM STDIN (FORMAT csv, HEADER true)", CSV),
                ("COPY back{} (n, t, d, x, f, b, s) FROM STDIN WITH CSV HEADER", CSV.replace("\n", "\r\n", 1)),
            ]
        ):
            connection.execute(f"CREATE TABLE back{number} AS SELECT * FROM mixed WHERE false")
            same(fill(connection, statement.format(number), data), 4)
            found = connection.execute(f"SELECT * FROM back{number} ORDER BY n").fetchall()
            same(found, connection.execute("SELECT * FROM mixed ORDER BY n").fetchall())


@check("COPY: data in pieces of every size, columns left out, options, and an end mark")
def pieces():
    with served() as made, made.connect() as connection:
        connection.execute("CREATE TABLE part (a integer DEFAULT 7, b text, c text)")
        with connection.cursor() as cursor, cursor.copy("COPY part (c, b) FROM STDIN") as copy:
            for letter in "one\\ttab\tx\n\\N\t\\\\N\n\\.\nnever\tread\n":
                copy.write(letter)
        same(
            connection.execute("SELECT a, b, c FROM part ORDER BY b").fetchall(),
            [(7, "\\N", None), (7, "x", "one\ttab")],
        )
        fill(
            connection,
            "COPY part FROM STDIN (FORMAT csv, DELIMITER '|', NULL 'NULL', QUOTE '''', FORCE_NOT_NULL (b), FORCE_NULL (c))",
            "1|NULL|'NULL'\nNULL|'it''s'|x\n",
        )
        same(
            connection.execute("SELECT a, b, c FROM part WHERE a IS NULL OR a = 1 ORDER BY b").fetchall(),
            [(1, "NULL", None), (None, "it's", "x")],
        )


@check("COPY: wrong data is refused whole, with its line, and the session goes on")
def wrong():
    with served() as made, made.connect() as connection:
        connection.execute("CREATE TABLE strict (n integer NOT NULL, s varchar(2))")
        connection.execute("INSERT INTO strict VALUES (1, 'a')")
        for statement, data, code, parts in [
            ("COPY strict FROM STDIN", "2\tb\nx\tc\n", "22P02", ['"x"']),
            ("COPY strict FROM STDIN", "2\tb\n3\n", "22P04", ['missing data for column "s"', "line 2"]),
            ("COPY strict FROM STDIN", "2\tb\tc\n", "22P04", ["extra data", "line 1"]),
            ("COPY strict FROM STDIN", "2\tb\n\\N\tc\n", "23502", ['"n"']),
            ("COPY strict FROM STDIN", "2\tabc\n", "22001", ["character varying(2)"]),
            ("COPY strict FROM STDIN", b"2\t\xff\n", "22021", ["0xff"]),
            ("COPY strict FROM STDIN CSV", '2,"b\n', "22P04", ["unterminated"]),
            ("COPY nowhere FROM STDIN", "", "42P01", ['"nowhere"']),
            ("COPY strict (absent) FROM STDIN", "", "42703", ['"absent"']),
            ("COPY strict FROM STDIN (FORMAT csv, DELIMITER '\"')", "", "22023", ["delimiter and quote"]),
            ("COPY strict FROM STDIN (FORMAT text, QUOTE '\"')", "", "0A000", ["quote"]),
            ("COPY strict FROM STDIN (FORMAT csv, FORMAT text)", "", "42601", ["conflicting or redundant"]),
            ("COPY strict TO STDOUT (FORMAT parquet)", "", "0A000", ["Parquet"]),
        ]:
            with refused(code, *parts):
                fill(connection, statement, data)
            same(connection.execute("SELECT * FROM strict").fetchall(), [(1, "a")], f"{statement} {data!r}")
        connection.execute("CREATE TABLE marked (id uuid, doc json)")
        with refused("22P02", 'invalid input syntax for type uuid: "x"'):
            fill(connection, "COPY marked FROM STDIN", "A0EEBC999C0B4EF8BB6D6BB9BD380A11\t1\nx\t{}\n")
        with refused("22P02", "invalid input syntax for type json"):
            fill(connection, "COPY marked FROM STDIN", "\\N\t{a\n")
        fill(connection, "COPY marked FROM STDIN", '{A0EEBC999C0B4EF8BB6D6BB9BD380A11}\t[1]\n\\N\t\\N\n')
        same(
            connection.execute("SELECT id::text, doc::text FROM marked ORDER BY id").fetchall(),
            [("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "[1]"), (None, None)],
        )
        try:
            with connection.cursor() as cursor, cursor.copy("COPY strict FROM STDIN") as copy:
                copy.write("5\tx\n")
                raise KeyError("the client gives up")
        except KeyError:
            pass
        same(connection.execute("SELECT * FROM strict").fetchall(), [(1, "a")])
        connection.autocommit = False
        fill(connection, "COPY strict FROM STDIN", "2\tb\n")
        same(connection.execute("SELECT count(*) FROM strict").fetchone(), (2,))
        connection.rollback()
        same(connection.execute("SELECT count(*) FROM strict").fetchone(), (1,))
        connection.rollback()


@check("COPY: psql's \\copy, files of the server, Parquet out and in, the command line")
def files():
    with served() as made:
        with made.connect() as connection:
            connection.execute(MADE)
            same(connection.execute("SELECT count(*) FROM mixed").fetchone(), (4,))
            out = made.folder / "out"
            for form, name in (("csv, HEADER", "m.csv"), ("parquet", "m.parquet")):
                done = connection.execute(f"COPY mixed TO '{made.folder / name}' (FORMAT {form})")
                same((done.statusmessage, done.rowcount), ("COPY 4", 4))
            found = duckdb.sql(f"SELECT n, t, d, x, f, b, s FROM '{made.folder / 'm.parquet'}' ORDER BY n").fetchall()
            same(found, connection.execute("SELECT * FROM mixed ORDER BY n").fetchall())
            from_csv = duckdb.sql(f"SELECT sum(n), count(*) FROM read_csv('{made.folder / 'm.csv'}')").fetchall()
            same(from_csv, [(6, 4)])
            same(connection.execute(f"COPY again FROM '{made.folder / 'm.parquet'}' (FORMAT parquet)").rowcount, 4)
            with refused("58P01", "no/such"):
                connection.execute("COPY mixed TO '/no/such/folder/m.csv' (FORMAT csv)")
            connection.execute("CREATE TABLE back AS SELECT * FROM mixed WHERE false")
        script = f"\\copy (select * from mixed order by n) to '{out}' csv header\n\\copy back from '{out}' csv header\n"
        run = subprocess.run(
            ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", made.url],
            input=script,
            capture_output=True,
            text=True,
            timeout=60,
            env={"PGPASSWORD": made.password, "PATH": "/usr/bin:/bin"},
        )
        same((run.returncode, run.stderr), (0, ""))
        same(out.read_text(), CSV)
        with made.connect() as connection:
            same(connection.execute("SELECT count(*), sum(n), count(t) FROM back").fetchone(), (4, 6, 4))
    with warehouse() as made:
        same(tributary("sql", made.directory, "-c", MADE).returncode, 0)
        shown = tributary("sql", made.directory, "-q", "-c", "COPY (SELECT * FROM mixed ORDER BY n) TO STDOUT")
        same((shown.returncode, shown.stdout), (0, TEXT))


@check("COPY: many rows, without holding them all")
def many():
    rows = 5_000_000 if SOAK else 300_000
    with served() as made, made.connect() as connection:
        connection.execute("CREATE TABLE many (n bigint, t text)")
        with connection.cursor() as cursor:
            with cursor.copy("COPY many FROM STDIN") as copy:
                for start in range(0, rows, 10_000):
                    copy.write("".join(f"{n}\trow {n}\n" for n in range(start, min(start + 10_000, rows))))
            same(cursor.rowcount, rows)
        same(connection.execute("SELECT count(*), sum(n) FROM many").fetchone(), (rows, rows * (rows - 1) // 2))
        lines = size = 0
        with connection.cursor() as cursor, cursor.copy("COPY many TO STDOUT (FORMAT csv)") as copy:
            for data in copy:
                lines += 1
                size += len(data)
        same(lines, rows)
        holds(made.url, "postgresql://")
