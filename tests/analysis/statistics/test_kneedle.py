import importlib.util

import numpy as np
import pytest

from kdsearch.analysis.statistics.kneedle import compute_knee


def test_its_knee_moves_with_the_range_tested():
    pytest.importorskip("kneed")
    sizes = 8 * 2.0 ** np.arange(8)
    knee = compute_knee(sizes, 1 - 0.05 - 1.2 * sizes**-0.9)
    assert knee is not None
    assert knee.size == 32.0  # as facts on Kneedle over log(size) say for 1024
    assert knee.without_largest is not None
    flat = compute_knee(sizes, np.full(8, 0.9))
    assert flat is not None
    assert flat.size is None


def test_without_the_package_there_is_none(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert compute_knee(np.arange(1.0, 9.0), np.linspace(0.5, 0.9, 8)) is None
