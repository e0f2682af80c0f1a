"""Probes of trained models: each measure on maps whose answer is known, then a whole run."""

import json
from math import log
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from nas.compaction import compact
from nas.probe_lines import COLUMNS, PARTS, PROBES_FILE, ProbeError, ProbeLine, read_probes
from nas.probing.cutting import cut_rows, cut_sentences
from nas.probing.locality import locality
from nas.probing.noise import FOREIGN, OTHER, OWN, form_of, noise, planted
from nas.probing.probe import Probed, control_of, count_work, look
from nas.probing.run_probes import run_probes
from nas.probing.spectrum import cumulative, quarter_of, spectrum
from nas.probing.watching import Shown, Where, mapped, sentences, shown
from nas.progress import Terminal
from nas.records import Record
from nas.tasks.rows import TokenRows
from nas.tasks.splits import EncodedSplit, LabelledSplit, MaskedSplit, RunningTextSplit
from nas.testing import carry_out, lights, tiny, write_mirrored
from search_spaces import components
from search_spaces.design import Design
from search_spaces.ends import Sizes
from search_spaces.model import Model, build
from search_spaces.op import Op
from search_spaces.ops.attention import Attention
from search_spaces.ops.differential import DifferentialAttention
from search_spaces.ops.linear_attention import LinearAttention
from search_spaces.ops.linformer import LinformerAttention

pytestmark = pytest.mark.usefixtures("one_thread")
SELF = Where("encoder.layers.0.0.op", "encoder", 0, "self")
TASK = lights()
assert TASK.tokenizer is not None
SIZES = Sizes(source_vocabulary=TASK.tokenizer.size, target_vocabulary=TASK.tokenizer.size)


def one_pass(*maps: Tensor, where: Where = SELF, reach: Tensor | None = None) -> list[Shown]:
    return [Shown(where, torch.stack(maps).double(), torch.ones(maps[0].shape, dtype=torch.bool) if reach is None else reach)]


def model_of(design: Design, seed: int = 0) -> Model:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(design.architecture, SIZES).eval()


def probed(own: Op | None = None, seed: int = 0) -> Probed:
    design = tiny() if own is None else tiny(own=own)
    record = Record(
        run_id="run", record_id=f"final/tiny/seed{seed}", role="final", status="complete", design="tiny", family="transformer",
        paper="none", seed=seed, task="lights", corpus={"name": "lights"}, recipe={}, budget_tokens=100,
        architecture=design.architecture.to_plain(), machine={}, versions={}, started_at="", finished_at="",
    )  # fmt: skip
    return Probed(record=record, design=design, model=model_of(design), weights="trained", task=TASK)


def test_maps_whose_locality_is_plain() -> None:
    here, even = torch.eye(4), torch.full((4, 4), 0.25)
    shifted = torch.eye(4).roll(1, dims=1)
    rows = locality([one_pass(here, even, shifted)])
    assert [row["head"] for row in rows] == [0, 1, 2]
    assert [row["distance_tokens"] for row in rows] == pytest.approx([0, 1.25, 1.5])
    assert [row["within_1"] for row in rows] == pytest.approx([1, 0.625, 0.75])
    assert [row["entropy_nats"] for row in rows] == pytest.approx([0, log(4), 0])
    assert [row["entropy_share"] for row in rows] == pytest.approx([0, 1, 0])
    assert [row["below_uniform_share"] for row in rows] == pytest.approx([0.75, 0, 0.75])
    assert {row["uniform_distance_tokens"] for row in rows} == {1.25}
    assert all(row["negative_share"] == 0 and row["queries"] == 4 for row in rows)
    assert set(rows[0]) == set(COLUMNS["locality"])


def test_a_causal_map_is_compared_with_an_even_one_over_the_same_tokens() -> None:
    reach = torch.ones(3, 3, dtype=torch.bool).tril()
    even = reach / reach.sum(-1, keepdim=True)
    (row,) = locality([one_pass(even, reach=reach)])
    assert row["distance_tokens"] == row["uniform_distance_tokens"] == pytest.approx((0 + 0.5 + 1) / 3)
    assert row["entropy_share"] == pytest.approx(1)  # the first query, which has no choice, is left out


