"""Where a study keeps its files: the one place that knows."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class StudyPaths:
    """Files of one study below the folder that a command runs in."""

    root: Path
    name: str

    @property
    def folder(self) -> Path:
        """State of the study itself."""
        return self.root / ".kdsearch" / self.name

    @property
    def lock(self) -> Path:
        """Held while the study runs."""
        return self.folder / "lock"

    @property
    def students(self) -> Path:
        """Weights of trained students that are still to be logged."""
        return self.folder / "students"

    @property
    def report(self) -> Path:
        """The report and its figures."""
        return self.root / "reports" / self.name

    @property
    def checkpoints(self) -> Path:
        """Where cohorts stand."""
        return self.folder / "checkpoints"

    def checkpoint(self, leg: str) -> Path:
        """Checkpoint of one cohort's leg."""
        return self.checkpoints / f"{leg.replace('/', '-')}.pt"

    def has_begun(self, name: str) -> bool:
        """Whether any student of a round has left a checkpoint."""
        return any(self.checkpoints.glob(f"{name}-*"))

    def forget(self, name: str) -> None:
        """Delete the checkpoints of a round."""
        for path in self.checkpoints.glob(f"{name}-*"):
            path.unlink(missing_ok=True)
