"""The registered model of a study and its alias `champion`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from kdsearch.redaction import redact
from kdsearch.tracking.mlflow.pages.publish import best_effort

CHAMPION = "champion"
_VERSIONS = "mlflow.modelVersions"


@dataclass(frozen=True)
class Descriptions:
    """What the registry says to people, in Markdown."""

    model: str
    version: str


def register_champion(
    client: MlflowClient,
    name: str,
    *,
    model_id: str,
    run_id: str,
    tags: Mapping[str, str],
    texts: Descriptions,
) -> str:
    """Point `models:/NAME@champion` at a logged model. A model gets one version, however often.

    Returns:
        The version.
    """
    _ensure_registered_model(client, name)
    clean = {key: redact(value) for key, value in tags.items()}
    clean["kdsearch.model_id"] = model_id
    version = _find_version(client, name, model_id)
    if version is None:
        # The place of the files, not `models:/ID`: MLflow looks the latter up with the tracking
        # URI that is global to the process, which need not be this client's.
        source = client.get_logged_model(model_id).artifact_location
        made = client.create_model_version(
            name, source, run_id=run_id, tags=clean, await_creation_for=0, model_id=model_id
        )
        version = str(made.version)
    else:
        for key, value in clean.items():
            client.set_model_version_tag(name, version, key, value)
    client.set_registered_model_alias(name, CHAMPION, version)
    with best_effort():
        # Else the model's own page calls it "Not registered".
        link = json.dumps([{"name": name, "version": int(version)}])
        client.set_logged_model_tags(model_id, {_VERSIONS: link})
    with best_effort():
        client.update_model_version(name, version, texts.version)
        if not client.get_registered_model(name).description:  # a person's text stays
            client.update_registered_model(name, texts.model)
    return version


def _ensure_registered_model(client: MlflowClient, name: str) -> None:
    try:
        client.create_registered_model(name, tags={"kdsearch.study": name})
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _find_version(client: MlflowClient, name: str, model_id: str) -> str | None:
    found = client.search_model_versions(f"name = '{name}'", max_results=1000)
    for version in found:
        if version.tags.get("kdsearch.model_id") == model_id:
            return str(version.version)
    return None
