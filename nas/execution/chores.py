"""Work that goes on beside a run, in threads of its own."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

log = logging.getLogger(__name__)

FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 1.0, 60.0
POLL_S = 0.05


@dataclass
class Chore:
    """Work that is done again and again, one at a time; after a failure later and later."""

    what: str
    running: bool = False
    backoff_s: float = 0.0
    not_before: float = 0.0
    said: str = ""

    def due(self) -> bool:
        """Whether it is to be done now."""
        return not self.running and time.monotonic() >= self.not_before

    def done(self, work: Callable[[], None]) -> None:
        """Does it. A cause of failure is said once."""
        try:
            work()
            self.backoff_s, self.said = 0.0, ""
        except Exception as error:  # whatever a remote call may raise
            self.backoff_s = min(LONGEST_BACKOFF_S, max(FIRST_BACKOFF_S, 2 * self.backoff_s))
            self.not_before = time.monotonic() + self.backoff_s
            if (text := f"{self.what}: {error!r}") != self.said:
                log.warning("%s; trying again", text)
            self.said = text
        finally:
            self.running = False

    def settle(self, timeout_s: float) -> None:
        """Waits until it is not at work, or for so long."""
        end = time.monotonic() + timeout_s
        while self.running and time.monotonic() < end:
            time.sleep(POLL_S)
