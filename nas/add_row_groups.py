"""Adds to runs that lack them the groups of their test rows, from the corpus that they were trained on.

For example: python -m nas.add_row_groups results/translation_small
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from nas.compression import experiment_of
from nas.corpora.fetch import cache_folder
from nas.errors import UserError
from nas.row_groups import keep_test_groups
from nas.run_folder import RunFolder


def add_test_groups(folder: Path) -> int:
    """Adds the file to a run; how many groups there are, 0 where its data does not tell.

    Raises:
        UserError: there is no run of an experiment, or its corpus is another by now.
    """
    experiment = experiment_of(folder)
    task = experiment.task.prepare(cache_folder())
    described = task.describe()
    RunFolder.resume(folder, experiment).check_corpus(described)
    keep_test_groups(folder, task.test_groups, described["data_sha256"])
    return len(set(task.test_groups))


def main(names: Sequence[str]) -> int:
    """The command; its exit code, 2 for a user's mistake, which is one line on standard error."""
    try:
        if not names:
            raise UserError("expected folders of runs, got none: python -m nas.add_row_groups RUN [RUN ...]")
        for name in names:
            print(f"{name}: {add_test_groups(Path(name))} groups of test rows")
    except UserError as error:
        print(f"nas.add_row_groups: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
