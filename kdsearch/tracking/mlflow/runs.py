"""The runs of one study: found again by their key, written whole, never twice."""

from dataclasses import dataclass, replace

from mlflow import MlflowClient
from mlflow.entities import Run

from kdsearch.tracking.mlflow import labels
from kdsearch.tracking.mlflow.models import WHY_NOT_LOADABLE, adopt_model, delete_models

_PAGE = 1000


@dataclass(frozen=True)
class Draft:
    """A run as it shall be."""

    key: str
    name: str
    tags: dict[str, str]
    params: dict[str, str]
    identity: str
    """Hash of what was trained; a run of another identity is replaced."""
    content: str
    """Hash of all that the run is to hold; a run of the same content is left alone."""
    start_ms: int
    """Start of the run if it does not exist yet, milliseconds since 1970."""
    seconds: float


@dataclass(frozen=True)
class KnownRun:
    """A run as MLflow has it."""

    run_id: str
    start_ms: int
    identity: str
    content: str | None = None
    """None while the run is being written."""
    model_id: str | None = None
    model_tried: bool = False
    """Whether a model is logged, or known to be impossible to log."""

    @classmethod
    def from_run(cls, run: Run) -> "KnownRun":
        """What matters of an MLflow run."""
        tags = run.data.tags
        return cls(
            run_id=run.info.run_id,
            start_ms=run.info.start_time,
            identity=tags.get(labels.IDENTITY, ""),
            content=tags.get(labels.CONTENT) if run.info.status != "RUNNING" else None,
            model_id=tags.get(labels.MODEL),
            model_tried=labels.MODEL in tags or WHY_NOT_LOADABLE in tags,
        )

    def holds(self, draft: Draft, *, with_model: bool) -> bool:
        """Whether there is nothing left to write."""
        return self.content == draft.content and (self.model_tried or not with_model)


class RunBook:
    """Key -> run of one study."""

    def __init__(self, client: MlflowClient, experiment_id: str, parent_id: str) -> None:
        self._client = client
        self._experiment_id = experiment_id
        self._parent_id = parent_id
        self._runs: dict[str, KnownRun] = {}

    def load(self) -> None:
        """Fetch the runs that an earlier process wrote, 1,000 a page."""
        token: str | None = None
        while True:
            page = self._client.search_runs(
                [self._experiment_id],
                f"tags.`{labels.PARENT}` = '{self._parent_id}'",
                max_results=_PAGE,
                page_token=token,
            )
            for run in page:
                if key := run.data.tags.get(labels.KEY):
                    self._add(key, KnownRun.from_run(run))
            token = page.token
            if not token:
                return

    def _add(self, key: str, found: KnownRun) -> None:
        # A request that MLflow's client repeats after a time-out may have made a run twice.
        known = self._runs.get(key)
        if known is not None:
            keep_known = known.content is not None or found.content is None
            self._discard(key, found if keep_known else known)
            found = known if keep_known else found
        self._runs[key] = found

    def get(self, key: str) -> KnownRun | None:
        """The run of that key, if there is one."""
        return self._runs.get(key)

    def begin(self, draft: Draft) -> KnownRun:
        """The run to write `draft` into: the unfinished one of its key, or a new one."""
        known = self._runs.get(draft.key)
        if known is not None:
            run = self._client.get_run(known.run_id)
            if known.identity == draft.identity and _fits(run, draft):
                return known if known.model_tried else self._with_model(known, run)
            self._discard(draft.key, known)
        run = self._client.create_run(
            self._experiment_id,
            start_time=draft.start_ms,
            run_name=draft.name,
            tags=draft.tags
            | {
                labels.KEY: draft.key,
                labels.IDENTITY: draft.identity,
                labels.PARENT: self._parent_id,
            },
        )
        known = KnownRun(run.info.run_id, draft.start_ms, draft.identity)
        self._runs[draft.key] = known
        return known

    def finish(self, draft: Draft, known: KnownRun, *, status: str) -> None:
        """End the run; from here on it is left alone."""
        self._client.set_terminated(
            known.run_id, status, known.start_ms + round(1000 * draft.seconds)
        )
        self._runs[draft.key] = replace(known, content=draft.content)

    def _with_model(self, known: KnownRun, run: Run) -> KnownRun:
        model_id = adopt_model(self._client, run)
        return replace(known, model_id=model_id, model_tried=model_id is not None)

    def _discard(self, key: str, known: KnownRun) -> None:
        delete_models(self._client, self._experiment_id, known.run_id)
        self._client.delete_run(known.run_id)
        del self._runs[key]


def _fits(run: Run, draft: Draft) -> bool:
    # A param cannot change, and an older kdsearch may have written it in another way.
    old = run.data.params
    return all(old.get(name, value) == value for name, value in draft.params.items())
