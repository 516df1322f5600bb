import base64
import dataclasses
import hashlib
import html
import json
import re
from html.parser import HTMLParser

import pytest
from matplotlib.image import imread
from summary import compute_summary
from synthetic import COMMAND, make_results, study_config, teacher_bank

from kdsearch.analysis import write_report
from kdsearch.analysis.answers.pareto import PARETO
from kdsearch.analysis.finding import MAX_POINTS
from kdsearch.analysis.page.rendering import LIBRARY, VENDOR, Links
from kdsearch.analysis.page.tables import scores_table
from kdsearch.results import Results

pytestmark = pytest.mark.slow

EVIL = '<script>alert(1)</script> $\\frac{x & "q"'
FIGURES = {
    "capacity", "capacity_cost", "gain", "convergence", "temperature_alpha", "optimum",
    "ensemble_size", "importance", "history", "learning_curves",
}  # fmt: skip


class Audit(HTMLParser):
    """Collects tags and whatever a browser would load."""

    def __init__(self):
        super().__init__()
        self.tags, self.loads = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        loading = {"src", "srcset", "data", "action"} | (
            {"xlink:href"} if tag == "image" else set()
        )
        self.loads += [v for k, v in attrs if k in loading]


@pytest.fixture(scope="module")
def report(results, tmp_path_factory):
    return write_report(results, tmp_path_factory.mktemp("reports") / "temp-alpha")


def test_files(report):
    folder = report.html.parent
    assert {p.name for p in folder.iterdir()} == {
        "report.html", "results.csv", "results.json", "figures",
    }  # fmt: skip
    assert [p.name for p in folder.parent.iterdir()] == ["temp-alpha"]  # no draft left
    names = {f"{f}.{e}" for f in FIGURES for e in ("png", "svg")}
    assert {p.name for p in (folder / "figures").iterdir()} == names


def test_pictures_are_not_blank(report):
    for path in (report.html.parent / "figures").glob("*.png"):
        pixels = imread(path)[..., :3]
        assert pixels.shape[1] > 1000
        assert len({tuple(p) for p in pixels[::7, ::7].reshape(-1, 3).tolist()}) > 10


def test_page_is_self_contained(report):
    text = report.html.read_text()
    audit = Audit()
    audit.feed(text)
    assert not {"link", "iframe", "object", "img", "base", "form"} & set(audit.tags)
    assert audit.tags.count("svg") == 1 + len(FIGURES)
    assert all(load.startswith("data:image/png;base64,") for load in audit.loads)
    assert "@import" not in text
    assert set(re.findall(r"url\((.)", without_scripts(text))) <= {"#"}


def without_scripts(text: str) -> str:
    return re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)


def test_only_the_styles_and_scripts_of_the_page_are_applied(report):
    text = report.html.read_text()
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1])
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    parts = [("style", 1), ("script", 2)]
    for tag, count in parts:
        own = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert len(own) == count
        for part in own:
            digest = base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in policy
    assert not re.search(r"<[^>]* (style|on[a-z]+)=", without_scripts(text))


def test_what_is_from_others_is_what_they_published():
    table = (VENDOR / "README.md").read_text()
    stated = re.search(r"`([0-9a-f]{64})`", table)[1]
    assert hashlib.sha256((VENDOR / LIBRARY).read_bytes()).hexdigest() == stated
    assert "MIT" in (VENDOR / "dataTables.LICENSE.txt").read_text()


def test_every_id_that_is_referred_to_is_there_once(report):
    text = without_scripts(report.html.read_text())
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    wanted = set(re.findall(r'href="#([^"]+)"', text)) | set(re.findall(r"url\(#([^)]+)\)", text))
    assert wanted <= set(ids)


