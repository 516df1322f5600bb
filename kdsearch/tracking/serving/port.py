"""A port of the loopback interface that is free, and stays ours until it is let go."""

import socket
from types import TracebackType

HOST = "127.0.0.1"
_TRIES = 100
_LAST = 65_535


class NoFreePortError(Exception):
    """Every port that was tried is taken."""


class Port:
    """The first free port from `first` on.

    A server of somebody else's binds the port itself, some seconds later. What keeps two kdsearch
    from choosing the same one meanwhile is a datagram socket of the same number, which nothing
    listens to and which a dead process cannot leave behind.
    """

    def __init__(self, first: int) -> None:
        """Find and claim it.

        Raises:
            NoFreePortError: There is none among the 100 ports from `first` on.
        """
        for number in range(first, min(first + _TRIES, _LAST + 1)):
            claim = _claim(number)
            if claim is not None:
                self.number = number
                self._claim = claim
                return
        raise NoFreePortError(first)

    def __enter__(self) -> "Port":
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._claim.close()

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        return f"http://{HOST}:{self.number}"

    @property
    def hosts(self) -> tuple[str, str]:
        """What a browser on this machine may call it; all else is another site's trick."""
        return f"{HOST}:{self.number}", f"localhost:{self.number}"


def _claim(number: int) -> socket.socket | None:
    claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        claim.bind((HOST, number))
        with socket.socket() as probe:
            # As servers do, or a port whose last connections just ended would seem taken.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, number))
    except OSError:
        claim.close()
        return None
    return claim
