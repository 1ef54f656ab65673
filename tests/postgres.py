"""A real PostgreSQL server for tests: thrown away with its data, on a unix socket of its own.

`AGENTFORGE_TEST_DATABASE=postgres` gives one of its databases to every gateway of a test that has these fixtures.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

VARIABLE = "AGENTFORGE_TEST_DATABASE"
ON_BOTH = pytest.mark.parametrize("database_kind", ["sqlite", "postgres"], indirect=True)
"""For tests that matter enough to meet both databases in every run."""
ON_POSTGRES = pytest.mark.parametrize("database_kind", ["postgres"], indirect=True)
"""For tests of what SQLite cannot do, or does in another test."""


class PostgresServer:
    """Durability is off: what is lost with the machine is a test. Everybody who reaches the socket is trusted."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._place = Path(tempfile.mkdtemp(prefix="afpg"))  # short: a socket's path holds 107 bytes
        self._made = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._as_user: list[str] = []
        if (
            os.geteuid() == 0
        ):  # PostgreSQL refuses to run as root; and with Popen's user= gRPC gets in the fork's way
            nobody = pwd.getpwnam("nobody")
            self._as_user = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
            os.chown(self._place, nobody.pw_uid, nobody.pw_gid)
        options = ["--username=forge", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]
        done = subprocess.run(
            self._command("initdb", *options), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
            cwd=self._place,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout.decode()

    def start(self) -> PostgresServer:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._place),
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "off",
            "shared_buffers": "16MB",
            "max_connections": "60",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command("postgres", *options), stdout=log, stderr=log, cwd=self._place
            )
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.05)
        return self

    def stop(self) -> None:
        """As a machine that loses its power: nobody says goodbye."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(60)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.stop()
        shutil.rmtree(self._place, ignore_errors=True)

    def url(self, database: str) -> str:
        return f"postgresql://forge@/{database}?host={self._place}"

    def new_database(self) -> str:
        """The URL of an empty one."""
        self._made += 1
        name = f"t{self._made}"
        self.ask(f"CREATE DATABASE {name}")
        return self.url(name)

    def ask(self, statement: str, database: str = "postgres") -> None:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement.encode())

    def signal(self, number: signal.Signals) -> None:
        """To the server and all its children: SIGSTOP makes it a server that accepts and never answers."""
        assert self._process is not None
        parent = self._process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        for pid in [parent, *map(int, children)]:
            os.kill(pid, number)

    @property
    def _log(self) -> Path:
        return self._place / "log"

    def _command(self, program: str, *options: str) -> list[str]:
        return [*self._as_user, str(self._programs / program), "-D", str(self._place / "data"), *options]

    def _answers(self) -> bool:
        try:
            self.ask("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True


def empty(url: str) -> None:
    """All tables gone, as after a restore of nothing."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")


def everything_in(url: str) -> bytes:
    """All rows of all tables, as text."""
    with psycopg.connect(url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        rows = [connection.execute(f'SELECT t::text FROM "{table}" t'.encode()).fetchall() for (table,) in tables]
    return "\n".join(text for found in rows for (text,) in found).encode()


def programs() -> Path | None:
    """Where the server's programs are; distributions keep them off the PATH."""
    found = shutil.which("postgres")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda place: int(place.parent.name), reverse=True
    )
    return next((place for place in places if (place / "initdb").exists()), None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests of this process."""
    place = programs()
    if place is None:
        pytest.skip("no PostgreSQL server is installed (Debian: apt install postgresql)")
    server = PostgresServer(place)
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def database_kind(request: pytest.FixtureRequest) -> str:
    """What a test's ON_BOTH says, else what the environment asks for."""
    kind = str(getattr(request, "param", "")) or os.environ.get(VARIABLE, "sqlite")
    assert kind in ("sqlite", "postgres"), f"{VARIABLE}={kind}: sqlite and postgres are there"
    return kind


@pytest.fixture
def database_url(database_kind: str, request: pytest.FixtureRequest) -> str:
    """For AGENTFORGE_DATABASE_URL: empty is the SQLite file on the volume."""
    if database_kind == "sqlite":
        return ""
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()
