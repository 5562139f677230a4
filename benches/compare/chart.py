#!/usr/bin/env python3
"""Draws the figures of some rows as an SVG: what a unit of work costs the peers, beside townhall.

    benches/compare/chart.py [RESULTS [CHART]]

The defaults are results.json and chart.svg in target/compare/.
"""

import json
import math
import sys
from html import escape
from pathlib import Path
from statistics import median

from peers import HOME
from report import cost, digits, values
from row import server_of
from servers import SERVERS

# The rows that are drawn where they were measured, by what their titles begin with.
CHOSEN = (
    "everyone talks: 100 members",
    "everyone talks: 500 members",
    "broadcast: 100 members, 4 senders, 1 in flight",
    "broadcast: 100 members, 4 senders, 32 in flight",
    "broadcast: 10,000 members",
    "broadcast, compressed: 100 members, 4 senders, 4 in flight, 150 B",
    "echo: 64 connections, 1 in flight, 20 B",
    "echo: 64 connections, 16 in flight, 20 B, text",
    "echo: 64 connections, 1 in flight, 16 KiB",
    "echo: 64 connections, 1 in flight, 1 MiB",
    "handshakes",
    "idle: 15,000 connections",
    "idle: 15,000 connections, deflate",
)
# The peers, and how they compress where messages are compressed.
PEERS = ("bun", "bun:takeover", "ws", "ws:takeover", "tungstenite", "tokio-websockets", "wsbroad")

WIDTH, MARGIN, LINE, GAP, TOP, BOTTOM = 860, 16, 17, 12, 56, 40
# Where the bars begin and end.
LEFT, RIGHT = 330, 790

# An image cannot see the page's colours, so it brings its own background for both schemes.
STYLE = """
  svg { --back: #ffffff; --ink: #1f2328; --faint: #59636e; --grid: #d1d9e0; --own: #0969da;
        --worse: #bf8700; --better: #1a7f37; }
  @media (prefers-color-scheme: dark) {
    svg { --back: #0d1117; --ink: #f0f6fc; --faint: #9198a1; --grid: #3d444d; --own: #4493f8;
          --worse: #d29922; --better: #3fb950; }
  }
  text { font: 12px system-ui, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif;
         fill: var(--ink); }
  .title { font-size: 15px; font-weight: 600; }
  .faint { fill: var(--faint); }
  .end { text-anchor: end; }
  .middle { text-anchor: middle; }
  .grid { stroke: var(--grid); }
  .own { stroke: var(--own); stroke-width: 2; }
  .worse { fill: var(--worse); }
  .better { fill: var(--better); }
"""


def write(results, chart):
    """Draw the chosen rows of a file of results, unless there are none."""
    measured = json.loads(results.read_text())["results"] if results.exists() else []
    rows = [row for prefix in CHOSEN if (row := find(measured, prefix)) and ratios(row)]
    if rows:
        chart.write_text(draw(rows))


def find(measured, prefix):
    """Return the first row whose title begins so, and has townhall in it."""
    return next((row for row in measured if row["row"].startswith(prefix) and own(row)), None)


def own(row):
    """Return townhall's cost, or nothing where it was not measured."""
    names = [name for name in row["runs"] if server_of(name) == "townhall"]
    return cost_of(row, names[0]) if names else None


def cost_of(row, name):
    """Return the median of a contestant's cost."""
    _, field, _ = cost(row["name"], row["unit"])
    return median(values(row["runs"][name], field))


def ratios(row):
    """Return what each peer costs beside townhall."""
    base = own(row)
    found = {name: cost_of(row, name) / base for name in PEERS if name in row["runs"] and base > 0}
    return {name: ratio for name, ratio in found.items() if ratio > 0}


def draw(rows):
    """Return the SVG of some rows."""
    all_ratios = [ratio for row in rows for ratio in ratios(row).values()]
    scale = Scale(min(*all_ratios, 1), max(*all_ratios, 2))
    body, y = [], TOP
    for row in rows:
        lines, y = draw_row(row, scale, y)
        body += lines
    head = [text(MARGIN, 26, "What a unit of work costs beside townhall", "title"),
            text(MARGIN, 44, "logarithmic; to the right of the line: more than townhall", "faint")]
    parts = [*head, *scale.grid(y), *body]
    height = y + BOTTOM - GAP
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}" role="img" '
            f'aria-label="What a unit of work costs beside townhall">\n<style>{STYLE}</style>\n'
            f'<rect width="100%" height="100%" fill="var(--back)"/>\n' + "\n".join(parts)
            + "\n</svg>\n")


def draw_row(row, scale, y):
    """Return the lines of a row, and where the next one begins."""
    title, _, form = cost(row["name"], row["unit"])
    found = sorted(ratios(row).items(), key=lambda item: item[1])
    label, _, details = row["row"].partition(": ")
    lines = [text(MARGIN, y + 13, f"{label}: {details}" if len(details) < 28 else f"{label}:")]
    if len(details) >= 28:
        lines.append(text(MARGIN, y + 13 + LINE, details))
    below = y + 13 + (2 if len(details) >= 28 else 1) * LINE
    lines.append(text(MARGIN, below, f"townhall: {form(own(row))}, {title}", "faint"))
    for index, (name, ratio) in enumerate(found):
        lines += bar(name, ratio, scale, y + index * LINE)
    return lines, max(y + len(found) * LINE, below + 4) + GAP


def bar(name, ratio, scale, y):
    """Return a bar from townhall's line to a ratio, and what it stands for."""
    start, end = sorted((scale.x(1), scale.x(ratio)))
    kind = "worse" if ratio >= 1 else "better"
    label = f"{SERVERS[server_of(name)].title} {digits(ratio)}×"
    return [f'<rect class="{kind}" x="{start:.1f}" y="{y + 3}" width="{max(end - start, 1):.1f}" '
            f'height="{LINE - 5}" rx="2"/>', text(end + 6, y + 13, label)]


class Scale:
    """A logarithmic scale from one ratio to another."""

    def __init__(self, least, most):
        self.low = math.floor(math.log2(least)) if least < 1 else 0
        self.high = math.log2(most)

    def x(self, ratio):
        """Return where a ratio is drawn."""
        return LEFT + (RIGHT - 90 - LEFT) * (math.log2(ratio) - self.low) / (self.high - self.low)

    def grid(self, bottom):
        """Return a line for each power of ten, and townhall's own."""
        lines = []
        for exponent in range(math.floor(self.low / math.log2(10)), 6):
            ratio = 10 ** exponent
            if self.low <= math.log2(ratio) <= self.high:
                kind = "own" if ratio == 1 else "grid"
                lines.append(f'<line class="{kind}" x1="{self.x(ratio):.1f}" '
                             f'x2="{self.x(ratio):.1f}" y1="{TOP - 4}" y2="{bottom - 4}"/>')
                lines.append(text(self.x(ratio), bottom + 14, f"{ratio:g}×", "middle faint"))
        return lines


def text(x, y, words, kind=""):
    """Return some words."""
    shape = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{shape}>{escape(words)}</text>'


if __name__ == "__main__":
    paths = [Path(path) for path in sys.argv[1:]]
    write(*(paths + [HOME / "results.json", HOME / "chart.svg"][len(paths):]))
