"""The teacher banks that a study uses: which members are missing, and what they score."""

from collections.abc import Sequence
from pathlib import Path

from kdsearch.cache import cache_folder
from kdsearch.config import DataConfig, StudyConfig, TeacherConfig
from kdsearch.distill import TeacherBank
from kdsearch.errors import InterruptedStudyError, KdsearchError
from kdsearch.execution import EpochDone, Event, Task, TaskFailed, TeacherTask
from kdsearch.execution.materials import open_bank
from kdsearch.execution.teacher import measure_bank
from kdsearch.results import TeacherBankRecord
from kdsearch.study.executors import open_executor, stop_on_signals
from kdsearch.study.listener import Listener
from kdsearch.study.mirror import Mirror
from kdsearch.study.planning.pieces import check_pieces
from kdsearch.study.storage.ledger import Ledger


class Teachers:
    """Keeps the study's banks trained, measured and recorded."""

    def __init__(
        self,
        config: StudyConfig,
        ledger: Ledger,
        mirror: Mirror,
        listener: Listener,
        cache: Path,
    ) -> None:
        self._config = config
        self._ledger = ledger
        self._mirror = mirror
        self._listener = listener
        self._cache = cache
        self._measured: set[tuple[str, bool]] = set()

    def missing(self, teachers: Sequence[TeacherConfig]) -> list[TeacherTask]:
        """Tasks for the members of some banks that no study has trained yet."""
        return missing_teachers(teachers, self._config.data, self._cache)

    def measure(self, teacher: TeacherConfig, *, opened_by: str | None = None) -> None:
        """Record what a trained bank scores on validation, and on test once it may be opened."""
        bank = open_bank(teacher, self._config.data, self._cache)
        known = {b.key: b for b in self._ledger.banks()}.get(bank.key)
        is_tested = known is not None and known.members[0].test is not None
        wanted = (bank.key, opened_by is not None or is_tested)
        if wanted in self._measured:
            return
        self._measured.add(wanted)
        if known is None or wanted[1] != is_tested:
            known = measure_bank(
                teacher,
                self._config.data,
                self._cache,
                opened_by=opened_by,
                own_metrics=self._config.own_metrics,
            )
            known = known.model_copy(update={"settings": self._settings(teacher)})
            self._ledger.save_bank(known)
        self._write(known, bank)
        self._listener.teacher(known)

    def write_missing(self, teachers: Sequence[TeacherConfig]) -> None:
        """Write the banks that earlier runs of the study could not, if they are still cached."""
        known = {b.key: b for b in self._ledger.banks()}
        for teacher in teachers:
            bank = open_bank(teacher, self._config.data, self._cache)
            if bank.key in known and all(bank.is_cached(member) for member in bank.members):
                self._write(known[bank.key], bank)

    def _write(self, record: TeacherBankRecord, bank: TeacherBank) -> None:
        if any(member.mlflow_run_id is None for member in record.members):
            self._mirror.bank(record, [bank.load(member) for member in bank.members])

    def _settings(self, teacher: TeacherConfig) -> dict[str, object]:
        searched = [name for name in self._config.search if name.startswith("teacher.")]
        tree = {"teacher": teacher.model_dump()}
        settings: dict[str, object] = {}
        for name in searched:
            value: object = tree
            for key in name.split("."):
                assert isinstance(value, dict)
                value = value[key]
            settings[name] = value
        return settings


def train_teachers(config: StudyConfig, *, listener: Listener) -> TeacherBankRecord:
    """Train the members that a study needs and the cache lacks, outside of any study.

    Raises:
        InterruptedStudyError: SIGINT or SIGTERM; checkpoints are kept.
        KdsearchError: A member cannot be trained.
    """
    cache = cache_folder()
    check_pieces(config)
    tasks = missing_teachers([config.teacher], config.data, cache)
    listener.stage("teachers", total=len(tasks), done=0)

    def notify(task: Task, event: Event) -> None:
        if isinstance(event, TaskFailed):
            raise KdsearchError(f"{task.key} failed: {event.reason}")
        if isinstance(event, EpochDone):
            listener.epoch(event.key, event.metrics)

    with stop_on_signals() as should_stop, open_executor(None) as executor:
        executor.run(
            tasks,
            notify=notify,
            should_stop=should_stop,
        )
        if should_stop():
            raise InterruptedStudyError(
                "interrupted; finished teachers are kept, run the same command again to go on"
            )
    record = measure_bank(config.teacher, config.data, cache, own_metrics=config.own_metrics)
    listener.teacher(record)
    return record


def missing_teachers(
    teachers: Sequence[TeacherConfig], data: DataConfig, cache: Path
) -> list[TeacherTask]:
    """Tasks for the members of some banks that no study has trained yet."""
    tasks: dict[str, TeacherTask] = {}
    for teacher in teachers:
        bank = open_bank(teacher, data, cache)
        for member in bank.members:
            if not bank.is_cached(member):
                key = f"teacher/{bank.member_key(member)[:8]}/{member}"
                tasks[key] = TeacherTask(
                    key=key, teacher=teacher, data=data, member=member, cache=cache
                )
    return list(tasks.values())
