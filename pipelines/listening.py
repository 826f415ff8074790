"""Where a page is served: which addresses are this machine's alone, whether a port is free, what others can open."""

import socket

from xdetr_data.errors import ConfigError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_EVERY = ("0.0.0.0", "::", "")


def check_free(address: str, port: int) -> None:
    """Raises ConfigError where something else listens on the port."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"--address {address} --port {port}: cannot be used ({error}); choose another --port"
        ) from error


def url_of(address: str, port: int) -> str:
    """What to open in a browser; of an address that stands for all of this machine's, by the machine's name."""
    host = socket.gethostname() if address in _EVERY else address
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
