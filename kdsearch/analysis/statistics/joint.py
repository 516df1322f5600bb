"""Several claims at once: a level that holds for all of them together."""

from collections.abc import Sequence


def holm(p_values: Sequence[float], level: float) -> tuple[bool, ...]:
    """Which null hypotheses are rejected; any false rejection has at most probability `level`.

    Holm 1979, "A simple sequentially rejective multiple test procedure".

    Args:
        p_values: One for each hypothesis; NaN where it was not tested.
        level: Familywise error rate, in (0, 1).
    """
    tested = sorted((p, index) for index, p in enumerate(p_values) if p == p)
    rejected = [False] * len(p_values)
    for place, (p, index) in enumerate(tested):
        if p > level / (len(tested) - place):
            break
        rejected[index] = True
    return tuple(rejected)
