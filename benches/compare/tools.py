"""Programs that run a server and count what it does."""

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from peers import HOME, install_program

# How long a report may take.
REPORT_SECONDS = 10


@dataclass(frozen=True)
class Tool:
    """A program that starts a server and writes a report when it has ended."""

    # Its name, which is Debian's package, too.
    name: str
    # What it counts.
    counted: str
    # The command before the server's, which writes its report to a file.
    command: Callable[[Path], list]
    # The total in the report.
    total: re.Pattern

    def install(self):
        """Install the package, unless the program is there."""
        install_program(self.name)

    def report(self, server):
        """Return the file for a server's report, which is not there yet."""
        directory = HOME / self.name
        directory.mkdir(parents=True, exist_ok=True)
        report = directory / server
        report.unlink(missing_ok=True)
        return report

    def count(self, report):
        """Return the total of a report, which may be written when the server has ended."""
        deadline = time.monotonic() + REPORT_SECONDS
        while time.monotonic() < deadline:
            if report.exists() and (found := self.total.findall(report.read_text())):
                return int(found[-1])
            time.sleep(0.05)
        raise TimeoutError(f"{self.name} did not write {report}")


# Such an instruction would count once for each byte that it moves or sets. townhall sets this variable
# itself and starts anew, which valgrind does not follow, unless it is set already.
NO_STRING_INSTRUCTIONS = "GLIBC_TUNABLES=" + ":".join(
    f"glibc.cpu.x86_rep_{name}_threshold=1000000000" for name in ("movsb", "stosb"))

TOOLS = {
    # In user space only, whatever the machine and however busy it is.
    "valgrind": Tool(
        "valgrind", "instructions",
        lambda report: ["env", NO_STRING_INSTRUCTIONS, "valgrind", "--tool=callgrind", "--quiet",
                        f"--callgrind-out-file={report}"],
        re.compile(r"^(?:totals|summary): (\d+)", re.MULTILINE),
    ),
    "strace": Tool(
        "strace", "system calls",
        # With -D the process that is started becomes the server, and can be ended as such.
        lambda report: ["strace", "-D", "-f", "-c", "-U", "calls,name", "-o", report],
        re.compile(r"^\s*(\d+)\s+total$", re.MULTILINE),
    ),
}
