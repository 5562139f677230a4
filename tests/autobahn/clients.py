"""Tests townhall's client role with the suite's own server."""

import json
import socket
import time
from contextlib import ExitStack

from problems import CANNOT_RUN, REJECTED, Problem
from relay import NAME, presenting, relaying
from suite import AGENT, read_results, run_to_end, started

START_DEADLINE = 30


def free_port():
    """Return a port that nobody uses, because the suite cannot say which one it has taken."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def await_server(process, port, log):
    """Wait until the suite's server accepts connections."""
    end = time.monotonic() + START_DEADLINE
    while time.monotonic() < end:
        if process.poll() is not None:
            raise Problem(f"the suite's server ended, see {log}", CANNOT_RUN)
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise Problem(f"the suite's server did not start, see {log}", CANNOT_RUN)


def serve(stack, suite, part, port):
    """Run the suite's server for these cases until the stack unwinds."""
    spec = part.report / "spec.json"
    spec.write_text(json.dumps({
        "url": f"ws://127.0.0.1:{port}",
        "outdir": str(part.report),
        "cases": part.cases,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }))
    # Without a web port, it serves no page about itself.
    command = [suite.python27 / "bin/wstest", "-m", "fuzzingserver", "-s", spec, "-u", "0"]
    log = part.report / "wstest.log"
    process = stack.enter_context(started([str(word) for word in command], log))
    await_server(process, port, log)


def command_for(stack, client, port, identity):
    """Return the client's command for the suite's server on this port.

    With an identity, which is a certificate and its key, the client speaks TLS to a relay. Its URL keeps
    the port of the suite, which refuses a request whose Host field has another one.
    """
    if identity is None:
        return [client, f"ws://127.0.0.1:{port}", AGENT]
    tls_port = stack.enter_context(relaying(port, to_client=presenting(*identity)))
    certificate, _ = identity
    return [client, f"wss://{NAME}:{port}", AGENT, certificate, f"127.0.0.1:{tls_port}"]


def test_client(suite, client, parts, identity, deadline):
    """Run the client against all parts side by side, and return the results by case of each."""
    with ExitStack() as stack:
        ports = [free_port() for _ in parts]
        for part, port in zip(parts, ports):
            serve(stack, suite, part, port)
        commands = [(command_for(stack, client, port, identity), part.report / "client.log")
                    for part, port in zip(parts, ports)]
        statuses = run_to_end(commands, deadline)
        for (_, log), status in zip(commands, statuses):
            if status != 0:
                raise Problem(f"the client ended with status {status}, see {log}", REJECTED)
        return [read_results(part.report) for part in parts]
