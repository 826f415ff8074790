"""What finds the vectors of largest product with a query, in a part: faiss, exactly or by probing lists.

``vectors.faiss`` is all vectors as float16, mapped into memory and never copied. A part of ``PROBE_FROM`` objects or
more also has ``probe.faiss``: the vectors in lists by their nearest of some centres, four bits for each two dimensions,
of which a query looks at the nearest lists alone. Whatever either finds is scored anew from the float16 vectors in
float64, so that a score does not depend on how it was found, and order is that of the exact products.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from xdetr_data.errors import InputError
from xdetr_data.storage import HashingWriter

PROBE_FROM = 2_000_000  # objects: a scan of them takes some 0.2 s on two cores (docs/benchmarks/search.md)
RERANKED = 16  # candidates of a probe for each answer that is wanted, scored exactly
LEAST_RERANKED = 512
TRAINED_ON = 64  # vectors for each list
LEAST_RECALL = 0.98  # of exact search's 10 best, from which on no more lists are probed
TRIED = 64  # vectors that the number of probes is chosen by
SEED = 1234

Vectors = NDArray[np.float16]
Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Flat:
    """All vectors ``[N, d]`` of a part, searched exactly."""

    def __init__(self, flat: Any) -> None:
        self._flat = flat
        self._vectors: Vectors = _view(flat)

    def __len__(self) -> int:
        """How many vectors there are."""
        return int(self._flat.ntotal)

    @property
    def dim(self) -> int:
        """Their width."""
        return int(self._flat.d)

    @property
    def vectors(self) -> Vectors:
        """``[N, d]``, a view of the file."""
        return self._vectors

    def score(self, rows: Rows, query: NDArray[np.float32]) -> NDArray[np.float64]:
        """Products of some vectors with a query, in float64: what a vector scores does not depend on the others."""
        products = self._vectors[rows].astype(np.float64) * query.astype(np.float64)
        return np.asarray(products.sum(1))

    def candidates(self, query: NDArray[np.float32], count: int, mask: Mask | None) -> Rows:
        """Rows among which are the ``count`` best that ``mask`` allows, and all that score as the last of them.

        faiss adds in float32, in an order of its own: it is asked for more than are wanted, until what it found last
        is surely worse.
        """
        allowed = len(self) if mask is None else int(mask.sum())
        asked = min(allowed, count + max(32, count // 4))
        while asked:
            found, rows = self._flat.search(query[None], asked, params=self._selecting(mask))
            slack = 2 * _error(self.dim, float(np.linalg.norm(query)))
            if asked == allowed or found[0, -1] < found[0, min(count, asked) - 1] - slack:
                return np.asarray(rows[0])
            asked = min(allowed, 2 * asked)
        return np.zeros(0, np.int64)

    def _selecting(self, mask: Mask | None) -> Any:
        if mask is None:
            return None
        return faiss.SearchParameters(sel=_selector(mask))


@dataclass(frozen=True, slots=True)
class Probe:
    """The lists of a part, of which a query looks at ``probes``."""

    lists: Any
    probes: int

    def candidates(self, query: NDArray[np.float32], count: int, mask: Mask | None) -> Rows:
        """Rows that are probably the ``count`` best that ``mask`` allows, and others."""
        wanted = max(LEAST_RERANKED, RERANKED * count)
        selector = None if mask is None else _selector(mask)
        parameters = faiss.SearchParametersIVF(nprobe=self.probes, **({} if selector is None else {"sel": selector}))
        _, rows = self.lists.search(query[None], wanted, params=parameters)
        return np.unique(rows[rows >= 0])


def write_vectors(sink: HashingWriter, pieces: Iterable[Vectors], count: int, dim: int) -> None:
    """Writes ``count`` vectors, in their order, as a file of faiss; all of them are in memory for it.

    Raises InputError where there are more or fewer.
    """
    flat = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    flat.codes.resize(2 * dim * count)  # at once: a vector that grows is there twice
    flat.ntotal = count
    place, end = _view(flat), 0
    for piece in pieces:
        if end + len(piece) > count:
            raise InputError(f"there are more than the {count:,} vectors that were counted")
        place[end : end + len(piece)] = piece
        end += len(piece)
    if end != count:
        raise InputError(f"there are {end:,} vectors, and {count:,} were counted")
    faiss.write_index(flat, faiss.PyCallbackIOWriter(sink.write))


def open_vectors(path: str) -> Flat:
    """Maps a file of ``write_vectors`` on this machine into memory; raises InputError where it is none."""
    return Flat(_read(path, faiss.IO_FLAG_MMAP_IFC))


def open_probe(path: str, probes: int) -> Probe:
    """Reads a file of ``write_probe``; raises InputError where it is none."""
    return Probe(_read(path, 0), probes)


def write_probe(sink: HashingWriter, flat: Flat) -> int:
    """Writes the lists of a part's vectors, and returns how many of them a query has to look at.

    So many that for vectors of the part itself the 10 best are found as often as ``LEAST_RECALL`` says, at least a
    sixty-fourth of the lists.
    """
    dim = flat.dim
    lists = 1 << max(0, round(math.log2(1.3 * math.sqrt(max(1, len(flat))))))
    lists = min(lists, max(1, len(flat) // 40))  # what k-means wants for each centre
    index = faiss.index_factory(
        dim, f"IVF{lists},PQ{dim // 2 if dim % 2 == 0 else dim}x4fs", faiss.METRIC_INNER_PRODUCT
    )
    index.cp.seed = SEED
    rng = np.random.default_rng(SEED)
    sample = np.sort(rng.choice(len(flat), min(len(flat), lists * TRAINED_ON), replace=False))
    index.train(flat.vectors[sample].astype(np.float32))
    for begin in range(0, len(flat), 1 << 16):
        index.add(flat.vectors[begin : begin + (1 << 16)].astype(np.float32))
    faiss.write_index(index, faiss.PyCallbackIOWriter(sink.write))
    tried = np.sort(rng.choice(len(flat), min(len(flat), TRIED), replace=False))
    return _enough(flat, index, lists, tried)


def _enough(flat: Flat, index: Any, lists: int, tried: Rows) -> int:
    queries = flat.vectors[tried].astype(np.float32)
    truth = [flat.candidates(query, 10, None)[:10] for query in queries]
    probes = max(1, lists // 64)
    while probes < lists:
        probe = Probe(index, probes)
        hits = [len(np.intersect1d(probe.candidates(q, 10, None), t)) for q, t in zip(queries, truth, strict=True)]
        if sum(hits) >= LEAST_RECALL * sum(map(len, truth)):
            break
        probes *= 2
    return min(probes, lists)


def _view(flat: Any) -> Vectors:
    """The vectors where faiss keeps them; valid as long as ``flat`` is."""
    count, dim = int(flat.ntotal), int(flat.d)
    if not count:
        return np.zeros((0, dim), np.float16)
    codes = faiss.rev_swig_ptr(flat.codes.data(), count * dim * 2)
    view: Vectors = codes.view(np.float16).reshape(count, dim)
    return view


def _selector(mask: Mask) -> Any:
    return faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))


def _error(dim: int, norm: float) -> float:
    """How far a sum of ``dim`` products of unit vectors, rounded to float32 in any order, may be from the true one."""
    return float(dim * np.finfo(np.float32).eps * 1.01 * norm)


def _read(path: str, flags: int) -> Any:
    try:
        return faiss.read_index(path, flags)
    except RuntimeError as error:
        problem = str(error).split("Error: ")[-1].splitlines()[0][:120]
        raise InputError(f"{path}: cannot be read ({problem}); make the index again, or copy it again") from error
