"""How fast students are trained just now."""

import time
from collections import deque
from collections.abc import Callable

WINDOW_SECONDS = 60
LEAST_SECONDS = 3
"""Before which a rate says nothing."""


class Pace:
    """Counts ends and epochs of students over the last minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began: float | None = None
        self._seconds: deque[tuple[int, int, int]] = deque()
        """Of each second in which anything happened: its number, students, student-epochs."""

    def student(self) -> None:
        """A student's training has ended."""
        self._add(students=1, epochs=0)

    def epoch(self) -> None:
        """A student has finished an epoch."""
        self._add(students=0, epochs=1)

    def in_words(self) -> str:
        """`40 students and 1,200 student-epochs a minute`; empty while too little is known."""
        now = self._clock()
        self._forget(now)
        if self._began is None or now - self._began < LEAST_SECONDS or not self._seconds:
            return ""
        minutes = min(now - self._began, WINDOW_SECONDS) / 60
        students = sum(n for _, n, _ in self._seconds) / minutes
        epochs = sum(n for _, _, n in self._seconds) / minutes
        counts = ((students, "students"), (epochs, "student-epochs"))
        told = [f"{rate:,.0f} {noun}" for rate, noun in counts if rate >= 0.5]
        return f"{' and '.join(told)} a minute" if told else ""

    def _add(self, *, students: int, epochs: int) -> None:
        now = self._clock()
        self._began = now if self._began is None else self._began
        second = int(now)
        if self._seconds and self._seconds[-1][0] == second:
            _, known_students, known_epochs = self._seconds.pop()
            students, epochs = students + known_students, epochs + known_epochs
        self._seconds.append((second, students, epochs))
        self._forget(now)

    def _forget(self, now: float) -> None:
        while self._seconds and self._seconds[0][0] < now - WINDOW_SECONDS:
            self._seconds.popleft()