def test_negative_weights_count_by_their_size_and_between_sequences_there_is_no_distance() -> None:
    signed = torch.tensor([[0.75, -0.25], [1.0, 0.0]])
    (row,) = locality([one_pass(signed)])
    assert row["negative_share"] == pytest.approx(0.125)
    assert row["distance_tokens"] == pytest.approx((0.25 + 1) / 2)
    (row,) = locality([one_pass(signed, where=Where("decoder.layers.0.1.op", "decoder", 0, "memory"))])
    assert row["distance_tokens"] is row["within_3"] is row["uniform_within_7"] is None
    assert row["entropy_nats"] > 0


def test_the_spectrum_of_known_matrices() -> None:
    assert cumulative(torch.eye(4).double()).tolist() == pytest.approx([0.25, 0.5, 0.75, 1])
    assert cumulative(torch.full((4, 4), 0.25).double()).tolist() == pytest.approx([1, 1, 1, 1])
    rows = spectrum([one_pass(torch.eye(8), torch.full((8, 8), 1 / 8))] * 2)
    assert [row["share"] for row in rows] == pytest.approx([0.25, 1])
    assert all((row["quarter"], row["maps"], row["uniform_share"]) == (2, 2, pytest.approx(1)) for row in rows)
    assert len(rows[0]["curve"]) == 8 and set(rows[0]) == set(COLUMNS["spectrum"])
    assert [quarter_of(tokens) for tokens in (1, 8, 30)] == [1, 2, 7]
    with pytest.raises(ValueError, match="maps of one size"):
        spectrum([one_pass(torch.eye(8)), one_pass(torch.eye(7))])


def test_sentences_are_cut_to_a_length_that_enough_of_them_reach() -> None:
    tokens, rows = cut_rows(TASK.valid, 4)
    assert len(rows) == 4 and tokens >= 8
    for source, target in cut_sentences(TASK.valid, tokens, rows):
        assert source is not None and target is not None
        assert source.shape == target.shape == (1, tokens)
    short = EncodedSplit(TokenRows.of([[5]] * 3), TokenRows.of([[5]] * 3))
    assert cut_rows(short, 2)[0] == 0


