"""What the client checks share: the list of checks, and a warehouse served by the real program."""

import contextlib
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import traceback

import psycopg

SOAK = os.environ.get("TRIBUTARY_SOAK") == "1"
PROGRAM = None  # Set by run.py.

CHECKS = []


class Skip(Exception):
    """Raised by a check that cannot be run here; its text says why."""


def check(name):
    """Registers a function without arguments as a check."""

    def register(function):
        CHECKS.append((name, function))
        return function

    return register


def run_checks(pattern):
    """Runs the checks whose name contains `pattern`; the numbers of passed and failed ones."""
    passed = failed = 0
    for name, function in CHECKS:
        if pattern not in name:
            continue
        try:
            function()
        except Skip as why:
            print(f"skipped: {name}, {why}", flush=True)
        except Exception:  # Whatever a check raises is its failure, and the next one runs.
            failed += 1
            print(f"FAILED: {name}", flush=True)
            print("    " + traceback.format_exc().rstrip().replace("\n", "\n    "), flush=True)
        else:
            passed += 1
            print(f"passed: {name}", flush=True)
    return passed, failed


def same(found, expected, what=""):
    """Fails unless both are equal."""
    if found != expected:
        raise AssertionError(f"{what}{': ' if what else ''}found\n{found!r}\nexpected\n{expected!r}")


def holds(text, *parts):
    """Fails unless the text holds each of the parts."""
    for part in parts:
        if part not in text:
            raise AssertionError(f"{part!r} is not in\n{text}")


def tributary(*arguments, timeout=60, **more):
    """Runs the program; its exit code, stdout and stderr."""
    return subprocess.run(
        [PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        **more,
    )


def tributary_started(*arguments):
    """Starts the program and does not wait for it."""
    return subprocess.Popen(
        [PROGRAM, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class Warehouse:
    """A warehouse in a directory of its own, made by `tributary init`."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tributary-"))
        self.directory = self.folder / "warehouse"
        made = tributary("init", self.directory)
        same(made.returncode, 0, made.stderr)
        self.password = (self.directory / "password").read_text().rstrip("\n")
        self.server = None
        self.url = None

    def serve(self, *arguments):
        """Serves it on a free port and waits for the line that says so."""
        self.log = open(self.folder / "log", "ab")
        self.server = subprocess.Popen(
            [PROGRAM, "serve", str(self.directory), "--listen", "127.0.0.1:0", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.log,
        )
        ready, _, _ = select.select([self.server.stdout], [], [], 30)
        line = self.server.stdout.readline().decode() if ready else "no line in 30 s"
        if not line.startswith("ready "):
            self.server.kill()
            raise AssertionError(f"serve says {line!r} and logs {self.logged()!r}")
        self.url = line.removeprefix("ready ").strip()
        holds(self.url, "postgresql://")
        if self.password in self.url:
            raise AssertionError("the line of serve shows the password")
        return self

    def logged(self):
        return (self.folder / "log").read_text(errors="replace")

    @property
    def port(self):
        return int(self.url.rsplit(":", 1)[1].split("/")[0])

    def connect(self, **settings):
        """A psycopg connection in autocommit mode."""
        settings.setdefault("password", self.password)
        settings.setdefault("autocommit", True)
        settings.setdefault("connect_timeout", 10)
        return psycopg.connect(self.url, **settings)

    def rows(self, query):
        """The rows of a statement, over a connection of its own; none for one that gives no rows."""
        with self.connect() as connection:
            cursor = connection.execute(query)
            return cursor.fetchall() if cursor.description else []

    def psql(self, *arguments, script=None, timeout=60):
        """Runs psql without the user's settings."""
        if not shutil.which("psql"):
            raise Skip("psql is not installed")
        environment = {"PATH": os.environ["PATH"], "PGPASSWORD": self.password, "LC_ALL": "C.UTF-8", "PSQL_PAGER": ""}
        return subprocess.run(
            ["psql", "-X", *arguments, self.url],
            input=script,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def stop(self):
        """Ends the server as a service manager does; its exit code."""
        self.server.send_signal(signal.SIGTERM)
        code = self.server.wait(timeout=20)
        self._forget()
        return code

    def kill(self):
        """Ends the server as a power cut does."""
        self.server.kill()
        self.server.wait()
        self._forget()

    def _forget(self):
        self.server.stdout.close()
        self.log.close()
        self.server = None

    def remove(self):
        if self.server:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def hang_up(connection):
    """Ends a psycopg connection without a word of the protocol, as a client that dies does."""
    with socket.socket(fileno=os.dup(connection.fileno())) as wire:
        wire.shutdown(socket.SHUT_RDWR)
    connection.close()


@contextlib.contextmanager
def warehouse():
    """A fresh warehouse, not served; it is gone at the end."""
    made = Warehouse()
    try:
        yield made
    finally:
        made.remove()


@contextlib.contextmanager
def served(*arguments):
    """A fresh warehouse, served; it is gone at the end, and the server must have lived until then."""
    with warehouse() as made:
        made.serve(*arguments)
        yield made
        if made.server and made.server.poll() is not None:
            raise AssertionError(f"the server ended with {made.server.returncode}: {made.logged()}")


@contextlib.contextmanager
def unharmed(made):
    """Whatever is done inside, the server serves afterwards and the table `kept` is as before."""
    made.rows("CREATE TABLE kept AS SELECT 7 AS n, 'as before' AS t")
    yield
    same(made.rows("SELECT n, t FROM kept"), [(7, "as before")], "the data after the error")


@contextlib.contextmanager
def refused(code, *parts, hint=None):
    """The statement inside must fail with this SQLSTATE and these parts in its message."""
    try:
        yield
    except psycopg.Error as error:
        message = str(error)
        same(error.sqlstate, code, f"SQLSTATE of {message!r}")
        holds(message, *parts)
        if hint is not None:
            holds(error.diag.message_hint or "(no hint)", hint)
    else:
        raise AssertionError(f"no error where {code} was expected")
