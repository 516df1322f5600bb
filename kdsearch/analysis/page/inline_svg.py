"""matplotlib's figures as part of the page, with points that can be asked.

Colours become variables, which the page sets for light and dark; styles become classes, so that
the page needs no inline style; what figures share (glyphs, markers) is kept once for all of them.
"""

import re
from collections.abc import Callable, Sequence
from xml.etree import ElementTree as ET

from kdsearch.analysis.drawing import style
from kdsearch.analysis.drawing.mark import Mark

_SVG, _LINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_HREF = f"{{{_LINK}}}href"
_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_MOVED = re.compile(r"translate\([^)]*\)")
_COLOURS = {
    style.INK: "ink", style.MUTED: "muted", style.GRID: "grid", "#aab3bd": "frame",
    "#ffffff": "paper", style.DISTILLED: "blue", style.BASELINE: "orange",
    style.TEACHER: "green", style.ENSEMBLE: "purple", style.WARN: "red", "#56b4e9": "sky",
    "#5b5b5b": "grey", "#b8ab00": "olive", "#a9b2bc": "pale",
}  # fmt: skip
"""Those that the page has its own of in the dark; shades of a map are the same in both."""
_REACH = 9.0
"""Radius of what answers for a point, in the figure's units (72 an inch)."""

ET.register_namespace("", _SVG)
ET.register_namespace("xlink", _LINK)


class FigureSheet:
    """What the figures of one page share."""

    def __init__(self, run_link: Callable[[str], str]) -> None:
        """No figure yet.

        Args:
            run_link: The address of MLflow's page of a run, by its id; empty where there is none.
        """
        self._run_link = run_link
        self._classes: dict[str, str] = {}
        self._shared: dict[str, str] = {}

    @property
    def css(self) -> str:
        """Rules of the figures' classes."""
        return "".join(f".{name}{{{rule}}}" for rule, name in self._classes.items())

    @property
    def shared(self) -> str:
        """SVG text of what several figures use."""
        return "".join(self._shared.values())

    def inline(self, svg: bytes, marks: Sequence[Mark], label: str) -> str:
        """One figure as SVG text.

        Args:
            svg: As matplotlib wrote it.
            marks: Its points.
            label: What it shows, for those who cannot see it.
        """
        root = ET.fromstring(svg)  # our own text of a moment ago
        for name in ("width", "height", "version"):
            root.attrib.pop(name, None)
        root.set("role", "img")
        root.set("aria-label", label)
        root.set("class", "plot")
        self._take_over(root)
        box = [float(part) for part in root.attrib["viewBox"].split()]
        points = ET.SubElement(root, _tag("g"), {"class": "marks"})
        for mark in marks:
            self._add_mark(points, mark, width=box[2], height=box[3])
        return ET.tostring(root, encoding="unicode")

    def _add_mark(self, parent: ET.Element, mark: Mark, *, width: float, height: float) -> None:
        href = self._run_link(mark.run_id) if mark.run_id else ""
        holder = ET.SubElement(parent, _tag("a"), {"href": href}) if href else parent
        at = {"cx": f"{mark.left * width:.1f}", "cy": f"{mark.top * height:.1f}"}
        circle = ET.SubElement(holder, _tag("circle"), at | {"r": f"{_REACH:g}"})
        ET.SubElement(circle, _tag("title")).text = mark.text

    def _take_over(self, parent: ET.Element) -> None:
        """Rewrite everything below `parent`."""
        for child in list(parent):
            if child.tag in (_tag("metadata"), _tag("title"), _tag("style")):
                parent.remove(child)
                continue
            self._take_over(child)
            self._restyle(child)
            if child.tag == _tag("defs"):
                self._share(child)
                parent.remove(child)
            elif parent.tag != _tag("defs"):
                child.attrib.pop("id", None)  # only what is shared is ever referred to

    def _share(self, defs: ET.Element) -> None:
        for child in defs:
            if "id" in child.attrib:
                text = ET.tostring(child, encoding="unicode")
                self._shared.setdefault(child.attrib["id"], text)

    def _restyle(self, element: ET.Element) -> None:
        rule = element.attrib.pop("style", None)
        if rule is not None:
            for colour, name in _COLOURS.items():
                rule = rule.replace(colour.lower(), f"var(--{name})")
            name = self._classes.setdefault(rule, f"f{len(self._classes)}")
            element.set("class", name)
        for key in ("d", "x", "y"):
            if key in element.attrib:
                element.set(key, _rounded(element.attrib[key]))
        if "transform" in element.attrib:
            moved = _MOVED.sub(lambda m: _rounded(m[0]), element.attrib["transform"])
            element.set("transform", moved)
        element.tail = None
        if element.text is not None and not element.text.strip():
            element.text = None


def _tag(name: str) -> str:
    return f"{{{_SVG}}}{name}"


def _rounded(numbers: str) -> str:
    """Coordinates to a hundredth of a point, on one line."""
    text = _NUMBER.sub(lambda m: f"{float(m[0]):.2f}".rstrip("0").rstrip("."), numbers)
    return " ".join(text.split())