def test_two_sentences_are_planted_in_both_orders() -> None:
    every = planted("pairs", TASK.valid, 1000, 3, True)
    sources = [TASK.valid.sources.row(row)[:-1].tolist() for row in range(len(TASK.valid))]
    first, second, *_ = every
    assert first.inputs[0] is not None
    own, foreign = (first.inputs[0][0, first.kinds == kind].tolist() for kind in (OWN, FOREIGN))
    row = sources.index(own)
    assert foreign == sources[(row + len(sources) // 2) % len(sources)], "half a split away"
    for one, kinds in ((first, [OWN, FOREIGN, OTHER]), (second, [FOREIGN, OWN, OTHER])):
        assert list(dict.fromkeys(one.kinds.tolist())) == kinds
        assert one.inputs[0] is not None and one.inputs[0][0, one.kinds == OWN].tolist() == own
        assert torch.equal(one.inputs[1], torch.from_numpy(TASK.valid.batch(np.array([row]), None).target_in))  # type: ignore[arg-type]
    assert planted("pairs", TASK.valid, 5, 3, True) == []


@pytest.mark.parametrize("decoder", [True, False])
def test_an_unrelated_piece_is_planted_in_running_text(decoder: bool) -> None:
    blocks = TokenRows.cut(np.arange(4, 40, dtype=np.int32), 12)
    empty = TokenRows.empty(3)
    split = RunningTextSplit(empty, blocks) if decoder else MaskedSplit(blocks, empty)
    every = planted("text", split, 0, 9, decoder)
    given = [one.inputs[1 if decoder else 0] for one in every]
    texts = [one[0].tolist()[decoder:] for one in given if one is not None]
    at = texts.index([4, 5, 6, 7, 24, 25, 26, 27, 8, 9, 10, 11])  # the end of the next block: of three, one is half of all
    assert texts[at + 1] == [24, 25, 26, 27, 4, 5, 6, 7, 8, 9, 10, 11]
    assert len(every) == 6 and every[0].asking not in (OWN, FOREIGN)


def test_which_form_suits() -> None:
    model = model_of(tiny())
    assert form_of(model, TASK.valid) == "pairs"
    assert form_of(model, LabelledSplit(TASK.valid.sources, TASK.valid.targets)) is None


def test_attention_that_is_even_gets_shares_by_length() -> None:
    model = model_of(tiny())
    with torch.no_grad():
        for one in mapped(model).values():
            one.get_submodule("query").weight.zero_()  # type: ignore[union-attr]
            one.get_submodule("query").bias.zero_()  # type: ignore[union-attr]
    rows = noise(model, planted("pairs", TASK.valid, 1000, 4, True))
    # Of the encoder's own attention the queries are tokens of one of the two sentences, which lies nearer for that alone.
    assert {(row["stack"], row["sees"]) for row in rows} == {("decoder", "memory")}
    for row in rows:
        assert row["own_share"] == pytest.approx(row["uniform_own_share"]) == pytest.approx(row["signed_own_share"])
        assert row["own_share"] + row["foreign_share"] < 1  # </s> is neither
        assert set(row) == set(COLUMNS["noise"])


def test_watching_changes_nothing_and_sees_every_map() -> None:
    model = model_of(tiny(layers=2))
    source, target = next(sentences(TASK.valid, [0]))
    before = model.hidden(source, target)
    (seen,) = list(shown(model, [(source, target)]))
    assert torch.equal(model.hidden(source, target), before)
    encoder = [f"encoder.layers.{layer}.0.op" for layer in (0, 1)]
    decoder = [f"decoder.layers.{layer}.{index}.op" for layer in (0, 1) for index in (0, 1)]
    assert sorted(one.where.module for one in seen) == sorted([*encoder, *decoder])
    assert all(torch.allclose(one.maps_hts.sum(-1), torch.ones(one.maps_hts.shape[:2]).double(), atol=1e-5) for one in seen)


@pytest.mark.parametrize("own", [None, DifferentialAttention(heads=1), LinformerAttention(heads=2, length=64, rank=4)])
def test_every_table_of_a_model_and_of_its_control(own: Op | None) -> None:
    subject = probed(own)
    lines = [*look(subject), *look(control_of(subject)), count_work(subject)]
    # No two of these sentences together are as short as one that was trained on, so that nothing is planted.
    kinds = ["locality", "spectrum", "depth"]
    assert [(line.kind, line.weights) for line in lines] == [
        *((kind, weights) for weights in ("trained", "random") for kind in kinds),
        ("macs", "none"),
    ]
    assert all(ProbeLine.from_json(line.to_json()) == line for line in lines)
    depth = lines[2]
    planted_rows = noise(subject.model, planted("pairs", TASK.valid, 1000, 4, True))
    assert {row["sees"] for row in planted_rows} == {"memory"}
    assert {row["part"] for row in depth.rows} == {"attention", "feed_forward", "block"}
    assert all(-1 <= row["similarity"] <= 1 for row in depth.rows)
    if isinstance(own, LinformerAttention):
        assert {row["sees"] for row in lines[0].rows} == {"slots", "self", "memory"}
    if isinstance(own, DifferentialAttention):
        assert max(row["negative_share"] for row in lines[0].rows) > 0


def test_the_control_follows_from_the_seed() -> None:
    first, again, other = (control_of(probed(seed=seed)).model.state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_attention_without_maps_is_left_out() -> None:
    linear = LinearAttention(heads=2)
    subject = probed(linear)
    assert {where.stack for where in mapped(subject.model)} == {"decoder"}  # whose own attention is by softmax
    assert {row["stack"] for row in next(look(subject)).rows} == {"decoder"}


def test_lines_that_are_not_tables_are_named(tmp_path: Path) -> None:
    line = count_work(probed())
    plain = json.loads(line.to_json())
    broken = [
        "{",
        json.dumps(plain | {"schema": 99}),
        json.dumps(plain | {"kind": "mood"}),
        json.dumps(plain | {"rows": [{"tokens": 1}]}),
        json.dumps({name: value for name, value in plain.items() if name != "rows"}),
        json.dumps(plain | {"seed": "one"}),
    ]
    path = tmp_path / PROBES_FILE
    path.write_text("\n".join([line.to_json(), "", *broken]) + "\n", encoding="utf-8")
    first, *errors = read_probes(path)
    assert first == line
    assert all(isinstance(one, ProbeError) for one in errors)
    assert [str(one).split(":")[0] for one in errors] == [f"{PROBES_FILE} line {number}" for number in range(3, 9)]


def test_values_that_a_report_cannot_calculate_with_are_named() -> None:
    subject = probed()
    for line in look(subject):
        plain = json.loads(line.to_json())
        assert ProbeLine.from_json(json.dumps(plain)) == line
        row = plain["rows"][0]
        numbers = [name for name, value in row.items() if isinstance(value, float)]
        spoilt: list[dict[str, object]] = [{"rows": [row | {name: odd}]} for name in numbers for odd in ("x", [], True)]
        spoilt += [{"rows": [row | {"stack": 1}]}, {"about": {}}, {"about": plain["about"] | {"params": "many"}}]
        spoilt += [{"about": plain["about"] | {"corpus": None}}]
        if "sees" in row:
            spoilt += [{"rows": [row | {"sees": "everything"}]}]
        if "curve" in row:
            spoilt += [{"rows": [row | {"curve": odd}]} for odd in (None, ["x"], 1.0)]
        for change in spoilt:
            with pytest.raises(ProbeError):
                ProbeLine.from_json(json.dumps(plain | change))
    count = json.loads(count_work(subject).to_json())
    with pytest.raises(ProbeError, match="products"):
        ProbeLine.from_json(json.dumps(count | {"rows": [count["rows"][0] | {"products": None}]}))


def test_parts_of_work_are_called_the_same_in_both_places() -> None:
    assert PARTS == components.PARTS
    row = count_work(probed()).rows[0]
    assert set(row) == set(COLUMNS["macs"])
    assert Attention.component == "attention"


OVERRIDES = (
    'hand.designs=["transformer-xs"]',
    "execution.executor=local",
    "execution.power_source=load_table",
    "task.target_language=de",
    "recipe.beam=1",
    "recipe.max_output_tokens=8",
    "final.tokens=300",
    "final.seeds=[1]",
    "execution.inference_outputs=1",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("probing")
    text = base / "text"
    write_mirrored(text, num_train=150)
    given = [word for one in (*OVERRIDES, f"task.corpus={text}") for word in ("--set", one)]
    code, _, complained = carry_out("run", "translation_designs", *given, "--output", str(base / "run"))
    assert code == 0, complained
    return base / "run"


def test_the_command_adds_tables_once_and_the_report_shows_them(run: Path, tmp_path: Path) -> None:
    before = {name: (run / name).read_bytes() for name in ("records.jsonl", "ledger.jsonl", "run.json")}
    code, said, complained = carry_out("probe", str(run))
    assert code == 0, complained
    assert "transformer-xs seed 1" in said
    tables = list(read_probes(run / PROBES_FILE))
    assert all(isinstance(one, ProbeLine) for one in tables)
    keys = {(one.weights, one.kind) for one in tables if isinstance(one, ProbeLine)}
    assert ("none", "macs") in keys and {("trained", "depth"), ("random", "depth"), ("trained", "locality")} <= keys
    page = (run / "report" / "index.html").read_text(encoding="utf-8")
    assert "Why: inside the trained models" in page and "Nobody has looked into the trained models" not in page
    assert {name: (run / name).read_bytes() for name in before} == before
    content = (run / PROBES_FILE).read_bytes()
    run_probes(run, ["transformer-xs"], Terminal())
    assert (run / PROBES_FILE).read_bytes() == content
    compact(run, tmp_path / "small")
    assert (tmp_path / "small" / PROBES_FILE).read_bytes() == content


def test_a_table_that_was_lost_is_made_again_whatever_kind_it_is_of(run: Path) -> None:
    run_probes(run, [], Terminal())
    path = run / PROBES_FILE
    whole = path.read_text(encoding="utf-8")
    lines = whole.splitlines()
    for kind in ("locality", "macs", "depth"):
        at = next(place for place, line in enumerate(lines) if f'"kind":"{kind}"' in line)
        damaged = [*lines[:at], lines[at][:40], *lines[at + 1 :]]
        path.write_text("\n".join(damaged) + "\n", encoding="utf-8")
        run_probes(run, [], Terminal())
        added = path.read_text(encoding="utf-8").splitlines()[len(lines) :]
        assert added == [lines[at]]
    path.write_text(whole[:-30], encoding="utf-8")
    run_probes(run, [], Terminal())
    assert path.read_text(encoding="utf-8") == whole  # what a kill left is cut, and the table follows it whole


def test_what_cannot_be_probed_is_one_line(run: Path, tmp_path: Path) -> None:
    for arguments, wanted in (
        ((str(run), "transformer-m"), "expected a trained model of the run: transformer-xs"),
        ((str(tmp_path),), "expected a run folder"),
    ):
        code, _, complained = carry_out("probe", *arguments)
        assert code != 0 and wanted in complained and complained.count("\n") == 1
    moved = run / "checkpoints"
    moved.rename(run / "elsewhere")
    try:
        code, _, complained = carry_out("probe", str(run))
        assert code != 0 and "expected trained weights" in complained and complained.count("\n") == 1
    finally:
        (run / "elsewhere").rename(moved)
