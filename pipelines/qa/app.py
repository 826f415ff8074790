"""The App, served on this machine until it is interrupted."""

import signal
import sys
import time
from contextlib import redirect_stdout, suppress
from typing import Any

from pipelines import console
from pipelines.listening import LOOPBACK, check_free, url_of
from xdetr_data.errors import ConfigError


def serve(fo: Any, dataset: Any, *, address: str, port: int) -> None:
    """Serves the App until Ctrl-C or SIGTERM; raises ConfigError where the address cannot be listened on."""
    check_free(address, port)
    if address not in LOOPBACK:
        console.warn(f"--address {address}: whoever reaches this port can see and change everything in FiftyOne")
    from fiftyone.core.service import ServiceListenTimeout

    try:
        with redirect_stdout(sys.stderr):
            session = fo.launch_app(dataset, port=port, address=address, remote=True)
    except ServiceListenTimeout as error:
        raise ConfigError(
            f"FiftyOne's App did not start in time ({error}); the dataset {dataset.name!r} is filled: "
            "say the command again when the machine is less busy"
        ) from error
    place = f"{url_of(address, port)}datasets/{dataset.name}"
    console.say(f"look at it: {place}   (Ctrl-C ends the App, not the dataset)")
    # The server is a process of its own, which would outlive this one where it is told to end and does not say so.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with suppress(KeyboardInterrupt):
            while True:
                time.sleep(3600)
    finally:
        session.close()
