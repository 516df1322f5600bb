import dataclasses

import pytest
import torch

from kdsearch.data import Split
from kdsearch.data.fingerprint import fingerprint_splits

SPLIT = Split(x=torch.arange(8.0).reshape(2, 4), y=torch.tensor([0, 1]), ids=torch.tensor([5, 6]))


def fingerprint(split: Split, name: str = "train") -> str:
    return fingerprint_splits([(name, split), ("val", SPLIT)])


def test_it_is_sha256_in_hex_and_repeats() -> None:
    value = fingerprint(SPLIT)
    assert len(value) == 64
    assert int(value, 16) >= 0
    assert value == fingerprint(dataclasses.replace(SPLIT, x=SPLIT.x.clone()))


@pytest.mark.parametrize(
    "changes",
    [
        {"x": SPLIT.x + torch.tensor([0, 0, 0, 1e-6])},
        {"x": SPLIT.x.reshape(2, 2, 2)},
        {"x": SPLIT.x.to(torch.float64)},
        {"y": torch.tensor([1, 0])},
        {"ids": torch.tensor([5, 7])},
    ],
)
def test_any_change_changes_it(changes: dict[str, torch.Tensor]) -> None:
    assert fingerprint(dataclasses.replace(SPLIT, **changes)) != fingerprint(SPLIT)


def test_it_knows_which_split_is_which() -> None:
    assert fingerprint(SPLIT, "train") != fingerprint(SPLIT, "test")