def test_points_say_what_they_are_and_lead_to_their_runs(results, tmp_path):
    links = Links("http://127.0.0.1:5000")
    text = write_report(results, tmp_path / "r", links=links).html.read_text()
    runs = {t.mlflow_run_id for t in results.trials if t.mlflow_run_id}
    linked = set(re.findall(r'href="http://127.0.0.1:5000/#/experiments/0/runs/([^"?]+)', text))
    assert linked
    assert linked <= runs
    best = [t for t in results.select(stage="confirm", arm="distilled") if t.width == 8]
    assert best[0].mlflow_run_id in linked
    told = re.findall(r"<title>(distilled, width 8 [^<]*)</title>", text)
    assert told
    assert "n = 5" in told[0]


def test_every_student_is_in_the_table(report, results):
    text = report.html.read_text()
    table = text[text.index('id="students"') :]
    rows = table[: table.index("</table>")].count("<tr") - 1
    assert rows == sum(t.state != "RUNNING" for t in results.trials)


def test_page_says_what_matters(report):
    text = report.html.read_text()
    for needle in (
        *report.finding, report.recommendation, COMMAND, "weights the hard loss", "of n",
        "Hard labels", "ensemble of 4", "90 % interval", "60 confirmed students",
        "yes: 24 trials in each", "95 PRUNED",
    ):  # fmt: skip
        assert needle in text


def test_numbers_of_the_document(report, results):
    document = json.loads((report.html.parent / "results.json").read_text())
    assert {
        "question", "finding", "recommendation", "saturation", "strata", "teachers",
    } <= document.keys()  # fmt: skip
    assert len(document["strata"]) == 6
    assert len(document["teachers"][0]["members"]) == 4
    confirmed = [
        t.test.accuracy
        for t in results.select(stage="confirm", arm="distilled")
        if t.width == 8 and t.test
    ]
    first = document["strata"][0]["distilled"]["test_accuracy"]
    assert first["mean"] == pytest.approx(sum(confirmed) / 5)
    assert first["n"] == 5
    assert document["seeds"]["replicates"] == {str(r): [1000 + r] for r in range(1, 6)}
    assert report.metrics["teacher_test_accuracy"] == pytest.approx(0.903)
    assert report.metrics["ensemble_test_accuracy"] == pytest.approx(0.925 - 0.025 / 4)


def test_the_same_results_give_the_same_page(report, results, tmp_path):
    again = write_report(results, tmp_path / "again")
    assert again.html.read_bytes() == report.html.read_bytes()


def test_rewriting_removes_figures_that_no_longer_apply(results, tmp_path):
    folder = tmp_path / "r"
    folder.joinpath("figures").mkdir(parents=True)
    for name in ("pareto.svg", "notes.txt"):
        folder.joinpath("figures", name).write_text("old")
    write_report(make_results(widths=(16,), trials=6, replicates=2), folder)
    assert not folder.joinpath("figures", "pareto.svg").exists()
    assert folder.joinpath("figures", "notes.txt").exists()


def test_hostile_names_stay_text(results, tmp_path):
    trials = tuple(
        t.model_copy(update={"failure": EVIL}) if t.state == "FAIL" else t for t in results.trials
    )
    bank = teacher_bank()
    bank = bank.model_copy(
        update={"members": tuple(m.model_copy(update={"model": EVIL}) for m in bank.members)}
    )
    hostile = dataclasses.replace(
        results,
        config=study_config(question=EVIL),
        trials=trials,
        banks=(bank,),
        importance={EVIL: 1.0},
        command=EVIL,
    )
    report = write_report(hostile, tmp_path / "r")
    text = report.html.read_text()
    assert "<script" not in without_scripts(text)
    assert "&lt;script&gt;alert(1)" in text
    for svg in (tmp_path / "r" / "figures").glob("*.svg"):
        assert "<script" not in svg.read_text()


