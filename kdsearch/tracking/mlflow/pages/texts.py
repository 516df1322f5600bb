"""What MLflow says in words of a study, its result and its champion."""

from collections.abc import Mapping

from kdsearch.config import StudyConfig
from kdsearch.redaction import redact
from kdsearch.results import TrialRecord
from kdsearch.tracking.mlflow.pages.links import view_link
from kdsearch.tracking.mlflow.pages.views import NAMES, view_key, view_kinds


def experiment_text(config: StudyConfig) -> str:
    """Description of the experiment. The list of experiments shows its beginning as plain text."""
    if config.experiment != config.name:
        return "Studies of kdsearch. The menu Views above the runs has the charts of each of them."
    return redact(
        f"{config.question_text}\n\n"
        f"Its charts are in the menu **Views** above the runs, from {NAMES['search']} on; "
        f"`kdsearch ui {config.name}` opens them. The run *{config.name}* holds the report, the "
        f"study file and the answer; the registered model {config.name} is the best student."
    )


def with_links(text: str, config: StudyConfig, experiment_id: str) -> str:
    """A study run's description below links to the views: MLflow folds what has many lines."""
    keys = {kind: view_key(config.name, kind) for kind in view_kinds(config)}
    # From `#` on, so that they stay on the server that shows them, whatever its address.
    links = [
        f"[{NAMES[kind]}]({view_link('', experiment_id, key).removeprefix('/')})"
        for kind, key in keys.items()
    ]
    return f"Charts: {' · '.join(links)}\n\n{text}"


def result_text(
    config: StudyConfig, record: TrialRecord, figures: Mapping[str, str]
) -> str | None:
    """`69.4 +- 0.3 % test accuracy at width 256, distilled`; None without a test.

    Args:
        config: The study.
        record: Its champion.
        figures: `test_METRIC_mean` and `test_METRIC_se`, as the registered model has them.
    """
    metric = config.headline
    try:
        mean = float(figures[f"test_{metric.name}_mean"])
        error = float(figures[f"test_{metric.name}_se"])
    except (KeyError, ValueError):
        return None
    is_share = metric.unit == "fraction"
    shown = f"{100 * mean:.1f}" if is_share else f"{mean:.3g}"
    if error == error:  # Not NaN: there are replicates.
        shown += f" ± {100 * error:.1f}" if is_share else f" ± {error:.2g}"
    shown += " %" if is_share else ""
    place = ", ".join(f"{name} {value}" for name, value in record.stratum.items())
    return f"{shown} test {metric.words} at {place or f'width {record.width}'}, {_arm(record)}"


def model_text(config: StudyConfig) -> str:
    """Description of the registered model."""
    return redact(
        f"The best confirmed student of study **{config.name}**, chosen by validation.\n\n"
        f"{config.question_text}\n\n"
        "It takes raw samples and needs neither kdsearch nor unpickling:\n\n"
        "```python\n"
        "import mlflow\n\n"
        f'model = mlflow.pytorch.load_model("models:/{config.name}@champion")\n'
        "logits = model(samples)  # samples as the data set has them, not normalised\n"
        "```\n"
    )


def version_text(config: StudyConfig, record: TrialRecord, figures: Mapping[str, str]) -> str:
    """Description of one version of it."""
    settings = ", ".join(f"{name} {_short(value)}" for name, value in record.settings.items())
    result = result_text(config, record, figures)
    parts = [
        f"{record.num_params:,} parameters" if record.num_params is not None else "",
        f"{settings}",
        f"seed {record.seed}",
    ]
    first = f"{result}, mean and standard error of {figures.get('replicates', '?')} replicates. "
    return redact((first if result else "") + "; ".join(filter(None, parts)) + ".")


def _arm(record: TrialRecord) -> str:
    return "distilled" if record.is_taught else "hard labels"


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
