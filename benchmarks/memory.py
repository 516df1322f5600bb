"""Peak memory of a Fashion-MNIST width study, all its processes together.

    python benchmarks/memory.py [--teacher mlp|cnn] [--augment]

60,000 images, five teachers, two workers, in a temporary folder with a cache of its own, so that
everything is made from nothing. Few epochs: memory does not grow with them. What is added up is
the proportional set size (PSS) of the coordinator and all its descendants, ten times a second:
a page that n processes share counts 1/n in each, so once in the sum. Linux only.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

BAR_MIB = 1907
"""2 GB."""
SAMPLE_SECONDS = 0.1

STUDY = """\
name: memory
data: {{kind: fashion_mnist{augment}}}
teacher:
  model: {teacher}
  members: 5
  training: {{epochs: 1, learning_rate: 1.0e-3}}
student: {{kind: mlp, depth: 2}}
training: {{epochs: 3, batch_size: 128}}
search:
  width:         {{role: scientific, values: [16, 64, 256]}}
  learning_rate: {{role: nuisance, low: 3.0e-4, high: 3.0e-2, log: true}}
  alpha:         {{role: nuisance, low: 0.0, high: 1.0}}
budget: {{trials: 4, generation: 4}}
confirm: {{replicates: 2}}
"""
TEACHERS = {
    "mlp": "{kind: mlp, width: 1200, depth: 2}",
    "cnn": "{kind: cnn, width: 32, depth: 2}",
}


class Peak(NamedTuple):
    """The largest sum, and what it was made of."""

    total_mib: float
    by_process_mib: tuple[float, ...]
    processes: int
    seconds: float


def descendants(root: int) -> Iterator[int]:
    """`root` and all processes below it."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # ended this moment
        parents[int(folder.name)] = int(fields[1])
    wanted = [root]
    for process in wanted:
        yield process
        wanted += [child for child, parent in parents.items() if parent == process]


def pss_mib(process: int) -> float:
    """Proportional set size of one process in MiB; 0 if it has ended."""
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    lines = (line.split() for line in text.splitlines())
    return sum(int(words[1]) for words in lines if words[0] == "Pss:") / 1024


def watch(command: list[str], folder: Path) -> Peak:
    """Run a command in a folder and sample the memory of all its processes."""
    environment = os.environ | {"KDSEARCH_CACHE": str(folder / "cache")}
    started = time.monotonic()
    peak = Peak(0.0, (), 0, 0.0)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        while process.poll() is None:
            sizes = sorted((pss_mib(p) for p in descendants(process.pid)), reverse=True)
            if sum(sizes) > peak.total_mib:
                elapsed = time.monotonic() - started
                peak = Peak(sum(sizes), tuple(sizes), len(sizes), elapsed)
            time.sleep(SAMPLE_SECONDS)
    if process.returncode != 0:
        sys.exit((folder / "log").read_text())
    return peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--teacher", choices=TEACHERS, default="mlp")
    parser.add_argument("--augment", action="store_true", help="shift 2, flip, 2 views")
    options = parser.parse_args()
    augment = ", augment: {shift: 2, flip: true, views: 2}" if options.augment else ""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study = STUDY.format(teacher=TEACHERS[options.teacher], augment=augment)
        (folder / "study.yaml").write_text(study)
        kdsearch = str(Path(sys.executable).with_name("kdsearch"))
        command = [kdsearch, "study", "run", "study.yaml", "--workers", "2"]
        peak = watch(command, folder)
    parts = " + ".join(f"{size:.0f}" for size in peak.by_process_mib if size >= 1)
    verdict = "met" if peak.total_mib < BAR_MIB else "MISSED"
    print(
        f"{options.teacher} teachers{', augmented' if options.augment else ''}: peak "
        f"{peak.total_mib:.0f} MiB PSS ({parts}) in {peak.processes} processes after "
        f"{peak.seconds:.0f} s; bar {BAR_MIB} MiB: {verdict}"
    )


if __name__ == "__main__":
    main()
