#!/usr/bin/env python3
"""Draws the charts of docs/figures.md from the tables in README.md of this folder.

    benches/compare/figures.py [--check]

With --check, it draws nothing, and fails if a chart is not the one that the tables give.
"""

import math
import re
import sys
from html import escape
from pathlib import Path
from typing import NamedTuple

from chart import STYLE, text

HERE = Path(__file__).resolve().parent
CHARTS = HERE.parents[1] / "docs" / "figures"

WIDTH, MARGIN, LINE, GAP, TOP = 860, 16, 17, 10, 56
# Where the bars begin and end.
LEFT, RIGHT = 300, 660


class Chart(NamedTuple):
    """A chart of the tables that have these columns, after the one of the loads."""

    name: str
    title: str
    own: str
    peers: tuple
    # What the load of a row is called in the chart; rows without a name are left out.
    loads: dict


FAN_OUT = {
    "100 members, 4 senders, 1 in flight, 50 B": "100 members, 1 in flight",
    "100 members, 4 senders, 32 in flight, 50 B": "100 members, 32 in flight",
    "1,000 members, 4 senders, 1 in flight, 50 B": "1,000 members, 1 in flight",
    "1,000 members, 4 senders, 32 in flight, 50 B": "1,000 members, 32 in flight",
}
CHARTS_OF_TABLES = (
    Chart("fan-out", "CPU time of a delivery, 4 senders, 50 B", "townhall",
          ("Bun", "tokio-websockets", "tungstenite", "fastwebsockets", "Node `ws`"), FAN_OUT),
    Chart("compressed", "CPU time of a compressed delivery, 4 senders, 4 in flight",
          "townhall, shared context", ("Bun", "Node `ws`, contexts", "Node `ws`, no context"),
          {"100 members, 4 in flight, 150 B": "100 members, 150 B",
           "100 members, 4 in flight, 600 B": "100 members, 600 B",
           "500 members, 4 in flight, 150 B": "500 members, 150 B",
           "500 members, 4 in flight, 600 B": "500 members, 600 B"}),
    Chart("tls", "CPU time over TLS", "townhall", ("Bun", "nginx, townhall behind it", "Node `ws`"),
          {"100 members, 1 in flight": "delivery, 100 members, 1 in flight",
           "100 members, 32 in flight": "delivery, 100 members, 32 in flight",
           "1,000 members, 32 in flight": "delivery, 1,000 members, 32 in flight",
           "echo, 1 in flight, 16 KiB": "echo, 16 KiB",
           "full handshake": "full handshake",
           "resumed handshake": "resumed handshake"}),
    Chart("resume", "5,000 members come back at once", "townhall, with `townhall.v1`",
          ("nchan", "Node `ws`"),
          {"CPU per member": "CPU per member",
           "peak memory per member": "peak memory per member",
           "until half are up to date": "until half are up to date",
           "until all are up to date": "until all are up to date"}),
    Chart("memory", "Resident memory of an idle connection", "townhall",
          ("Bun", "Node `ws`", "wsbroad"),
          {"15,000 connections": "15,000 connections",
           "15,000 connections, deflate": "with deflate",
           "15,000 connections, after a message each": "after a message each",
           "15,000 connections, deflate, after a message each": "with deflate, after a message each"}),
)


def tables(page):
    """Return each table of a page as its columns and its rows, which are lists of cells."""
    found, rows = [], []
    for line in [*page.splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
        elif rows:
            found.append((rows[0][1:], rows[2:]))
            rows = []
    return found


UNITS = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1, "B": 1}


def ratio(cell, own):
    """Return a cell as a multiple of townhall's own, or None if it is empty."""
    first = cell.split(", ")[0]
    if first.endswith("×"):
        return float(first[:-1].replace(",", ""))
    return quantity(first) / quantity(own.split(", ")[0]) if first else None


def quantity(cell):
    """Return a figure with its unit as a number."""
    number, unit = re.fullmatch(r"([\d.,]+) (\S+)", cell).groups()
    return float(number.replace(",", "")) * UNITS[unit]


def collect(chart, found):
    """Return for each load its name, townhall's figure, and the ratios of the peers."""
    loads = []
    for load, name in chart.loads.items():
        own, ratios = None, {}
        for columns, rows in found:
            row = next((row for row in rows if row[0] == load), None)
            if row and chart.own in columns:
                figure = row[1 + columns.index(chart.own)]
                seen = {peer: ratio(row[1 + columns.index(peer)], figure)
                        for peer in chart.peers if peer in columns}
                # A load may be in two tables, with different peers; another table's are not meant.
                if seen and not set(seen) & set(ratios):
                    own = own or figure
                    ratios.update(seen)
        if not ratios:
            sys.exit(f"{chart.name}: no table has the load {load!r}")
        loads.append((name, own.split(", ")[0], {p: r for p, r in ratios.items() if r}))
    return loads


def draw(chart, loads):
    """Return the SVG of a chart."""
    most = max(ratio for _, _, ratios in loads for ratio in ratios.values())
    scale = (RIGHT - LEFT) / math.log(max(most, 2))
    body, y = [], TOP
    for name, own, ratios in loads:
        body += [text(MARGIN, y + 13, name), text(MARGIN, y + 13 + LINE, f"townhall: {own}", "faint")]
        for index, (peer, value) in enumerate(sorted(ratios.items(), key=lambda item: item[1])):
            body += bar(peer.replace("`", ""), value, scale, y + index * LINE)
        y += max(len(ratios), 2) * LINE + GAP
    head = [text(MARGIN, 26, chart.title, "title"),
            text(MARGIN, 44, "as a multiple of townhall's; the scale is logarithmic", "faint"),
            f'<line class="own" x1="{LEFT}" x2="{LEFT}" y1="{TOP - 4}" y2="{y - 4}"/>']
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 6}" '
            f'width="{WIDTH}" height="{y + 6}" role="img" aria-label="{escape(chart.title)}">\n'
            f'<style>{STYLE}</style>\n<rect width="100%" height="100%" fill="var(--back)"/>\n'
            + "\n".join(head + body) + "\n</svg>\n")


def bar(peer, value, scale, y):
    """Return a bar from townhall's line to a multiple of it, and what it stands for."""
    width = max(abs(math.log(value)) * scale, 1)
    left = LEFT if value >= 1 else LEFT - width
    kind = "worse" if value >= 1 else "better"
    shown = f"{value:.2f}" if value < 10 else f"{value:,.0f}"
    place = max(left + width, LEFT) + 6
    return [f'<rect class="{kind}" x="{left:.1f}" y="{y + 3}" width="{width:.1f}" '
            f'height="{LINE - 5}" rx="2"/>', text(place, y + 13, f"{peer} {shown}×")]


def main():
    """Draw, or check."""
    found = tables((HERE / "README.md").read_text())
    CHARTS.mkdir(exist_ok=True)
    stale = []
    for chart in CHARTS_OF_TABLES:
        path, svg = CHARTS / f"{chart.name}.svg", draw(chart, collect(chart, found))
        if "--check" not in sys.argv[1:]:
            path.write_text(svg)
        elif not path.exists() or path.read_text() != svg:
            stale.append(path.name)
    if stale:
        sys.exit(f"benches/compare/figures.py would change {', '.join(stale)} in docs/figures")


if __name__ == "__main__":
    main()
