"""Installs the Autobahn TestSuite under `target/autobahn/`, and runs it.

The suite is Python 2 code, and pip for Python 2 is no longer to be had from
Python 3's own tools. Hence two steps: a Python 3 environment that holds the
last virtualenv able to make a Python 2.7 environment, and then that one.
"""

import glob
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from problems import CANNOT_RUN, REJECTED, Problem

# The name of townhall in reports.
AGENT = "townhall"

PINS = Path(__file__).resolve().parent
BOOTSTRAP = PINS / "requirements-bootstrap.txt"
REQUIREMENTS = PINS / "requirements.txt"
CONSTRAINTS = PINS / "constraints-build.txt"

NO_PYTHON27 = (
    "Python 2.7 not found (set PYTHON27, or install it with pyenv); the suite can also be run "
    "by its Docker image crossbario/autobahn-testsuite, or under Python 3 by `kosoku` from PyPI"
)

# Asked of the suite itself, so that a pattern means here what it means to wstest.
LIST_CASES = """
import json, sys
from autobahntestsuite.case import Cases, CaseCategories, CaseSubCategories
from autobahntestsuite.caseset import CaseSet
cases = CaseSet("Case", "Case", Cases, CaseCategories, CaseSubCategories)
chosen = cases.parseSpecCases({"cases": sys.argv[1:]})
print(json.dumps([case for case in chosen if case in cases.CasesById]))
"""


def runs_as_python27(python):
    """Tell whether `python` is a Python 2.7 that really runs; a pyenv shim may only look so."""
    check = [python, "-c", "import sys; sys.exit(sys.version_info[:2] != (2, 7))"]
    try:
        return subprocess.run(check, capture_output=True, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def find_python27():
    """Return a Python 2.7, looking where the user says, then on PATH, then in pyenv."""
    chosen = os.environ.get("PYTHON27")
    if chosen:
        if runs_as_python27(chosen):
            return chosen
        raise Problem(f"PYTHON27={chosen} is not a Python 2.7 that runs", CANNOT_RUN)
    pyenv = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    installed = glob.glob(os.path.join(pyenv, "versions", "2.7*", "bin", "python"))
    for python in [shutil.which("python2.7"), *sorted(installed, reverse=True)]:
        if python and runs_as_python27(python):
            return python
    raise Problem(NO_PYTHON27, CANNOT_RUN)


def fingerprint(home):
    """Identify an installation: a changed pin or a moved directory makes it out of date."""
    digest = hashlib.sha256(str(home).encode())
    for path in (BOOTSTRAP, REQUIREMENTS, CONSTRAINTS):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def install_step(log, command, **more_environment):
    """Run one step of the installation, showing its output only when it fails."""
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **more_environment}
    command = [str(word) for word in command]
    with open(log, "ab") as output:
        done = subprocess.run(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        sys.stderr.write(log.read_text(errors="replace")[-4000:])
        raise Problem(f"`{' '.join(command)}` failed, see {log}", CANNOT_RUN)


class Part(NamedTuple):
    """Cases for one process of the suite, the URL to try them at, and where to put its report."""

    url: str
    cases: list
    report: Path


class Suite:
    """The suite as installed in a directory of its own."""

    def __init__(self, home):
        """Name the places under `home`; nothing is installed yet."""
        self.home = home
        self.bootstrap = home / "bootstrap"
        self.python27 = home / "suite"
        self.stamp = home / "installed"

    def is_installed(self):
        """Tell whether an earlier run has installed these very pins, and they still work."""
        if not self.stamp.is_file() or self.stamp.read_text() != fingerprint(self.home):
            return False
        return runs_as_python27(str(self.python27 / "bin/python"))

    def install(self):
        """Install the suite unless these very pins are installed already."""
        if self.is_installed():
            return
        python27 = find_python27()
        print(f"installing the Autobahn TestSuite in {self.home} (about a minute)", flush=True)
        self.discard()
        log = self.home / "install.log"
        bootstrap, suite = self.bootstrap / "bin/python", self.python27 / "bin/python"
        install_step(log, [sys.executable, "-m", "venv", self.bootstrap])
        install_step(log, [bootstrap, "-m", "pip", "install", "-r", BOOTSTRAP])
        install_step(log, [bootstrap, "-m", "virtualenv", "--python", python27, self.python27])
        install_step(log, [suite, "-m", "pip", "install", "--no-deps", "-r", REQUIREMENTS],
                     PIP_CONSTRAINT=str(CONSTRAINTS))
        # Written last: an installation cut short has no stamp and is done again.
        self.stamp.write_text(fingerprint(self.home))

    def discard(self):
        """Clear away an older or half-made installation."""
        self.home.mkdir(parents=True, exist_ok=True)
        for leftover in (self.stamp, self.home / "install.log"):
            leftover.unlink(missing_ok=True)
        for leftover in (self.bootstrap, self.python27):
            shutil.rmtree(leftover, ignore_errors=True)

    def select(self, patterns):
        """Return the cases that wstest will run for `patterns`."""
        command = [str(self.python27 / "bin/python"), "-c", LIST_CASES, *patterns]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            reason = done.stderr.strip().rpartition("\n")[2]
            raise Problem(f"the suite cannot select {' '.join(patterns)}: {reason}", CANNOT_RUN)
        return json.loads(done.stdout)

    def test(self, parts, deadline):
        """Run all parts side by side, and return the results by case of each."""
        commands = [(self.prepare(part), part.report / "wstest.log") for part in parts]
        run_to_end(commands, deadline)
        return [read_results(part.report) for part in parts]

    def prepare(self, part):
        """Write down what wstest is to do, and return its command."""
        spec = part.report / "spec.json"
        spec.write_text(json.dumps({
            "outdir": str(part.report),
            "servers": [{"agent": AGENT, "url": part.url}],
            "cases": part.cases,
            "exclude-cases": [],
        }))
        return [str(self.python27 / "bin/wstest"), "-m", "fuzzingclient", "-s", str(spec)]


def read_results(report):
    """Return the results by case that a directory holds, none if wstest wrote no report."""
    index = report / "index.json"
    return json.loads(index.read_text()).get(AGENT, {}) if index.is_file() else {}


def run_to_end(commands, deadline):
    """Run commands side by side, each with a log, until all have ended or `deadline` seconds passed.

    Return their exit statuses. Whatever ends the wait, it leaves no process behind.
    """
    end = time.monotonic() + deadline
    with ExitStack() as stack:
        processes = [stack.enter_context(started(command, log)) for command, log in commands]
        for process in processes:
            try:
                process.wait(timeout=max(end - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                message = f"the suite did not finish within {deadline} seconds"
                raise Problem(message, REJECTED) from None
        return [process.returncode for process in processes]


@contextmanager
def started(command, log):
    """Run `command` for the length of a `with` block, with its output in the file `log`."""
    with open(log, "wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
