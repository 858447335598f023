"""What one would pick instead: each side keeps the events in its natural way and answers the same two questions."""

import glob
import os
import pwd
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager

from measure import files
from stream import GOAL, NAMES

START_SECONDS = 30


class Side:
    def flush(self):
        pass

    def memory_reported(self):
        return None

    def settle(self):
        """What it would do by itself later."""

    def settled_bytes(self):
        return files(self.directory)


@contextmanager
def process(command, stop, **options):
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    try:
        yield child
    finally:
        child.send_signal(stop)
        try:
            child.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def connected(connect, child, refused):
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return connect()
        except refused as error:
            if child.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{child.args[0]} does not answer: {error}") from error
            time.sleep(0.05)


class Postgres(Side):
    """The first time of every pair, by its primary key. Settings are the defaults: every commit is synced."""

    batch = 1_000
    numbers = {name: number for number, name in enumerate(NAMES)}

    @classmethod
    @contextmanager
    def open(cls, directory):
        import psycopg

        # It refuses to run as root.
        account = "postgres" if os.getuid() == 0 else None
        if account:
            os.chown(directory, pwd.getpwnam(account).pw_uid, -1)
        as_user = {"user": account, "group": account, "extra_groups": []} if account else {}
        programs = os.path.dirname(shutil.which("initdb") or max(glob.glob("/usr/lib/postgresql/*/bin/initdb")))
        data = os.path.join(directory, "data")
        # A socket in a directory that nobody else may enter, hence no passwords.
        subprocess.run([f"{programs}/initdb", "--auth=trust", "--username=bench", "--encoding=UTF8", "--locale=C", data],
                       check=True, stdout=subprocess.DEVNULL, cwd=directory, **as_user)
        command = [f"{programs}/postgres", "-D", data, "-k", directory, "-c", "listen_addresses="]
        with process(command, signal.SIGINT, cwd=directory, **as_user) as child:
            side = cls()
            side.pid, side.directory = child.pid, data
            connect = lambda: psycopg.connect(host=directory, user="bench", dbname="postgres", autocommit=True)
            with connected(connect, child, psycopg.OperationalError) as side.connection:
                side.version = f"PostgreSQL {side.rows('SHOW server_version')[0][0].split()[0]}"
                side.connection.execute("""CREATE TABLE firsts (
                    event smallint, user_id text, place bigint NOT NULL, PRIMARY KEY (event, user_id))""")
                yield side

    def rows(self, query):
        return self.connection.execute(query).fetchall()

    def record(self, names, users, first):
        self.connection.execute(
            "INSERT INTO firsts SELECT * FROM unnest(%s::smallint[], %s::text[], %s::bigint[]) ON CONFLICT DO NOTHING",
            ([self.numbers[name] for name in names], users, list(range(first, first + len(names)))))

    def settle(self):
        self.connection.execute("VACUUM (ANALYZE) firsts")
        self.connection.execute("CHECKPOINT")

    def settled_bytes(self):
        return self.rows("SELECT pg_total_relation_size('firsts')")[0][0]

    def unique(self):
        return [[NAMES[event], count] for event, count in self.rows("SELECT event, count(*) FROM firsts GROUP BY event")]

    def combinations(self):
        rows = self.rows(f"""
            SELECT before, count(*) FROM (
                SELECT array_agg(f.event ORDER BY f.event) FILTER (WHERE f.event IS NOT NULL) AS before
                FROM firsts goal LEFT JOIN firsts f ON f.user_id = goal.user_id AND f.place < goal.place
                WHERE goal.event = {self.numbers[GOAL]}
                GROUP BY goal.user_id) users
            GROUP BY before""")
        return [[[NAMES[event] for event in before or []], count] for before, count in rows]


