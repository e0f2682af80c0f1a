"""The user's own text: one UTF-8 file, or a folder with train.txt, valid.txt and test.txt.

Paragraphs are what blank lines separate; in a file without blank lines each line is one. A single file is split in its
own order (first part training, then validation, then test), so that a running text isn't torn apart.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from nas.corpora.corpus import CorpusFacts, SplitRule, Text, TextCorpus, TextReader, TextSplits
from nas.corpora.parallel_files import read_utf8
from nas.corpora.splits import SPLIT_NAMES, split_texts_as_given
from nas.errors import UserError


@dataclass(frozen=True)
class TextFile(TextReader):
    """A file, or a folder of three files named by their split."""

    path: Path
    name = "text_file"

    def facts(self, cache_dir: Path) -> CorpusFacts:
        """What the file or folder has to hold."""
        return CorpusFacts(
            name="your own text",
            kind=self.kind,
            licence="yours",
            size="any; about a million words or more are worth a search",
            languages="any, in UTF-8; blank lines separate paragraphs, without blank lines each line is one",
            cached=None,
            how_to_get=(
                'give the file as the corpus of the task: corpus = "path/to/file.txt", split in its own order; '
                "or a folder with train.txt, valid.txt and test.txt"
            ),
        )

    def read(self, cache_dir: Path) -> TextCorpus:
        """The paragraphs of the file or files, in their order. The group is the split in a folder, else the file's name.

        Raises:
            UserError: a file is missing, empty or not UTF-8.
        """
        digest = hashlib.sha256()
        texts = [
            Text(paragraph, path.stem) for path in self._paths() for paragraph in paragraphs(read_utf8(path, digest, "some text"))
        ]
        return TextCorpus(
            name=self.path.resolve().name,
            version="local files",
            sha256=digest.hexdigest(),
            licence="not stated (local files)",
            texts=tuple(texts),
        )

    def split(self, corpus: TextCorpus, rule: SplitRule) -> TextSplits:
        """The folder's own splits, or the parts of one file by the shares of `rule`; repeated texts are counted."""
        if self.path.is_dir():
            return split_texts_as_given(corpus.texts, rule)
        return split_texts_as_given(_in_order(corpus.texts, rule), rule)

    def _paths(self) -> list[Path]:
        if not self.path.is_dir():
            return [self.path]
        paths = [self.path / f"{name}.txt" for name in SPLIT_NAMES]
        missing = [path.name for path in paths if not path.is_file()]
        if missing:
            raise UserError(f"expected train.txt, valid.txt and test.txt in {self.path}, got no {', '.join(missing)}; add them")
        return paths


def paragraphs(text: str) -> list[str]:
    """What blank lines separate, lines joined; each line where no line is blank."""
    lines = [" ".join(line.split()) for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    if "" not in lines:
        return lines
    blocks: list[list[str]] = [[]]
    for line in lines:
        if line:
            blocks[-1].append(line)
        else:
            blocks.append([])
    return [" ".join(block) for block in blocks if block]


def _in_order(texts: tuple[Text, ...], rule: SplitRule) -> list[Text]:
    """The texts with their split as their group: the file's end is test, what stands before it validation.

    Every split gets at least one text where there are three.
    """
    num_test, num_valid = (max(1, round(share * len(texts))) for share in (rule.test_share, rule.valid_share))
    first_test = max(0, len(texts) - num_test)
    first_valid = max(0, first_test - num_valid)
    groups = ["train" if at < first_valid else "valid" if at < first_test else "test" for at in range(len(texts))]
    return [Text(text.text, group, text.label) for text, group in zip(texts, groups, strict=True)]
