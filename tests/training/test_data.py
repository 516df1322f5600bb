"""The order of samples, and where they lie."""

import pytest
import torch

from kdsearch.errors import UserInputError
from kdsearch.training import epoch_order, select_device
from tests.training.problem import make_data


def test_an_order_is_a_permutation() -> None:
    for epoch in (1, 2, 500):
        order = epoch_order(3, epoch, 101)
        assert order.sort().values.tolist() == list(range(101))


def test_an_order_follows_from_its_arguments() -> None:
    torch.manual_seed(1)
    first = epoch_order(3, 1, 100)
    before = torch.get_rng_state()
    assert torch.equal(epoch_order(3, 1, 100), first)
    assert torch.equal(torch.get_rng_state(), before)
    others = [epoch_order(3, 2, 100), epoch_order(4, 1, 100), epoch_order(1, 3, 100)]
    assert all(not torch.equal(other, first) for other in others)


def test_no_order_comes_twice() -> None:
    """Seeds that were added up instead of hashed would repeat: (0, 2) is (1, 1)."""
    orders = {tuple(epoch_order(s, e, 50).tolist()) for s in range(8) for e in range(1, 9)}
    assert len(orders) == 64


def test_devices() -> None:
    assert select_device("cpu") == torch.device("cpu")
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert select_device("auto") == torch.device(expected)


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for what is not there")
def test_cuda_is_asked_for_and_not_there() -> None:
    with pytest.raises(UserInputError, match=r"^training.device is cuda.*use auto or cpu"):
        select_device("cuda")
    with pytest.raises(UserInputError, match=r"^teacher.training.device is cuda"):
        select_device("cuda", field="teacher.training.device")


def test_moving_keeps_everything() -> None:
    data = make_data()
    moved = data.to(torch.device("cpu"))
    assert moved.views is None
    for found, expected in zip(moved[:-1], data[:-1], strict=True):
        assert torch.equal(found, expected)
    bare = data._replace(teacher_train=None, teacher_val=None).to(torch.device("cpu"))
    assert bare.teacher_train is None
    assert bare.teacher_val is None
