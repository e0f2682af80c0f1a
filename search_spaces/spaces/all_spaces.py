"""The registry: every search space."""

from search_spaces.space import Space
from search_spaces.spaces.evolved import EvolvedSpace
from search_spaces.spaces.hat import HatSpace
from search_spaces.spaces.lite import LiteSpace
from search_spaces.spaces.mixed import MixedSpace

LITE_CAUSAL = LiteSpace(name="lite_causal", stacks=("decoder",))

ALL_SPACES: tuple[Space, ...] = (LiteSpace(), LITE_CAUSAL, HatSpace(), EvolvedSpace(), MixedSpace())


def find_space(name: str) -> Space:
    """The space of that name. Raises KeyError listing the known ones."""
    for space in ALL_SPACES:
        if space.name == name:
            return space
    raise KeyError(f"expected a space of {', '.join(one.name for one in ALL_SPACES)}; got {name!r}")
