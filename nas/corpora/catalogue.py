"""The corpora that can be had here, and how a name or a folder becomes a reader."""

from dataclasses import replace
from pathlib import Path

from nas.corpora.corpus import CorpusFacts, CorpusReader
from nas.corpora.homeassistant import HomeAssistant
from nas.corpora.number_words import NumberWords
from nas.corpora.parallel_files import ParallelFiles
from nas.errors import UserError

ALL_CORPORA: tuple[HomeAssistant | NumberWords, ...] = (HomeAssistant(), NumberWords())


def describe_corpora(cache_dir: Path) -> tuple[CorpusFacts, ...]:
    """Facts about every corpus, the user's own files last. Fetches and writes nothing."""
    own_files = ParallelFiles(Path("folder"))
    return tuple(reader.facts(cache_dir) for reader in (*ALL_CORPORA, own_files))


def find_corpus(corpus: str, source_language: str, target_language: str) -> CorpusReader:
    """The reader of a named corpus, or of the user's parallel files when `corpus` is a folder."""
    for reader in ALL_CORPORA:
        if reader.name == corpus:
            return replace(reader, source_language=source_language, target_language=target_language)
    if Path(corpus).is_dir():
        return ParallelFiles(Path(corpus), source_language, target_language)
    names = ", ".join(reader.name for reader in ALL_CORPORA)
    raise UserError(f"expected a corpus ({names}) or a folder of parallel files, got {corpus!r}; see carbon-nas corpora")
