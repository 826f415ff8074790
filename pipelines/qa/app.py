"""The App, served on this machine until it is interrupted."""

import signal
import socket
import sys
import time
from contextlib import redirect_stdout, suppress
from typing import Any

from pipelines import console
from xdetr_data.errors import ConfigError

LOOPBACK = ("127.0.0.1", "localhost", "::1")


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
    console.say(f"look at it: http://{address}:{port}/datasets/{dataset.name}   (Ctrl-C ends the App, not the dataset)")
    # The server is a process of its own, which would outlive this one where it is told to end and does not say so.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with suppress(KeyboardInterrupt):
            while True:
                time.sleep(3600)
    finally:
        session.close()


def check_free(address: str, port: int) -> None:
    """Raises ConfigError where something else listens on the port: FiftyOne would wait for it for a minute."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"--address {address} --port {port}: cannot be used ({error}); choose another --port"
        ) from error
