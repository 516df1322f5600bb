"""A good study file that the tests of the loader break, one line at a time."""

GOOD = """\
name: temp-alpha
seed: 0
data: {kind: mnist1d, val_fraction: 0.2}
teacher:
  model: {kind: conv1d, width: 64}
  members: 4
  training: {epochs: 40, learning_rate: 2.0e-3}
student: {kind: mlp, depth: 2}
training: {epochs: 40, batch_size: 128, lr_scaling: none}
search:
  temperature: {role: nuisance, low: 1.0, high: 20.0, log: true}
  alpha: {role: nuisance, low: 0.0, high: 1.0}
  learning_rate: {role: nuisance, low: 3e-4, high: 3.0e-2, log: true}
  ensemble_size: {role: nuisance, values: [1, 2, 4]}
  width: {role: scientific, values: [8, 16, 32, 64, 128, 256]}
objective: {metric: val_accuracy, direction: maximize}
sampler: {kind: tpe}
pruner: {kind: halving, min_epochs: 1}
budget: {trials: 24}
confirm: {replicates: 5, baseline: true}
tracking: {experiment: temp-alpha}
storage: sqlite:///kdsearch.db
"""


def changed(*edits: tuple[str, str]) -> str:
    """The good file with each old text, which must be there, replaced by a new one."""
    text = GOOD
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text
