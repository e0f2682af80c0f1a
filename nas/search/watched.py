"""A watch over samplers from outside: what goes wrong in them is one line, and a pickle that they keep is refused."""

import re
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nas.errors import UserError

# Pickles as hexadecimal digits or base64 (protocols 2 to 5), and any long run of hexadecimal digits.
BLOB = re.compile(r"80(0[2-5])[0-9a-f]{30,}.*|gA[I-X][\w+/=]{29,}.*|[0-9a-fA-F]{256,}", re.DOTALL)


class WatchedSampler(BaseSampler):
    """A sampler from outside: its errors become one line, and so does a pickle that it writes to the study.

    Args:
        name: the strategy's name.
        inner: the sampler.
    """

    def __init__(self, name: str, inner: BaseSampler) -> None:
        self._name = name
        self._inner = inner
        self._seen: dict[str, object] = {}

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """What the inner sampler says."""
        with self._watch(trial):
            return self._inner.infer_relative_search_space(study, trial)

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        """What the inner sampler says. Raises UserError when it left a pickle in the study."""
        with self._watch(trial):
            params = self._inner.sample_relative(study, trial, search_space)
        self._check(study, trial)
        return params

    def sample_independent(self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution) -> Any:
        """What the inner sampler says."""
        with self._watch(trial):
            return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Passed on."""
        with self._watch(trial):
            self._inner.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Passed on. Raises UserError when the inner sampler left a pickle in the study."""
        with self._watch(trial):
            self._inner.after_trial(study, trial, state, values)
        self._check(study, trial)

    def _watch(self, trial: FrozenTrial) -> AbstractContextManager[None]:
        return told_plainly(self._name, f"trial {trial.number}")

    def _check(self, study: Study, trial: FrozenTrial) -> None:
        storage = study._storage
        frozen = storage.get_trial(trial._trial_id)
        shared = {**storage.get_study_system_attrs(study._study_id), **storage.get_study_user_attrs(study._study_id)}
        new = {key: value for key, value in shared.items() if self._seen.get(key) is not value}
        self._seen = shared
        for key, value in {**new, **frozen.system_attrs, **frozen.user_attrs}.items():
            if holds_pickle(value):
                raise UserError(
                    f"strategy {self._name}: expected plain numbers and texts in the study, but it keeps a pickle in "
                    f"attribute {key!r}; choose another sampler"
                )


def holds_pickle(value: object) -> bool:
    """Whether an attribute is bytes, or a text that looks like pickled ones, or holds one that does."""
    if isinstance(value, Mapping):
        return any(holds_pickle(one) for one in value.values())
    if isinstance(value, list | tuple):
        return any(holds_pickle(one) for one in value)
    return isinstance(value, bytes | bytearray) or (isinstance(value, str) and BLOB.fullmatch(value) is not None)


@contextmanager
def told_plainly(name: str, where: str) -> Iterator[None]:
    """One line instead of whatever error comes, and no warning of what Optuna calls experimental: it was asked for by name."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    except UserError:
        raise
    except ImportError as error:
        raise UserError(needs(name, error)) from error
    except Exception as error:
        raise UserError(failed(name, where, error)) from error


def needs(name: str, error: ImportError) -> str:
    """The line for a package that a sampler imports and that is missing."""
    missing = f"the package {error.name.split('.')[0]!r}, which is not installed" if error.name else short(str(error))
    return f"strategy {name}: it needs {missing}; install that or choose another strategy"


def failed(name: str, where: str, error: Exception) -> str:
    """The line for any other error of a sampler."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"strategy {name}: the sampler failed in {where}: {type(error).__name__}: {short(str(error))} "
        f"({Path(place.filename).name}, line {place.lineno})"
    )


def short(text: str) -> str:
    """A text as one line of bounded length."""
    line = " ".join(text.split())
    return line if len(line) <= 160 else f"{line[:157]}..."
