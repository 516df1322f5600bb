"""Which nuisance parameters matter, by Optuna's PED-ANOVA within strata."""

from collections.abc import Sequence

import optuna
from optuna.trial import TrialState

from kdsearch.config import StudyConfig
from kdsearch.results import TrialRecord
from kdsearch.study.lane import nuisances
from kdsearch.study.objective import best_score
from kdsearch.study.space import distributions

MIN_TRIALS = 10


def parameter_importance(config: StudyConfig, records: Sequence[TrialRecord]) -> dict[str, float]:
    """Share of each nuisance parameter in the objective, largest first; sums to 1.

    Objective values are centred by stratum first, so that the scientific axis, which moves the
    objective most, does not hide the parameters that were tuned. Empty with fewer than 10
    complete distilled search trials.
    """
    complete = [
        r
        for r in records
        if r.stage == "search" and r.arm == "distilled" and r.state == "COMPLETE"
    ]
    space = distributions(config, nuisances(config, "distilled"))
    if len(complete) < MIN_TRIALS or len(space) < 2:
        return {}
    study = optuna.create_study(direction="maximize")
    for record in complete:
        peers = [best_score(r, config) for r in complete if r.stratum == record.stratum]
        study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.COMPLETE,
                params={name: record.settings[name] for name in space},
                distributions=space,
                value=best_score(record, config) - sum(peers) / len(peers),
            )
        )
    return optuna.importance.get_param_importances(study)
