"""The web pages of studies: MLflow's, and optuna-dashboard's beside them."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from kdsearch.analysis.page.rendering import Links
from kdsearch.errors import UserInputError
from kdsearch.redaction import without_userinfo
from kdsearch.study.storage import dashboard
from kdsearch.study.storage.database import sqlite_file
from kdsearch.study.storage.ledger import Ledger
from kdsearch.study.storage.lookup import open_ledger
from kdsearch.tracking.serving.mlflow_server import mlflow_server
from kdsearch.tracking.serving.port import NoFreePortError, Port
from kdsearch.tracking.serving.service import Service, wait_for_end
from kdsearch.tracking.serving.signals import told_to_end

FIRST_PORT = 5000
DASHBOARD_PORT = 8080


def show_pages(
    name: str | None,
    *,
    storage: str,
    port: int | None,
    say: Callable[[str], None],
    open_link: Callable[[str], object],
) -> None:
    """Show MLflow's pages until told to end, or say where a server already shows them.

    Args:
        name: Of the study to open; all of them if left out.
        storage: Optuna storage that holds it.
        port: Where to listen, or from where on to look for a free port.
        say: Prints a line.
        open_link: Called with the link, once it works.

    Raises:
        UnknownStudyError: There is no such study.
        UserInputError: There is nothing to show, or no port is free.
        TrackingUnavailableError: The tracker does not answer.
        ServiceDiedError: A server ended by itself, or never answered.
    """
    ledger = None if name is None else open_ledger(name, storage)
    from kdsearch.tracking.mlflow.pages.opening import find_tracker  # seconds, for MLflow

    tracker = find_tracker()
    if tracker.web_address is not None:
        link = _link(ledger, tracker.web_address)
        say(f"MLflow is at {tracker.web_address} already: {link}")
        open_link(link)
        return
    with told_to_end() as should_stop, ExitStack() as stack:
        claimed = stack.enter_context(_free_port(FIRST_PORT if port is None else port, say))
        say("starting MLflow, which takes 10 s or more ...")
        files = Path.cwd() / "mlartifacts"
        services = [stack.enter_context(mlflow_server(tracker.uri, claimed, files=files))]
        beside = _dashboard(stack, storage, say)
        services += [service for service, _ in beside]
        link = _link(ledger, claimed.url)  # while the server starts
        if all(service.wait_until_ready(should_stop) for service in services):
            say(f"{'all studies' if name is None else f'study {name}'}: {link}")
            for service, address in beside:
                say(f"{service.name}: {address}")
            say("Ctrl-C ends it")
            open_link(link)
            wait_for_end(services, should_stop)
    say("ended")


def report_links(study_url: str | None = None) -> Links:
    """Where the points of a report lead: the tracking server, or where `show_pages` shows it.

    Args:
        study_url: A study's page on the server, where that is known; by default the server is
            that of `MLFLOW_TRACKING_URI`.
    """
    uri = study_url or os.environ.get("MLFLOW_TRACKING_URI", "")
    if not uri.startswith(("http://", "https://")):
        return Links(f"http://127.0.0.1:{FIRST_PORT}")
    return Links(without_userinfo(uri).partition("/#/")[0].rstrip("/"))


def _link(ledger: Ledger | None, base_url: str) -> str:
    from kdsearch.tracking.mlflow.pages import opening

    if ledger is None:
        return opening.list_link(base_url)
    return opening.study_link(
        opening.find_tracker(),
        base_url,
        config=ledger.config,
        study_id=ledger.study_id,
        records=ledger.records(),
    )


def _dashboard(
    stack: ExitStack, storage: str, say: Callable[[str], None]
) -> list[tuple[Service, str]]:
    """Optuna-dashboard and its address, if it is installed and there is anything to show."""
    path = sqlite_file(storage)
    if not dashboard.is_installed() or (path is not None and not path.exists()):
        return []
    port = stack.enter_context(_free_port(DASHBOARD_PORT, say))
    service = stack.enter_context(dashboard.dashboard(storage, port))
    return [(service, f"{port.url}/dashboard")]


def _free_port(first: int, say: Callable[[str], None]) -> Port:
    try:
        port = Port(first)
    except (NoFreePortError, OverflowError) as error:
        raise UserInputError(
            f"no port from {first} on is free; name another with --port"
        ) from error
    if port.number != first:
        say(f"port {first} is taken, so this is on {port.number}")
    return port
