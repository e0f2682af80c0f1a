"""The user's own parallel text: a folder with train.en, train.de, valid.en, valid.de, test.en and test.de.

One sentence a line, UTF-8, line n of one file being the translation of line n of the other. The splits are the files'.
Summaries stand in the same way in train.src (texts) and train.tgt (their summaries), and so on.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from nas.corpora.corpus import Corpus, CorpusFacts, CorpusReader, Pair, SplitRule, Splits
from nas.corpora.splits import SPLIT_NAMES, split_as_given
from nas.errors import UserError

NEAR_DUPLICATE = 0.6


@dataclass(frozen=True)
class ParallelFiles(CorpusReader):
    """Six files in one folder, named by split and language."""

    folder: Path
    source_language: str = "en"
    target_language: str = "de"
    name = "parallel_files"

    def facts(self, cache_dir: Path) -> CorpusFacts:
        """What the folder has to hold."""
        names = ", ".join(path.name for path in self._paths())
        return CorpusFacts(
            name="your own parallel files",
            kind=self.kind,
            licence="yours",
            size="any; about 10,000 sentence pairs or more are worth a search",
            languages=f"any two; files end in their codes, as in {names}",
            cached=None,
            how_to_get='give the folder as the corpus of the task: corpus = "path/to/folder"',
        )

    def read(self, cache_dir: Path) -> Corpus:
        """The pairs of the six files; pairs with a blank side are left out.

        Raises:
            UserError: a file is missing, empty or not UTF-8, or two files differ in length.
        """
        self._check_presence()
        digest = hashlib.sha256()
        pairs: list[Pair] = []
        for split in SPLIT_NAMES:
            source_path, target_path = self._path(split, self.source_language), self._path(split, self.target_language)
            sources, targets = _lines(source_path, digest), _lines(target_path, digest)
            if len(sources) != len(targets):
                raise UserError(
                    f"expected as many lines in {source_path} as in {target_path}, "
                    f"got {len(sources)} and {len(targets)}; "
                    "line n of one must belong to line n of the other"
                )
            both = zip(sources, targets, strict=True)
            pairs += [Pair(source, target, split) for source, target in both if source and target]
        return Corpus(
            name=self.folder.resolve().name,
            version="local files",
            sha256=digest.hexdigest(),
            licence="not stated (local files)",
            source_language=self.source_language,
            target_language=self.target_language,
            pairs=tuple(pairs),
        )

    def split(self, corpus: Corpus, rule: SplitRule) -> Splits:
        """The files' own splits, unchanged but for the maximal sizes of `rule`; near-duplicates are counted."""
        return split_as_given(corpus.pairs, rule, max_similarity=NEAR_DUPLICATE)

    def _path(self, split: str, language: str) -> Path:
        return self.folder / f"{split}.{language}"

    def _paths(self) -> list[Path]:
        languages = (self.source_language, self.target_language)
        return [self._path(split, language) for split in SPLIT_NAMES for language in languages]

    def _check_presence(self) -> None:
        missing = [path.name for path in self._paths() if not path.is_file()]
        if missing:
            expected = ", ".join(path.name for path in self._paths())
            raise UserError(
                f"expected {expected} in {self.folder}, got no {', '.join(missing)}; add them, or name other languages"
            )


@dataclass(frozen=True)
class SummaryFiles(ParallelFiles):
    """Six files in one folder: texts in train.src, valid.src and test.src, their summaries in .tgt, one a line."""

    source_language: str = "src"
    target_language: str = "tgt"
    name = "summary_files"
    kind = "summarisation"

    def facts(self, cache_dir: Path) -> CorpusFacts:
        """What the folder has to hold."""
        names = ", ".join(path.name for path in self._paths())
        return CorpusFacts(
            name="your own texts and summaries",
            kind=self.kind,
            licence="yours",
            size="any; about 10,000 pairs or more are worth a search",
            languages=f"any; one text (.src) or summary (.tgt) a line in {names}",
            cached=None,
            how_to_get='give the folder as the corpus of the task: corpus = "path/to/folder"',
        )


def read_utf8(path: Path, digest: "hashlib._Hash", content: str) -> str:
    """The text of a UTF-8 file with more than white space in it, whose bytes are added to `digest`.

    Raises:
        UserError: the file can't be read, isn't UTF-8, or is empty where `content` was expected.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"expected to read {path}, got: {error}; check its permissions") from error
    digest.update(data)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"expected UTF-8 in {path}, got byte 0x{data[error.start]:02x} in line {line} "
            f"(byte {error.start} of the file); convert the file, for example with iconv -t UTF-8"
        ) from error
    if not text.strip():
        raise UserError(f"expected {content} in {path}, got an empty file; fill it, or use another file or folder")
    return text


def _lines(path: Path, digest: "hashlib._Hash") -> list[str]:
    """The lines with their white space collapsed. Only line feeds end a line, as in the tools that write such files."""
    text = read_utf8(path, digest, "a sentence a line")
    return [" ".join(line.split()) for line in text.removesuffix("\n").split("\n")]
