"""How many elements a file of a public dataset holds, by kind: what its published counts are compared with."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from xdetr_data.sources import visual_genome
from xdetr_data.sources.framing.json_stream import iter_array_chunks, iter_whole_array_chunks
from xdetr_data.sources.framing.lines import iter_line_chunks, split_lines
from xdetr_data.sources.framing.plain_pickle import read_refs

Counts = Iterator[tuple[str, int]]  # of the file's parts: kind, how many


def count_elements(path: str, form: str, kinds: Sequence[str]) -> dict[str, int]:
    """How many elements of each of these kinds a file of a format has, 0 of a kind that the format does not know.

    Reads all of it in bounded memory (a refer pickle: whole); raises InputError where it is of another format.
    """
    found: Counter[str] = Counter()
    for kind, count in _COUNTERS[form](path, kinds):
        found[kind] += count
    return {kind: found[kind] for kind in kinds}


def _arrays(path: str, kinds: Sequence[str]) -> Counts:
    return ((chunk.name, chunk.count) for chunk in iter_array_chunks(path, kinds))


def _whole_array(path: str, kinds: Sequence[str]) -> Counts:
    return ((kinds[0], chunk.count) for chunk in iter_whole_array_chunks(path))


def _regions(path: str, kinds: Sequence[str]) -> Counts:
    return ((chunk.name or "images", chunk.count) for chunk in visual_genome.read_chunks(path))


def _references(path: str, kinds: Sequence[str]) -> Counts:
    for ref in read_refs(path):
        said = ref.get("sentences") if isinstance(ref, dict) else None
        yield "references", 1
        yield "expressions", len(said) if isinstance(said, list) else 0


def _lines(path: str, kinds: Sequence[str]) -> Counts:
    return (("lines", sum(map(bool, map(bytes.strip, split_lines(one.data))))) for one in iter_line_chunks(path))


def _files(path: str, kinds: Sequence[str]) -> Counts:
    yield "files", 1


_COUNTERS: Mapping[str, Callable[[str, Sequence[str]], Counts]] = {
    "mdetr-json": _arrays,
    "coco-json": _arrays,
    "json-array": _whole_array,
    "visual-genome-json": _regions,
    "refer-pickle": _references,
    "lines": _lines,
    "files": _files,
}
FORMATS = frozenset(_COUNTERS)
