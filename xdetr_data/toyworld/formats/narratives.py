"""Localized Narratives (JSONL): spoken descriptions with timed words and the trace of the mouse.

The pen circles what is being said, a little early or late, off by a constant and by noise; it visits each of several
objects in turn. Words come in pieces that are not quite the caption's; some narratives have lost their trace.
"""

from __future__ import annotations

from xdetr_data.spans import Span
from xdetr_data.toyworld import templates
from xdetr_data.toyworld.dice import Dice, Purpose
from xdetr_data.toyworld.homes import Split
from xdetr_data.toyworld.photo import Sheet, ToyPhoto
from xdetr_data.toyworld.speech import Told, joined, say
from xdetr_data.toyworld.traces import Stay, spoken_words, trace_segments
from xdetr_data.toyworld.truth import TextTruth, phrases_of

TRAIN_SHARDS = 2
FILES: dict[tuple[str, Split], tuple[str, str]] = {
    ("openimages", "val"): ("open_images_validation_localized_narratives.jsonl", "open_images_validation"),
    ("openimages", "test"): ("open_images_test_localized_narratives.jsonl", "open_images_test"),
    ("coco", "train"): ("coco_train_localized_narratives-00000-of-00001.jsonl", "mscoco_train2017"),
    ("coco", "val"): ("coco_val_localized_narratives.jsonl", "mscoco_val2017"),
    ("flickr", "train"): ("flickr30k_train_localized_narratives.jsonl", "flickr30k_train"),
    ("flickr", "val"): ("flickr30k_val_localized_narratives.jsonl", "flickr30k_val"),
    ("flickr", "test"): ("flickr30k_test_localized_narratives.jsonl", "flickr30k_test"),
}
TRAIN_FILES = tuple(
    f"open_images_train_v6_localized_narratives-{shard:05d}-of-{TRAIN_SHARDS:05d}.jsonl"
    for shard in range(TRAIN_SHARDS)
)


def write_narratives(photo: ToyPhoto, sheet: Sheet) -> None:
    """Adds what was said of the photo: always of OpenImages', sometimes twice; of a third of the other photos."""
    dice = photo.dice(Purpose.NARRATIVE)
    is_open_images = photo.home.collection == "openimages"
    if not is_open_images and not dice.chance(1 / 3):
        return
    first_annotator = dice.integer(0, 90)
    for annotator in range(first_annotator, first_annotator + (2 if is_open_images and dice.chance(0.15) else 1)):
        _write_one(photo, sheet, dice, annotator)


def _write_one(photo: ToyPhoto, sheet: Sheet, dice: Dice, annotator: int) -> None:
    told, sentences = _speak(photo, dice)
    if (photo.home.collection, photo.home.split) == ("openimages", "train"):
        name, dataset = TRAIN_FILES[photo.index % TRAIN_SHARDS], "open_images_train"
    else:
        name, dataset = FILES[photo.home.collection, photo.home.split]
    words = spoken_words(told.text, dice)
    height, width = photo.scene.height, photo.scene.width
    stays = []
    for mention in told.mentions:
        spoken = [word for word in words if word.span[0] < mention.span[1] and mention.span[0] < word.span[1]]
        if not spoken:
            continue
        boxes = [photo.view.objects[index].box_xyxy for index in mention.objects]
        norm = [(box[0] / width, box[1] / height, box[2] / width, box[3] / height) for box in boxes]
        stays.append(Stay(spoken[0].start, spoken[-1].end, norm))
    identity = photo.home.photo_id
    sheet.add(f"locnar/{name}", "lines", {
        "dataset_id": dataset, "image_id": identity, "annotator_id": annotator, "caption": told.text,
        "timed_caption": [
            {"utterance": word.utterance, "start_time": word.start, "end_time": word.end}
            for word in words if word.utterance
        ],
        "traces": trace_segments(photo.dice(Purpose.TRACE), stays, words[-1].end),
        "voice_recording": f"{dataset}/{dataset}_{identity}_{annotator}.ogg",
    })  # fmt: skip
    sheet.texts.append(
        TextTruth(
            file=f"locnar/{name}", id=f"{identity}:{annotator}", text=told.text, sentences=sentences,
            phrases=phrases_of(told.mentions),
        )
    )  # fmt: skip


def _speak(photo: ToyPhoto, dice: Dice) -> tuple[Told, tuple[Span, ...]]:
    """An opening, some sentences that take the objects in turn, often a word on the surroundings."""
    view = photo.view
    turns = dice.shuffled(view.singles)
    told = [say(view, dice, templates.NARRATIVE_OPENINGS)]
    for number in range(dice.integer(1, 4)):
        target = turns[number % len(turns)] if turns and dice.chance(0.5) else None
        told.append(say(view, dice, templates.NARRATIVE_MIDDLES, target))
    if dice.chance(0.7):
        told.append(say(view, dice, templates.NARRATIVE_CLOSINGS))
    unique = {each.text: each for each in told if each}
    return joined(list(unique.values()) or [Told("In this image there is nothing.", ())])
