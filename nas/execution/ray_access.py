"""What has to be settled before Ray is imported: its environment, the token, whether an address answers; and what it says.

Ray listens on all interfaces whatever one asks, and whoever reaches its ports without a token can run code. So token
authentication is set explicitly, always; the token travels by file (mode 0600), never on a command line or in a log.
"""

import atexit
import os
import re
import secrets
import socket
import tempfile
from pathlib import Path
from types import ModuleType

from nas.errors import UserError
from nas.execution.packages import PACKAGES

ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_metrics_collection": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_ENABLE_AUTO_CONNECT": "0",  # a late call would start a cluster of its own, without our settings
}
# Where the head node is away for longer, Ray ends the process at once, by default after 60 s. We stop before that (see
# nas.execution.on_ray); this is for what may hang in Ray by then.
_LATER = {"RAY_gcs_rpc_server_reconnect_timeout_s": "120"}
_TOKEN = "RAY_AUTH_TOKEN"
_TOKEN_PATH = "RAY_AUTH_TOKEN_PATH"
# An HTTP/2 client preface with empty settings; a gRPC server answers with its own settings (frame type 4).
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_SETTINGS = 4


def prepare_environment() -> None:
    """Sets Ray's environment variables for this process and those that it starts."""
    os.environ.update(_LATER | os.environ | ENVIRONMENT)


def token_for_new_cluster() -> None:
    """Makes sure that a cluster to be started has a token: the user's, or a fresh one that ends with this process."""
    if os.environ.get(_TOKEN):
        return
    given = os.environ.get(_TOKEN_PATH)
    if given and Path(given).is_file():
        _only_owner(Path(given))
        return
    fd, name = tempfile.mkstemp(prefix="carbon-nas-token-")  # Made with mode 0600.
    with os.fdopen(fd, "w") as file:
        file.write(secrets.token_hex(32))
    atexit.register(Path(name).unlink, missing_ok=True)
    os.environ[_TOKEN_PATH] = name


def token_for_joining() -> None:
    """Makes sure that there is a token to join a running cluster with. Raises UserError when there is none."""
    if os.environ.get(_TOKEN):
        return
    path = Path(os.environ.get(_TOKEN_PATH) or Path.home() / ".ray" / "auth_token").absolute()
    if not path.is_file():
        raise UserError(
            f"expected the cluster's token in {path}, got no such file; copy it from the head node (mode 0600) "
            f"or name its file in {_TOKEN_PATH}"
        )
    _only_owner(path)
    os.environ[_TOKEN_PATH] = str(path)


def _only_owner(path: Path) -> None:
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)


def resolve_address(address: str) -> str:
    """`host:port` of an address; `auto` is RAY_ADDRESS or the cluster that was started last on this machine."""
    if address == "auto":
        current = Path("/tmp/ray/ray_current_cluster")
        address = os.environ.get("RAY_ADDRESS") or (current.read_text().strip() if current.is_file() else "")
        if not address:
            raise UserError("address auto: expected a running Ray cluster on this machine, got none; give HOST:PORT")
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UserError(f"address: expected HOST:PORT or auto, got {address!r}")
    return address


def probe(address: str, timeout_s: float = 10.0) -> None:
    """Raises UserError unless a gRPC server answers at `host:port` in time; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=timeout_s) as connection:
            connection.settimeout(timeout_s / 2)
            connection.sendall(_HELLO)
            answer = connection.recv(9)
    except OSError as error:
        raise UserError(
            f"address {address}: expected a Ray head node to answer, got: {error}; start one with `ray start --head` "
            "or check the address"
        ) from error
    if len(answer) < 4 or answer[3] != _SETTINGS:
        raise UserError(f"address {address}: expected a Ray head node, got another kind of server; check the port")


def ray_cause(error: BaseException) -> str:
    """Why, in one line: Ray's texts are long, and an exception raised in an actor stands at their end."""
    text, kind = str(error), type(error).__name__
    if full := re.search(r"Memory on the node \(IP: ([^,)]+).*?\) was (\S+ used / \S+) limit", text):
        return f"out of memory: Ray ended the worker, for its node {full[1]} had {full[2]}"
    if detail := re.search(r"Worker exit detail: ([^.]*)", text):
        if "OOM" in text:  # what Ray says whenever it does not know who ended a process
            return "the worker's process died: it crashed or was killed from outside, often by a system that is out of memory"
        return f"the worker's process died: {detail[1].strip()}"[:300]
    if kind == "ActorUnavailableError":
        return "the worker cannot be reached any more: its node, or the network to it, is gone"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"{kind}: {lines[-1] if lines else 'no reason given'}"[:300]


def advice(cause: str) -> str:
    """What to do about a worker that could not be made for a cause given by `ray_cause`, in the imperative."""
    missing = re.search(r"No module named '(\w+)", cause)
    if (missing and missing[1] in PACKAGES) or "other code of carbon-nas" in cause:
        return "install the same carbon-nas there, or set execution.ship_package = true"
    if missing:
        return f"install {missing[1]} there: what carbon-nas needs has to be on every node"
    return "mend that"


def silence(ray: ModuleType) -> None:
    """Ray prints the death of every worker to standard output, whatever its settings; our answers tell it already."""
    if hasattr(ray._private.worker, "print_to_stdstream"):
        ray._private.worker.print_to_stdstream = lambda *args, **kwargs: None
