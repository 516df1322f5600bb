"""The reports in the repository, made anew from what was stored of their studies.

`python -m benchmarks.committed_reports` writes every report below `reports/` that has its study
beside it (`study.db.gz`, Optuna's database) as today's code writes it; nothing is trained.
`python -m benchmarks.committed_reports --store FOLDER NAME` puts a finished study there: its
report and its database, from the folder that it ran in.
"""

import argparse
import gzip
import shutil
import sqlite3
import tempfile
from pathlib import Path

from kdsearch.analysis import write_report
from kdsearch.study.pages import report_links
from kdsearch.study.storage.outcome import load_results

REPORTS = Path(__file__).parents[1] / "reports"
DATABASE = "study.db.gz"


def unpacked(packed: Path, folder: Path) -> str:
    """The storage URL of a packed database, unpacked into `folder`."""
    path = folder / "kdsearch.db"
    with gzip.open(packed) as source, path.open("wb") as target:
        shutil.copyfileobj(source, target)
    return f"sqlite:///{path}"


def write_again(name: str, folder: Path) -> None:
    """Write the report of a stored study into `folder`."""
    with tempfile.TemporaryDirectory() as scratch:
        storage = unpacked(REPORTS / name / DATABASE, Path(scratch))
        write_report(load_results(name, storage=storage), folder, links=report_links())


def store(ran_in: Path, name: str) -> None:
    """Keep a study that ended: its database packed, its report made anew beside it."""
    (REPORTS / name).mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        compact = Path(scratch) / "compact.db"
        with sqlite3.connect(ran_in / "kdsearch.db") as database:
            database.execute("VACUUM INTO ?", (str(compact),))
        # Without its time, so that equal studies give equal bytes.
        packed = gzip.compress(compact.read_bytes(), mtime=0)
    (REPORTS / name / DATABASE).write_bytes(packed)
    write_again(name, REPORTS / name)


def main() -> None:
    """Write reports, or keep one more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, metavar="FOLDER", help="where the study ran")
    parser.add_argument("names", nargs="*", help="all that are stored by default")
    args = parser.parse_args()
    for name in args.names or sorted(path.parent.name for path in REPORTS.glob(f"*/{DATABASE}")):
        if args.store is not None:
            store(args.store, name)
        else:
            write_again(name, REPORTS / name)
        print(f"reports/{name}/report.html")


if __name__ == "__main__":
    main()
