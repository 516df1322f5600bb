"""Which nuisance parameters matter, by Optuna's PED-ANOVA within strata."""

from collections import defaultdict
from collections.abc import Sequence

import optuna
from optuna.trial import TrialState

from kdsearch.config import Scalar, StudyConfig
from kdsearch.results import TrialRecord
from kdsearch.results.objective import complete_score
from kdsearch.study.proposal.lane import nuisances
from kdsearch.study.proposal.space import distributions

TRIALS_EACH = 12
"""Complete trials for each parameter below which shares are mostly luck."""


def parameter_importance(config: StudyConfig, records: Sequence[TrialRecord]) -> dict[str, float]:
    """Share of each nuisance parameter in the objective, largest first; sums to 1.

    Objective values are centred by stratum first, so that the scientific axis, which moves the
    objective most, does not hide the parameters that were tuned. Empty with fewer than 12
    complete distilled search trials for each parameter.
    """
    complete = [
        r
        for r in records
        if r.stage == "search" and r.arm == "distilled" and r.state == "COMPLETE"
    ]
    space = distributions(config, nuisances(config, "distilled"))
    if len(space) < 2 or len(complete) < TRIALS_EACH * len(space):
        return {}
    peers: defaultdict[frozenset[tuple[str, Scalar]], list[float]] = defaultdict(list)
    for record in complete:
        peers[frozenset(record.stratum.items())].append(
            complete_score(record, config.objective[0])
        )
    means = {stratum: sum(scores) / len(scores) for stratum, scores in peers.items()}
    study = optuna.create_study(direction="maximize")
    for record in complete:
        mean = means[frozenset(record.stratum.items())]
        study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.COMPLETE,
                params={name: record.settings[name] for name in space},
                distributions=space,
                value=complete_score(record, config.objective[0]) - mean,
            )
        )
    return optuna.importance.get_param_importances(study)
