#!/usr/bin/env python3
"""Checks docs/dependencies.md, or with --write makes its generated tables anew, with the
sizes in what dist/build has built.

Everything but the sizes is checked: the crates, versions, licences, uses of `unsafe`, repositories and
authors, and that each direct dependency has a reason.
"""

import argparse
import difflib
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/dependencies.md"
PROGRAM = ROOT / "target/dist/townhall"
BUILT = ROOT / "target/dist/build"
TARGET = "x86_64-unknown-linux-gnu"

# A comment, string or character, in which `unsafe` is no keyword; or the keyword.
TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|\b[bc]?r(#*)".*?"\1|"(?:\\.|[^"\\])*"|'(?:\\u\{\w+\}|\\x..|\\.|[^'\\])'"""
    r"""|\b(?P<unsafe>unsafe)\b""", re.DOTALL)


def output_of(*command):
    """Return what a command prints."""
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def tree(edges):
    """Return the names and versions of the dependencies with the default features."""
    lines = output_of("cargo", "tree", "--locked", "--target", TARGET, "--edges", edges,
                      "--prefix", "none", "--format", "{p}").splitlines()
    crates = {tuple(line.split()[:2]) for line in lines}
    return {(name, version.removeprefix("v")) for name, version in crates if name != "townhall"}


def packages():
    """Return the metadata of townhall, and of all its dependencies by name and version."""
    metadata = json.loads(output_of("cargo", "metadata", "--locked", "--format-version", "1",
                                    "--filter-platform", TARGET))
    found = {(package["name"], package["version"]): package for package in metadata["packages"]}
    return next(found.pop(key) for key in list(found) if key[0] == "townhall"), found


def library(package):
    """Return the part of a package that others use."""
    return next(target for target in package["targets"]
                if {"lib", "rlib", "proc-macro"} & set(target["kind"]))


def uses_of_unsafe(package):
    """Return how often the keyword stands in a crate's sources, and whether the crate forbids it."""
    root = Path(library(package)["src_path"])
    count = 0
    for file in root.parent.rglob("*.rs"):
        text = file.read_text(encoding="utf-8", errors="replace")
        if "unsafe" in text:
            count += sum(1 for token in TOKEN.finditer(text) if token["unsafe"])
    forbids = re.search(r"^#!\[forbid\([^)]*\bunsafe_code\b", root.read_text(), re.MULTILINE)
    return "0, forbidden" if forbids and count == 0 else str(count)


def crate_of(symbol, names, foreign):
    """Return the crate that a demangled symbol belongs to: in generic code, the one whose type it has."""
    if symbol in foreign:
        return "aws-lc-sys"
    if "::" not in symbol:
        return "std"
    path = re.findall(r"(?<![\w:])([a-z_]\w*)::", symbol)
    return next((names[part] for part in path if part in names), "std")


def sizes(names):
    """Return the bytes of each crate's symbols in the program, `std` for all that belong to none."""
    if not PROGRAM.exists():
        sys.exit(f"there is no {PROGRAM}: run dist/build")
    archives = BUILT.glob("*/release/build/aws-lc-sys-*/out/*.a")
    foreign = set(output_of("nm", "--defined-only", "--format=just-symbols", *archives).split())
    result = Counter()
    for line in output_of("nm", "--print-size", "--defined-only", "--demangle", PROGRAM).splitlines():
        fields = line.split(maxsplit=3)
        if len(fields) == 4 and fields[2] not in "bB":
            result[crate_of(fields[3], names, foreign)] += int(fields[1], 16)
    return result


def link(package):
    """Return a link to a crate's repository."""
    url = (package["repository"] or f"https://crates.io/crates/{package['name']}").rstrip("/")
    url = url.removesuffix(".git")
    short = "/".join(url.split("/")[3:5]) if "github.com" in url else url.split("//")[1]
    return f"[{short}]({url})"


def authors(package):
    """Return the names of a crate's authors, as it states them."""
    return ", ".join(re.sub(r"\s*<.*?>", "", author) for author in package["authors"])


def rows(crates, found):
    """Return the cells of each crate, without its size."""
    for key in sorted(crates):
        package = found[key]
        yield key, [*key, package["license"].replace("/", " OR "), uses_of_unsafe(package),
                    link(package), authors(package)]


def table(head, lines):
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def kilobytes(size):
    """Return a size as text."""
    return f"{size / 1000:,.1f}"


def old_sizes(text):
    """Return the sizes that the page shows, by crate and version."""
    return {(name, version): size for name, version, size
            in re.findall(r"^\| (\S+) \| (\d\S*) \| ([\d,.]+) \|", text, re.MULTILINE)}


def in_program(found, text, write):
    """Return the part of the page about what the program contains."""
    crates = tree("normal,no-proc-macro")
    if write:
        measured = sizes({library(found[key])["name"]: key[0] for key in crates} | {"townhall": "townhall"})
        own = {name: kilobytes(measured[name]) for name in ("townhall", "std")}
        rest = PROGRAM.stat().st_size - sum(measured.values())
        total = (f"The program has {kilobytes(PROGRAM.stat().st_size)} kB: {own['townhall']} are townhall's "
                 f"own,\n{own['std']} the standard library's, and {kilobytes(rest)} have no name: constants, "
                 "tables for\nunwinding, relocations and the names themselves. The rest:\n")
        size_of = {(name, version): kilobytes(measured[name]) for name, version in crates}
    else:
        size_of = old_sizes(text)
        total = re.search(r"^The program has .*?The rest:\n", text, re.MULTILINE | re.DOTALL)[0]
    lines = [[*cells[:2], size_of.get(key, "?"), *cells[2:]] for key, cells in rows(crates, found)]
    return total + "\n" + table(["crate", "version", "kB", "licence", "`unsafe`", "repository", "authors"],
                                lines)


def during_build(found):
    """Return the part of the page about crates that run on the machine that builds."""
    crates = tree("normal,build") - tree("normal,no-proc-macro")
    head = ["crate", "version", "licence", "`unsafe`", "repository", "authors"]
    return table(head, [cells for _, cells in rows(crates, found)])


def generated(text, found, write):
    """Return the page with its generated parts made anew."""
    parts = {"program": in_program(found, text, write), "build": during_build(found)}
    for name, part in parts.items():
        begin, end = f"<!-- generated: {name} -->\n", "<!-- end -->"
        before, rest = text.split(begin)
        text = before + begin + "\n" + part + "\n" + end + rest.split(end, 1)[1]
    return text


def without_reason(text, townhall):
    """Return what is wrong with the reasons of direct dependencies."""
    reasons = dict(re.findall(r"^\| `([\w-]+)` \| (.*\S) \|$", text, re.MULTILINE))
    direct = {dependency["name"] for dependency in townhall["dependencies"]}
    return ([f"{name} has no reason" for name in sorted(direct - set(reasons))]
            + [f"{name} is no dependency any more" for name in sorted(set(reasons) - direct)])


def main():
    """Check the page, or write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the page instead of checking it")
    write = parser.parse_args().write
    townhall, found = packages()
    text = PAGE.read_text()
    expected = generated(text, found, write)
    if write:
        PAGE.write_text(expected)
    problems = without_reason(text, townhall)
    if not write:
        diff = difflib.unified_diff(text.splitlines(), expected.splitlines(), "docs/dependencies.md",
                                    "what Cargo.lock says", n=0, lineterm="")
        problems += diff
    if problems:
        sys.exit("\n".join([*problems, "docs/dependencies.md is out of date; it says how to renew it"]))


main()
