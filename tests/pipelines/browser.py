"""Pages in a real browser: Debian's chromium, headless, with an empty profile and no background traffic.

``XDETR_ARTEFACTS`` names a folder where screenshots are kept; without it they stay in the test's own folder.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ARTEFACTS = "XDETR_ARTEFACTS"
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",  # nothing leaves this machine
)
SECONDS = 90
BROWSER_ITSELF = "not an origin"  # initiator of what the browser asks on its own account, and of the first page

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on this machine: apt-get install -y chromium to look at pages in a browser"
)


def chromium() -> str:
    """The browser's path; skips the test that asks where there is none."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: apt-get install -y chromium")
    return CHROMIUM


@dataclass(frozen=True)
class Visit:
    """What one visit of a page left: its DOM as HTML, what its scripts said, and what it asked of the network."""

    dom: str
    console: str
    requests: tuple[str, ...]


def visit(
    url: str,
    *,
    width: int = 1280,
    height: int = 900,
    dark: bool = False,
    virtual_ms: int | None = None,
    timeout_ms: int | None = None,
    flags: Sequence[str] = (),
    seconds: float = SECONDS,
) -> Visit:
    """Opens a page and reads its DOM once it has loaded.

    ``virtual_ms`` lets timers and fetches run for that much of the page's own clock first; ``timeout_ms`` ends the
    wait after real time, for pages whose connections never close. Requests are the http, https and ws addresses that
    the page itself asked for.
    """
    with tempfile.TemporaryDirectory(prefix="chromium-") as profile:
        log = Path(profile) / "net.json"
        more = ["--enable-logging=stderr", f"--log-net-log={log}", "--dump-dom", *flags]
        ended = _run(url, profile, more, width, height, dark, virtual_ms, timeout_ms, seconds)
        said = "\n".join(line for line in ended.stderr.splitlines() if ":CONSOLE" in line)
        return Visit(dom=ended.stdout, console=said, requests=_requests(log))


def dump_dom(url: str, *, virtual_ms: int | None = None, timeout_ms: int | None = None) -> str:
    """The page's DOM as HTML once it has loaded."""
    return visit(url, virtual_ms=virtual_ms, timeout_ms=timeout_ms).dom


def screenshot(
    url: str,
    path: Path,
    *,
    width: int = 1280,
    height: int = 900,
    dark: bool = False,
    virtual_ms: int | None = None,
    timeout_ms: int | None = None,
    flags: Sequence[str] = (),
    seconds: float = SECONDS,
) -> Path:
    """A picture (PNG) of a window of ``width`` × ``height`` pixels on the page, as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="chromium-") as profile:
        more = [f"--screenshot={path}", *flags]
        ended = _run(url, profile, more, width, height, dark, virtual_ms, timeout_ms, seconds)
    assert path.is_file(), f"chromium took no picture of {url}: {ended.stderr[-2000:]}"
    return path


def artefacts(tmp_path: Path) -> Path:
    """Where pictures of this test are kept: ``$XDETR_ARTEFACTS``, or its temporary folder; the path is printed."""
    folder = Path(os.environ[ARTEFACTS]) if os.environ.get(ARTEFACTS) else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    print(f"pictures: {folder}")
    return folder


def _run(
    url: str,
    profile: str,
    more: Sequence[str],
    width: int,
    height: int,
    dark: bool,
    virtual_ms: int | None,
    timeout_ms: int | None,
    seconds: float,
) -> subprocess.CompletedProcess[str]:
    command = [chromium(), *FLAGS, f"--user-data-dir={profile}/profile", f"--window-size={width},{height}"]
    command.append(f"--blink-settings=preferredColorScheme={0 if dark else 1}")
    if virtual_ms is not None:
        command.append(f"--virtual-time-budget={virtual_ms}")
    if timeout_ms is not None:
        command.append(f"--timeout={timeout_ms}")
    # Without an address chromium searches for a session bus, and waits for it.
    environment = {**os.environ, "HOME": profile, "DBUS_SESSION_BUS_ADDRESS": "disabled:"}
    ended = subprocess.run(
        [*command, *more, url], capture_output=True, text=True, errors="replace", timeout=seconds, env=environment
    )
    assert ended.returncode == 0, f"chromium ended with {ended.returncode} on {url}: {ended.stderr[-2000:]}"
    return ended


def _requests(log: Path) -> tuple[str, ...]:
    """Network addresses in a net log that a page asked for; a killed browser leaves the log's end off."""
    text = log.read_text(errors="replace")
    try:
        events = json.loads(text)["events"]
    except json.JSONDecodeError:
        events = json.loads(text.rstrip().rstrip(",") + "]}")["events"]
    asked = (event.get("params", {}) for event in events)
    urls = {one["url"] for one in asked if one.get("initiator", BROWSER_ITSELF) != BROWSER_ITSELF}
    return tuple(sorted(url for url in urls if url.startswith(("http:", "https:", "ws:", "wss:"))))
