"""The contact sheet shows each photo, its boxes and its words."""

from pathlib import Path

import numpy as np

from xdetr_data.toyworld.contact_sheet import draw_contact_sheet, load_photo
from xdetr_data.toyworld.truth import PhotoTruth


def test_each_cell_holds_a_photo_with_coloured_boxes_and_words_below(world: Path) -> None:
    sheet = np.asarray(draw_contact_sheet(world, photos=5, columns=3)).astype(int)
    assert sheet.shape == (2 * 460, 3 * 380, 3)
    cells = [
        sheet[row * 460 : row * 460 + 460, column * 380 : column * 380 + 380] for row in (0, 1) for column in range(3)
    ]
    for cell in cells[:5]:
        assert (cell[20:200, 20:150].sum(axis=2) < 3 * 250).mean() > 0.9
        assert (np.ptp(cell[285:], axis=2) > 60).sum() > 50  # words in colour
    assert (cells[5] == 255).all()


def test_the_caption_of_a_dead_link_has_no_photo_and_the_others_come_out_of_the_tar(
    world: Path, truths: list[PhotoTruth]
) -> None:
    photos = [load_photo(world, truth) for truth in truths if truth.collection == "cc"]
    assert None in photos
    sizes = [photo.size for photo in photos if photo]
    assert sizes
    assert set(sizes) <= {(truth.width, truth.height) for truth in truths if truth.collection == "cc"}
