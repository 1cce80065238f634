#!/usr/bin/env python3
"""Prints the table of monthly costs in docs/operations.md.

Counts come from the benchmark (`make bench` writes bench/pass.json below cargo's target folder), prices are the
constants below. It sends no request to AWS. After a change of a price or an assumption, run `make costs` and
replace the table.
"""

import json
import sys

# List prices of us-east-1 in US dollars, as published in 2025; free tiers are left out.
PRICES = {
    "lambda GB-second, arm64": 0.0000133334,
    "lambda request": 0.20e-6,
    "HTTP API request": 1.00e-6,
    "schedule invocation": 1.00e-6,
    "DynamoDB write unit": 0.625e-6,
    "DynamoDB read unit": 0.125e-6,
    "DynamoDB GB-month": 0.25,
    "DynamoDB backup GB-month": 0.20,
    "log GB": 0.50,
    "trace": 5.00e-6,
    "secret": 0.40,
    "secret request": 5.00e-6,
    "metric": 0.30,
    "alarm": 0.10,
    "composite alarm": 0.50,
    "dashboard": 3.00,
    # https://aws.amazon.com/sns/pricing/
    "SNS publish": 0.50e-6,
    "SNS e-mail": 2.00 / 100_000,
}

# Assumptions about a fleet; the template's defaults where it has them.
SECONDS = 30 * 86_400
BEAT_EVERY = 900
SCHEDULE_EVERY = 300
FRESHNESS = 30
CHANGES_A_DAY = 10  # issues of each repository
ISSUES = 100  # open ones of each repository
RETENTION_MONTHS = 3

# What the deployment has: custom metrics, metric alarms, composite alarms.
METRICS, ALARMS, COMPOSITES, SECRETS, DASHBOARDS = 24, 15, 2, 2, 1

# Read units of a search for silent agents: a few, and more for each agent. tests/it/sweep/costs.rs allows 70 for 500.
SWEEP_READS, SWEEP_READS_AN_AGENT = 3.5, 66.5 / 500

# Reports of silent agents at the most, to one e-mail address.
REPORT_EVERY = 900

# Measured sizes in bytes: the log lines of a heartbeat (ours, Lambda's and the gateway's), an AgentRun, an issue with
# its entries in both indexes.
LOG_BYTES, RUN_BYTES, ISSUE_BYTES = 2_800, 600, 1_000

# A function of 256 MB has 1/6.9 of a core once it has started.
MEMORY_GB, CORE_SHARE = 0.25, 256 / 1_769


def billed_seconds(row):
    """The benchmark's duration, plus the time that its CPU work takes longer on a share of a core."""
    return (row["wallMs"] + row["cpuMs"] * (1 / CORE_SHARE - 1)) / 1_000


def month(rows, agents, repositories):
    """The parts of the bill and the counts behind them."""
    beats = agents * SECONDS / BEAT_EVERY
    scheduled = SECONDS / SCHEDULE_EVERY
    # Heartbeats arrive at random: each pass serves those of the next 30 s, and the first one after that runs a pass.
    rate = (beats + scheduled) / SECONDS
    passes = SECONDS * rate / (1 + rate * FRESHNESS)
    joined = beats + scheduled - passes
    idle, coalesced = rows[f"idle_{repositories}"], rows["coalesced_beat"]
    # Each change comes alone, followed by the pass that settles it.
    changes = CHANGES_A_DAY * 30 * repositories
    of_100 = rows["idle_100"]
    extra = {
        unit: sum(rows[row][unit] - of_100[unit] for row in ("changed_1", "changed_1_settling"))
        for unit in ("readUnits", "writeUnits")
    }
    writes = passes * idle["writeUnits"] + joined * coalesced["writeUnits"] + changes * extra["writeUnits"]
    # Every change is reported to every agent, for one read unit each.
    reads = passes * idle["readUnits"] + joined * coalesced["readUnits"] + changes * (extra["readUnits"] + agents)
    seconds = passes * billed_seconds(idle) + joined * billed_seconds(coalesced)
    invocations = beats + scheduled
    gigabytes = (repositories * ISSUES * ISSUE_BYTES + beats * RETENTION_MONTHS * RUN_BYTES) / 1e9
    p = PRICES
    sweep = scheduled * (SWEEP_READS + SWEEP_READS_AN_AGENT * agents)
    reports = SECONDS / REPORT_EVERY
    bill = {
        "API": beats * p["HTTP API request"],
        "Lambda": seconds * MEMORY_GB * p["lambda GB-second, arm64"]
        + invocations * p["lambda request"]
        + scheduled * p["schedule invocation"],
        "DynamoDB": writes * p["DynamoDB write unit"]
        + reads * p["DynamoDB read unit"]
        + gigabytes * (p["DynamoDB GB-month"] + p["DynamoDB backup GB-month"]),
        "silent agents": sweep * p["DynamoDB read unit"] + reports * (p["SNS publish"] + p["SNS e-mail"]),
        "logs, traces": invocations * (LOG_BYTES / 1e9 * p["log GB"] + p["trace"]),
        "fixed": METRICS * p["metric"]
        + ALARMS * p["alarm"]
        + COMPOSITES * p["composite alarm"]
        + DASHBOARDS * p["dashboard"]
        + SECRETS * p["secret"]
        # Each function reads each secret once a minute at most.
        + 2 * SECRETS * SECONDS / 60 * p["secret request"],
    }
    hour = passes / (SECONDS / 3_600)
    return {
        "agents": agents,
        "repositories": repositories,
        "beats": beats + scheduled,
        "passes": passes,
        "points an hour": hour * idle["graphqlPoints"],
        "requests an hour": 2 * changes / (SECONDS / 3_600),
        **bill,
        "total": sum(bill.values()),
    }


def table(rows):
    """The table as Markdown."""
    months = [month(rows, agents, repositories) for agents in (1, 20, 500) for repositories in (1, 20, 500)]
    lines = ["| " + " | ".join(months[0]) + " |", "| " + " | ".join("---:" for _ in months[0]) + " |"]
    for each in months:
        cells = []
        for name, value in each.items():
            is_money = name in ("API", "Lambda", "DynamoDB", "silent agents", "logs, traces", "fixed", "total")
            cells.append(f"${value:,.2f}" if is_money else f"{value:,.0f}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    if len(sys.argv) != 2:
        sys.exit("use: costs.py target/bench/pass.json")
    try:
        with open(sys.argv[1], encoding="utf-8") as file:
            rows = {row["row"]: row for row in json.load(file)["rows"]}
    except FileNotFoundError:
        sys.exit(f"{sys.argv[1]} does not exist: run `make bench` first (about five minutes)")
    print(table(rows))


if __name__ == "__main__":
    main()
