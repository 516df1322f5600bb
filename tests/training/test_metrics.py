"""The functions of the table beside scikit-learn's, and on values worked out by hand."""

import math

import pytest
import torch
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    log_loss,
    roc_auc_score,
)

from kdsearch.config import METRICS
from kdsearch.results import Evaluation
from kdsearch.training import evaluate_logits
from kdsearch.training.metrics import FUNCTIONS, auroc, balanced_accuracy, f1_macro


def made(
    num_samples: int, num_classes: int, *, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits that know a little of labels of which class 0 is the rarest."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.arange(1.0, num_classes + 1)
    labels = torch.multinomial(weights, num_samples, replacement=True, generator=generator)
    logits = torch.randn(num_samples, num_classes, generator=generator)
    logits[torch.arange(num_samples), labels] += 1.0
    return logits, labels


def test_every_entry_of_the_table_has_its_function_and_every_function_its_entry() -> None:
    assert FUNCTIONS.keys() == METRICS.keys()
    assert set(Evaluation.FIELDS) <= METRICS.keys()


@pytest.mark.parametrize("num_classes", [2, 3, 10])
def test_they_are_scikit_learns(num_classes: int) -> None:
    logits, labels = made(400, num_classes)
    found = evaluate_logits(logits, labels, logits)
    probs = logits.double().softmax(dim=1).numpy()
    truth, told = labels.numpy(), logits.argmax(dim=1).numpy()
    assert found.accuracy == accuracy_score(truth, told)
    assert found.loss == pytest.approx(log_loss(truth, probs), rel=1e-6)
    assert found.value("balanced_accuracy") == pytest.approx(balanced_accuracy_score(truth, told))
    assert found.value("f1_macro") == pytest.approx(f1_score(truth, told, average="macro"))
    scores = probs[:, 1] if num_classes == 2 else probs
    assert found.value("auroc") == pytest.approx(roc_auc_score(truth, scores, multi_class="ovr"))


def test_equal_scores_share_their_rank() -> None:
    logits, labels = made(300, 2)
    coarse = logits.round()
    probs = coarse.double().softmax(dim=1)[:, 1].numpy()
    assert auroc(coarse, labels) == pytest.approx(roc_auc_score(labels.numpy(), probs))
    assert auroc(torch.zeros(300, 2), labels) == 0.5


def test_a_confident_model_still_ranks() -> None:
    logits = torch.tensor([[0.0, 20.0], [0.0, 21.0], [0.0, 22.0], [0.0, 23.0]])
    assert auroc(logits, torch.tensor([0, 0, 1, 1])) == 1.0


def test_classes_that_do_not_occur() -> None:
    logits = torch.eye(4)[[0, 0, 1, 2]]
    labels = torch.tensor([0, 0, 1, 1])
    assert balanced_accuracy(logits, labels) == (1.0 + 0.5) / 2
    # class 1: 1 hit, 1 miss; class 2 is named once in vain; class 3 is not there at all
    assert f1_macro(logits, labels) == pytest.approx((1.0 + 2 / 3 + 0.0) / 3)
    assert auroc(logits, labels) == pytest.approx((1.0 + 0.75) / 2)


def test_what_is_no_number_is_left_out_of_the_record() -> None:
    logits, labels = torch.eye(3), torch.zeros(3, dtype=torch.int64)
    assert math.isnan(auroc(logits, labels))
    found = evaluate_logits(logits, labels, logits)
    assert found.value("auroc") is None
    assert found.value("f1_macro") is not None
    assert Evaluation.model_validate_json(found.model_dump_json()) == found
