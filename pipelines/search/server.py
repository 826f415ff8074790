"""The page of ``xdetr-search serve``: one file each of HTML, CSS and JavaScript, and what they ask for.

Nothing but the index is served: photos are named by their keys, and thumbnails are cut when they are asked for. The
index is opened anew when another generation takes its place.
"""

import io
import threading
from collections.abc import Callable
from functools import lru_cache
from importlib.resources import files
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipelines.search.answers import photo_of
from pipelines.search.database import Database, open_database
from pipelines.search.encoder import Query, QueryEncoder, like, parse_instance
from pipelines.search.find import find
from pipelines.search.layout import read_index
from xdetr_data.errors import InputError, XdetrDataError
from xdetr_data.photos.decoding import decode_photo

THUMBNAIL = 640  # pixels of the longer side: sharp at 320 on a dense screen
THUMBNAILS = 512  # that stay in memory, some 20 MB
MOST = 200  # answers at a time
QUALITY = 82
MAX_TEXT = 2000  # characters
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}


class Searcher:
    """An index and its model, for requests that come at the same time."""

    def __init__(self, address: str, encoder: QueryEncoder, *, same_iou: float, top: int) -> None:
        self._address, self._encoder = address, encoder
        self._same_iou, self._top = same_iou, top
        self._database = open_database(address)
        self._lock = threading.Lock()
        self.thumbnail = lru_cache(THUMBNAILS)(self._cut)

    def database(self) -> Database:
        """The index as it counts now. Raises InputError where it was made anew with another model."""
        with self._lock:
            now = read_index(self._database.folder)
            if now.generation != self._database.index.generation or now.parts != self._database.index.parts:
                if now.model.fingerprint != self._database.index.model.fingerprint:
                    raise InputError("the index was made anew with another model; start xdetr-search serve again")
                self._database = open_database(self._address)
                self.thumbnail.cache_clear()
            return self._database

    def search(self, text: str, instance: str, where: str, top: str) -> bytes:
        """Answers as JSON."""
        database = self.database()
        count = min(MOST, int(top)) if top.isascii() and top.isdigit() and int(top) else self._top
        answers = find(
            database, [self._query(database, text, instance)], top=count, where=where or None, same_iou=self._same_iou
        )
        return msgspec.json.encode(answers)

    def _query(self, database: Database, text: str, instance: str) -> Query:
        if instance:
            return like(database, *parse_instance("like", instance))
        with self._lock:  # one forward pass at a time
            return self._encoder.text(text[:MAX_TEXT])

    def about(self) -> bytes:
        """What the page says of the index, as JSON."""
        database = self.database()
        counts = {"photos": database.photos, "objects": database.objects, "generation": database.index.generation}
        return msgspec.json.encode(counts)

    def _cut(self, key: str) -> bytes | str:
        """A small copy of a photo as JPEG, or what became of it."""
        photo = photo_of(self.database(), key)
        if isinstance(photo, str):
            return photo
        small = decode_photo(photo.data, least_px=THUMBNAIL)
        small.thumbnail((THUMBNAIL, THUMBNAIL))
        sink = io.BytesIO()
        small.save(sink, "JPEG", quality=QUALITY)
        return sink.getvalue()


def make_app(searcher: Searcher, hosts: list[str]) -> Starlette:
    """The application. A request for another host than ``hosts`` is refused: another site's page had asked it."""

    async def search(request: Request) -> Response:
        asked = request.query_params
        names = ("text", "like", "where", "top")
        return await _json(searcher.search, *(asked.get(name, "") for name in names))

    async def about(request: Request) -> Response:
        return await _json(searcher.about)

    async def photo(request: Request) -> Response:
        try:
            found = await run_in_threadpool(searcher.thumbnail, request.path_params["key"])
        except XdetrDataError as error:
            return _error(404, str(error))
        if isinstance(found, str):
            return _error(410, f"the photo is {found}")
        return Response(found, media_type="image/jpeg", headers=HEADERS)

    pages = {"/": "index.html", "/search.css": "search.css", "/search.js": "search.js"}
    routes = [Route(path, _page(name)) for path, name in pages.items()]
    routes += [Route("/api/search", search), Route("/api/about", about), Route("/photo/{key}", photo)]
    return Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts)])


def _page(name: str) -> Callable[[Request], Any]:
    data = (files("pipelines.search") / "page" / name).read_bytes()
    kind = _TYPES[name.rpartition(".")[2]]

    async def page(request: Request) -> Response:
        return Response(data, media_type=kind, headers=HEADERS)

    return page


async def _json(work: Callable[..., bytes], *args: str) -> Response:
    """What some work says; what is wrong with the question as one line."""
    try:
        data = await run_in_threadpool(work, *args)
    except XdetrDataError as error:
        return _error(400, str(error))
    return Response(data, media_type="application/json", headers=HEADERS)


def _error(status: int, line: str) -> Response:
    body = msgspec.json.encode({"error": " ".join(line.split())})
    return Response(body, status, media_type="application/json", headers=HEADERS)