class Redis(Side):
    """A set per event. At a user's first completion of the goal a script asks the sets and counts the combination."""

    batch = 1_000
    script = """
        if redis.call('SADD', 'event:' .. ARGV[1], ARGV[2]) == 0 then return end
        local before = {}
        for _, name in ipairs({%s}) do
            if name ~= ARGV[1] and redis.call('SISMEMBER', 'event:' .. name, ARGV[2]) == 1 then
                before[#before + 1] = name
            end
        end
        redis.call('HINCRBY', 'goal:' .. ARGV[1], table.concat(before, ','), 1)
    """ % ", ".join(f"'{name}'" for name in NAMES)

    @classmethod
    @contextmanager
    def open(cls, directory):
        import redis

        socket = os.path.join(directory, "socket")
        # Its documentation's recommendation for the log; snapshots are off, because the log has everything.
        command = ["redis-server", "--port", "0", "--unixsocket", socket, "--dir", directory,
                   "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
        with process(command, signal.SIGTERM) as child:
            side = cls()
            side.pid, side.directory = child.pid, directory
            side.client = redis.Redis(unix_socket_path=socket, decode_responses=True)
            connected(side.client.ping, child, redis.exceptions.ConnectionError)
            side.version = f"Redis {side.client.info()['redis_version']}"
            side.goal = side.client.script_load(cls.script)
            side.used = side.client.info("memory")["used_memory"]
            try:
                yield side
            finally:
                side.client.close()

    def record(self, names, users, _first):
        pipeline = self.client.pipeline(transaction=False)
        for name, user in zip(names, users):
            if name == GOAL:
                pipeline.evalsha(self.goal, 0, name, user)
            else:
                pipeline.sadd(f"event:{name}", user)
        pipeline.execute()

    def memory_reported(self):
        return self.client.info("memory")["used_memory"] - self.used

    def settle(self):
        self.client.bgrewriteaof()
        while any(self.client.info("persistence")[name] for name in ("aof_rewrite_in_progress", "aof_rewrite_scheduled")):
            time.sleep(0.1)

    def unique(self):
        pipeline = self.client.pipeline(transaction=False)
        for name in NAMES:
            pipeline.scard(f"event:{name}")
        return list(zip(NAMES, pipeline.execute()))

    def combinations(self):
        return [[before.split(",") if before else [], int(count)]
                for before, count in self.client.hgetall(f"goal:{GOAL}").items()]


class ClickHouse(Side):
    """All events, in a MergeTree; the engine runs in this process, as chdb has it."""

    batch = 100_000

    @classmethod
    @contextmanager
    def open(cls, directory):
        from chdb.session import Session

        side = cls()
        side.pid, side.directory = os.getpid(), directory
        side.session = Session(directory)
        try:
            side.version = f"ClickHouse {side.rows('SELECT version()')[0][0]}"
            side.session.query("""CREATE TABLE events (event LowCardinality(String), user_id String, place UInt64)
                ENGINE = MergeTree ORDER BY (event, user_id, place)""")
            yield side
        finally:
            side.session.close()

    def rows(self, query):
        import json

        text = self.session.query(query, "JSONCompact").bytes().decode()
        return json.loads(text)["data"]

    def record(self, names, users, first):
        block = table(names, users, first)  # Its name is in the query.
        self.session.query("INSERT INTO events SELECT * FROM Python(block)")

    def settle(self):
        self.session.query("OPTIMIZE TABLE events FINAL")

    def settled_bytes(self):
        return int(self.rows("SELECT sum(bytes_on_disk) FROM system.parts WHERE table = 'events' AND active")[0][0])

    def unique(self):
        return [[name, int(count)] for name, count in self.rows("SELECT event, uniqExact(user_id) FROM events GROUP BY event")]

    def combinations(self):
        return [[before, int(count)] for before, count in self.rows(f"""
            SELECT arraySort(arrayMap(pair -> pair.1, arrayFilter(pair -> pair.2 < goal, firsts))) AS before, count()
            FROM (
                SELECT groupArray((event, place)) AS firsts, minIf(place, event = '{GOAL}') AS goal
                FROM (SELECT user_id, toString(event) AS event, min(place) AS place FROM events GROUP BY user_id, event)
                GROUP BY user_id HAVING countIf(event = '{GOAL}') > 0)
            GROUP BY before""")]


class DuckDB(Side):
    """All events, in one table of one file; the engine runs in this process."""

    batch = 100_000

    @classmethod
    @contextmanager
    def open(cls, directory):
        import duckdb

        side = cls()
        side.pid, side.directory = os.getpid(), directory
        side.version = f"DuckDB {duckdb.__version__}"
        with duckdb.connect(os.path.join(directory, "events.duckdb")) as side.connection:
            side.connection.execute("CREATE TABLE events (event VARCHAR, user_id VARCHAR, place BIGINT)")
            yield side

    def record(self, names, users, first):
        block = table(names, users, first)  # Its name is in the query.
        self.connection.execute("INSERT INTO events SELECT * FROM block")

    def settle(self):
        self.connection.execute("CHECKPOINT")

    def unique(self):
        return self.connection.execute("SELECT event, count(DISTINCT user_id) FROM events GROUP BY event").fetchall()

    def combinations(self):
        rows = self.connection.execute(f"""
            WITH firsts AS (SELECT user_id, event, min(place) AS place FROM events GROUP BY user_id, event)
            SELECT before, count(*) FROM (
                SELECT list(f.event ORDER BY f.event) FILTER (WHERE f.event IS NOT NULL) AS before
                FROM firsts goal LEFT JOIN firsts f ON f.user_id = goal.user_id AND f.place < goal.place
                WHERE goal.event = '{GOAL}'
                GROUP BY goal.user_id)
            GROUP BY before""").fetchall()
        return [[before or [], count] for before, count in rows]


def table(names, users, first):
    import pyarrow

    return pyarrow.table({"event": names, "user_id": users, "place": range(first, first + len(names))})


SIDES = {"postgres": Postgres, "redis": Redis, "clickhouse": ClickHouse, "duckdb": DuckDB}
