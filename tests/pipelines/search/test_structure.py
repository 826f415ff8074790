"""Exact search is a brute-force product, bit by bit in order; lists find nearly the same."""

import math
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipelines.search.structure import Flat, open_probe, open_vectors, write_probe, write_vectors
from xdetr_data.errors import InputError
from xdetr_data.storage import Folder


def unit(rng: np.random.Generator, count: int, dim: int, *, copies: int = 0) -> NDArray[np.float16]:
    """Unit vectors, some of them there several times."""
    vectors = rng.standard_normal((count, dim))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[rng.integers(0, count, copies)] = vectors[0]
    return vectors.astype(np.float16)


def written(folder: Path, vectors: NDArray[np.float16]) -> Flat:
    with Folder(str(folder)).writing("vectors.faiss") as sink:
        half = len(vectors) // 2
        write_vectors(sink, [vectors[:half], vectors[half:]], len(vectors), vectors.shape[1])
    return open_vectors(f"{folder}/vectors.faiss")


def brute_force(vectors: NDArray[np.float16], query: NDArray[np.float32], rows: NDArray[np.int64]) -> list[int]:
    """Rows by product, each summed without any rounding, equal ones by row."""
    exact = {row: math.fsum((vectors[row].astype(float) * query.astype(float)).tolist()) for row in rows.tolist()}
    return sorted(exact, key=lambda row: (-exact[row], row))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 999),
    count=st.integers(1, 300),
    dim=st.sampled_from([1, 7, 64]),
    copies=st.integers(0, 80),
    wanted=st.integers(1, 120),
    share=st.sampled_from([None, 0.0, 0.1, 0.9]),
)
def test_exact_search_is_a_brute_force_product(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    count: int,
    dim: int,
    copies: int,
    wanted: int,
    share: float | None,
) -> None:
    rng = np.random.default_rng(seed)
    vectors = unit(rng, count, dim, copies=copies)
    flat = written(tmp_path_factory.mktemp("vectors"), vectors)
    assert (flat.vectors == vectors).all()
    query = rng.standard_normal(dim).astype(np.float32)
    mask = None if share is None else rng.random(count) < share
    rows = flat.candidates(query, wanted, mask)
    scores = dict(zip(rows.tolist(), flat.score(rows, query).tolist(), strict=True))
    found = sorted(scores, key=lambda row: (-scores[row], row))[:wanted]
    allowed = np.arange(count) if mask is None else np.flatnonzero(mask)
    truth = brute_force(vectors, query, allowed)[:wanted]
    # float64 sums of one row's products may differ from the sum without rounding in the last bit, and then order may
    assert [scores[row] for row in found] == pytest.approx([scores[row] for row in truth], abs=1e-15)
    every = flat.score(allowed, query)
    assert found == allowed[np.lexsort((allowed, -every))][:wanted].tolist()


def clustered(rng: np.random.Generator, count: int, dim: int) -> NDArray[np.float16]:
    centres = rng.standard_normal((50, dim))
    vectors = centres[rng.integers(0, 50, count)] + 0.4 * rng.standard_normal((count, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


@pytest.mark.parametrize("dim", [32, 33])
def test_lists_find_nearly_what_exact_search_finds_and_are_the_same_bytes_again(
    tmp_path: Path, dim: int, request: pytest.FixtureRequest
) -> None:
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)  # threads that wait for one another are slow where other tests run
    request.addfinalizer(lambda: faiss.omp_set_num_threads(threads))
    rng = np.random.default_rng(0)
    flat = written(tmp_path, clustered(rng, 3000, dim))
    digests = []
    for name in ("one", "other"):
        with Folder(str(tmp_path)).writing(name) as sink:
            probes = write_probe(sink, flat)
        digests.append(sink.sha256)
    assert digests[0] == digests[1]
    probe = open_probe(f"{tmp_path}/one", probes)
    hits = 0
    for query in flat.vectors[:50].astype(np.float32) + 0.1 * rng.standard_normal((50, dim)).astype(np.float32):
        every = flat.score(np.arange(3000), query)
        hits += len(np.intersect1d(np.argsort(-every)[:10], probe.candidates(query, 10, None)))
    assert hits >= 0.95 * 500
    mask = rng.random(3000) < 0.5
    assert mask[probe.candidates(query, 10, mask)].all()


def test_vectors_that_do_not_add_up_are_refused(tmp_path: Path) -> None:
    vectors = unit(np.random.default_rng(0), 5, 8)
    folder = Folder(str(tmp_path))
    for count, said in ((4, "more than the 4"), (6, "5 vectors, and 6")):
        with pytest.raises(InputError, match=said), folder.writing("vectors") as sink:
            write_vectors(sink, [vectors], count, 8)
    assert not folder.exists("vectors")


def test_a_damaged_file_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "vectors.faiss").write_bytes(b"nonsense")
    with pytest.raises(InputError, match="cannot be read"):
        open_vectors(f"{tmp_path}/vectors.faiss")
