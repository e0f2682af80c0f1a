"""The corpora that can be had here, and how a name or a path becomes a reader."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nas.corpora.ansible import Ansible
from nas.corpora.botocore import Botocore
from nas.corpora.brown import Brown
from nas.corpora.corpus import CorpusFacts, CorpusReader, ImageReader, Reader, TextReader
from nas.corpora.debian import DebianDescriptions, DebianSections, DebianSynopsis
from nas.corpora.homeassistant import HomeAssistant
from nas.corpora.images import DIGITS, MNIST
from nas.corpora.libreoffice_help import LibreOfficeHelp
from nas.corpora.number_words import NumberWords
from nas.corpora.parallel_files import ParallelFiles, SummaryFiles
from nas.corpora.text_file import TextFile
from nas.errors import UserError

TRANSLATIONS: tuple[HomeAssistant | DebianDescriptions | LibreOfficeHelp | NumberWords, ...] = (
    HomeAssistant(),
    DebianDescriptions(),
    LibreOfficeHelp(),
    NumberWords(),
)
SUMMARIES: tuple[CorpusReader, ...] = (DebianSynopsis(), Ansible())
TEXTS: tuple[TextReader, ...] = (Brown(), Botocore(), DebianSections())
IMAGES: tuple[ImageReader, ...] = (MNIST, DIGITS)
ALL_CORPORA: tuple[Reader, ...] = (*TRANSLATIONS, *SUMMARIES, *TEXTS, *IMAGES)


def describe_corpora(cache_dir: Path) -> tuple[CorpusFacts, ...]:
    """Facts about every corpus, the user's own files last. Fetches and writes nothing."""
    own_files = (ParallelFiles(Path("folder")), SummaryFiles(Path("folder")), TextFile(Path("file.txt")))
    return tuple(reader.facts(cache_dir) for reader in (*ALL_CORPORA, *own_files))


def find_corpus(corpus: str, source_language: str, target_language: str) -> CorpusReader:
    """The reader of a named translation corpus, or of the user's parallel files when `corpus` is a folder."""
    for reader in TRANSLATIONS:
        if reader.name == corpus:
            return replace(reader, source_language=source_language, target_language=target_language)
    if Path(corpus).is_dir():
        return ParallelFiles(Path(corpus), source_language, target_language)
    raise _unknown(corpus, TRANSLATIONS, "a corpus", " or a folder of parallel files")


def find_summaries(name: str) -> CorpusReader:
    """The reader of a named corpus of texts and summaries, or of the user's parallel files when `name` is a folder."""
    for reader in SUMMARIES:
        if reader.name == name:
            return reader
    if Path(name).is_dir():
        return SummaryFiles(Path(name))
    raise _unknown(name, SUMMARIES, "a corpus of summaries", " or a folder with train.src, train.tgt and so on")


def find_text(name: str) -> TextReader:
    """The reader of a named corpus of texts, or of the user's text when `name` is a file or folder."""
    for reader in TEXTS:
        if reader.name == name:
            return reader
    if Path(name).exists():
        return TextFile(Path(name))
    raise _unknown(name, TEXTS, "a corpus of texts", ", a text file or a folder with train.txt, valid.txt and test.txt")


def find_images(name: str) -> ImageReader:
    """The reader of a named corpus of images."""
    for reader in IMAGES:
        if reader.name == name:
            return reader
    raise _unknown(name, IMAGES, "a corpus of images", "")


def _unknown(name: str, readers: Sequence[Reader], what: str, alternative: str) -> UserError:
    names = ", ".join(reader.name for reader in readers)
    return UserError(f"expected {what} ({names}){alternative}, got {name!r}; see carbon-nas corpora")
