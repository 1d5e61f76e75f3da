#!/usr/bin/env python3
"""Joins what `keel bench --json` and the peers' scripts wrote into one table of ratios.

    python3 Benchmarks/Peers/compare.py KEEL.json... PEER.json...

The first column is each case's time in milliseconds in the first peer; the others are that peer's
time over the other's: above 1 is faster than the first peer. Of several files of one peer or of
one device the lowest time of each case counts. Geometric means are per kind of work. Cases that
Keel does not have are left out. A second table has the most memory that the tensors of a step took,
where it was measured.
"""

import json
import math
import sys


def read(path):
    """The name of who was timed, milliseconds per case, and megabytes at the peak per step."""
    with open(path) as file:
        report = json.load(file)
    if "peer" in report:
        return report["peer"], report["milliseconds"], report.get("peakMegabytes", {})
    name = "Keel, " + ("cpu" if report["device"]["selector"] == "cpu" else
                       report["device"]["platform"])
    # A peer's times are waited for; so are these.
    times = {result["id"].removesuffix("@large"): result["waitedMilliseconds"]
             for result in report["results"]}
    peaks = {result["id"]: result["peakBytes"] / 1e6
             for result in report["results"] if result.get("peakBytes")}
    return name, times, peaks


def joined(paths):
    """The files' contents by name, the lowest of each number, in the order of the first ones."""
    runs = {}
    for path in paths:
        name, times, peaks = read(path)
        known = runs.setdefault(name, ({}, {}))
        for kept, new in zip(known, (times, peaks)):
            for case, value in new.items():
                kept[case] = min(value, kept.get(case, value))
    return [(name, times, peaks) for name, (times, peaks) in runs.items()]


def geometric_mean(ratios):
    if not ratios:
        return "–"
    return f"{math.exp(sum(map(math.log, ratios)) / len(ratios)):.2f}"


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__.split("\n\n")[1].strip())
    runs = joined(sys.argv[1:])
    keels = [run for run in runs if run[0].startswith("Keel")]
    peers = [run for run in runs if not run[0].startswith("Keel")]
    if not keels or not peers:
        sys.exit("give at least one file of Keel's and one of a peer's")
    first, others = peers[0], keels + peers[1:]
    names = [name for name in first[1] if any(name in times for _, times, _ in keels)]
    print(f"| case | {first[0]}, ms | " + " | ".join(run[0] for run in others) + " |")
    print("|---|---|" + "---|" * len(others))
    for name in names:
        cells = [f"{first[1][name] / times[name]:.2f}" if name in times else "–"
                 for _, times, _ in others]
        print(f"| {name} | {first[1][name]:.3f} | " + " | ".join(cells) + " |")
    for kind in dict.fromkeys(name.split("/")[0] for name in names):
        means = [geometric_mean([first[1][name] / times[name] for name in names
                                 if name in times and name.split("/")[0] == kind])
                 for _, times, _ in others]
        print(f"| geometric mean of {kind} | | " + " | ".join(means) + " |")
    measured = [run for run in [first] + keels if run[2]]
    if len(measured) > 1:
        print("\n| step, MB at the peak | " + " | ".join(run[0] for run in measured) + " |")
        print("|---|" + "---|" * len(measured))
        for name in measured[0][2]:
            cells = [f"{run[2][name]:.1f}" if name in run[2] else "–" for run in measured]
            print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
