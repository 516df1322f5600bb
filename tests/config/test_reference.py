from pathlib import Path

from kdsearch.config.reading.reference import render_reference
from kdsearch.config.study import StudyConfig

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_what_the_models_say() -> None:
    assert (DOCS / "study-file.md").read_text() == render_reference()


def test_every_key_of_the_file_is_explained() -> None:
    page = render_reference()
    for name in StudyConfig.model_fields:
        assert f"| `{name}` |" in page
    for chapter in ("data.augment, teacher.augment", "data.transfer", "confirm"):
        assert f"## {chapter}\n" in page
    for name in ("omit_classes", "transfer", "augment", "dropout", "max_norm", "keep", "refit"):
        assert f"| `{name}` |" in page
    assert "see below |  |" not in page.split("## data")[1]
