"""The distributions that Optuna's storage holds of a study's settings."""

from collections.abc import Mapping

from optuna.distributions import BaseDistribution, CategoricalDistribution

from kdsearch.config import Scalar

Space = dict[str, BaseDistribution]


def as_known(space: Space, known: Space, settings: Mapping[str, Scalar]) -> Space:
    """The distributions of settings that a study in Optuna's storage takes.

    It keeps one kind for each name. A study begun with version 0.1 has a list of a ladder's
    sizes, which holds no size between them: there Optuna does without the parameter.

    Args:
        space: What the settings were drawn from.
        known: The distributions of the study's first trial; empty before it.
        settings: The values, by name.
    """
    found: Space = {}
    for name, distribution in space.items():
        first = known.get(name, distribution)
        if type(first) is type(distribution):
            found[name] = distribution
        elif isinstance(first, CategoricalDistribution) and settings[name] in first.choices:
            found[name] = first
    return found
