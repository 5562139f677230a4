"""One run of one server under one load: started, measured, ended."""

import json
import os
import re
import select
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import median

from peers import CERTIFICATE, GENERATOR, Setting, token_of
from row import algorithm_of, deflate_of, processes_of, server_of
from rows import CAPACITY
from servers import SERVERS
from shared import REDIS
from tools import TOOLS

# How long a server may take to start and to end, and a load to finish.
START_SECONDS = 20
END_SECONDS = 10
LOAD_SECONDS = 240

# townhall prints an address, the others a port.
LISTENING = re.compile(rb"listening on (?:https?://127\.0\.0\.1:)?(\d+)")


class Failure(Exception):
    """A run that did not work."""


def measure(row, runs):
    """Measure the contestants of a row in turn, `runs` times; return the reports of each, and what
    failed. Who fails is left out, so that it does not cost the others their row."""
    reports, failures = {name: [] for name in row.contestants}, []
    # What is counted does not vary as what is measured does.
    for _ in range(1 if row.tool else runs):
        for name in list(reports):
            try:
                reports[name].append(count(row, name) if row.tool else measure_once(row, name))
            except Failure as failure:
                del reports[name]
                failures.append(str(failure))
    return reports, failures


@cache
def rate(share):
    """Return so much of what the best peer carries, in messages a second, with two digits."""
    reports = [measure_once(CAPACITY, CAPACITY.contestants[0]) for _ in range(3)]
    deliveries = median(report["units_per_second"] for report in reports)
    return int(float(f"{share * deliveries / CAPACITY.flags['members']:.2g}"))


def count(row, name):
    """Return what a server does for a unit of work by the difference of two runs, since starting,
    accepting and warming up are the same in both."""
    tool = TOOLS[row.tool]
    units, totals = [], []
    for factor in (1, 3):
        report = tool.report(name)
        units.append(measure_once(row.times(factor), name, tool.command(report))["units"])
        totals.append(tool.count(report))
    return {"units": units[1] - units[0],
            "counted_per_unit": (totals[1] - totals[0]) / (units[1] - units[0])}


def measure_once(row, name, wrapper=()):
    """Start a server, load it, end it; return the generator's report."""
    server = SERVERS[server_of(name)]
    setting = Setting(row.mode, deflate_of(name), row.connections + 16, row.flags.get("bytes", 0),
                      tls=row.tls and not server.is_plain, algorithm=algorithm_of(name),
                      history=row.history)
    start = sharing(server, setting, processes_of(name)) if server.is_shared \
        else running(server, setting, wrapper)
    with start as (processes, port, *shared):
        token = ["--token", token_of(setting.algorithm)] if setting.algorithm else []
        load = [GENERATOR, "--server", f"127.0.0.1:{port}", "--deadline", LOAD_SECONDS,
                *(word for process in processes for word in ("--pid", process)),
                *(("--tls", CERTIFICATE) if setting.tls else ()),
                *server.load_flags, *row.arguments(name), *token, *shared]
        try:
            done = subprocess.run(pinned(1, load), capture_output=True, text=True,
                                  timeout=LOAD_SECONDS + END_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise Failure(f"{row.title}: {name}: the load generator did not end") from error
        if done.returncode:
            raise Failure(f"{row.title}: {name}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def pinned(core, command):
    """Return the command line on one of two cores; taskset becomes the program it starts."""
    words = [str(word) for word in command]
    return words if os.cpu_count() < 2 else ["taskset", "--cpu-list", str(core), *words]


@contextmanager
def running(server, setting, wrapper=()):
    """Start a server for the time of the block, after the one behind it; yield the processes that do
    the work, by their identifiers, and the port."""
    with ExitStack() as stack:
        behind = []
        if server.before:
            plain = replace(setting, tls=False)
            behind, upstream = stack.enter_context(running(SERVERS[server.before], plain))
            setting = replace(setting, upstream=upstream)
        port = free_port() if server.is_told_its_port else None
        command = [*wrapper, *(server.command(setting, port) if port else server.command(setting))]
        output = subprocess.DEVNULL if port else subprocess.PIPE
        process = subprocess.Popen(pinned(0, command), stdout=output)
        stack.callback(end, process)
        if port:
            wait_for(port)
        worker = worker_of(process) if server.has_worker else process.pid
        port = port or read_port(process)
        if server.operators:
            wait_until_ready(server.operators(setting))
        yield [worker, *behind], port


@contextmanager
def sharing(server, setting, count):
    """Start Redis and so many processes of a server for the time of the block; yield all of them by their
    identifiers, the port of one, and the flags about the others."""
    with ExitStack() as stack:
        redis, port = stack.enter_context(running(REDIS, setting))
        members = [stack.enter_context(running(server, replace(setting, redis=port, index=index)))
                   for index in range(count)]
        others = (word for _, port in members[1:] for word in ("--with", f"127.0.0.1:{port}"))
        processes = [process for processes, _ in members for process in processes]
        yield ([*processes, *redis], members[0][1], "--redis-pid", *redis, *others, *server.shared_flags)


def worker_of(process):
    """Return the identifier of a process's only child, which may have to begin."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        if children:
            return int(children[0])
        time.sleep(0.05)
    raise Failure(f"{process.args} did not start a worker")


def free_port():
    """Return a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def wait_for(port):
    """Wait until something listens on a port."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise Failure(f"nothing listens on port {port}")


def wait_until_ready(path):
    """Wait until the server that answers on this Unix socket is ready."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(START_SECONDS)
            client.connect(str(path))
            client.sendall(b"GET /ready HTTP/1.1\r\nHost: townhall\r\n\r\n")
            if client.recv(4096).startswith(b"HTTP/1.1 200"):
                return
        time.sleep(0.05)
    raise Failure(f"the server on {path} was not ready in time")


def read_port(process):
    """Read what the server prints until it tells its port."""
    deadline = time.monotonic() + START_SECONDS
    printed = b""
    while found := select.select([process.stdout], [], [], deadline - time.monotonic())[0]:
        piece = os.read(found[0].fileno(), 4096)
        printed += piece
        match = LISTENING.search(printed)
        if match and printed.endswith(b"\n"):
            return int(match[1])
        if not piece:
            break
    raise Failure(f"{process.args} did not start: {printed.decode(errors='replace')}")


def end(process):
    """End a server by its process id, and wait until it is gone."""
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()
