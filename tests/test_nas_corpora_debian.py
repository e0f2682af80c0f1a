"""Corpora that apt-get fetches: descriptions, synopses, sections, the help of LibreOffice. Programs here stand for apt's."""

import io
import os
import stat
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from nas.corpora.apt import read_indices
from nas.corpora.catalogue import find_corpus, find_text
from nas.corpora.corpus import Pair, SplitRule, Text
from nas.corpora.debian import DebianDescriptions, DebianSections, DebianSynopsis
from nas.corpora.debian_index import Origin, descriptions, origins
from nas.corpora.libreoffice_help import LibreOfficeHelp
from nas.errors import UserError

ENGLISH = """\
Package: zebra
Description-md5: 11
Description-en: striped  viewer of images
 Shows images in stripes.  It is fast
 and small. Nobody needs it.
 .
 Features:
  * many stripes
  * few colours in all

Package: zebra-data
Description-md5: 22
Description-en: striped viewer of images (data)
 Holds the data of the viewer.

Package: alone
Description-md5: 33
Description-en: nobody translated this one
 A text of which there is no translation at all.

Package: broken
Description-en: no number
"""
GERMAN = """\
Package: zebra
Description-md5: 11
Description-de: gestreifter Betrachter von Bildern
 Zeigt Bilder in Streifen. Er ist schnell und
 klein. Niemand braucht ihn.
 .
 Merkmale:
  * viele Streifen
  * insgesamt wenige Farben

Package: zebra-data
Description-md5: 99
Description-de: ein veralteter Text über die Daten
 Gehört zu einer anderen Fassung des Textes.
"""
PACKAGES = """\
Package: zebra
Source: zebra-source (1.0)
Version: 1.0-1
Section: graphics

Package: zebra-data
Source: zebra-source
Description: has a Section: in its text
Section: contrib/graphics

Package: alone
Section: text
"""


@dataclass(frozen=True)
class Machine:
    """A machine with programs in `programs` and a mirror of indices and packages in `mirror`."""

    programs: Path
    mirror: Path

    def index(self, suite: str, **texts: str) -> None:
        names = {"en": "i18n_Translation-en", "de": "i18n_Translation-de", "packages": "binary-amd64_Packages"}
        for key, text in texts.items():
            (self.mirror / f"mirror.example_debian_dists_{suite}_main_{names[key]}").write_text(text)

    def program(self, name: str, script: str) -> None:
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def package(self, language: str, version: str, pages: dict[str, str]) -> None:
        with tarfile.open(self.mirror / f"libreoffice-help-{language.lower()}_{version}_all.deb", "w") as archive:
            for name, content in pages.items():
                member = tarfile.TarInfo(f"./usr/share/libreoffice/help/{language}/{name}")
                member.size = len(content.encode())
                archive.addfile(member, io.BytesIO(content.encode()))


