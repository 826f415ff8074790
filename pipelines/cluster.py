"""Ray's cluster, from its driver: how a run joins one, whether its head is there, what it says of lost processes."""

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from xdetr_data.errors import XdetrDataError

OBJECT_STORE_BYTES = 256 << 20
LOOK_S = 5.0  # how often the head is looked for
HEAD_GONE_S = 20.0  # a minute after its head is gone, Ray ends the process without a word of ours


@contextmanager
def cluster(workers: int) -> Iterator[Any]:
    """Ray as a module, with a cluster: ``RAY_ADDRESS``'s, or for the block one of this machine with ``workers`` CPUs.

    What Ray prints of lost nodes goes to stderr, as stdout is the command's. Raises XdetrDataError where none starts.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    address = os.environ.get("RAY_ADDRESS")
    local = {"num_cpus": workers, "include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    try:
        ray.init(address or "local", log_to_driver=False, logging_level="error", **({} if address else local))
    except Exception as error:  # ray raises plain Exceptions
        what = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        remedy = "give fewer --workers, or --workers 0: no Ray"
        if address:
            remedy = f"is RAY_ADDRESS={address} right, and RAY_AUTH_MODE=token set where the cluster asks for one?"
        raise XdetrDataError(f"Ray did not start ({what}); {remedy}") from error
    try:
        with redirect_stdout(sys.stderr):
            yield ray
    finally:
        ray.shutdown()


class Lifelines:
    """The cluster's head and this machine's part of Ray, asked over their own ports: where either is gone, Ray ends the
    process within a minute, without a word of ours."""

    def __init__(self, ray: Any) -> None:
        context = ray.get_runtime_context()
        host, _, port = context.gcs_address.rpartition(":")
        self._head = (host.strip("[]"), int(port))
        here = next(one for one in ray.nodes() if one["NodeID"] == context.get_node_id())
        self._here = (here["NodeManagerAddress"], here["NodeManagerPort"])
        self._asked = -LOOK_S
        self._gone_since: float | None = None

    def hold(self) -> bool:
        """Whether new processes can be had; asks at most once in ``LOOK_S``.

        Raises XdetrDataError where this machine's part is gone, or the head has been for ``HEAD_GONE_S``.
        """
        now = time.monotonic()
        if now - self._asked < LOOK_S:
            return self._gone_since is None
        self._asked = now
        if problem := _unreachable(self._head):
            self._gone_since = self._gone_since or now
            if now - self._gone_since > HEAD_GONE_S:
                raise XdetrDataError(
                    f"the head of the Ray cluster ({self._head[0]}) is gone ({problem}); start the cluster again, then "
                    "go on with --resume"
                )
            return False
        self._gone_since = None
        if problem := _unreachable(self._here):
            raise XdetrDataError(
                f"Ray on this machine ({self._here[0]}) is gone ({problem}); start it again, then go on with --resume"
            )
        return True


def _unreachable(place: tuple[str, int]) -> str:
    """Why nobody answers there; empty where somebody does."""
    try:
        socket.create_connection(place, timeout=LOOK_S).close()
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""


def why(error: Exception) -> str:
    """What Ray says of a lost process, in some words."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines)
    if "node has died" in text or "node was terminated" in text:
        return "the node is gone"
    if "memory" in text and "kill" in text:
        return "Ray ended it, as the node's memory ran out"
    return lines[-1] if "creation task" in text else f"{type(error).__name__}: {text[:200]}"
