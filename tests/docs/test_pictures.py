"""The pictures of the README and the pages are of the reports that the repository has."""

import pytest
from PIL import Image

from docs.pictures import IMAGES, PICTURES, Picture


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_a_picture_is_of_the_page_as_it_is(picture: Picture) -> None:
    with Image.open(IMAGES / picture.name) as image:
        assert image.width == 1280
        assert image.info["page"] == picture.digest(), "`make pictures` makes it anew"


def test_every_picture_is_made() -> None:
    assert {p.name for p in PICTURES} == {file.name for file in IMAGES.glob("*.png")}