APT_GET = """\
for word in "$@"; do
  case "$word" in
    Dir::State::lists=*) lists="${{word#*=}}";;
    update) cp {mirror}/*_main_* "$lists";;
    download) names=yes;;
    *) test -z "$names" || cp {mirror}/"$word"_*.deb . || exit 100;;
  esac
done"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path / "programs", tmp_path / "mirror")
    made.programs.mkdir()
    made.mirror.mkdir()
    monkeypatch.setenv("PATH", f"{made.programs}:{os.environ['PATH']}")
    made.program("apt-get", APT_GET.format(mirror=made.mirror))
    made.program("dpkg-deb", 'test "$1" = --fsys-tarfile && cat "$2"')
    made.index("tiny", en=ENGLISH, de=GERMAN, packages=PACKAGES)
    return made


def test_descriptions_are_paragraphs_of_lines():
    zebra, data, alone = descriptions(ENGLISH)
    assert zebra.synopsis == "striped viewer of images"
    assert zebra.paragraphs == (
        ("Shows images in stripes. It is fast and small. Nobody needs it.",),
        ("Features:", "* many stripes", "* few colours in all"),
    )
    assert data.body == "Holds the data of the viewer." and alone.package == "alone"


def test_origins_name_source_and_section():
    assert origins(PACKAGES) == {
        "zebra": Origin("zebra-source", "graphics"),
        "zebra-data": Origin("zebra-source", "graphics"),
        "alone": Origin("alone", "text"),
    }


def test_translations_are_joined_by_the_original_text(machine, tmp_path):
    corpus = DebianDescriptions().read(tmp_path / "cache")
    assert corpus.pairs == (
        Pair("striped viewer of images", "gestreifter Betrachter von Bildern", "zebra-source"),
        Pair("Shows images in stripes.", "Zeigt Bilder in Streifen.", "zebra-source"),
        Pair("It is fast and small.", "Er ist schnell und klein.", "zebra-source"),
        Pair("Nobody needs it.", "Niemand braucht ihn.", "zebra-source"),
        Pair("few colours in all", "insgesamt wenige Farben", "zebra-source"),
    )
    assert corpus.version.startswith("Debian tiny main: Translation-en ") and len(corpus.sha256) == 64


def test_indices_are_fetched_once_and_kept(machine, tmp_path):
    cache = tmp_path / "cache"
    reader = DebianSynopsis()
    assert reader.facts(cache).cached is False
    corpus = reader.read(cache)
    assert reader.facts(cache).cached is True and DebianDescriptions().facts(cache).cached is True
    assert DebianDescriptions(target_language="fr").facts(cache).cached is False
    assert sorted(path.name for path in cache.iterdir()) == [
        "debian-tiny-main-Packages.gz",
        "debian-tiny-main-Translation-de.gz",
        "debian-tiny-main-Translation-en.gz",
    ]
    machine.program("apt-get", "exit 1")
    machine.index("tiny", en="")
    assert reader.read(cache) == corpus


def test_updates_of_a_suite_and_mixed_suites_are_not_used(machine, tmp_path):
    machine.index("tiny-updates", en="", packages="")
    machine.index("alpha", en="Package: a")  # a suite without a translation
    english, german = read_indices(tmp_path, ("Translation-en", "Translation-de"))
    assert (english.suite, german.suite) == ("tiny", "tiny")
    assert english.text == ENGLISH
    assert not list(tmp_path.glob("*updates*"))


def test_a_vendors_archive_of_the_same_suite_is_not_debians(machine, tmp_path):
    vendor = machine.mirror / "apt.vendor.example_dists_tiny_main_binary-amd64_Packages"
    vendor.write_text("Package: vendor-tool\nSection: admin\n")  # sorts before the mirror's own
    [packages, english] = read_indices(tmp_path / "cache", ["Packages", "Translation-en"])
    assert packages.text == PACKAGES and english.text == ENGLISH


def test_what_is_cached_stays_when_more_is_fetched(machine, tmp_path):
    german = next(machine.mirror.glob("*Translation-de"))
    german.unlink()
    DebianSynopsis().read(tmp_path)
    machine.index("tiny", en="Package: newer", de=GERMAN)
    english, _ = read_indices(tmp_path, ("Translation-en", "Translation-de"))
    assert english.text == ENGLISH


def test_summaries_are_synopses(machine, tmp_path):
    corpus = DebianSynopsis().read(tmp_path)
    assert [(pair.target, pair.group) for pair in corpus.pairs] == [
        ("striped viewer of images", "zebra-source"),
        ("striped viewer of images (data)", "zebra-source"),
        ("nobody translated this one", "alone"),
    ]
    assert corpus.pairs[1].source == "Holds the data of the viewer."
    assert DebianSynopsis().kind == "summarisation" and corpus.target_language == "en"


def test_sections_are_labels_where_they_are_large(machine, tmp_path):
    stanza = (
        "Package: {0}\nDescription-md5: {0}\nDescription-en: number {0} of many\n A text with the words {0} and three more.\n"
    )
    names = [f"p{number}" for number in range(200)]
    machine.index("tiny", en="\n".join([*map(stanza.format, names), ENGLISH]))
    machine.index("tiny", packages="\n".join([f"Package: {name}\nSection: games\n" for name in names] + [PACKAGES]))
    corpus = DebianSections().read(tmp_path)
    assert corpus.texts[0] == Text("number p0 of many. A text with the words p0 and three more.", "p0", "games")
    assert len(corpus.texts) == 200 and {text.label for text in corpus.texts} == {"games"}
    assert len(DebianSections().split(corpus, SplitRule()).valid) == 20


def test_a_language_that_debian_lacks(machine, tmp_path):
    with pytest.raises(UserError, match="expected Translation-en and Translation-xx and Packages .*got none; check"):
        DebianDescriptions(target_language="xx").read(tmp_path)
    with pytest.raises(UserError, match="expected en as the source language of debian_descriptions, got 'de'"):
        DebianDescriptions("de", "en").read(tmp_path)


@pytest.mark.parametrize("reader", [DebianDescriptions(), DebianSynopsis(), DebianSections(), LibreOfficeHelp()])
def test_without_apt_get_there_is_one_clear_line(reader, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="not cached and could not be fetched: there is no apt-get here; .*another") as caught:
        reader.read(tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_failing_apt_get_is_quoted(machine, tmp_path):
    machine.program("apt-get", "echo Reading lists >&2\necho 'E: No mirror today' >&2\necho more >&2\nexit 100")
    with pytest.raises(UserError, match="apt-get said: No mirror today; check the network"):
        DebianSynopsis().read(tmp_path / "cache")


def page(*paragraphs: str) -> str:
    return "<html><p>No number</p>" + "".join(
        f'<p class="x" id="par_id{at}" dir="auto">{text}</p>' for at, text in enumerate(paragraphs)
    )


def test_help_is_aligned_by_page_and_number(machine, tmp_path):
    english = {
        "text/b.html": page("Click <span>OK</span>, then wait. Do not move.", "Only in English here."),
        "text/a.html": page("Open the main menu."),
        "media/a.html": page("This is no help text."),
    }
    german = {
        "text/a.html": page("Öffnen Sie das Hauptmenü."),
        "text/b.html": page("Klicken Sie auf <b>OK</b>, dann warten Sie. Nicht bewegen &amp; still sein."),
    }
    machine.package("en-US", "4%3a7-1", english)
    machine.package("de", "4%3a7-1", german)
    corpus = LibreOfficeHelp().read(tmp_path / "cache")
    assert corpus.pairs == (
        Pair("Open the main menu.", "Öffnen Sie das Hauptmenü.", "a.html"),
        Pair("Click OK, then wait.", "Klicken Sie auf OK, dann warten Sie.", "b.html"),
        Pair("Do not move.", "Nicht bewegen & still sein.", "b.html"),
    )
    assert corpus.version == "4:7-1_all"
    machine.program("apt-get", "exit 1")
    assert LibreOfficeHelp().read(tmp_path / "cache") == corpus


def test_help_of_two_versions_is_not_mixed(machine, tmp_path):
    machine.package("en-US", "4%3a7-1", {"text/a.html": page("Open the main menu.")})
    machine.package("de", "4%3a7-2", {"text/a.html": page("Öffnen Sie das Hauptmenü.")})
    with pytest.raises(UserError, match="expected libreoffice-help-en-us and libreoffice-help-de in one version"):
        LibreOfficeHelp().read(tmp_path)


def test_they_are_found_by_name():
    assert find_corpus("debian_descriptions", "en", "fr") == DebianDescriptions("en", "fr")
    assert find_corpus("libreoffice_help", "en", "fr") == LibreOfficeHelp("en", "fr")
    assert find_text("debian_sections") == DebianSections()
