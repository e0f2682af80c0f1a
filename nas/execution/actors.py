"""What runs inside actors: generic, loading a factory or a class by its import name. Knows nothing of Ray."""

import os
import sys
from collections.abc import Mapping
from typing import Any

from nas.execution.executor import AnswerKind, Arrays, Context, Payload, carried_out, load
from nas.execution.packages import digest

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# torch keeps a prepared matrix product for each of the last 1,024 shapes, and sentences come in hundreds of shapes: workers
# grew to 1.4 GB. With 16 they stay at 0.8 GB and are no slower.
_ENVIRONMENT = {"LRU_CACHE_CAPACITY": "16"}


class Worker:
    """Makes a worker's function from its factory and runs payloads through it, with so many threads."""

    def __init__(self, factory: str, context: Context, threads: int = 1) -> None:
        os.environ.update(_ENVIRONMENT | dict.fromkeys(_THREADS, str(threads)))
        self._run = load(factory)(context)
        if torch := sys.modules.get("torch"):
            torch.set_num_threads(threads)

    def ready(self) -> str:
        """The digest of our packages here, once this worker is made."""
        return digest()

    def run(self, payload: Payload, arrays: Arrays) -> tuple[AnswerKind, Any, Arrays, float]:
        """See `carried_out`."""
        return carried_out(self._run, payload, arrays)


class Service:
    """Holds an object whose methods other processes call."""

    def __init__(self, name: str, kwargs: Mapping[str, Any]) -> None:
        self._object = load(name)(**kwargs)

    def ready(self) -> tuple[int, int]:
        """Process ids of this service and of its parent, once it is made."""
        return os.getpid(), os.getppid()

    def call(self, method: str, args: tuple[Any, ...]) -> Any:
        """What the method returns."""
        return getattr(self._object, method)(*args)
