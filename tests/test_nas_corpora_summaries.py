"""Corpora of texts and their summaries: the documentation of modules, the user's own files."""

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from nas.corpora.ansible import WHEELS, Ansible, described
from nas.corpora.catalogue import find_summaries
from nas.corpora.corpus import Pair, SplitRule
from nas.corpora.debian import DebianSynopsis
from nas.corpora.fetch import Package
from nas.corpora.parallel_files import SummaryFiles
from nas.errors import UserError

MODULE = '''#!/usr/bin/python
"""Not this string."""
DOCUMENTATION = r"""
---
module: {name}
short_description: Manage {name} of hosts
version_added: "1.0"
description:
- Creates and deletes {name}.
- See L(the manual,https://example.org) for C(name).
options:
  name:
    description: Not this one.
"""
def later[**P](): ...  # newer than some of the Pythons that read this
'''


def build_wheel(folder: Path, package: Package, files: dict[str, str]) -> Package:
    path = folder / package.file_name
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return replace(package, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def build_ansible(folder: Path) -> Ansible:
    plugins = "ansible_collections/acme/net/plugins"
    collections = {
        f"{plugins}/modules/users_info.py": MODULE.format(name="users"),
        f"{plugins}/modules/groups.py": MODULE.format(name="groups"),
        f"{plugins}/modules/groups_copy.py": MODULE.format(name="groups"),
        f"{plugins}/README.md": MODULE.format(name="pages"),
    }
    core = {"ansible/modules/files.py": MODULE.format(name="files"), "ansible/modules/bare.py": "x = 1\n"}
    wheels = zip(WHEELS, (collections, core), strict=True)
    return Ansible(tuple(build_wheel(folder, wheel, files) for wheel, files in wheels))


def test_modules_become_pairs_with_their_module_as_group(tmp_path):
    corpus = build_ansible(tmp_path).read(tmp_path)
    rest = "See the manual for name."
    assert corpus.pairs == (
        Pair(f"Creates and deletes groups. {rest}", "Manage groups of hosts", "acme/net/groups"),
        Pair(f"Creates and deletes users. {rest}", "Manage users of hosts", "acme/net/users"),
        Pair(f"Creates and deletes files. {rest}", "Manage files of hosts", "ansible/files"),
    )
    assert corpus.version == "ansible 14.5.0, ansible-core 2.21.5" and corpus.source_language == "en"


def program(documentation: str) -> str:
    return f'import x\nDOCUMENTATION = """{documentation}"""\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (program("description: A long text.\nshort_description: A text\n"), ("A long text.", "A text")),
        (program("\n    description:\n        - One.\n        - Two.\n    short_description: Both\n"), ("One. Two.", "Both")),
        (program("description: >\n  folded\n  text\nshort_description: It\nauthor: me\n"), ("folded text", "It")),
        (program("description: 'quoted\nover lines'\nshort_description: It\n"), ("quoted over lines", "It")),
        (program("description: Use</br>M(a.b) or V(1)\nshort_description: It\n"), ("Use a.b or 1", "It")),
        (program("description: A text\nshort_description: A text\n"), None),
        (program("description: A text\n"), None),
        (program("description: [broken\nshort_description: It\n"), None),
        (program("- a list\n"), None),
        ("DOCUMENTATION = 'short'\n", None),
        ("x = 1\n", None),
    ],
)
def test_described(text, expected):
    assert described(text) == expected


def test_the_users_summaries(tmp_path):
    for split in ("train", "valid", "test"):
        (tmp_path / f"{split}.src").write_text(f"a long text for {split}\nanother one\n")
        (tmp_path / f"{split}.tgt").write_text(f"{split}\nother\n")
    reader = find_summaries(str(tmp_path))
    splits = reader.split(reader.read(tmp_path), SplitRule())
    assert reader == SummaryFiles(tmp_path) and reader.kind == "summarisation"
    assert splits.test == (Pair("a long text for test", "test", "test"), Pair("another one", "other", "test"))
    (tmp_path / "test.tgt").unlink()
    with pytest.raises(UserError, match="expected train.src, train.tgt, .*got no test.tgt; add"):
        reader.read(tmp_path)


def test_find_summaries():
    assert find_summaries("debian_synopsis") == DebianSynopsis() and find_summaries("ansible") == Ansible()
    with pytest.raises(UserError, match=r"\(debian_synopsis, ansible\) or a folder with train.src, .*got 'xsum'; see"):
        find_summaries("xsum")
