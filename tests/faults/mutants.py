"""Damaged copies of a file, each a function of its bytes and a seed."""

import gzip
from collections.abc import Callable

import numpy as np

Mutation = Callable[[bytes, np.random.Generator], bytes]

_ODD = (b"\x00", b"\xff\xfe", b"\\", b'"', b"[/b]", b"NaN", b"1e400", b"-1", b"null", b"{", b"]", b"\r\n", b"\\ud800")


def flip(data: bytes, rng: np.random.Generator) -> bytes:
    """A few bytes are others."""
    found = np.frombuffer(data, np.uint8).copy()
    found[rng.integers(0, len(found), rng.integers(1, 6))] = rng.integers(0, 256)
    return found.tobytes()


def cut(data: bytes, rng: np.random.Generator) -> bytes:
    """The file ends early."""
    return data[: rng.integers(0, len(data))]


def lose(data: bytes, rng: np.random.Generator) -> bytes:
    """A piece in the middle is gone."""
    start = int(rng.integers(0, len(data)))
    return data[:start] + data[start + int(rng.integers(1, 200)) :]


def put_in(data: bytes, rng: np.random.Generator) -> bytes:
    """Something odd stands in the middle."""
    start = int(rng.integers(0, len(data)))
    return data[:start] + _ODD[rng.integers(0, len(_ODD))] + data[start:]


def blank(data: bytes, rng: np.random.Generator) -> bytes:
    """A block of the disk came back as zeros."""
    start, length = int(rng.integers(0, len(data))), int(rng.integers(1, 4096))
    return data[:start] + bytes(len(data[start : start + length])) + data[start + length :]


def another_number(data: bytes, rng: np.random.Generator) -> bytes:
    """A digit somewhere is another one."""
    digits = np.flatnonzero((np.frombuffer(data, np.uint8) - ord("0")) < 10)
    if not len(digits):
        return flip(data, rng)
    at = int(digits[rng.integers(0, len(digits))])
    return data[:at] + b"%d" % rng.integers(0, 10) + data[at + 1 :]


def damaged_gzip(data: bytes, rng: np.random.Generator) -> bytes:
    """The file is a gzip, and damaged."""
    return (flip, cut)[rng.integers(0, 2)](gzip.compress(data, mtime=0), rng)


MUTATIONS: tuple[Mutation, ...] = (flip, cut, lose, put_in, blank, another_number, damaged_gzip)


def mutant(data: bytes, seed: int, number: int) -> tuple[str, bytes]:
    """The name of what was done, and the damaged file; the same for the same arguments."""
    rng = np.random.default_rng([seed, number])
    mutation = MUTATIONS[number % len(MUTATIONS)]
    return mutation.__name__, mutation(data, rng)
