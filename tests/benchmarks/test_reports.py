"""What is printed of time to target and of Ray Tune: ratios of medians, nothing dropped."""

import pytest

from benchmarks import ray_tune, time_to_target
from benchmarks.target import Prepared, Size
from benchmarks.time_to_target import ARMS, LOOPS, NEVER, Run

SIZE = Size(width=8, epochs=9, train_fraction=0.1, random_trials=5, seeds=2, trials=4)


def run(seconds: float) -> Run:
    return Run({"hard": seconds}, 3, 20, 0.8, seconds, 0.0)


def test_time_to_target_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    prepared = Prepared(SIZE, {"hard": 0.8}, [0.8], {}, {"date": "today"})
    runs = {arm: [run(10.0), run(20.0)] for arm in ARMS}
    runs["kdsearch, no pruning"] = [run(35.0), run(NEVER)]
    runs[f"TPE, {LOOPS['guide']}"] = [run(2000.0), run(3000.0)]
    time_to_target.report(runs, prepared)
    said = capsys.readouterr().out
    assert "halving is 3.5x as fast as no pruning" in said
    assert "200x as fast as the guide's loop" in said
    assert "1 of 2" in said
    assert "35.0 to not reached" in said


def test_ray_tune_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    ours = ray_tune.Run(10.0, 4, 1, 30, 0.8, 0.0)
    plain = ray_tune.Run(40.0, 4, 1, 36, 0.81, 0.5)
    live = ray_tune.Run(9.0, 2, 2, 2, 0.3, 10.5)
    ray_tune.report("asha", {"ours": [ours], "ray": [plain]}, live, 2)
    said = capsys.readouterr().out
    assert "4.0x" in said
    # 36 epochs that take 10 s longer each, on two cores.
    assert "220.0" in said
    assert "22.0x" in said
