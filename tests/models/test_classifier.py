"""Raw samples in, logits out."""

import pytest
import torch
from torch import Tensor, nn

from kdsearch.models import Classifier, Normalization, predict_logits


def test_normalization_by_hand() -> None:
    normalize = Normalization(torch.tensor(2.0), torch.tensor(4.0))
    assert normalize(torch.tensor([[2.0, 6.0, 0.0]])).tolist() == [[0.0, 1.0, -0.5]]


def test_normalization_for_each_channel() -> None:
    mean, std = torch.tensor([[[1.0]], [[2.0]]]), torch.tensor([[[1.0]], [[10.0]]])
    x = torch.tensor([3.0, 12.0]).reshape(1, 2, 1, 1).expand(5, 2, 3, 3)
    found = Normalization(mean, std)(x)
    assert found[:, 0].unique().tolist() == [2.0]
    assert found[:, 1].unique().tolist() == [1.0]


def test_statistics_are_stored_but_not_trained() -> None:
    mean = torch.tensor(2.0)
    model = Classifier(Normalization(mean, torch.tensor(4.0)), nn.Linear(3, 2))
    assert [name for name, _ in model.named_parameters()] == ["body.weight", "body.bias"]
    assert set(model.state_dict()) == {
        "normalization.mean", "normalization.std", "body.weight", "body.bias"
    }  # fmt: skip
    mean.fill_(7.0)  # the caller's tensor is its own
    assert float(model.normalization.mean) == 2.0


def test_whole_is_body_on_normalised_samples() -> None:
    torch.manual_seed(0)
    body = nn.Linear(3, 2)
    model = Classifier(Normalization(torch.tensor(2.0), torch.tensor(4.0)), body)
    x = torch.randn(5, 3)
    torch.testing.assert_close(model(x), body((x - 2) / 4))


class Spy(nn.Module):
    """Remembers the mode and the size of each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.5)
        self.seen: list[tuple[bool, bool, int]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append((self.training, self.drop.training, len(x)))
        if len(x) == 13:
            raise RuntimeError("unlucky")
        return self.drop(x)


def test_predicts_in_eval_mode_and_puts_the_mode_back() -> None:
    spy = Spy()
    x = torch.randn(10, 3, requires_grad=True)
    logits = predict_logits(spy, x, batch_size=4)
    assert spy.seen == [(False, False, 4), (False, False, 4), (False, False, 2)]
    assert torch.equal(logits, x)
    assert not logits.requires_grad
    assert spy.training
    assert spy.drop.training
    spy.eval()
    predict_logits(spy, x)
    assert not spy.training


def test_mode_is_put_back_after_an_error() -> None:
    spy = Spy()
    with pytest.raises(RuntimeError, match="unlucky"):
        predict_logits(spy, torch.zeros(13, 3))
    assert spy.training
