"""What tasks check of their limits, by the names that a user gave."""

from nas.errors import UserError


def check_maxima(task: object, *names: str) -> None:
    """Raises UserError unless each of these fields is None or positive."""
    for name in names:
        limit = getattr(task, name)
        if limit is not None and limit < 1:
            raise UserError(f"expected task.{name} of 1 or more, got {limit}; leave it out to keep all")
