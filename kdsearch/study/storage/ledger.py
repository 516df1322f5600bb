"""The record of every trained student, in Optuna's storage: the one source of truth.

A kdsearch study NAME is three Optuna studies: `NAME` (search trials of the distilled arm, what
optuna-dashboard users want to see), `NAME/baseline` (search trials of the baseline arm) and
`NAME/confirm`. A trial is added in one transaction with its parameters, so a killed process
leaves either no trial or one that can be adopted. Only the coordinator writes.
"""

import copy
import itertools
import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState
from pydantic import ValidationError

from kdsearch.config import Scalar, StudyConfig
from kdsearch.errors import StudyChangedError, UnknownStudyError, UserInputError
from kdsearch.redaction import redact_url
from kdsearch.results import Arm, Stage, TeacherBankRecord, TrialRecord
from kdsearch.results.objective import objective_values, rung_value
from kdsearch.study.storage.database import connect, place_of
from kdsearch.study.storage.distributions import Space, as_known
from kdsearch.study.storage.upgrade import (
    STEPS,
    Kind,
    NewerSchemaError,
    Step,
    numbered,
    renamed_parameters,
    unreadable,
    upgraded,
)

if TYPE_CHECKING:
    from kdsearch.execution.task import EngineName

CONFIG, COMMAND, BANKS, RUN_ID = "kdsearch:config", "kdsearch:command", "kdsearch:bank:", "mlflow:"
PARENT_RUN, STUDY_ID, ENGINE = "mlflow_run_id", "kdsearch:study_id", "kdsearch:engine"
DATA, ROUND, FINISHED = "kdsearch:data", "kdsearch:round", "kdsearch:finished"
Parsed = TypeVar("Parsed")
PARTS: tuple[tuple[Stage, Arm], ...] = (
    ("search", "distilled"),
    ("search", "baseline"),
    ("confirm", "distilled"),
)

optuna.logging.set_verbosity(optuna.logging.WARNING)


def optuna_name(study: str, stage: Stage, arm: Arm) -> str:
    """The Optuna study that holds a stage and arm of a kdsearch study."""
    if stage == "confirm":
        return f"{study}/confirm"
    return study if arm == "distilled" else f"{study}/baseline"


