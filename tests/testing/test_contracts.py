"""The contracts find what they are for: parts that are wrong in one way fail the right test."""

import re
import sys
from pathlib import Path

import pytest

BROKEN = {
    "tells in another thread": (
        "test_everything_is_told_in_the_calling_thread",
        """
        import threading
        from kdsearch.execution import InlineExecutor
        from kdsearch.testing import ExecutorContract

        class Elsewhere(InlineExecutor):
            def run(self, tasks, *, notify, **more):
                def tell(*told):
                    thread = threading.Thread(target=notify, args=told)
                    thread.start()
                    thread.join()
                super().run(tasks, notify=tell, **more)

        class TestBroken(ExecutorContract):
            @pytest.fixture
            def executor(self):
                return Elsewhere()
        """,
    ),
    "loses the seed": (
        "test_students_end_as_they_do_inline",
        """
        from dataclasses import replace
        from kdsearch.execution import CohortTask, InlineExecutor
        from kdsearch.testing import ExecutorContract

        class Reseeds(InlineExecutor):
            def run(self, tasks, **more):
                tasks = [
                    replace(t, specs=tuple(replace(r, seed=r.seed + 1) for r in t.specs))
                    if isinstance(t, CohortTask) else t for t in tasks
                ]
                super().run(tasks, **more)

        class TestBroken(ExecutorContract):
            @pytest.fixture
            def executor(self):
                return Reseeds()
        """,
    ),
    "sums instead of averaging": (
        "test_the_loss_of_a_batch_is_the_mean_over_its_samples",
        """
        import torch.nn.functional as F
        from kdsearch.config import ImportDistillation
        from kdsearch.distill import TransferLoss
        from kdsearch.testing import LossContract

        class Sum(TransferLoss):
            def batch_loss(self, student_logits, prepared, labels):
                return F.cross_entropy(student_logits, labels, reduction="sum")

        class TestBroken(LossContract):
            @pytest.fixture
            def config(self):
                return ImportDistillation(kind="import", target=f"{__name__}:Sum")
        """,
    ),
    "has a memory of its own": (
        "test_the_same_seed_proposes_the_same",
        """
        import optuna
        from kdsearch.testing import SamplerContract

        class TestBroken(SamplerContract):
            def make_sampler(self, seed):
                return optuna.samplers.RandomSampler()
        """,
    ),
    "draws its weights elsewhere": (
        "test_weights_follow_from_the_seed_alone",
        """
        import numpy as np
        import torch
        from kdsearch.config import ImportModel
        from kdsearch.testing import ModelCase, ModelContract

        def build(input_shape, num_classes, width):
            made = torch.nn.Sequential(
                torch.nn.Linear(4, width), torch.nn.Tanh(), torch.nn.Linear(width, num_classes)
            )
            draw = torch.tensor(np.random.default_rng().normal(size=width), dtype=torch.float32)
            made[0].bias.data += draw
            return made

        class TestBroken(ModelContract):
            @pytest.fixture
            def case(self):
                config = ImportModel(kind="import", target=f"{__name__}:build", width=8)
                return ModelCase(config, (4,))
        """,
    ),
    "writes everything anew": (
        "test_a_student_is_logged_once",
        """
        import itertools
        from kdsearch.testing import SinkContract

        class Forgets:
            numbers = itertools.count()
            def log_trial(self, record, *, model):
                if record.state == "RUNNING":
                    raise ValueError("has not ended")
                return str(next(self.numbers))
            def has_trial(self, record):
                return record.mlflow_run_id is not None
            def log_teacher(self, bank, record, *, model):
                return "teacher"
            def has_teacher(self, bank, record):
                return True
            def __getattr__(self, name):
                return lambda *args, **named: None

        class TestBroken(SinkContract):
            @pytest.fixture
            def make_sink(self):
                return Forgets
        """,
    ),
    "knows better with more samples": (
        "test_the_number_of_samples_does_not_count",
        """
        from kdsearch.config.metric import ImportMetric
        from kdsearch.testing import MetricContract

        def mistakes(logits, labels):
            return float((logits.argmax(dim=1) != labels).sum())

        class TestBroken(MetricContract):
            @pytest.fixture
            def metric(self):
                section = ImportMetric(
                    kind="import", target=f"{__name__}:mistakes", direction="minimize"
                )
                return section.as_metric("mistakes")
        """,
    ),
    "praises what is wrong": (
        "test_it_is_better_where_it_says",
        """
        from dataclasses import replace
        from kdsearch.config import METRICS
        from kdsearch.testing import MetricContract

        class TestBroken(MetricContract):
            @pytest.fixture
            def metric(self):
                return replace(METRICS["brier"], direction="maximize")
        """,
    ),
    "judges a sample of the samples": (
        "test_it_follows_from_what_it_is_given",
        """
        import torch
        from kdsearch.config.metric import ImportMetric
        from kdsearch.testing import MetricContract

        def hurried(logits, labels):
            some = torch.randint(0, len(labels), (20,))
            return (logits[some].argmax(dim=1) == labels[some]).float().mean()

        class TestBroken(MetricContract):
            @pytest.fixture
            def metric(self):
                section = ImportMetric(
                    kind="import", target=f"{__name__}:hurried", direction="maximize"
                )
                return section.as_metric("hurried")
        """,
    ),
    "needs a confirmed student": (
        "test_it_says_sentences",
        """
        from kdsearch.analysis import Answer
        from kdsearch.testing import AnswerContract

        class Hasty(Answer):
            name = "hasty"
            def compute(self, context):
                return context.strata.confirmed[0].label
            def sentences(self, info, context):
                return (f"The first is {info}.",)

        class TestBroken(AnswerContract):
            @pytest.fixture
            def answer(self):
                return Hasty()
        """,
    ),
    "counts how often it was asked": (
        "test_it_follows_from_the_records",
        """
        import itertools
        from kdsearch.analysis import Answer
        from kdsearch.testing import AnswerContract

        class Counts(Answer):
            name = "counts"
            keys = ("asked",)
            numbers = itertools.count()
            def compute(self, context):
                return next(self.numbers)
            def document(self, info, context):
                return {"asked": info}

        class TestBroken(AnswerContract):
            @pytest.fixture
            def answer(self):
                return Counts()
        """,
    ),
    "writes NaN": (
        "test_its_document_is_json",
        """
        import math
        from kdsearch.analysis import Answer
        from kdsearch.testing import AnswerContract

        class NoNumber(Answer):
            name = "no_number"
            keys = ("mean",)
            def compute(self, context):
                known = [s.distilled.val_score or math.nan for s in context.strata.confirmed]
                return sum(known) / len(known) if known else math.nan
            def document(self, info, context):
                return {"mean": info}

        class TestBroken(AnswerContract):
            @pytest.fixture
            def answer(self):
                return NoNumber()
        """,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_part_fails(
    how: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    test, body = BROKEN[how]
    name = f"test_broken_{abs(hash(how))}"
    code = "\n".join(line.removeprefix(" " * 8) for line in body.splitlines())
    (folder / f"{name}.py").write_text(f"import pytest\n{code}\n")
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-k", test]
    assert pytest.main([*options, f"{name}.py"]) == pytest.ExitCode.TESTS_FAILED
    assert re.search(rf"FAILED {name}.py::TestBroken::{test}", capfd.readouterr().out)
