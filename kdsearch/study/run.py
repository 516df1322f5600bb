"""Running a study from its file to its report."""

import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kdsearch.analysis import Report, write_report
from kdsearch.cache import cache_folder
from kdsearch.config import Scalar, StudyConfig
from kdsearch.execution import Executor
from kdsearch.redaction import redact, redact_command
from kdsearch.results import Results, TrialRecord, champion_of
from kdsearch.results.tolerance import with_absolute_tolerance
from kdsearch.study.confirm import Confirm, chosen_trials, confirmed_records
from kdsearch.study.crew import Crew
from kdsearch.study.executors import open_executor, stop_on_signals
from kdsearch.study.ladder import strata_ahead, strata_to_run
from kdsearch.study.listener import Listener
from kdsearch.study.mirror import Mirror
from kdsearch.study.pages import report_links
from kdsearch.study.planning.pieces import check_pieces
from kdsearch.study.planning.workload import Workload
from kdsearch.study.proposal.sampler import MakeSampler, with_sampler
from kdsearch.study.search import Search
from kdsearch.study.storage.change import as_begun, refuse_change
from kdsearch.study.storage.database import check_storage, sqlite_file
from kdsearch.study.storage.ledger import Ledger
from kdsearch.study.storage.lock import hold_study
from kdsearch.study.storage.outcome import refuse_all_failed, results_of
from kdsearch.study.storage.paths import StudyPaths
from kdsearch.tracking import Sink


@dataclass(frozen=True)
class StudyResult:
    """What a finished run leaves behind."""

    name: str
    results: Results
    report: Report
    champion: TrialRecord | None
    """The student registered as `models:/NAME@champion`."""
    new_trials: int
    """Students trained by this run; 0 if the study was finished before."""
    charts: str
    """Where its charts are: a link, or the command that shows them."""
    model: str | None
    """What loads the champion, `models:/NAME@champion`; None where no model was logged."""


def run_study(
    config: StudyConfig,
    *,
    workers: int | None = None,
    executor: Executor | None = None,
    sink: Sink | None = None,
    sampler: MakeSampler | None = None,
    listener: Listener | None = None,
    command: str | None = None,
) -> StudyResult:
    """Run a study to its end, or go on where an earlier run of it stopped.

    Everything is written below the current folder, caches excepted. Results depend on `config`
    and `sampler` alone, not on `workers`, `executor` or on interruptions.

    Args:
        config: A validated study.
        workers: Worker processes; 0 trains in this process; the number of cores by default.
        executor: Where to train instead; it is not closed. What it must do is in
            `kdsearch.testing.ExecutorContract`.
        sink: Where trials are mirrored to; MLflow by default. See `kdsearch.testing.SinkContract`.
        sampler: Makes who proposes settings, as `sampler.target` of a study file does, whose
            place it takes: `make(seed)`, a function or class of a module, or a `functools.partial`
            of one. See `kdsearch.testing.SamplerContract`.
        listener: Told what happens.
        command: How to run the study again, for the report; the command line by default.

    Raises:
        ValueError: Both `workers` and `executor` are given, or `sampler` and another one in
            `config`; or a `sampler` that cannot be found again by its name.
        UserInputError: The data or the models cannot work, or the file changed since the study
            began.
        StudyLockedError: Another process runs the study.
        InterruptedStudyError: SIGINT or SIGTERM; everything is kept, and running again goes on.
        KdsearchError: No trial of the study succeeded.
        TooManyFailuresError: More trials failed than `budget.max_failures`.
    """
    if workers is not None and executor is not None:
        raise ValueError("workers are those of kdsearch's own executor; give one of the two")
    if sampler is not None:
        config = with_sampler(config, sampler)
    listener = listener or Listener()
    called = redact_command([Path(sys.argv[0]).name, *sys.argv[1:]])
    command = called if command is None else redact(command)
    paths = StudyPaths(Path.cwd(), config.name)
    check_storage(config.storage)
    dataset = check_pieces(config)
    sink = sink or open_sink()
    lock = hold_study(paths, sqlite_file(config.storage))
    with lock, stop_on_signals() as should_stop, open_executor(workers, executor) as executor:
        ledger = Ledger.create(config, command=command)
        config = as_begun(ledger.config, config)
        refuse_change(ledger.config, config)
        ledger.bind_data(dataset.fingerprint)
        ledger.update(config, command=command)
        ledger.mark(is_finished=False)
        before = num_ended(ledger)
        listener.resumed(ledger.records())
        mirror = Mirror(
            sink,
            config=config,
            ledger=ledger,
            dataset=dataset,
            paths=paths,
            cache=cache_folder(),
            command=command,
            warn=listener.warn,
        )
        workload = Workload(config, dataset)
        workload.resumed(ledger.records())
        crew = Crew(
            config,
            ledger=ledger,
            mirror=mirror,
            executor=executor,
            listener=listener,
            paths=paths,
            cache=cache_folder(),
            workload=workload,
            should_stop=should_stop,
        )
        with mirror:
            charts = mirror.url() or f"kdsearch ui {config.name}"
            listener.note(f"charts: {charts}")
            crew.write_missing_teachers()
            search_and_confirm(config, ledger, crew, paths)
            ledger.mark(is_finished=True)
            listener.stage("report", total=1, done=0)
            champion = registered(config, ledger.records())
            if champion is not None:
                mirror.champion(champion, champion_tags(config, ledger, champion))
            results = results_of(ledger)
            report = write_report(results, paths.report, links=report_links(mirror.url()))
            mirror.report(paths.report, summary=report.metrics, markdown=note_of(report))
            listener.stage("report", total=1, done=1)
            refuse_all_failed(results, report.html)
    new_trials = num_ended(ledger) - before
    has_model = mirror.champion_version is not None
    return StudyResult(
        config.name,
        results,
        report,
        champion,
        new_trials=new_trials,
        charts=charts,
        model=f"models:/{config.name}@champion" if has_model else None,
    )


