"""Tables in Markdown."""

from statistics import median

from row import ALGORITHMS, server_of, variant_of
from servers import SERVERS

VARIANT_TITLES = {"": "", "takeover": ", deflate", "none": ", deflate without context",
                  "words": ", with townhall.v1",
                  **{algorithm: f", tokens with {algorithm}" for algorithm in ALGORITHMS}}


def table(row, reports):
    """Return the table of a row."""
    columns = columns_of(row)
    lines = [
        f"\n### {row.title}\n",
        line(["server", *columns]),
        line(["---", *["---:" for _ in columns]]),
    ]
    base = next((reports[name] for name in reports if row.base in (name, server_of(name))), None)
    for name, own in reports.items():
        lines.append(line([title(name), *(cell(own, base) for cell in columns.values())]))
    return "\n".join(lines)


def line(cells):
    """Return a line of a table."""
    return f"| {' | '.join(cells)} |"


def title(contestant):
    """Return a contestant's title."""
    variant = variant_of(contestant)
    if variant.isdigit():
        variant_title = ", 1 process" if variant == "1" else f", {variant} processes"
    else:
        variant_title = VARIANT_TITLES[variant]
    return SERVERS[server_of(contestant)].title + variant_title


def columns_of(row):
    """Return the columns of a row's table: from the reports, and townhall's, to what is shown."""
    columns = cost_columns(title(row.base), *cost(row.name, row.unit))
    is_idle = row.unit == "connection"
    if is_idle:
        columns["Pss"] = shown("pss_bytes_per_unit", size)
    if is_idle or row.tool:
        return columns
    if row.name == "resume":
        return {
            **columns,
            "peak memory per member": shown("peak_bytes_per_unit", size),
            "until half are up to date": shown("latency.p50_us", microseconds),
            "until all are": shown("latency.max_us", microseconds),
            "server's CPU": shown("server_cpu_share", percent),
            "generator's CPU": shown("generator_cpu_share", percent),
        }
    if row.name == "publish":
        columns["CPU per delivery"] = shown("server_cpu_ns_per_delivery", duration)
    if row.name in ("deflate", "history"):
        columns["on the wire"] = shown("wire_bytes_per_unit", size)
    if row.load == "cluster":
        columns |= {
            "CPU per message, without Redis": shown("processes_cpu_ns_per_message", duration),
            "of Redis": shown("redis_cpu_ns_per_message", duration),
            "messages per second": shown("messages_per_second", count),
        }
    if row.name == "redis-latency":
        columns |= {"p50 more than the first": added("latency.p50_us"),
                    "p99 more": added("latency.p99_us")}
    if row.name == "neighbour":
        columns["longest"] = shown("latency.max_us", microseconds)
        columns["p99 without the flood"] = shown("alone.p99_us", microseconds)
    return {
        **columns,
        **{name: shown(f"latency.{field}", microseconds)
           for name, field in (("p50", "p50_us"), ("p99", "p99_us"), ("p99.9", "p99_9_us"))},
        f"CPU per {row.unit}": shown("server_cpu_ns_per_unit", duration),
        "per CPU second": shown("units_per_server_cpu_second", count),
        "per second": shown("units_per_second", count),
        "server's CPU": shown("server_cpu_share", percent),
        "generator's CPU": shown("generator_cpu_share", percent),
    }


def cost(name, unit):
    """Return what is compared in the rows of a name: its title, its field, and how it is shown."""
    if unit == "connection":
        return f"memory per {unit}", "bytes_per_unit", size
    costs = {
        "latency": ("p99", "latency.p99_us", microseconds),
        "redis-latency": ("p99", "latency.p99_us", microseconds),
        "neighbour": ("p99", "latency.p99_us", microseconds),
        "instructions": (f"instructions per {unit}", "counted_per_unit", count),
        "system-calls": (f"system calls per {unit}", "counted_per_unit", count),
    }
    return costs.get(name, (f"CPU per {unit}", "server_cpu_ns_per_unit", duration))


def cost_columns(base_title, name, field, form):
    """Return the columns of what is compared: the median, all runs, and beside the median of the base."""
    def spread(reports, _base):
        costs = values(reports, field)
        return f"{form(min(costs))} – {form(max(costs))}"

    def ratio(reports, base):
        if not base or (own := median(values(base, field))) <= 0:
            return ""
        return f"{digits(median(values(reports, field)) / own)}×"

    return {name: shown(field, form), "least – most": spread, f"beside {base_title}": ratio}


def shown(field, form):
    """Return the column of a field's median."""
    def cell(reports, _base):
        known = [value for value in values(reports, field) if value is not None]
        return form(median(known)) if known else ""
    return cell


def added(field):
    """Return the column of how much longer a time in microseconds is than that of the base."""
    def cell(reports, base):
        if not base:
            return ""
        more = median(values(reports, field)) - median(values(base, field))
        return "-" * (more < 0) + microseconds(abs(more))
    return cell


def values(reports, field):
    """Return the values of a field, which may be a field of a field."""
    outer, _, inner = field.partition(".")
    return [report[outer][inner] if inner else report[outer] for report in reports]


def duration(nanoseconds):
    """Return a time in a unit that fits it."""
    for limit, unit_size, unit in ((1e3, 1, "ns"), (1e6, 1e3, "µs"), (1e9, 1e6, "ms")):
        if nanoseconds < limit:
            return f"{digits(nanoseconds / unit_size)} {unit}"
    return f"{digits(nanoseconds / 1e9)} s"


def microseconds(value):
    """Return a time that is given in microseconds."""
    return duration(1_000 * value)


def count(value):
    """Return a number of things in a unit that fits it."""
    for unit_size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= unit_size:
            return f"{digits(value / unit_size)} {unit}"
    return digits(value)


def size(value):
    """Return a number of bytes."""
    return f"{value:,.0f} B"


def percent(share):
    """Return a share as a percentage."""
    return f"{100 * share:.0f}%"


def digits(value):
    """Return a number with three digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
