"""Whether the pieces that a study names exist and fit together, before anything is written."""

import os
from collections.abc import Mapping
from pathlib import Path

import torch

from kdsearch.cache import cache_folder, prepare_cache
from kdsearch.config import (
    DataConfig,
    ImportData,
    ImportDistillation,
    ImportModel,
    Metric,
    ModelConfig,
    Scalar,
    SearchParameter,
    StudyConfig,
)
from kdsearch.data import Dataset, load_dataset
from kdsearch.distill import try_out
from kdsearch.errors import DataError, UserInputError
from kdsearch.execution.materials import forget_materials, load_data
from kdsearch.models import count_model, describe_model
from kdsearch.study.proposal.sampler import imported_sampler
from kdsearch.training import select_device
from kdsearch.training.evaluation import measure

BYTES_PER_PARAMETER = 16
"""Of a model in training: weight, gradient and two moments of Adam, float32."""
STUDENTS_AT_ONCE = 16
"""Of one generation, as many as are in memory together at the very least."""


def check_pieces(config: StudyConfig) -> Dataset:
    """Load the data, count every architecture and try the user's loss, before writing anything.

    Only the cache folder is made, if it is not there.

    Raises:
        UserInputError: Something cannot work together, or not on this machine.
    """
    sizes = largest_sizes(config.search)
    trials = [config.trial_config(stratum | sizes) for stratum in config.strata()]
    for trial in trials:
        select_device(trial.training.device)
        select_device(trial.teacher.training.device, field="teacher.training.device")
    if config.sampler.kind == "import":
        imported_sampler(config.sampler, seed=0)
    cache = cache_folder()
    prepare_cache(cache)
    forget_materials()
    dataset = load_data(config.data, cache)
    if not isinstance(config.teacher.augment, str):
        seen = config.teacher.data_of(config.data)
        load_dataset(seen, cache=cache, augment_key="teacher.augment")
    check_repeatable(config.data, dataset, cache)
    for student in {trial.student: None for trial in trials}:
        students = min(config.budget.generation, STUDENTS_AT_ONCE)
        check_model("student", student, dataset, at_once=students)
    for teacher in {trial.teacher.model: None for trial in trials}:
        check_model("teacher.model", teacher, dataset, at_once=1)
    for metric in config.own_metrics:
        check_metric(metric, dataset.num_classes)
    loss = config.trial_config(first_values(config.space)).distillation
    if isinstance(loss, ImportDistillation):
        try_out(loss.target, loss.options, num_classes=dataset.num_classes)
    return dataset


def first_values(space: Mapping[str, SearchParameter]) -> dict[str, Scalar]:
    """The first value that the file gives for each parameter."""
    return {name: value for name, p in space.items() for _, value in p.given()[:1]}


def largest_sizes(search: Mapping[str, SearchParameter]) -> dict[str, Scalar]:
    """The largest value of every width and depth that is tuned."""
    sizes: dict[str, Scalar] = {}
    for name, parameter in search.items():
        numbers = [value for _, value in parameter.given() if isinstance(value, int)]
        is_size = name.rpartition(".")[2] in {"width", "depth"}
        if parameter.role == "nuisance" and is_size and numbers:
            sizes[name] = max(numbers)
    return sizes


def check_repeatable(config: DataConfig, dataset: Dataset, cache: Path) -> None:
    """Refuse a user's own data that come out differently each time: workers load them again.

    Raises:
        DataError: They do.
    """
    if not isinstance(config, ImportData):
        return
    if load_dataset(config, cache=cache).fingerprint != dataset.fingerprint:
        raise DataError(
            f"'{config.target}' returned other samples when it was called again; it must return "
            f"the same samples every time: seed it"
        )


def check_metric(metric: Metric, num_classes: int) -> None:
    """Try a user's own metric on made outputs: two samples of each class.

    Raises:
        UserInputError: It cannot be imported, fails, or returns no finite number.
    """
    labels = torch.arange(num_classes).repeat(2)
    noise = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, len(labels), num_classes, generator=noise)
    try:
        measure(metric, student, labels, teacher)
    except UserInputError as error:
        raise UserInputError(f"metrics.{metric.name}: {error}") from error


def check_model(section: str, model: ModelConfig, dataset: Dataset, *, at_once: int) -> None:
    """Refuse an architecture that cannot read the data, or be trained in this machine's memory.

    Args:
        section: Of the study file, for the message.
        model: The architecture.
        dataset: What it reads.
        at_once: How many of it are trained together.

    Raises:
        UserInputError: It cannot.
    """
    num_params = count_model(
        model,
        input_shape=dataset.input_shape,
        num_classes=dataset.num_classes,
        input_dtype=dataset.input_dtype,
    ).num_params
    if isinstance(model, ImportModel) and model.pretrained:
        return
    needed = BYTES_PER_PARAMETER * num_params * at_once
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise UserInputError(
            f"{section}: {describe_model(model)} has {num_params} parameters; training "
            f"{at_once} at once takes {needed / 1e9:.0f} GB of memory and this machine has "
            f"{there / 1e9:.0f} GB: take a smaller width"
            + (" or budget.generation" if at_once > 1 else "")
        )
