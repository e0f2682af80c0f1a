"""`carbon-nas compress` and [[compress]] on a user's own text: every step a record and a file that loads back."""

from pathlib import Path

import pytest
import torch

from nas.checkpoints import load_checkpoint
from nas.records import Record, read_records
from nas.stages.storage import of_bytes
from nas.testing import carry_out, write_mirrored
from search_spaces.stage import Drop, Train

OVERRIDES = (
    'hand.designs=["transformer-xs"]',
    "execution.executor=local",
    "execution.power_source=load_table",
    "task.target_language=de",
    "recipe.beam=1",
    "recipe.max_output_tokens=8",
    "final.tokens=600",
    "final.seeds=[1, 2]",
    "execution.inference_outputs=1",
    'compress=[{designs=["transformer-xs"], stages=["drop:count=1"]}]',
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("compression")
    text = base / "text"
    write_mirrored(text)
    given = [word for one in (*OVERRIDES, f"task.corpus={text}") for word in ("--set", one)]
    code, _, complained = carry_out("run", "translation_designs", *given, "--output", str(base / "run"))
    assert code == 0, complained
    return base / "run"


def compressed(run: Path) -> dict[str, Record]:
    found = [one for one in read_records(run / "records.jsonl") if isinstance(one, Record)]
    return {one.record_id: one for one in found if one.role == "compressed"}


def test_the_experiment_left_a_ladder_a_seed(run: Path) -> None:
    found = compressed(run)
    for seed in (1, 2):
        foot = found[f"compressed/hand-transformer-xs-seed{seed}/train"]
        step = found[f"compressed/hand-transformer-xs-seed{seed}/train+drop:count=1"]
        assert foot.base == step.base == f"hand/transformer-xs/seed{seed}"
        assert not foot.stages and step.stages == ({"kind": "Drop", "count": 1},)
        assert step.seed == seed and step.trace and step.metrics["dropped_sublayers"] == 1
        assert step.metrics["stored_bytes"] < foot.metrics["stored_bytes"]
        assert step.counts is not None and foot.counts is not None and step.counts.macs < foot.counts.macs
        assert {"stage", "validate", "inference", "latency"} <= {phase.name for phase in step.phases}
        assert {"valid_loss", "test_bleu", "latency_ms"} <= set(step.metrics)


def test_the_foot_of_a_ladder_scores_what_training_scored(run: Path) -> None:
    records = {one.record_id: one for one in read_records(run / "records.jsonl") if isinstance(one, Record)}
    foot, trained = records["compressed/hand-transformer-xs-seed1/train"], records["hand/transformer-xs/seed1"]
    assert foot.metrics["valid_loss"] == trained.metrics["valid_loss"]
    assert foot.sentence_counts == trained.sentence_counts


def test_a_file_holds_the_model_of_its_record(run: Path) -> None:
    _, trained = load_checkpoint(run / "checkpoints" / "hand-transformer-xs-seed1.json")
    file = run / "checkpoints" / "compressed-hand-transformer-xs-seed1-train+drop:count=1.safetensors"
    back = of_bytes(file.read_bytes())
    assert (
        file.stat().st_size == compressed(run)["compressed/hand-transformer-xs-seed1/train+drop:count=1"].metrics["stored_bytes"]
    )
    assert back.design.stages == (Train(), Drop(count=1))
    for name, tensor in back.model.state_dict().items():
        assert name not in trained.state_dict() or torch.equal(tensor, trained.state_dict()[name])


def test_a_longer_ladder_shares_the_steps_that_were_taken(run: Path) -> None:
    before = compressed(run)
    code, said, complained = carry_out(
        "compress", str(run), "transformer-xs", "--stage", "drop:count=1", "--stage", "drop:target=feed_forward,count=1"
    )
    assert code == 0, complained
    after = compressed(run)
    assert {name: after[name] for name in before} == before
    new = set(after) - set(before)
    assert new == {f"compressed/hand-transformer-xs-seed{n}/train+drop:count=1+drop:target=feed_forward,count=1" for n in (1, 2)}
    assert "report:" in said
    page = (run / "report" / "index.html").read_text(encoding="utf-8")
    assert "Smaller without searching" in page and "drop:count=1" in page


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (("RUN", "nosuch", "--stage", "drop:count=1"), "expected a trained model of the run: transformer-xs; got none"),
        (("RUN", "transformer-xs"), "expected a stage, got none"),
        (("RUN", "transformer-xs", "--stage", "nosuch"), "expected one of drop, replace"),
        (("RUN", "transformer-xs", "--stage", "drop:count=99"), "expected at most 6 attention sublayers"),
        (("RUN", "transformer-xs", "--stage", "pack"), "stage pack on transformer-xs"),
        (("RUN", "transformer-xs", "--stage", "prune:share=0.96"), "expected a share of at most 0.95"),
        (("nosuch", "transformer-xs", "--stage", "int8"), "expected a run folder with a run.json"),
        (("RUN", "transformer-xs", "--stage", "int8", "--set", "search.trials=3"), "expected a key of execution or carbon"),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(run: Path, arguments: tuple[str, ...], fragment: str) -> None:
    before = (run / "records.jsonl").read_bytes()
    code, _, complained = carry_out("compress", *(str(run) if one == "RUN" else one for one in arguments))
    assert code == 2
    assert fragment in complained and complained.count("\n") == 1
    assert (run / "records.jsonl").read_bytes() == before


def test_weights_that_are_gone_are_named(run: Path) -> None:
    file = run / "checkpoints" / "hand-transformer-xs-seed2.json"
    content = file.read_bytes()
    file.unlink()
    code, _, complained = carry_out("compress", str(run), "transformer-xs", "--stage", "drop:count=2")
    file.write_bytes(content)
    assert code == 2 and "an untrained model has nothing to compress" in complained


def test_a_stage_that_does_not_fit_later_ends_in_one_line_and_keeps_what_was_done(run: Path) -> None:
    code, _, complained = carry_out("compress", str(run), "transformer-xs", "--stage", "drop:count=5", "--stage", "drop:count=2")
    assert code == 2
    assert "expected at most 1 attention sublayer" in complained and complained.count("\n") == 1
    assert "compressed/hand-transformer-xs-seed1/train+drop:count=5" in compressed(run)


def test_a_file_that_is_gone_is_missed_only_where_it_is_needed(run: Path) -> None:
    file = run / "checkpoints" / "compressed-hand-transformer-xs-seed1-train.safetensors"
    content = file.read_bytes()
    file.unlink()
    done = carry_out("compress", str(run), "transformer-xs", "--stage", "drop:count=1")
    missed = carry_out("compress", str(run), "transformer-xs", "--stage", "drop:count=3")
    file.write_bytes(content)
    assert done[0] == 0
    assert missed[0] == 2 and "expected the model file of an earlier step at" in missed[2] and missed[2].count("\n") == 1


@pytest.mark.parametrize(
    ("tables", "fragment"),
    [
        ('[{stages=["quantise"]}]', "compress.designs: expected one of transformer-xs, got 'champions'"),
        (
            '[{designs=["transformer-x"], stages=["quantise"]}]',
            "expected one of transformer-xs, got 'transformer-x'",
        ),
        ('[{designs=["transformer-xs"], stages=["pack"]}]', "stage pack on transformer-xs: pack: expected a model with ternary"),
        ('[{designs=["transformer-xs"], stages=["nosuch"]}]', "expected one of drop, replace"),
        ('[{designs=["transformer-xs"], stages=[]}]', "compress"),
    ],
)
def test_a_ladder_that_cannot_be_is_refused_before_anything_is_trained(tmp_path: Path, tables: str, fragment: str) -> None:
    given = [word for one in (*OVERRIDES[:-1], f"compress={tables}") for word in ("--set", one)]
    code, _, complained = carry_out("run", "translation_designs", *given, "--output", str(tmp_path / "run"))
    assert code == 2 and fragment in complained and complained.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_ladder_that_breaks_off_leaves_the_others_and_the_run_whole(run: Path, tmp_path: Path) -> None:
    text = f"task.corpus={run.parent / 'text'}"
    tables = 'compress=[{designs=["transformer-xs"], stages=["drop:count=5", "drop:count=2"]}, '
    tables += '{designs=["transformer-xs"], stages=["quantise"]}]'
    given = [word for one in (*OVERRIDES[:-1], "final.seeds=[1]", text, tables) for word in ("--set", one)]
    code, said, complained = carry_out("run", "translation_designs", *given, "--output", str(tmp_path / "run"))
    assert code == 0, complained
    assert "expected at most 1 attention sublayer" in said
    assert "compressed/hand-transformer-xs-seed1/train+quantise" in compressed(tmp_path / "run")
