"""Templates, styles and scripts made one file that loads nothing."""

import base64
import hashlib
from collections.abc import Mapping
from importlib import resources
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from kdsearch.analysis.drawing.report_figure import Drawn, ReportFigure
from kdsearch.analysis.page.inline_svg import FigureSheet

LIBRARY = "dataTables.min.js"
FOLDER = PackageLoader("kdsearch.analysis.page")
VENDOR = resources.files("kdsearch.analysis.page") / "vendor"


class Picture(NamedTuple):
    """A figure as the page shows it."""

    figure: ReportFigure
    svg: Markup
    """Empty where there is none."""


class Links(NamedTuple):
    """Where a page leads to."""

    tracking: str = ""
    """Address of the MLflow server whose pages show the runs; empty for none."""

    def run(self, run_id: str | None) -> str:
        """MLflow's page of a run; empty without one.

        MLflow finds a run under any experiment, 0 is always there, and its short address of a run
        would open the pages for generative AI.
        """
        if not self.tracking or not run_id:
            return ""
        return f"{self.tracking}/#/experiments/0/runs/{run_id}?workflowType=machine_learning"


def render(template: str, sheet: FigureSheet, *, refresh: int | None = None, **values: Any) -> str:
    """A page as HTML text.

    Args:
        template: Its file name; it extends `base.html`.
        sheet: The figures that the page shows.
        refresh: Seconds after which a browser reads the page again.
        values: What the template names. Every text is escaped there.
    """
    environment = Environment(
        loader=FOLDER,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = _text("report.css") + sheet.css
    library, script = (VENDOR / LIBRARY).read_text(encoding="utf-8"), _text("report.js")
    return environment.get_template(template).render(
        policy=_policy(style, library, script),
        refresh=refresh,
        style=Markup(style),
        shared=Markup(sheet.shared),
        library=Markup(library),
        script=Markup(script),
        **values,
    )


def picture_of(figure: ReportFigure, drawn: Mapping[str, Drawn], sheet: FigureSheet) -> Picture:
    """A figure and its drawing, if it has one."""
    own = drawn.get(figure.name)
    label = f"{figure.title}. {figure.explanation}"
    svg = "" if own is None else sheet.inline(own.svg, own.marks, label)
    return Picture(figure, Markup(svg))


def _text(name: str) -> str:
    return FOLDER.get_source(Environment(), name)[0]  # as it stands, not rendered


def _policy(style: str, *scripts: str) -> str:
    """Nothing is loaded from anywhere, and only this very style and these scripts are applied."""

    def source(text: str) -> str:
        digest = hashlib.sha256(text.encode()).digest()
        return f"'sha256-{base64.b64encode(digest).decode()}'"

    return (
        f"default-src 'none'; img-src data:; style-src {source(style)}; "
        f"script-src {' '.join(map(source, scripts))}; base-uri 'none'; form-action 'none'"
    )
