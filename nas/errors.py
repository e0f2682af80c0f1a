"""The exceptions for what a user can mend."""

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """A user's mistake. Its text is one line: what was expected, what came, what to do. The command line exits with 2."""


class Fruitless(UserError):
    """A run that was carried out as far as it goes and has no champion, since trainings failed or nothing was within limits."""


@contextmanager
def named(place: str) -> Iterator[None]:
    """Puts where a mistake stands, a file and its key, before what is said of it."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{place}: {error}") from error