class Ledger:
    """Reads and writes the trials of one study."""

    def __init__(self, storage: BaseStorage, name: str, *, steps: Sequence[Step] = STEPS) -> None:
        """Open a study that exists; nothing is written.

        Args:
            storage: That holds it.
            name: Of the study.
            steps: From what earlier versions stored to what this one stores.

        Raises:
            UnknownStudyError: It does not.
            UserInputError: Another version of kdsearch has stored it.
        """
        self.name = name
        self._storage = storage
        self._steps = steps
        self._ids: dict[str, int] = {}
        try:
            for stage, arm in PARTS:
                part = optuna_name(name, stage, arm)
                self._ids[part] = storage.get_study_id_from_name(part)
        except KeyError:
            raise _unknown(name) from None
        if CONFIG not in self._attributes(name):
            raise _unknown(name)
        self.config = self._read_config(self._attributes(name)[CONFIG])
        """The configuration that the study was last run with."""
        self._records: dict[str, list[TrialRecord]] = {}
        """By part and number."""
        self._generations: dict[tuple[str, int], int] = {}
        self._ordered: tuple[TrialRecord, ...] | None = None
        self._spaces: dict[str, Space] = {}
        """Of each part's first trial."""
        self.last_change: datetime | None = None
        """When a trial had last begun or ended as this was opened, in local time."""
        for part, study_id in self._ids.items():
            self._records[part] = []
            linked = self._linked_runs(study_id)
            for trial in storage.get_all_trials(study_id, deepcopy=False):
                self._generations[part, trial.number] = int(trial.user_attrs["generation"])
                self._spaces.setdefault(part, dict(trial.distributions))
                self._remember(self._read_record(part, trial, linked))
                times = (self.last_change, trial.datetime_start, trial.datetime_complete)
                self.last_change = max((t for t in times if t is not None), default=None)

    @classmethod
    def create(
        cls, config: StudyConfig, *, command: str, steps: Sequence[Step] = STEPS
    ) -> "Ledger":
        """Open the study that `config` names, created if there is none.

        Raises:
            UserInputError: Another program's Optuna study has that name.
        """
        storage = connect(config.storage)
        directions = [
            optuna.study.StudyDirection[objective.direction.upper()]
            for objective in config.objective
        ]
        for stage, arm in PARTS:
            part = optuna_name(config.name, stage, arm)
            try:
                storage.create_new_study(directions, part)
            except optuna.exceptions.DuplicatedStudyError:
                study_id = storage.get_study_id_from_name(part)
                if CONFIG in storage.get_study_user_attrs(study_id):
                    continue
                if storage.get_n_trials(study_id):
                    raise UserInputError(
                        f"the storage has an Optuna study called {part} that kdsearch did not "
                        "make; give the study file another name"
                    ) from None
            study_id = storage.get_study_id_from_name(part)
            storage.set_study_user_attr(study_id, STUDY_ID, uuid.uuid4().hex)
            storage.set_study_user_attr(study_id, COMMAND, command)
            # Last, because its presence says that the study was not killed while being made.
            storage.set_study_user_attr(study_id, CONFIG, numbered(storable(config), steps))
        return cls(storage, config.name, steps=steps)

    @property
    def command(self) -> str:
        """The command that last ran the study."""
        return str(self._attributes(self.name).get(COMMAND, ""))

    def update(self, config: StudyConfig, *, command: str) -> None:
        """Keep a configuration that continues the study."""
        for study_id in self._ids.values():
            self._storage.set_study_user_attr(study_id, CONFIG, self._numbered(storable(config)))
            self._storage.set_study_user_attr(study_id, COMMAND, command)
        self.config = config

    @property
    def is_finished(self) -> bool:
        """Whether the last run came to its end; versions before 0.3 did not remember that."""
        return bool(self._attributes(self.name).get(FINISHED, False))

    def mark(self, *, is_finished: bool) -> None:
        """Remember that a run has begun, or come to its end."""
        self._storage.set_study_user_attr(self._ids[self.name], FINISHED, is_finished)

    @property
    def study_id(self) -> str:
        """Tells this study from others of the same name, in this storage or another."""
        return str(self._attributes(self.name)[STUDY_ID])

    def records(self) -> tuple[TrialRecord, ...]:
        """Every trained student: search before confirm, distilled before baseline, by number."""
        if self._ordered is None:
            self._ordered = tuple(itertools.chain.from_iterable(self._records.values()))
        return self._ordered

    def trials(self, arm: Arm) -> list[FrozenTrial]:
        """Optuna's trials of one arm's search, by number, parameters by today's names."""
        study_id = self._ids[optuna_name(self.name, "search", arm)]
        trials = self._storage.get_all_trials(study_id, deepcopy=False)
        return [self._with_todays_names(trial) for trial in trials]

    def generation(self, record: TrialRecord) -> int:
        """The generation that a trial was added in."""
        assert record.optuna_study is not None
        assert record.optuna_trial is not None
        return self._generations[record.optuna_study, record.optuna_trial]

    def bind_data(self, fingerprint: str) -> None:
        """Remember what data the study is about.

        Raises:
            StudyChangedError: It has been about other data.
        """
        known = self._attributes(self.name).get(DATA, fingerprint)
        if known != fingerprint:
            raise StudyChangedError(
                f"the data of study {self.name} is not what it was (fingerprint {known[:12]}, now "
                f"{fingerprint[:12]}), so its trials would not be comparable; put the data back, "
                "or give the study file another name"
            )
        self._storage.set_study_user_attr(self._ids[self.name], DATA, fingerprint)

    @property
    def engine(self) -> "EngineName | None":
        """The engine that the study trains with, once it has been measured."""
        return self._attributes(self.name).get(ENGINE)

    def save_engine(self, engine: "EngineName") -> None:
        """Remember the engine, so that a resumed study gives the same numbers."""
        self._storage.set_study_user_attr(self._ids[self.name], ENGINE, engine)

    def open_round(self, running: Iterable[str]) -> frozenset[str]:
        """The keys of all trials of the round that some running ones belong to.

        Remembered until the next round: a round that goes on must have the students that it began
        with, because those that are compared and trained together decide who goes on.
        """
        wanted = frozenset(running)
        known = frozenset(self._attributes(self.name).get(ROUND, ()))
        if wanted <= known:
            return known
        self._storage.set_study_user_attr(self._ids[self.name], ROUND, sorted(wanted))
        return wanted

    def next_number(self, stage: Stage, arm: Arm) -> int:
        """The number that the next trial of a stage and arm will have."""
        return len(self._records[optuna_name(self.name, stage, arm)])

    def add(
        self,
        record: TrialRecord,
        space: Space,
        *,
        generation: int = 0,
        system_attrs: Mapping[str, Any] | None = None,
    ) -> TrialRecord:
        """Add a RUNNING trial with all its parameters in one transaction.

        Args:
            record: Who it is.
            space: Distribution of every setting that Optuna should know.
            generation: The generation it was asked in.
            system_attrs: What the sampler wants remembered.
        """
        part = optuna_name(self.name, record.stage, record.arm)
        stored = as_known(space, self._spaces.get(part, {}), record.settings)
        self._spaces.setdefault(part, stored)
        template = optuna.trial.create_trial(
            state=TrialState.RUNNING,
            params={name: record.settings[name] for name in stored},
            distributions=stored,
            user_attrs={
                "record": self._numbered(record.model_dump(mode="json")),
                "generation": generation,
                "stage": record.stage,
                "arm": record.arm,
                "replicate": record.replicate,
            },
            system_attrs=dict(system_attrs or {}),
        )
        trial_id = self._storage.create_new_trial(self._ids[part], template)
        number = self._storage.get_trial_number_from_id(trial_id)
        self._generations[part, number] = generation
        return self._remember(record.model_copy(update=_location(part, number)))

    def report(self, record: TrialRecord, *, epoch: int, score: float) -> None:
        """Tell Optuna the best score of a trial up to a rung, as a value of the objective."""
        objectives = self.config.objective
        trial_id = self._trial_id(record)
        known = self._storage.get_trial(trial_id).intermediate_values
        if len(objectives) == 1 and epoch not in known:
            value = rung_value(score, objectives[0])
            self._storage.set_trial_intermediate_value(trial_id, epoch, value)

    def finish(self, record: TrialRecord) -> TrialRecord:
        """Store what came of a trial and tell Optuna its state and values."""
        trial_id = self._trial_id(record)
        saved = self._numbered(record.model_dump(mode="json"))
        self._storage.set_trial_user_attr(trial_id, "record", saved)
        if record.mlflow_run_id:
            self._storage.set_trial_user_attr(trial_id, "mlflow_run_id", record.mlflow_run_id)
        values = objective_values(record, self.config.objective)
        state = TrialState[record.state]
        self._storage.set_trial_state_values(trial_id, state, values)
        return self._remember(record)

    def link(self, record: TrialRecord, run_id: str) -> TrialRecord:
        """Remember the MLflow run of a finished trial, whose own attributes are closed by now."""
        study_id = self._ids[record.optuna_study or ""]
        key = f"{RUN_ID}{record.optuna_trial}"
        self._storage.set_study_user_attr(study_id, key, run_id)
        return self._remember(record.model_copy(update={"mlflow_run_id": run_id}))

    def link_study(self, run_id: str) -> None:
        """Remember the study's own MLflow run."""
        self._storage.set_study_user_attr(self._ids[self.name], PARENT_RUN, run_id)

    def save_bank(self, bank: TeacherBankRecord) -> None:
        """Store what is known of a teacher bank, replacing what was."""
        study_id = self._ids[self.name]
        key = f"{BANKS}{bank.key}"
        saved = self._numbered(bank.model_dump(mode="json"))
        self._storage.set_study_user_attr(study_id, key, saved)

    def banks(self) -> tuple[TeacherBankRecord, ...]:
        """The teacher banks that the study has used, in a fixed order."""
        saved = self._attributes(self.name)
        keys = sorted(key for key in saved if key.startswith(BANKS))
        return tuple(
            self._read("bank", saved[key], TeacherBankRecord.model_validate) for key in keys
        )

    def _numbered(self, saved: dict[str, Any]) -> dict[str, Any]:
        return numbered(saved, self._steps)

    def _read(
        self, kind: Kind, saved: Mapping[str, Any], parse: Callable[[dict[str, Any]], Parsed]
    ) -> Parsed:
        """What was stored, by whatever version."""
        try:
            return parse(upgraded(kind, saved, self._steps))
        except (NewerSchemaError, ValidationError, KeyError) as error:
            what = {"config": "study", "record": "a record of study", "bank": "a teacher of study"}
            name = f"{what[kind]} {self.name} in {place_of(self._storage)}"
            raise unreadable(name, saved, self._steps) from error

    def _read_config(self, saved: Mapping[str, Any]) -> StudyConfig:
        # By way of JSON, whose lists may be tuples: the sections are strict.
        return self._read(
            "config", saved, lambda plain: StudyConfig.model_validate_json(json.dumps(plain))
        )

    def _read_record(
        self, part: str, trial: FrozenTrial, linked: Mapping[int, str]
    ) -> TrialRecord:
        record = self._read("record", trial.user_attrs["record"], TrialRecord.model_validate)
        state = "RUNNING" if trial.state == TrialState.WAITING else trial.state.name
        run_id = linked.get(trial.number) or record.mlflow_run_id  # a link is always newer
        update = {"state": state, "mlflow_run_id": run_id} | _location(part, trial.number)
        return record.model_copy(update=update)

    def _with_todays_names(self, trial: FrozenTrial) -> FrozenTrial:
        names = renamed_parameters(trial.user_attrs["record"], self._steps)
        if not names:
            return trial
        found = copy.copy(trial)
        found.params = {names.get(name, name): v for name, v in trial.params.items()}
        found.distributions = {names.get(n, n): d for n, d in trial.distributions.items()}
        return found

    def _attributes(self, part: str) -> dict[str, Any]:
        return self._storage.get_study_user_attrs(self._ids[part])

    def _linked_runs(self, study_id: int) -> dict[int, str]:
        attributes = self._storage.get_study_user_attrs(study_id)
        runs = {k.removeprefix(RUN_ID): v for k, v in attributes.items() if k.startswith(RUN_ID)}
        return {int(number): str(run_id) for number, run_id in runs.items()}

    def _trial_id(self, record: TrialRecord) -> int:
        assert record.optuna_study is not None
        assert record.optuna_trial is not None
        study_id = self._ids[record.optuna_study]
        return self._storage.get_trial_id_from_study_id_trial_number(study_id, record.optuna_trial)

    def _remember(self, record: TrialRecord) -> TrialRecord:
        assert record.optuna_study is not None
        assert record.optuna_trial is not None
        part = self._records[record.optuna_study]
        if record.optuna_trial == len(part):
            part.append(record)
        else:
            part[record.optuna_trial] = record
        self._ordered = None
        return record


def _unknown(name: str) -> UnknownStudyError:
    return UnknownStudyError(
        f"no study is called {name}; `kdsearch study list` shows those that are"
    )


def storable(config: StudyConfig) -> dict[str, Any]:
    """A configuration without the password that its storage URL may have."""
    kept = config.model_copy(update={"storage": redact_url(config.storage)})
    return kept.model_dump(mode="json")


def _location(part: str, number: int) -> dict[str, Scalar]:
    return {"optuna_study": part, "optuna_trial": number}
