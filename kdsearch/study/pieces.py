"""Whether the pieces that a study names exist and fit together, before anything is written."""

from kdsearch.config import StudyConfig
from kdsearch.data import Dataset, cache_folder
from kdsearch.execution.materials import load_data
from kdsearch.models import build_model


def check_pieces(config: StudyConfig) -> Dataset:
    """Load the data and build every architecture once, before anything is written.

    Raises:
        UserInputError: Something cannot work together.
    """
    dataset = load_data(config.data, cache_folder())
    samples = {"input_shape": dataset.input_shape, "num_classes": dataset.num_classes}
    for stratum in config.strata():
        trial = config.trial_config(stratum)
        build_model(trial.student, **samples, seed=0)
        build_model(trial.teacher.model, **samples, seed=0)
    return dataset
