"""optuna-dashboard for one storage, as its own process: `python -m` this module PORT.

Its own command line would show the storage's password to every user of the machine, and its
server answers under any host name, so that a page of another site could read the studies.
"""

import os
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.util import find_spec
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from kdsearch.study.storage.database import connect_existing
from kdsearch.tracking.serving.port import HOST, Port
from kdsearch.tracking.serving.service import Service

STORAGE = "KDSEARCH_DASHBOARD_STORAGE"
App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def is_installed() -> bool:
    """Whether `kdsearch[dashboard]` is."""
    return find_spec("optuna_dashboard") is not None


def dashboard(storage: str, port: Port) -> Service:
    """A server of a storage's Optuna studies."""
    return Service(
        "optuna-dashboard",
        [sys.executable, "-m", __name__, str(port.number)],
        health=f"{port.url}/dashboard",
        environment={STORAGE: storage, "PYTHONWARNINGS": "ignore"},
    )


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of each request."""


def closed_to_others(app: App, hosts: Iterable[str]) -> App:
    """An application that answers under the given names alone."""
    known = frozenset(hosts)

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("HTTP_HOST") not in known:
            start("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"this host name is not served\n"]
        return app(environ, start)

    return answer


def main() -> None:
    """Serve until killed."""
    wsgi = import_module("optuna_dashboard").wsgi  # an extra, so types know nothing of it
    number = int(sys.argv[1])
    storage = connect_existing(os.environ[STORAGE])
    app = closed_to_others(wsgi(storage), (f"{HOST}:{number}", f"localhost:{number}"))
    with make_server(HOST, number, app, _Server, _Quiet) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
