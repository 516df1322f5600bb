"""What a run is called and tagged: the parts of it that people and searches read."""

import hashlib
import json
from typing import Any

from kdsearch.config import Scalar
from kdsearch.redaction import redact
from kdsearch.results import TeacherBankRecord, TeacherRecord, TrialRecord

KEY = "kdsearch.key"
IDENTITY = "kdsearch.identity"
CONTENT = "kdsearch.content"
MODEL = "kdsearch.model_id"
PARENT = "mlflow.parentRunId"
SHOWN = "kdsearch.shown"

_MAX_TAG = 5000
_NOT_IDENTITY = {"mlflow_run_id", "test", "test_correct"}


def study_key(study_id: str) -> str:
    """Key of the study's own run."""
    return f"{study_id}/study"


def trial_key(study_id: str, record: TrialRecord) -> str:
    """Key of a student's run, such as `STUDY_ID/search/distilled/12/0`."""
    return f"{study_id}/{record.stage}/{record.arm}/{record.trial}/{record.replicate}"


def teacher_key(study_id: str, bank: TeacherBankRecord, record: TeacherRecord) -> str:
    """Key of a teacher's run within the study."""
    return f"{study_id}/teacher/{bank.key}/{record.member}"


def record_hash(record: TrialRecord | TeacherRecord, *, identity: bool) -> str:
    """Hash of what a run was written from.

    Args:
        record: What was written.
        identity: Without the test results, which may follow later: equal identities describe
            the same training.
    """
    skipped = _NOT_IDENTITY if identity else {"mlflow_run_id"}
    tree: dict[str, Any] = record.model_dump(mode="json", exclude=skipped)
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:32]


def short_number(record: TrialRecord) -> str:
    """`t012` a search trial, `c012.1` its first confirmation, `b012` and `b012.1` the baseline."""
    letter = "b" if record.arm == "baseline" else {"search": "t", "confirm": "c"}[record.stage]
    replicate = f".{record.replicate}" if record.stage == "confirm" else ""
    return f"{letter}{record.trial:03d}{replicate}"


def trial_name(record: TrialRecord) -> str:
    """Run name with the number first: MLflow's table shows about 22 characters of it."""
    parts = [short_number(record), f"w{record.width}"]
    if record.arm == "distilled":
        parts += [] if record.temperature is None else [f"T{record.temperature:.2g}"]
        parts += [] if record.alpha is None else [f"a{record.alpha:.2f}"]
    return " ".join(parts)


def teacher_name(record: TeacherRecord) -> str:
    """Run name of a teacher."""
    return f"teacher {record.member} {record.model}"


def model_name(study: str, label: str) -> str:
    """A logged model's name; MLflow refuses dots and quotes in it."""
    return f"{study}-{label}".replace(".", "-")


def trial_tags(record: TrialRecord) -> dict[str, str]:
    """Tags of a student's run."""
    tags: dict[str, Scalar | None] = {
        "kdsearch.kind": "trial",
        "kdsearch.study": record.study,
        "kdsearch.trial": record.trial,
        "kdsearch.replicate": record.replicate,
        "kdsearch.stage": record.stage,
        "kdsearch.arm": record.arm,
        "kdsearch.state": record.state,
        "kdsearch.optuna_study": record.optuna_study,
        "kdsearch.optuna_trial": record.optuna_trial,
        "kdsearch.pruned_at": record.epochs if record.state == "PRUNED" else None,
        "kdsearch.failure": record.failure,
        # Params are rounded, for people; whoever computes with them wants these.
        "kdsearch.settings": json.dumps(record.settings),
        "optuna.state": record.state,
    }
    tags |= {f"kdsearch.stratum.{name}": value for name, value in record.stratum.items()}
    return as_text(tags)


def teacher_tags(study: str, bank: TeacherBankRecord, record: TeacherRecord) -> dict[str, str]:
    """Tags of a teacher's run."""
    tags: dict[str, Scalar | None] = {
        "kdsearch.kind": "teacher",
        "kdsearch.study": study,
        "kdsearch.teacher": record.key,
        "kdsearch.bank": bank.key,
        "kdsearch.member": record.member,
        "kdsearch.state": "COMPLETE",
    }
    return as_text(
        tags | {f"kdsearch.bank.{name}": value for name, value in bank.settings.items()}
    )


def as_text(tags: dict[str, Scalar | None]) -> dict[str, str]:
    """Tags without the missing ones, as short text, without credentials."""
    return {k: redact(str(v))[:_MAX_TAG] for k, v in tags.items() if v is not None}