def search_and_confirm(config: StudyConfig, ledger: Ledger, crew: Crew, paths: StudyPaths) -> None:
    """Train every student of the study; with a ladder, step by step."""
    done: tuple[dict[str, Scalar], ...] = ()
    while (strata := _strata_to_run(config, ledger)) != done:
        planning = with_absolute_tolerance(config, ledger.banks(), "val")
        crew.workload.expect(strata_ahead(planning, ledger.records()))
        Search(config, ledger, crew, paths, strata=strata).run()
        if config.confirm.replicates:
            Confirm(config, ledger, crew, paths).run()
        done = strata


def _strata_to_run(config: StudyConfig, ledger: Ledger) -> tuple[dict[str, Scalar], ...]:
    return strata_to_run(with_absolute_tolerance(config, ledger.banks(), "val"), ledger.records())


def num_ended(ledger: Ledger) -> int:
    """Students whose training has ended, whatever the stage."""
    return sum(record.state != "RUNNING" for record in ledger.records())


def open_sink() -> Sink:
    """The study's MLflow; connects to nothing yet.

    Raises:
        UserInputError: `MLFLOW_TRACKING_URI` cannot work.
    """
    from kdsearch.tracking.mlflow.sink import MlflowSink

    return MlflowSink()


def registered(config: StudyConfig, records: Sequence[TrialRecord]) -> TrialRecord | None:
    """The champion among a study's records."""
    runs = [r for r in records if r.stage == "confirm"]
    return champion_of(chosen_trials(config, records), runs, config.objective[0])


def champion_tags(config: StudyConfig, ledger: Ledger, champion: TrialRecord) -> dict[str, str]:
    """What a registered model says of itself."""
    tags = {"kdsearch.study": config.name, "kdsearch.key": champion.key}
    if champion.test is None:
        return tags
    own = [
        r.test
        for r in confirmed_records(config, ledger.records())
        if r.arm == champion.arm and r.trial == champion.trial and r.test is not None
    ]
    for metric in dict.fromkeys(["accuracy", config.headline.name]):
        runs = [value for test in own if (value := test.value(metric)) is not None]
        mine = champion.test.value(metric)
        if not runs or mine is None:
            continue
        error = statistics.stdev(runs) / math.sqrt(len(runs)) if len(runs) > 1 else math.nan
        tags |= {
            f"test_{metric}": f"{mine:.6f}",
            f"test_{metric}_mean": f"{statistics.fmean(runs):.6f}",
            f"test_{metric}_se": f"{error:.6f}",
        }
    return tags | {"replicates": str(len(own))}


def note_of(report: Report) -> str:
    """What the study's MLflow run says in words."""
    return "\n\n".join([*report.finding, report.recommendation])
