"""The study's own run: parent of all others, with the optimisation history and the report."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import time_ns

import yaml
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

from kdsearch.config import StudyConfig
from kdsearch.redaction import redact, redact_url
from kdsearch.tracking.mlflow import labels
from kdsearch.tracking.mlflow.metrics import summary_metrics
from kdsearch.tracking.mlflow.origin import origin_tags
from kdsearch.tracking.mlflow.pages.publish import NOTE, best_effort
from kdsearch.tracking.mlflow.pages.texts import with_links
from kdsearch.tracking.mlflow.params import study_params
from kdsearch.tracking.sink import DatasetSummary, StudyState

BEST = "study/best"
STUDY_FILE = "study.yaml"
"""Artifact of the study's run: what it was run with."""
_MAX_NOTE = 8000
_MAX_DIGEST = 36
_STATUS: dict[StudyState, str] = {
    "finished": "FINISHED",
    "interrupted": "KILLED",
    "failed": "FAILED",
}


@dataclass(frozen=True)
class Opening:
    """What `open_study` was told."""

    config: StudyConfig
    study_id: str
    command: str
    dataset: DatasetSummary


class StudyRun:
    """The parent run of one study."""

    def __init__(self, client: MlflowClient, run_id: str, *, is_new: bool) -> None:
        self._client = client
        self.run_id = run_id
        self.is_new = is_new
        history = [] if is_new else client.get_metric_history(run_id, BEST)
        self._best = {metric.step: metric.value for metric in history}

    @classmethod
    def open(cls, client: MlflowClient, experiment_id: str, opening: Opening) -> "StudyRun":
        """Find the study's run and set it running again, or make it."""
        key = labels.study_key(opening.study_id)
        found = client.search_runs(
            [experiment_id], f"tags.`{labels.KEY}` = '{key}'", max_results=1
        )
        if found:
            run_id = found[0].info.run_id
            if found[0].info.status != "RUNNING":
                client.update_run(run_id, status="RUNNING")
            _log_study_file(client, run_id, opening.config)
            return cls(client, run_id, is_new=False)
        config = opening.config
        run = client.create_run(
            experiment_id,
            run_name=config.name,
            tags={
                labels.KEY: key,
                "kdsearch.kind": "study",
                "kdsearch.study": config.name,
                "kdsearch.study_id": opening.study_id,
                "kdsearch.dataset": opening.dataset.fingerprint,
                NOTE: with_links(_first_note(opening), config, experiment_id),
                **origin_tags(opening.command),
            },
        )
        run_id = run.info.run_id
        params = [Param(name, value) for name, value in study_params(config).items()]
        client.log_batch(run_id, params=params, synchronous=True)
        client.log_inputs(run_id, [dataset_input(opening.dataset)])
        _log_study_file(client, run_id, config)
        return cls(client, run_id, is_new=True)

    def log_best(self, step: int, value: float) -> None:
        """Add one point to the optimisation history, unless it is there."""
        value = round(value, 6)
        if self._best.get(step) != value:
            point = Metric(BEST, value, _now_ms(), step)
            self._client.log_batch(self.run_id, [point], synchronous=True)
            self._best[step] = value

    def log_report(self, folder: Path, summary: Mapping[str, float], markdown: str) -> None:
        """Upload the report's files; its text becomes the run's description."""
        self._client.log_artifacts(self.run_id, str(folder), "report")
        known = self._client.get_run(self.run_id).data.metrics
        metrics = [
            metric
            for metric in summary_metrics(dict(summary), timestamp_ms=_now_ms())
            if known.get(metric.key) != metric.value
        ]
        tags = [RunTag(NOTE, redact(markdown)[:_MAX_NOTE])]
        self._client.log_batch(self.run_id, metrics=metrics, tags=tags, synchronous=True)

    def close(self, state: StudyState) -> None:
        """End the run."""
        self._client.set_tag(self.run_id, "kdsearch.state", state)
        self._client.set_terminated(self.run_id, _STATUS[state])


def study_file(config: StudyConfig) -> str:
    """A study file that says what `config` says, without the keys that have their defaults."""
    kept = config.model_copy(update={"storage": redact_url(config.storage)})
    tree = kept.model_dump(mode="json", exclude_defaults=True)
    question = " ".join(config.question_text.split())
    head = f"# {question}\n# Run: kdsearch study run {STUDY_FILE}\n"
    return head + yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)


def _log_study_file(client: MlflowClient, run_id: str, config: StudyConfig) -> None:
    # Each time that the study is opened: a budget may have been raised.
    with best_effort():
        client.log_text(run_id, study_file(config), STUDY_FILE)


def dataset_input(summary: DatasetSummary) -> DatasetInput:
    """The data set as MLflow's column `Dataset` shows it, without the samples."""
    schema = {
        "mlflow_tensorspec": {
            "features": json.dumps(
                [
                    {
                        "type": "tensor",
                        "tensor-spec": {
                            "dtype": summary.input_dtype,
                            "shape": [-1, *summary.input_shape],
                        },
                    }
                ]
            ),
            "targets": None,
        }
    }
    profile = {
        "num_train": summary.num_train,
        "num_val": summary.num_val,
        "num_test": summary.num_test,
        "num_classes": summary.num_classes,
    }
    dataset = Dataset(
        name=summary.name,
        # MLflow's own digests leave out the tail of large arrays; it takes 36 characters.
        digest=summary.fingerprint[:_MAX_DIGEST],
        source_type="kdsearch",
        source=json.dumps({"fingerprint": summary.fingerprint}),
        schema=json.dumps(schema),
        profile=json.dumps(profile),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


def _first_note(opening: Opening) -> str:
    config = opening.config
    lines = [f"**{config.question}**" if config.question else f"Study **{config.name}**", ""]
    lines += [
        f"    {redact(opening.command)}",
        "",
        "| parameter | role | values |",
        "|---|---|---|",
    ]
    for name, parameter in config.space.items():
        values = parameter.value if parameter.values is None else list(parameter.values)
        if parameter.is_range:
            values = f"{parameter.low} to {parameter.high}{' (log)' if parameter.log else ''}"
        lines.append(f"| {name} | {parameter.role} | {values} |")
    return redact("\n".join(lines))[:_MAX_NOTE]


def _now_ms() -> int:
    return time_ns() // 1_000_000
