"""Removing a study: its storage, its runs in MLflow, its folders and its locks."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kdsearch.study.storage.database import connect_existing, place_of, sqlite_file
from kdsearch.study.storage.ledger import PARTS, optuna_name
from kdsearch.study.storage.lock import hold_study, remove_locks
from kdsearch.study.storage.lookup import open_ledger
from kdsearch.study.storage.paths import StudyPaths


@dataclass(frozen=True)
class DoomedStudy:
    """A study that nobody else runs, while it is asked about and removed."""

    name: str
    storage: str
    """Optuna storage URL."""
    study_id: str
    students: int
    """Records in the storage."""
    paths: StudyPaths

    def describe(self) -> list[str]:
        """What `remove` takes away, and what it leaves."""
        there = [f for f in (self.paths.folder, self.paths.report) if f.exists()]
        folders = [str(folder.relative_to(self.paths.root)) for folder in there]
        return [
            f"study {self.name}: {self.students} students",
            f"  storage  {place_of(connect_existing(self.storage))}",
            "  MLflow   its runs, its models, and its experiment if no other study uses it",
            f"  folders  {', '.join(folders) or 'none here'}",
            "Cached data sets, teachers and logits stay: other studies use them.",
        ]

    def remove(self) -> list[str]:
        """Take it away; returns what was done, a sentence each.

        MLflow goes first: the id that its runs are found by is in the storage.

        Raises:
            UserInputError: The tracking URI cannot work.
            TrackingUnavailableError: MLflow does not answer; the study is still there, and
                removing it again goes on.
        """
        from kdsearch.tracking.mlflow.removal import remove_study

        gone = remove_study(self.name, study_id=self.study_id)
        for folder in (self.paths.report, self.paths.folder):
            if folder.exists():
                shutil.rmtree(folder)
        _remove_from_optuna(self.name, self.storage)
        remove_locks(self.paths, sqlite_file(self.storage))
        experiments = f" and the experiment {gone.experiments[0]}" if gone.experiments else ""
        return [
            f"study {self.name} is removed: {self.students} students, {gone.runs} runs in MLflow"
            f"{experiments}{self._versions(gone.versions)}, and its folders.",
            "MLflow keeps deleted runs and their files until `mlflow gc`. Cached data sets, "
            "teachers and logits stay: other studies use them.",
        ]

    def _versions(self, number: int) -> str:
        if not number:
            return ""
        return f", {number} version{'' if number == 1 else 's'} of models:/{self.name}"


@contextmanager
def doomed_study(name: str, *, storage: str, root: Path) -> Iterator[DoomedStudy]:
    """A study to be removed, held so that nobody begins to run it meanwhile.

    Args:
        name: Of the study.
        storage: Optuna storage URL.
        root: The folder that the study was run in.

    Raises:
        UnknownStudyError: There is none; says what there is.
        StudyLockedError: Another process runs it.
    """
    ledger = open_ledger(name, storage)
    paths = StudyPaths(root, name)
    was_here = paths.folder.exists()
    try:
        with hold_study(paths, sqlite_file(storage)):
            yield DoomedStudy(name, storage, ledger.study_id, len(ledger.records()), paths)
    finally:
        if not was_here and paths.folder.exists():  # made by holding it
            shutil.rmtree(paths.folder)


def _remove_from_optuna(name: str, storage: str) -> None:
    opened = connect_existing(storage)
    ids = {study.study_name: study._study_id for study in opened.get_all_studies()}
    for part in (optuna_name(name, stage, arm) for stage, arm in PARTS):
        if part in ids:
            opened.delete_study(ids[part])