def test_no_password_in_any_file(tmp_path):
    url = "postgresql+psycopg://ann:se/cr'et@db.example/k"
    small = make_results(widths=(8, 16), trials=6, replicates=2)
    leaky = dataclasses.replace(
        small,
        command=f"kdsearch study run s.yaml --storage {url}",
        config=study_config(storage=url),
        trials=tuple(
            t.model_copy(update={"failure": f"cannot open {url}"}) if t.state == "FAIL" else t
            for t in small.trials
        ),
    )
    write_report(leaky, tmp_path / "r")
    for path in (tmp_path / "r").rglob("*"):
        assert path.is_dir() or b"cr'et" not in path.read_bytes()
        assert path.is_dir() or b"se/cr" not in path.read_bytes()
    document = json.loads((tmp_path / "r" / "results.json").read_text())
    assert document["config"]["storage"] == "postgresql+psycopg://***@db.example/k"
    assert document["command"].endswith("--storage postgresql+psycopg://***@db.example/k")
    assert "db.example" in (tmp_path / "r" / "report.html").read_text()


def without(results, keep):
    return dataclasses.replace(results, trials=tuple(t for t in results.trials if keep(t)))


SMALL = {"widths": (8, 16), "trials": 6, "replicates": 2}
NUISANCE = {"learning_rate": {"role": "nuisance", "low": 1e-4, "high": 1e-1, "log": True}}
WIDTH = {"width": {"role": "scientific", "values": [8, 16]}}
ALPHA = {"alpha": {"role": "nuisance", "low": 0.0, "high": 1.0}}


def partial_studies():
    small = make_results(**SMALL)
    search_only = without(small, lambda t: t.stage == "search")
    failed = [
        t.model_copy(update={"state": "FAIL", "val": None, "history": (), "failure": "memory"})
        for t in search_only.trials
    ]
    yield "nothing", Results(study_config(), (), ()), "Nothing is confirmed"
    yield "no confirm", search_only, "search values on validation"
    yield (
        "no teachers tested",
        dataclasses.replace(search_only, banks=(teacher_bank(tested=False),)),
        "not results",
    )
    yield (
        "replicates 0",
        dataclasses.replace(search_only, config=study_config(confirm={"replicates": 0})),
        "test set stays sealed",
    )
    yield "all failed", dataclasses.replace(small, trials=tuple(failed)), "24 trials failed"
    yield (
        "empty stratum",
        without(small, lambda t: t.width != 8),
        "No complete trial yet at width 8",
    )
    yield "one replicate", make_results(**SMALL | {"replicates": 1}), "one replicate"
    yield "no baseline", make_results(**SMALL, arms=("distilled",)), "baseline arm has not been"
    yield "no teacher", dataclasses.replace(small, banks=()), "No teacher has been trained"
    yield (
        "one teacher",
        dataclasses.replace(small, banks=(teacher_bank(1),)),
        "keeps up with its teacher",
    )
    yield (
        "no temperature",
        dataclasses.replace(small, config=study_config(search=NUISANCE | WIDTH)),
        "searches neither temperature nor alpha",
    )
    yield (
        "only alpha",
        dataclasses.replace(small, config=study_config(search=NUISANCE | WIDTH | ALPHA)),
        "Temperature and alpha",
    )
    yield (
        "loss",
        dataclasses.replace(
            small, config=study_config(objective={"metric": "val_loss", "direction": "minimize"})
        ),
        "Search validation loss",
    )
    plain = tuple(t.model_copy(update={"stratum": {}}) for t in small.trials if t.width == 16)
    yield (
        "no scientific",
        dataclasses.replace(small, config=study_config(search=NUISANCE | ALPHA), trials=plain),
        "The student with the best settings",
    )
    two = tuple(
        t.model_copy(update={"stratum": {"ensemble_size": k, "width": t.width}})
        for k in (1, 4)
        for t in small.trials
        if t.arm == "distilled"
    ) + small.select(arm="baseline")
    axes = {"ensemble_size": {"role": "scientific", "values": [1, 4]}} | WIDTH
    yield (
        "two scientific",
        dataclasses.replace(small, config=study_config(search=NUISANCE | axes), trials=two),
        "ensemble_size 4, width 16",
    )


