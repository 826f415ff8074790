"""Answers as a file: JSON, or one HTML page that asks nothing of a network and runs no script."""

import hashlib
from base64 import b64encode
from pathlib import Path

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipelines.drawing.lines import printable
from pipelines.report.photos import PhotoBook
from pipelines.search.answers import GONE, Answers, photo_of
from pipelines.search.database import Database
from xdetr_data.errors import InputError
from xdetr_data.photos.photo import BadPhoto
from xdetr_data.storage import Folder


def write_answers(path: str, answers: Answers, database: Database) -> None:
    """Writes ``.json``, or a page. Raises InputError where the address is a folder, OutputError where it cannot be."""
    place = Path(path)
    if place.is_dir():
        raise InputError(f"--out {path}: is a folder; give the name of a file, as in {path}/answers.html")
    data = (
        msgspec.json.format(msgspec.json.encode(answers), indent=1) + b"\n"
        if path.endswith(".json")
        else render_answers(answers, database)
    )
    Folder(str(place.parent)).write(place.name, data)


def render_answers(answers: Answers, database: Database) -> bytes:
    """The page as UTF-8; the same answers give the same bytes. Text of the data is escaped."""
    loader = PackageLoader("pipelines.search", "page")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["printable"] = printable
    style = loader.get_source(environment, "search.css")[0]
    book, names = PhotoBook(), {}
    for key in sorted({one.key for found in answers.queries for one in found.answers if one.photo == "there"}):
        photo = photo_of(database, key)
        name = photo if isinstance(photo, str) else book.add(photo.data, key)
        if isinstance(name, BadPhoto) or name == GONE:
            raise InputError(
                f"{key}: its photo was there a moment ago, and is gone or damaged now; say the query again"
            )
        names[key] = name
    page = environment.get_template("answers.html.j2").render(
        answers=answers,
        names=names,
        photos=[(name, book.uri(name)) for name in sorted(set(names.values()))],
        style=Markup(style),  # our own file
        style_hash=b64encode(hashlib.sha256(style.encode()).digest()).decode(),
    )
    return page.encode()
