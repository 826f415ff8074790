"""One run at a time writes a folder: its lock says who does, and a lock whose owner is gone is taken over.

On this machine a lock is stale when its process is gone. Of another machine, or where the folder is on object storage,
the owner's signs of life tell: it writes one a minute, and is taken for dead after ten minutes without.
"""

import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from pipelines.folder import LOCK, WORK
from xdetr_data.errors import OutputError
from xdetr_data.storage import Folder

BEAT_S = 60.0
STALE_S = 600.0
_SETTLE_S = 0.2  # how long a lock that was taken over may still be taken over by somebody else


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Whose a lock is. Times are seconds since 1970; ``process_began`` tells a process from a later one of its pid."""

    token: str
    host: str
    pid: int
    process_began: str
    since_s: float
    alive_s: float


@contextmanager
def locked(out: Folder) -> Iterator[None]:
    """Holds the folder's lock; raises OutputError where another run holds it."""
    owner = _myself()
    _take(out, owner)
    stop = threading.Event()
    pulse = threading.Thread(target=_beat, args=(out, owner, stop), daemon=True)
    pulse.start()
    try:
        yield
    finally:
        stop.set()
        pulse.join()
        if _is_mine(out, owner):
            out.remove(LOCK)
            if not out.names(f"{WORK}/*"):
                out.remove(WORK)


def writer_of(out: Folder) -> Owner | None:
    """Who writes the folder now; None where nobody does, or whoever did is gone."""
    holder = _holder(out) if out.exists(LOCK) else None
    return None if holder is None or _is_stale(holder) else holder


def _myself() -> Owner:
    pid, now = os.getpid(), time.time()
    return Owner(
        token=uuid.uuid4().hex,
        host=socket.gethostname(),
        pid=pid,
        process_began=_began(pid) or "",
        since_s=now,
        alive_s=now,
    )


def _began(pid: int) -> str | None:
    """When a process began, in the system's own words; None where there is no such process, empty if nobody knows."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass  # somebody else's process is one, too
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _take(out: Folder, owner: Owner) -> None:
    if _create(out, owner):
        return
    holder = _holder(out)
    if holder is not None and not _is_stale(holder):
        raise OutputError(_taken(out, holder))
    out.remove(LOCK)
    is_mine = _create(out, owner)
    time.sleep(_SETTLE_S)
    if not (is_mine and _is_mine(out, owner)):
        raise OutputError(f"{out.url}: another run has just begun to write it; let it finish, then --resume")


def _create(out: Folder, owner: Owner) -> bool:
    """Writes the lock where there is none; whether it is ours."""
    return out.put(LOCK, msgspec.json.encode(owner), replace=False)


def _holder(out: Folder) -> Owner | None:
    """Whose the lock is; None where it was just given back, or was cut short when its owner was killed."""
    for _ in range(5):  # whoever creates it needs a moment to write it
        try:
            return msgspec.json.decode(out.read(LOCK), type=Owner)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            time.sleep(_SETTLE_S)
        except OSError:
            return None
    return None


def _is_stale(holder: Owner) -> bool:
    if holder.host != socket.gethostname():
        return time.time() - holder.alive_s > STALE_S
    if holder.pid == os.getpid():
        return holder.process_began != (_began(holder.pid) or "")
    return _began(holder.pid) not in (holder.process_began, "")


def _taken(out: Folder, holder: Owner) -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(holder.since_s))
    where = f"process {holder.pid} of {holder.host} since {since}"
    if holder.host == socket.gethostname():
        return f"{out.url}: another run is writing it ({where}); let it finish or stop it, then --resume"
    silent = max(0, round(time.time() - holder.alive_s))
    gone = f"if that machine is gone, the folder is free {STALE_S / 60:.0f} minutes after its last sign of life"
    return f"{out.url}: another run is writing it ({where}, last sign of life {silent} s ago); let it finish; {gone}"


def _is_mine(out: Folder, owner: Owner) -> bool:
    holder = _holder(out) if out.exists(LOCK) else None
    return holder is not None and holder.token == owner.token


def _beat(out: Folder, owner: Owner, stop: threading.Event) -> None:
    """Signs of life, until the run ends or somebody else has the lock."""
    while not stop.wait(BEAT_S):
        if not _is_mine(out, owner):
            return
        alive = msgspec.structs.replace(owner, alive_s=time.time())
        out.put(LOCK, msgspec.json.encode(alive), replace=True)
