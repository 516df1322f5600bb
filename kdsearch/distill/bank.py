"""The teacher bank: members trained once, content-addressed, shared between studies.

A member is addressed by everything that decides its weights: the data's fingerprint, its
architecture (its section, and the initial weights that gives), its training and its seed. Two
processes that want the same member wait for each other on a file lock, and the second finds it
trained. A member whose files are damaged counts as not trained: they are set aside.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from kdsearch.cache import Mapped, prepared_tensors, tensors_hash
from kdsearch.config import ImportModel, TeacherConfig
from kdsearch.config.seed import derive_seed
from kdsearch.data import Dataset, Samples
from kdsearch.distill.fingerprint import state_hash
from kdsearch.distill.logits import (
    LOGITS_VERSION,
    CachedLogits,
    LogitsCache,
    teacher_address,
)
from kdsearch.errors import StaleCacheError
from kdsearch.models import Classifier, Normalization, build_model
from kdsearch.results import TeacherRecord

FitMember = Callable[[nn.Module, Path], TeacherRecord]
"""Trains a fresh member in place (a pretrained one it only measures), checkpointing in the
given folder, and says how it went."""

RECIPE_VERSIONS = {"mlp": 2, "conv1d": 3, "cnn": 2, "import": 2}
"""Part of every trained member's address, by kind of model. Raise it with a change of the training
code after which the same section trains to other weights, be it by rounding: a teacher that is
cached must be the one that training it again would give."""

POLL_SECONDS = 0.2
"""How often it is asked whether to stop, while another process trains the member."""

# What reading a file raises that is missing, cut, or not what it should be.
_DAMAGE = (OSError, SafetensorError, LookupError, TypeError, ValueError, RuntimeError)


class TeacherInterrupted(Exception):
    """Training a member, or waiting for who trains it, was stopped; what there is, is kept."""


class Teacher(NamedTuple):
    """One trained member."""

    model: nn.Module
    """Raw samples [B, ...] to logits [B, C]; in eval mode, without gradients."""
    record: TeacherRecord


class TeacherBank:
    """Members 1..K of one teacher section, trained on one data set."""

    def __init__(self, config: TeacherConfig, dataset: Dataset, cache: Path) -> None:
        self._config = config
        self._dataset = dataset
        self._folder = cache / "teachers"
        self._cache = cache
        self._logits = LogitsCache(cache / "logits")
        self._keys: dict[int, str] = {}
        self._addresses: dict[int, str] = {}
        self._seen_whole: set[int] = set()

    @property
    def key(self) -> str:
        """Content address of members 1..K together."""
        keys = [self.member_key(member) for member in self.members]
        return hashlib.sha256("".join(keys).encode()).hexdigest()[:40]

    @property
    def members(self) -> range:
        """Member numbers 1..K."""
        return range(1, self._config.members + 1)

    @property
    def is_pretrained(self) -> bool:
        """Whether the teacher comes trained from the user's own code."""
        model = self._config.model
        return isinstance(model, ImportModel) and model.pretrained

    def member_key(self, member: int) -> str:
        """Content address of one member."""
        if member not in self._keys:
            self._keys[member] = self._hash_identity(member)
        return self._keys[member]

    def _hash_identity(self, member: int) -> str:
        model = self._build(member)
        left_open = {"device"} | ({"engine"} if self._config.training.engine == "auto" else set())
        training = self._config.training.identity(exclude=frozenset(left_open))
        identity = {
            "data": self._dataset.fingerprint,
            # options of a user's model may change what it computes and neither weights nor repr
            "model": self._config.model.identity(),
            "initial": state_hash(model),
            "architecture": repr(model),
            "training": None if self.is_pretrained else training,
            "recipe": None if self.is_pretrained else RECIPE_VERSIONS[self._config.model.kind],
            "seed": self._seed(member),
        }
        augmentation = self._dataset.augmentation
        if augmentation is not None and not self.is_pretrained:
            identity["views"] = augmentation.training_identity
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:40]

    def is_cached(self, member: int) -> bool:
        """Whether the member need not be trained; its files are read the first time."""
        if not (self._folder / self.member_key(member) / "teacher.json").exists():
            return False
        if member not in self._seen_whole:
            try:
                self.load(member)
            except StaleCacheError:
                return False
            self._seen_whole.add(member)
        return True

    def ensure(
        self, member: int, fit: FitMember, *, should_stop: Callable[[], bool] = lambda: False
    ) -> Teacher:
        """The member, trained by `fit` if no process has trained it yet, or if it is damaged.

        Args:
            member: Its number.
            fit: Trains it.
            should_stop: Polled while another process trains it.

        Raises:
            TeacherInterrupted: `should_stop` became true before the other process was done.
        """
        folder = self._folder / self.member_key(member)
        folder.mkdir(parents=True, exist_ok=True)
        lock = _acquire(folder / "lock", should_stop)
        try:
            self._seen_whole.discard(member)
            self._addresses.pop(member, None)
            if not self.is_cached(member):
                _set_aside(folder)
                self._train(member, folder, fit)
        finally:
            lock.release()
        return self.load(member)

    def load(self, member: int) -> Teacher:
        """A trained member from the cache.

        Raises:
            StaleCacheError: It is not there, or damaged.
        """
        folder = self._folder / self.member_key(member)
        model = self._build(member)
        try:
            saved = json.loads((folder / "teacher.json").read_text())
            if not self.is_pretrained:
                model.load_state_dict(load_file(folder / "model.safetensors"))
            record = TeacherRecord.model_validate(saved["record"])
            weights = saved["weights"]
        except _DAMAGE as error:
            raise StaleCacheError(
                f"teacher {folder} is missing or damaged ({type(error).__name__}); "
                f"run again, and it is trained again"
            ) from error
        if weights != state_hash(model):
            raise StaleCacheError(
                f"{folder / 'model.safetensors'} was changed; run again, and it is trained again"
            )
        return Teacher(
            model=model.eval().requires_grad_(False),
            record=record.model_copy(update={"member": member}),
        )

    def logits(self, samples: Samples, members: Sequence[int] | None = None) -> list[CachedLogits]:
        """Cached logits of the members (all by default) on samples, computed where missing."""
        wanted = self.members if members is None else members
        return [self._logits_of(member, samples) for member in wanted]

    def member_logits(self, samples: Samples, ids: Tensor) -> Tensor:
        """All members' logits [K, len(ids), C] of those `samples`, in the order of `ids`.

        They lie in a file whose pages the processes of this machine share.

        Raises:
            StaleCacheError: `samples` has no such id.
            UserInputError: The cache folder cannot be written.
        """
        addresses = [self._address(member) for member in self.members]
        wanted = tensors_hash({"ids": ids})
        stored = prepared_tensors(
            self._cache,
            ["logits", LOGITS_VERSION, addresses, samples.digest, wanted],
            lambda: Mapped(
                {"logits": torch.stack([some.lookup(ids) for some in self.logits(samples)])}, {}
            ),
        )
        return stored.tensors["logits"]

    def _logits_of(self, member: int, samples: Samples) -> CachedLogits:
        found = self._logits.find(self._address(member), samples)
        if found is not None:
            return found
        model = self.load(member).model
        return self._logits.get(model, samples, teacher_key=self.member_key(member))

    def _address(self, member: int) -> str:
        """What the member's logits are cached under; it is loaded for it the first time."""
        if member not in self._addresses:
            model = self.load(member).model
            self._addresses[member] = teacher_address(model, self.member_key(member))
        return self._addresses[member]

    def _train(self, member: int, folder: Path, fit: FitMember) -> None:
        model = self._build(member)
        record = fit(model, folder).model_copy(
            update={"member": member, "key": self.member_key(member)}
        )
        if not self.is_pretrained:
            temporary = folder / "model.tmp"
            # cloned, because safetensors refuses weights that are tied
            weights = {k: v.clone().contiguous() for k, v in model.state_dict().items()}
            save_file(weights, temporary)
            temporary.replace(folder / "model.safetensors")
        saved = {"weights": state_hash(model), "record": record.model_dump(mode="json")}
        temporary = folder / "teacher.tmp"
        temporary.write_text(json.dumps(saved, indent=1))
        temporary.replace(folder / "teacher.json")

    def _build(self, member: int) -> nn.Module:
        body = build_model(
            self._config.model,
            input_shape=self._dataset.input_shape,
            num_classes=self._dataset.num_classes,
            input_dtype=self._dataset.input_dtype,
            seed=self._seed(member),
        )
        if self.is_pretrained:
            return body
        return Classifier(Normalization(self._dataset.mean, self._dataset.std), body)

    def _seed(self, member: int) -> int:
        return derive_seed("teacher", self._config.seed, member)


def _acquire(path: Path, should_stop: Callable[[], bool]) -> FileLock:
    lock = FileLock(path)
    while True:
        try:
            lock.acquire(timeout=POLL_SECONDS)
        except Timeout:
            if should_stop():
                raise TeacherInterrupted from None
        else:
            return lock


def _set_aside(folder: Path) -> None:
    # the record first: without it nothing here looks trained
    for name in ("teacher.json", "model.safetensors"):
        file = folder / name
        if file.exists():
            file.replace(folder / f"{name}.damaged")


def cached_teachers(cache: Path) -> list[TeacherRecord]:
    """The trained members in a cache, oldest first; unreadable ones are left out."""
    files = sorted((cache / "teachers").glob("*/teacher.json"), key=lambda f: f.stat().st_mtime)
    records: list[TeacherRecord] = []
    for file in files:
        try:
            records.append(TeacherRecord.model_validate(json.loads(file.read_text())["record"]))
        except _DAMAGE:
            continue
    return records