@pytest.mark.parametrize(
    ("name", "partial", "words"),
    [pytest.param(name, p, w, id=name) for name, p, w in partial_studies()],
)
def test_partial_studies_say_what_is_missing(name, partial, words, tmp_path):
    report = write_report(partial, tmp_path / "r")
    assert words in report.html.read_text()
    document = json.loads((tmp_path / "r" / "results.json").read_text())
    assert 1 <= len(report.finding) <= 1 + MAX_POINTS
    said = [*report.finding, *document["details"]]
    speed = any("final validation accuracy" in sentence for sentence in said)
    grid = name == "two scientific"
    region = any("emperature and alpha" in sentence for sentence in said[2:])
    assert len(said) == 2 + bool(partial.importance) + speed + grid + region


def pareto_study(arms):
    small = make_results(**SMALL | {"arms": arms})
    trials, number = [], {}
    for index, t in enumerate(small.trials):
        key = (t.arm, t.width, t.trial)
        number.setdefault(key, index)
        trials.append(t.model_copy(update={"stratum": {}, "trial": number[key]}))
    front = {
        max(
            (
                t
                for t in trials
                if t.width == w
                and (t.arm, t.stage, t.state) == ("distilled", "search", "COMPLETE")
            ),
            key=lambda t: t.val.accuracy,
        ).trial
        for w in (8, 16)
    }
    config = study_config(
        search=NUISANCE | {"width": {"role": "nuisance", "values": [8, 16]}},
        objective=[
            {"metric": "val_accuracy", "direction": "maximize"},
            {"metric": "num_params", "direction": "minimize"},
        ],
    )
    return dataclasses.replace(
        small, config=config, trials=tuple(trials), pareto=tuple(sorted(front))
    )


def test_pareto_study(tmp_path):
    pareto = pareto_study(("distilled",))
    front = pareto.pareto
    summary = compute_summary(pareto)
    info = summary.context.of(PARETO.compute)
    assert info is not None
    assert [p.trial for p in info.points if p.on_front] == sorted(front)
    assert info.x_metric == "num_params"
    assert [s.num_params for s in summary.strata.confirmed] == [490, 1098]
    report = write_report(pareto, tmp_path / "r")
    assert (tmp_path / "r" / "figures" / "pareto.png").stat().st_size > 10_000
    assert "Pareto front" in report.html.read_text()


def test_confirmed_baselines_of_a_pareto_study_are_shown_at_any_size(tmp_path):
    pareto = pareto_study(("distilled", "baseline"))
    twins = compute_summary(pareto)
    assert [s.label.startswith("trial") for s in twins.strata.strata] == [True, True]
    assert all(g.estimate and g.estimate.n == 2 for g in twins.gain.gains)
    trials = tuple(
        t.model_copy(update={"num_params": t.num_params + 1}) if t.arm == "baseline" else t
        for t in pareto.trials
    )
    other = dataclasses.replace(pareto, trials=trials)
    summary = compute_summary(other)
    lone = [s for s in summary.strata.strata if s.distilled is None]
    assert [s.num_params for s in lone] == [491, 1099]
    assert all(s.baseline and s.baseline.test_score for s in lone)
    rows = {row[0]: row for row in scores_table(summary.context).rows}
    assert [rows[s.label][-2 if len(rows[s.label]) > 8 else -1] for s in lone] == ["2", "2"]
    assert summary.finding.finding[2] == (
        "Whether distillation helps is not known: no distilled student has the size of a "
        "confirmed hard-labels one, so there is nothing to compare at equal size."
    )
    text = write_report(other, tmp_path / "r").html.read_text()
    assert "No complete trial yet" not in text
    assert "not been confirmed" not in text


def test_a_column_in_which_nobody_has_anything_is_not_shown(tmp_path):
    alone = make_results(widths=(8, 16), trials=6, replicates=2, arms=("distilled",))
    text = write_report(alone, tmp_path / "alone").html.read_text()
    confirmed = text[text.index('id="confirmed"') :]
    head = confirmed[: confirmed.index("</thead>")]
    assert "Distilled" in head
    assert "Hard labels" not in head
    assert head.count("interval") == 1
