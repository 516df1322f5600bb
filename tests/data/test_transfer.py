"""Classes that students never see, and validation samples that are trained on at the end."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from kdsearch.cache.prepared import PREPARED_VERSION
from kdsearch.config.data import AugmentConfig, TransferConfig
from kdsearch.data import Dataset, Split, load_dataset
from kdsearch.data.source import source_digest
from kdsearch.errors import DataError
from kdsearch.testing.small_study import small_study
from tests.data.conftest import Load, Sources

OMIT: dict[str, Any] = {"transfer": {"omit_classes": [3, 7]}}


def load_joined(**section: object) -> Dataset:
    return load_dataset(small_study(data=section).data, with_val=True)


def same(left: Split, right: Split) -> bool:
    return all(
        torch.equal(getattr(left, name), getattr(right, name)) for name in ("x", "y", "ids")
    )


def classes(y: Tensor) -> set[int]:
    return set(y.unique().tolist())


def test_students_see_no_sample_of_the_class_and_everything_else_is_whole(load: Load) -> None:
    whole, part = load(kind="digits"), load(kind="digits", **OMIT)
    assert classes(part.train.y) == set(range(10)) - {3, 7}
    kept = ~torch.isin(whole.train.y, torch.tensor([3, 7]))
    assert same(part.train, Split(*(getattr(whole.train, n)[kept] for n in ("x", "y", "ids"))))
    assert same(part.val, whole.val)
    assert same(part.test.open(by="test"), whole.test.open(by="test"))
    assert part.num_classes == whole.num_classes == 10
    assert float(part.mean) == pytest.approx(float(part.train.x.mean()), rel=1e-4)
    assert float(part.mean) != float(whole.mean)
    assert part.fingerprint != whole.fingerprint


def test_a_part_of_the_classes_of_a_part_of_the_samples(load: Load) -> None:
    few = load(kind="digits", train_fraction=0.3)
    both = load(kind="digits", train_fraction=0.3, **OMIT)
    kept = ~torch.isin(few.train.y, torch.tensor([3, 7]))
    assert both.train.ids.tolist() == few.train.ids[kept].tolist()
    assert 0 < len(both.train) < len(few.train)
    assert same(both.val, few.val)


def test_views_of_the_samples_that_are_left_are_the_whole_sets(load: Load) -> None:
    augment = {"shift": 2, "views": 3}
    whole = load(kind="digits", augment=augment)
    part = load(kind="digits", augment=augment, **OMIT)
    assert whole.augmentation is not None
    assert part.augmentation is not None
    kept = ~torch.isin(whole.train.y, torch.tensor([3, 7]))
    for number in range(3):
        view = part.augmentation.view(number)
        assert torch.equal(view.x, whole.augmentation.view(number).x[kept])
        assert torch.equal(view.ids, part.train.ids)


@pytest.mark.parametrize(
    ("omitted", "sentence"),
    [
        ([10], "data.transfer.omit_classes: digits has no class 10; allowed are 0 to 9"),
        ([1, 12, 99], "data.transfer.omit_classes: digits has no class 12; allowed are 0 to 9"),
        (
            list(range(10)),
            "data.transfer.omit_classes leaves students no sample of digits; leave at least one "
            "class in",
        ),
    ],
)
def test_classes_that_cannot_be_left_out(load: Load, omitted: list[int], sentence: str) -> None:
    with pytest.raises(DataError) as refused:
        load(kind="digits", transfer={"omit_classes": omitted})
    assert str(refused.value) == sentence


def test_one_class_may_remain_and_a_label_may_be_said_twice(load: Load) -> None:
    assert classes(load(kind="digits", transfer={"omit_classes": [*range(9)]}).train.y) == {9}
    twice = load(kind="digits", transfer={"omit_classes": [3, 3, 7]})
    assert same(twice.train, load(kind="digits", **OMIT).train)


@pytest.mark.parametrize(
    "section", [{}, OMIT, {"train_fraction": 0.4}, {"train_fraction": 0.4} | OMIT], ids=str
)
def test_validation_samples_join_in_the_order_of_their_ids(
    load: Load, section: dict[str, Any]
) -> None:
    alone, joined = load(kind="digits", **section), load_joined(kind="digits", **section)
    out = section.get("transfer", {}).get("omit_classes", [])
    added = alone.val.ids[~torch.isin(alone.val.y, torch.tensor(out, dtype=torch.int64))]
    assert joined.train.ids.tolist() == sorted([*alone.train.ids.tolist(), *added.tolist()])
    everything = load_joined(kind="digits")
    rows = torch.searchsorted(everything.train.ids, joined.train.ids)
    for name in ("x", "y"):
        assert torch.equal(getattr(joined.train, name), getattr(everything.train, name)[rows])
    assert not set(out) & classes(joined.train.y)
    for mine, its in ((joined.train, alone.train), (joined.train, alone.val)):
        both = torch.isin(its.ids, mine.ids)
        at = torch.searchsorted(mine.ids, its.ids[both])
        assert torch.equal(mine.x[at], its.x[both])
        assert torch.equal(mine.y[at], its.y[both])
    assert same(joined.val, alone.val)
    assert same(joined.test.open(by="test"), alone.test.open(by="test"))
    assert not set(joined.train.ids.tolist()) & set(joined.test.open(by="test").ids.tolist())
    assert torch.equal(joined.mean, alone.mean)
    assert torch.equal(joined.std, alone.std)
    assert joined.fingerprint != alone.fingerprint
    assert joined.train.digest != alone.train.digest


def test_a_test_set_of_its_own_has_numbers_of_its_own(sources: Sources) -> None:
    """Its samples are counted from 0, too, and none of them joins."""
    section = sources.section("npz-with-test")
    joined = load_joined(**section)
    assert len(joined.train) == 60
    assert joined.train.ids.tolist() == list(range(60))
    assert np.array_equal(joined.train.x.numpy(), sources.arrays["x"].astype(np.float32))
    assert len(joined.test) == 12


@pytest.mark.parametrize("change", [{"seed": 1}, {"val_fraction": 0.4}], ids=str)
def test_other_splits_are_other_data_although_all_samples_join(
    sources: Sources, change: dict[str, Any]
) -> None:
    """Everything that is made from the joined samples is addressed by their fingerprint."""
    section = sources.section("npz-with-test")
    one, other = load_joined(**section), load_joined(**section | change)
    assert torch.equal(one.train.x, other.train.x), "else this shows nothing"
    assert not torch.equal(one.mean, other.mean)
    assert one.fingerprint != other.fingerprint


def test_views_of_joined_samples_are_those_of_each_sample(load: Load) -> None:
    augment = {"shift": 2, "views": 2}
    alone = load(kind="digits", augment=augment)
    joined = load_joined(kind="digits", augment=augment)
    assert alone.augmentation is not None
    assert joined.augmentation is not None
    at = torch.searchsorted(joined.train.ids, alone.train.ids)
    for number in range(2):
        view = joined.augmentation.view(number)
        assert torch.equal(view.ids, joined.train.ids)
        assert torch.equal(view.x[at], alone.augmentation.view(number).x)
        assert view.digest != alone.augmentation.view(number).digest


def prepared_files(folder: Path) -> set[str]:
    return {file.name for file in (folder / "prepared").glob("*.safetensors")}


@pytest.mark.parametrize("train_fraction", [1.0, 0.5])
def test_data_prepared_before_there_was_a_transfer_keep_their_address(
    tmp_path: Path, train_fraction: float
) -> None:
    data = small_study(data={"kind": "digits", "train_fraction": train_fraction}).data
    section = data.model_dump(mode="json", exclude={"augment", "transfer"})
    address = ["dataset", section, source_digest(data, tmp_path)]
    whole = json.dumps([PREPARED_VERSION, np.__version__, *address], sort_keys=True)
    name = hashlib.sha256(whole.encode()).hexdigest()[:40] + ".safetensors"
    load_dataset(data, cache=tmp_path)
    assert prepared_files(tmp_path) == {name}
    views = data.model_copy(update={"augment": AugmentConfig(shift=1)})
    load_dataset(views, cache=tmp_path)
    if train_fraction == 1:
        assert prepared_files(tmp_path) == {name}
    transfer = TransferConfig(omit_classes=(3,))
    load_dataset(data.model_copy(update={"transfer": transfer}), cache=tmp_path)
    assert len(prepared_files(tmp_path)) == (2 if train_fraction == 1 else 3)
