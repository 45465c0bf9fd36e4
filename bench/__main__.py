"""Runs the benchmarks and shows what came out: ``python -m bench [--smoke] [-k EXPRESSION] [--out DIR]``.

Writes ``benchmarks.json`` (pytest-benchmark's own format, with the machine's name), ``table.md`` and
``benchmarks.png``.
Figures are medians; "x" is the same as a multiple of the calibration loop of the same run, which is what to compare
between machines.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import matplotlib as mpl
import orjson
import pytest

mpl.use("Agg")

from matplotlib import pyplot as plt

HERE = Path(__file__).parent
_CALIBRATION = "test_calibration"
_SIZE = re.compile(r"\[(?:.*-)?(\d+)\]$")


def main() -> int:
    """Runs pytest on this folder and reports. Returns pytest's exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="small workloads: shows that the benchmarks run")
    parser.add_argument("-k", dest="only", default="", help="only the benchmarks whose names match")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="where the results go")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    report = args.out / "benchmarks.json"
    options = ["-q", "-p", "no:cacheprovider", f"--rootdir={HERE.parent}", f"--benchmark-json={report}", str(HERE)]
    if args.smoke:
        options += ["--smoke", "--benchmark-disable-gc", "--benchmark-max-time=0.05", "--benchmark-min-rounds=1"]
    if args.only:
        options += ["-k", f"calibration or ({args.only})"]
    status = pytest.main([*options, "--benchmark-quiet"])
    if status == pytest.ExitCode.OK:
        rows = summarise(orjson.loads(report.read_bytes()))
        text = table(rows)
        (args.out / "table.md").write_text(text)
        plot(rows, args.out / "benchmarks.png")
        sys.stdout.write(f"{text}\n{report}, table.md, benchmarks.png\n")
    return int(status)


def summarise(report: dict) -> list[dict]:
    """One row a benchmark: its name, median seconds, ratio to the calibration loop, and what it recorded besides."""
    medians = {item["fullname"]: item["stats"]["median"] for item in report["benchmarks"]}
    yardstick = next((median for name, median in medians.items() if name.endswith(_CALIBRATION)), None)
    return [
        {
            "name": item["name"].removeprefix("test_"),
            "seconds": item["stats"]["median"],
            "ratio": item["stats"]["median"] / yardstick if yardstick else None,
            "extra": item["extra_info"],
        }
        for item in report["benchmarks"]
    ]


def duration(seconds: float) -> str:
    """Seconds in the unit that reads best."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


#: What a benchmark records that gets a column of its own.
_COLUMNS = {
    "kubernetes": "Kubernetes",
    "pods_per_second": "pods/s",
    "measured": "measured",
    "target": "target",
    "kube_scheduler": "kube-scheduler",
}
#: What is to be known about some of them.
_FOOTNOTES = {
    "kube_scheduler": "kube-scheduler: pods/s of v1.34.1 on a 2-core machine (wall time, in process, API faked),"
    " sampling nodes as it does by default unless said; its CPU seconds are 1.6 to 2 times that.",
    "kubernetes": "Kubernetes: kube-apiserver v1.36.2 with etcd, controllers and scheduler, on a 2-core machine that"
    " the client shares, over TLS; in brackets with the clients' default limits.",
}


def table(rows: list[dict]) -> str:
    """The rows as a Markdown table."""
    names = [name for name in _COLUMNS if any(name in row["extra"] for row in rows)]
    headers = ["benchmark", "median", "x calibration", *(_COLUMNS[name] for name in names), "besides"]
    lines = [f"| {' | '.join(headers)} |", "|---|---:|---:|" + "---:|" * len(names) + "---|"]
    for row in rows:
        extra = {name: _written(value) for name, value in row["extra"].items()}
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.3g}"
        besides = ", ".join(f"{name} {value}" for name, value in extra.items() if name not in names)
        cells = [row["name"], duration(row["seconds"]), ratio, *(extra.get(name, "") for name in names), besides]
        lines.append(f"| {' | '.join(cells)} |")
    for name in names:
        lines += ["", _FOOTNOTES[name]] if name in _FOOTNOTES else []
    return "\n".join([*lines, ""])


def _written(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def plot(rows: list[dict], path: Path) -> None:
    """All medians as bars, and every benchmark over several sizes as a curve, on logarithmic axes."""
    curves: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        size = _SIZE.search(row["name"])
        if size:
            curves.setdefault(row["name"].partition("[")[0], []).append((int(size[1]), row["seconds"]))
    figure, (bars, lines) = plt.subplots(1, 2, figsize=(14, max(4, 0.3 * len(rows))), layout="constrained")
    bars.barh([row["name"] for row in rows], [row["seconds"] for row in rows], log=True, color="#326ce5")
    bars.invert_yaxis()
    bars.set_xlabel("median seconds")
    bars.set_title("all benchmarks")
    for name, points in sorted(curves.items()):
        if len(points) > 1:
            lines.loglog(*zip(*sorted(points), strict=True), marker="o", label=name)
    lines.set_xlabel("size")
    lines.set_ylabel("median seconds")
    lines.set_title("growth")
    if lines.lines:
        lines.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
