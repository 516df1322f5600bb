"""Addresses of MLflow's own pages.

Without `workflowType` MLflow 3.17 opens its pages for generative AI instead of the runs.
"""

from urllib.parse import quote, urlencode

_KIND = {"workflowType": "machine_learning"}


def experiments_link(base_url: str) -> str:
    """The list of all experiments."""
    return _link(base_url, "experiments", _KIND)


def view_link(base_url: str, experiment_id: str, view_key: str) -> str:
    """A saved view of an experiment's runs, opened on its charts."""
    query = {"viewStateShareKey": view_key, **_KIND, "compareRunsMode": "CHART"}
    return _link(base_url, f"experiments/{quote(experiment_id)}/runs", query)


def run_link(base_url: str, experiment_id: str, run_id: str) -> str:
    """One run."""
    return _link(base_url, f"experiments/{quote(experiment_id)}/runs/{quote(run_id)}", _KIND)


def _link(base_url: str, page: str, query: dict[str, str]) -> str:
    return f"{base_url.rstrip('/')}/#/{page}?{urlencode(query)}"
