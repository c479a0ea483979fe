"""Runs a driver suite (../suite.json) with cassandra-driver for Python.

Argument: a JSON list of runs {label, suite, host, port, version, compression, keyspace}. Prints a JSON
line per case: run, case, ok, outcome. What outcomes must be is the caller's business; `ok` is false where a
value was not what had been written.
"""

import json
import sys
import threading
import time

from cassandra import ConsistencyLevel, ProtocolVersion
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import FallthroughRetryPolicy, RoundRobinPolicy
from cassandra.query import (
    UNSET_VALUE,
    BatchStatement,
    BatchType,
    PreparedStatement,
    SimpleStatement,
    tuple_factory,
)

TIMEOUT_S = 60
KEY_OFFSET = 1000
EVENT_TIMEOUT_S = 15
BATCH_TYPES = {
    "logged": BatchType.LOGGED,
    "unlogged": BatchType.UNLOGGED,
    "counter": BatchType.COUNTER,
}


class Mismatch(Exception):
    """A value came back other than it had been written."""


class Run:
    def __init__(self, suite, run):
        self.suite = suite
        self.run = run
        self.keyspace = run["keyspace"]
        self.prepared = {}
        self.cluster, self.session = self.connect()

    def connect(self):
        run = self.run
        profile = ExecutionProfile(
            load_balancing_policy=RoundRobinPolicy(),
            retry_policy=FallthroughRetryPolicy(),
            consistency_level=ConsistencyLevel.ONE,
            row_factory=tuple_factory,
            request_timeout=TIMEOUT_S,
        )
        cluster = Cluster(
            [run["host"]],
            port=run["port"],
            protocol_version=run["version"],
            allow_beta_protocol_version=False,
            compression=run.get("compression") or False,
            execution_profiles={EXEC_PROFILE_DEFAULT: profile},
            connect_timeout=TIMEOUT_S,
            control_connection_timeout=TIMEOUT_S,
        )
        session = cluster.connect()
        session.execute(
            f"CREATE KEYSPACE IF NOT EXISTS {self.keyspace} WITH replication = "
            "{'class': 'SimpleStrategy', 'replication_factor': 1}"
        )
        session.set_keyspace(self.keyspace)
        return cluster, session

    def close(self):
        self.cluster.shutdown()

    def step(self, step):
        handler = getattr(self, "do_" + step["do"].replace("-", "_"))
        try:
            return handler(step)
        except Mismatch:
            raise
        except Exception as error:  # what the server says is an outcome too
            return {"error": type(error).__name__, "message": str(error)}

    def values(self, values):
        def one(value):
            return UNSET_VALUE if isinstance(value, dict) else value

        if isinstance(values, dict):
            return {name: one(value) for name, value in values.items()}
        return [one(value) for value in values or []]

    def describe(self, future):
        rows = [repr(row) for row in future.result()]
        outcome = {"rows": rows}
        if future.warnings:
            outcome["warnings"] = future.warnings
        if future.custom_payload:
            outcome["payload"] = repr(future.custom_payload)
        return outcome

    def execute(self, statement, step, values=None):
        if "serial" in step:
            statement.serial_consistency_level = ConsistencyLevel.name_to_value[step["serial"]]
        payload = {k: v.encode() for k, v in step.get("payload", {}).items()} or None
        future = self.session.execute_async(
            statement, values, trace=step.get("tracing", False), custom_payload=payload
        )
        outcome = self.describe(future)
        if step.get("tracing"):
            trace = future.get_query_trace(max_wait=TIMEOUT_S)
            outcome["traced"] = trace.request_type
        return outcome

    def do_simple(self, step):
        cql, values = step["cql"], step.get("values")
        if values is None:
            return self.execute(SimpleStatement(cql), step)
        # This driver writes the values of a simple statement into its text.
        if isinstance(values, dict):
            for name in values:
                cql = cql.replace(f":{name}", f"%({name})s")
        else:
            cql = cql.replace("?", "%s")
        return self.execute(SimpleStatement(cql), step, self.values(values))

    def prepare(self, cql) -> PreparedStatement:
        if cql not in self.prepared:
            self.prepared[cql] = self.session.prepare(cql)
        return self.prepared[cql]

    def do_prepared(self, step):
        bound = self.prepare(step["cql"]).bind(self.values(step.get("values")))
        return self.execute(bound, step)

    def do_batch(self, step):
        batch = BatchStatement(batch_type=BATCH_TYPES[step["type"]])
        for child in step["children"]:
            if child.get("prepared"):
                batch.add(self.prepare(child["cql"]), self.values(child.get("values")))
            else:
                batch.add(SimpleStatement(child["cql"]))
        return self.execute(batch, step)

    def do_topology(self, _step):
        hosts = self.cluster.metadata.all_hosts()
        connection = self.cluster.control_connection._connection
        return {
            "version": connection.protocol_version,
            "compression": connection.compressor is not None,
            "cluster": self.cluster.metadata.cluster_name,
            "partitioner": self.cluster.metadata.partitioner,
            "tokens": self.cluster.metadata.token_map is not None,
            "hosts": [[h.datacenter, h.rack, h.release_version] for h in hosts],
        }

    def do_create_types_table(self, _step):
        columns = ", ".join(f"c_{t['name']} {t['cql']}" for t in self.suite["types"])
        return self.do_simple({"cql": f"CREATE TABLE types (k int PRIMARY KEY, {columns})"})

    def do_schema(self, _step):
        self.cluster.refresh_schema_metadata()
        keyspace = self.cluster.metadata.keyspaces[self.keyspace]
        return keyspace.export_as_string().split("\n")

    def do_schema_event(self, step):
        cluster, session = self.connect()
        try:
            session.execute(step["cql"])
        finally:
            cluster.shutdown()
        deadline = time.monotonic() + EVENT_TIMEOUT_S
        while step["table"] not in self.cluster.metadata.keyspaces[self.keyspace].tables:
            if time.monotonic() > deadline:
                raise Mismatch("the first session did not hear of the new table")
            time.sleep(0.05)
        return "heard of"

    def do_types(self, _step):
        key = 0
        outcome = {}
        for one in self.suite["types"]:
            if "python" in one.get("unreadBy", {}):
                continue
            column = f"c_{one['name']}"
            insert = self.prepare(f"INSERT INTO types (k, {column}) VALUES (?, ?)")
            select = self.prepare(f"SELECT {column} FROM types WHERE k = ?")
            seen = []
            for literal in [*one["literals"], "null"]:
                key += 1
                self.session.execute(
                    f"INSERT INTO types (k, {column}) VALUES ({key}, {literal})"
                )
                written = self.session.execute(select, [key]).one()[0]
                self.session.execute(insert, [key + KEY_OFFSET, written])
                read = self.session.execute(select, [key + KEY_OFFSET]).one()[0]
                if read != written:
                    raise Mismatch(f"{column}: {literal} was {written!r}, then {read!r}")
                seen.append(repr(read))
            outcome[one["name"]] = seen
        return outcome

    def do_size(self, step):
        written = (bytes(range(251)) * (step["bytes"] // 251 + 1))[: step["bytes"]]
        insert = self.prepare("INSERT INTO sizes (k, v) VALUES (?, ?)")
        self.session.execute(insert, [step["key"], written])
        select = self.prepare("SELECT v FROM sizes WHERE k = ?")
        read = self.session.execute(select, [step["key"]]).one()[0]
        if read != written:
            raise Mismatch(f"{step['bytes']} bytes were written, {len(read)} read")
        return len(read)

    def do_in_flight(self, step):
        statement = self.prepare(step["cql"])
        free = threading.Semaphore(step["atOnce"])
        faults = []
        futures = []
        for i in range(step["requests"]):
            free.acquire()
            future = self.session.execute_async(statement, [i, f"value {i}"])
            future.add_callbacks(
                lambda _: free.release(),
                lambda error: (faults.append(repr(error)), free.release()),
            )
            futures.append(future)
        for future in futures:
            future.result()
        return {"faults": faults}

    def do_page(self, step):
        statement = SimpleStatement(step["cql"], fetch_size=step["pageSize"])
        pages = []
        rows = []
        state = None
        while True:
            # By its paging state, as an application does that keeps it between two requests.
            page = self.session.execute(statement, paging_state=state)
            rows += page.current_rows
            pages.append(len(page.current_rows))
            state = page.paging_state
            if state is None:
                break
        if rows != [(i, f"value {i}") for i in range(len(rows))]:
            raise Mismatch("the rows are not those that were written, in order")
        return pages

    def do_use(self, _step):
        return self.do_simple({"cql": f"USE {self.keyspace}"})

    def do_reconnect(self, _step):
        self.cluster.shutdown()
        self.prepared = {}
        self.cluster, self.session = self.connect()
        return "connected"


def main():
    for run in json.loads(sys.argv[1]):
        with open(run["suite"], encoding="utf-8") as file:
            suite = json.load(file)
        one = Run(suite, run)
        for case in suite["cases"]:
            if run["version"] < case.get("from", 0):
                continue
            started = time.monotonic()
            result = {"run": run["label"], "case": case["name"], "ok": True}
            try:
                result["outcome"] = [one.step(step) for step in case["steps"]]
            except Mismatch as mismatch:
                result.update(ok=False, outcome=str(mismatch))
            result["ms"] = round((time.monotonic() - started) * 1000)
            print(json.dumps(result), flush=True)
        one.close()


main()
