"""What a benchmark ran on, and what it writes: a header, a table, a JSON file."""

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

PEAK_SIZES = (512, 1024, 2048)
"""Of the square matrix products that the peak is the best of."""


class Machine(NamedTuple):
    """What a figure depends on besides the code."""

    date: str
    cpu: str
    cores: int
    load: float
    """Mean number of running processes over the minute before; 0 on a quiet machine."""
    python: str
    torch: str
    sgemm_gflops: float
    """Best of a few float32 matrix products on one core."""
    commit: str


def this_machine() -> Machine:
    """The machine as it is now; takes about a second."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    peak = sgemm_peak()
    torch.set_num_threads(threads)
    return Machine(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        cpu=cpu_model(),
        cores=len(os.sched_getaffinity(0)),
        load=os.getloadavg()[0],
        python=platform.python_version(),
        torch=torch.__version__,
        sgemm_gflops=peak,
        commit=commit(),
    )


def sgemm_peak(sizes: Sequence[int] = PEAK_SIZES, *, repeats: int = 8) -> float:
    """GFLOP/s of the fastest square float32 product, with torch's threads as they are set."""
    import torch

    best = 0.0
    for size in sizes:
        a, b = torch.randn(size, size), torch.randn(size, size)
        for _ in range(repeats):
            started = time.perf_counter()
            a @ b
            best = max(best, 2 * size**3 / (time.perf_counter() - started) / 1e9)
    return best


def cpu_model() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def commit() -> str:
    """The checkout's commit, with a plus if files differ from it; empty outside of git."""
    folder = Path(__file__).parent
    try:
        said = subprocess.run(
            ["git", "describe", "--always", "--dirty=+"],
            cwd=folder, capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return ""
    return said.stdout.strip()


def header(machine: Machine) -> str:
    """The line that every benchmark prints first."""
    return (
        f"{machine.date} | {machine.cpu}, {machine.cores} cores, load {machine.load:.1f} | "
        f"python {machine.python}, torch {machine.torch}, one core's sgemm "
        f"{machine.sgemm_gflops:.0f} GFLOP/s | commit {machine.commit}"
    )


def add_json_option(options: argparse.ArgumentParser) -> None:
    """`--json FILE`."""
    options.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")


def write_json(path: Path | None, machine: Machine, results: Any) -> None:
    """Machine, command and figures; nothing if no file is wanted."""
    if path is None:
        return
    command = ["python", "-m", f"benchmarks.{Path(sys.argv[0]).stem}", *sys.argv[1:]]
    document = {
        "machine": machine._asdict(),
        "command": " ".join(command),
        "load_at_end": os.getloadavg()[0],
        "results": results,
    }
    text = json.dumps(finite(document), indent=2, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def finite(value: Any) -> Any:
    """The same with null in place of NaN and infinity, which JSON does not know."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_table(rows: Sequence[Mapping[str, str]]) -> None:
    """Rows as a table in Markdown, first column left, the others right."""
    if not rows:
        return
    columns = list(rows[0])
    widths = [max(len(column), *(len(row[column]) for row in rows)) for column in columns]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    print(line(columns))
    marks = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    print(f"| {' | '.join(marks)} |")
    for row in rows:
        print(line([row[column] for column in columns]))
    print(flush=True)
