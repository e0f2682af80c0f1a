"""The one exception for mistakes that a user can mend."""


class UserError(Exception):
    """A user's mistake. Its text is one line: what was expected, what came, what to do. The command line exits with 2."""
