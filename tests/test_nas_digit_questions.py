"""Questions about pictures of digits: pictures, texts, answers, judging, and dropping image tokens after training."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import nas.judging
from manual_designs.all_designs import find_design
from manual_designs.llava import seeing_llama
from nas.corpora.corpus import ImageCorpus
from nas.corpora.splits import split_images
from nas.decoding import answer_split, greedy
from nas.energy.client import NoMeter
from nas.errors import UserError
from nas.evaluation import Assignment, Evaluator, fitted, sizes_of
from nas.judging import judge_of
from nas.latency import LatencyProtocol, latency_ms
from nas.losses import summed_loss
from nas.phases import Repetition
from nas.recipe import Recipe
from nas.stages.all_stages import work_of
from nas.stages.int8_linear import in_int8
from nas.stages.storage import StoredModel, of_bytes, to_bytes
from nas.stages.work import Reworked, Subject
from nas.tasks.digit_questions import DigitQuestionsTask
from nas.tasks.encoding import EncodedTask
from nas.tasks.questions import BLANK, COLUMNS, PLURALS, ROWS, Grid, ask
from nas.tasks.splits import IGNORED, PictureSplit
from nas.tasks.task import find_task
from nas.tasks.tokenizer import ANSWER_ID, BOS_ID, EOS_ID, PAD_ID
from nas.training import train
from search_spaces.architecture import Architecture
from search_spaces.counting import placed
from search_spaces.design import Design
from search_spaces.dropping_tokens import pyramid, shorten
from search_spaces.ends import ClassifierEnds
from search_spaces.model import Model, build
from search_spaces.picture_ends import PictureEnds
from search_spaces.stage import Pyramid, Shorten, Stage

pytestmark = pytest.mark.usefixtures("one_thread")

RECIPE = Recipe(**{**DigitQuestionsTask.recipe, "batch_tokens": 400, "warmup_steps": 20, "max_output_tokens": 4})  # type: ignore[arg-type]
SMALL = DigitQuestionsTask(train_pictures=120, valid_pictures=30, test_pictures=20, vocabulary_size=400, turns=3)


def digits(count: int = 120, size: int = 4) -> ImageCorpus:
    """Images that tell their digit by how bright they are, no two alike."""
    labels = np.arange(count) % 10
    noise = np.random.default_rng(0).integers(0, 12, (count, size * size))
    return ImageCorpus(
        name="drawn",
        version="1",
        sha256="0",
        licence="none",
        height=size,
        width=size,
        channels=1,
        pixels=(10 + labels[:, None] * 24 + noise).astype(np.uint8),
        labels=labels.astype(np.int64),
        label_names=tuple("0123456789"),
    )


def prepared(task: DigitQuestionsTask) -> EncodedTask:
    corpus = digits()
    return task.encode(corpus, split_images(corpus, task.split_rule))


@pytest.fixture(scope="module")
def task() -> EncodedTask:
    return prepared(SMALL)


def seeing(layers: int = 4) -> Architecture:
    return seeing_llama(16, layers, PictureEnds(height=8, width=8, patch=2))


def design(architecture: Architecture) -> Design:
    return Design(name="seeing", family="seeing", architecture=architecture)


def fresh(task: EncodedTask, architecture: Architecture | None = None, seed: int = 0) -> Model:
    torch.manual_seed(seed)
    return build(fitted(design(architecture or seeing()), task), sizes_of(task)).eval()


def pictures_of(split: EncodedTask | Any) -> PictureSplit:
    assert isinstance(split, PictureSplit)
    return split


def solved(question: str, cells: list[int]) -> str:
    """The answer, worked out from the text of a question."""
    side = round(len(cells) ** 0.5)
    by_name = {f"{ROWS[side][at // side]} {COLUMNS[side][at % side]}": digit for at, digit in enumerate(cells)}
    if found := re.fullmatch(r"what is (.+)", question):
        return "nothing" if by_name[found[1]] == BLANK else str(by_name[found[1]])
    if question == "how many digits":
        return str(sum(digit >= 0 for digit in cells))
    if found := re.fullmatch(r"how many (\w+)", question):
        return str(cells.count(PLURALS.index(found[1])))
    if found := re.fullmatch(r"sum of the (\w+) row", question):
        return str(sum(digit for name, digit in by_name.items() if name.split()[0] == found[1] and digit >= 0))
    found = re.fullmatch(r"which is larger (.+) or (.+)", question)
    assert found is not None
    first, second = by_name[found[1]], by_name[found[2]]
    assert BLANK not in (first, second) and found[1] != found[2]
    return "first" if first > second else "second" if second > first else "same"


@pytest.mark.parametrize("cells", [(7, BLANK, 3, 7), (0, 1, 2, 3, BLANK, 5, 5, 7, 9)])
def test_answers_are_those_worked_out_from_the_question(cells: tuple[int, ...]) -> None:
    turns = ask(Grid(cells), 300, np.random.default_rng(0))
    assert all(answer == solved(question, list(cells)) for question, answer in turns)
    assert len({question.split()[0] + question.split()[-1][:3] for question, _ in turns}) >= 8


@pytest.mark.parametrize("grid", [2, 3])
def test_a_row_of_the_split_is_a_picture_and_questions_about_it(grid: int) -> None:
    task = prepared(replace(SMALL, grid=grid, blank_share=0.5))
    labels = {tuple(row): int(label) for row, label in zip(digits().pixels.tolist(), digits().labels.tolist(), strict=True)}
    for split, turns in ((task.train, 3), (task.valid, 1), (task.test, 1)):
        assert isinstance(split, PictureSplit)
        rows = np.arange(len(split))
        batch = split.batch(rows, None)
        assert batch.source is not None and batch.target_in is not None
        assert batch.budget_tokens == len(split.targets.tokens)
        seen = batch.source.reshape(len(rows), grid, 4, grid, 4)
        for row in rows.tolist():
            parts = [tuple(seen[row, at // grid, :, at % grid].ravel().tolist()) for at in range(grid * grid)]
            cells = [BLANK if not any(part) else labels[part] for part in parts]
            assert sum(digit != BLANK for digit in cells) >= 2
            told = turns_of(task, split, row)
            assert len(told) == turns and all(answer == solved(question, cells) for question, answer in told)
            assert split.references[row] == told[-1][1]


def turns_of(task: EncodedTask, split: PictureSplit, row: int) -> list[tuple[str, str]]:
    """Questions and answers of a row, cut from its tokens."""
    turns, here = [], [[], []]  # type: ignore[var-annotated]
    for token in split.targets.row(row).tolist():
        if token == EOS_ID:
            turns.append(tuple(task.decode(here)))
            here = [[], []]
        elif token == ANSWER_ID:
            here.reverse()
        else:
            here[0].append(token)
    return [(second, first) for first, second in turns]


def test_answers_alone_are_predicted_and_a_prompt_ends_before_one(task: EncodedTask) -> None:
    for split, turns in ((task.train, 3), (task.valid, 1)):
        split = pictures_of(split)
        batch = split.batch(np.arange(len(split)), None)
        assert batch.target_in is not None and batch.num_labels == split.num_target_tokens
        for row in range(len(split)):
            tokens = split.targets.row(row).tolist()
            expected, inside = [], False
            for before, now in zip(tokens, tokens[1:], strict=False):
                inside = (inside or before == ANSWER_ID) and before != EOS_ID
                expected.append(now if inside else IGNORED)
            assert batch.target_out[row, : len(expected)].tolist() == expected
            assert (batch.target_out[row, len(expected) :] == IGNORED).all()
            assert batch.target_in[row, : len(expected)].tolist() == tokens[:-1]
            assert tokens.count(ANSWER_ID) == tokens.count(EOS_ID) == turns
    prompts = pictures_of(task.train).prompts(np.arange(10))
    for row, prompt in enumerate(prompts.tolist()):
        tokens = task.train.targets.row(row).tolist()
        end = len(tokens) - tokens[::-1].index(ANSWER_ID)
        assert prompt == tokens[:end] + [PAD_ID] * (len(prompt) - end)


def test_no_image_is_in_two_splits(task: EncodedTask) -> None:
    splits = [pictures_of(one) for one in (task.train, task.valid, task.test)]
    pools = [{tuple(one.pool.row(at).tolist()) for at in range(len(one.pool))} for one in splits]
    assert all(pools) and not (pools[0] & pools[1] or pools[0] & pools[2] or pools[1] & pools[2])
    for split, pool in zip(splits, pools, strict=True):
        cells = split.sources.tokens
        assert 0 <= cells.max() < len(pool) and cells.min() == BLANK


def test_data_are_equal_each_time_and_travel(task: EncodedTask) -> None:
    assert prepared(SMALL).describe() == task.describe()
    assert prepared(replace(SMALL, split_seed=1)).describe()["data_sha256"] != task.describe()["data_sha256"]
    again = EncodedTask.from_context(task.context())
    rows = np.array([3, 1])
    for one, other in ((again.train, task.train), (task.train.take(rows), task.train)):
        chosen = rows if one is again.train else np.arange(2)
        first, second = one.batch(chosen, None), other.batch(rows, None)
        assert all(np.array_equal(a, b) for a, b in zip(first[:3], second[:3], strict=True))  # type: ignore[arg-type]
    assert task.train.take(rows).references == (task.train.references[3], task.train.references[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grid": 4}, "expected task.grid of 2 or 3, got 4"),
        ({"blank_share": 1.0}, "expected task.blank_share from 0 to below 1, got 1.0"),
        ({"turns": 0}, "expected task.turns of 1 or more, got 0"),
        ({"vocabulary_size": 100}, "expected task.vocabulary_size of 260 or more, got 100"),
        ({"corpus": "cifar"}, r"expected a corpus of images \(mnist, digits\), got 'cifar'"),
        ({"valid_share": 0.0}, "expected valid_share and test_share above 0"),
    ],
)
def test_wrong_settings_are_refused(change: dict[str, Any], message: str, tmp_path: Any) -> None:
    with pytest.raises(UserError, match=message):
        replace(find_task("digit_questions"), **change).prepare(tmp_path)  # type: ignore[type-var]


@pytest.mark.parametrize("architecture", [seeing(), pyramid(seeing(), 0.5, 4)], ids=["whole", "pyramid"])
def test_answers_are_greedy_whatever_stands_in_the_batch(task: EncodedTask, architecture: Architecture) -> None:
    model, split = fresh(task, architecture).double(), pictures_of(task.valid)
    found = answer_split(model, split, RECIPE)
    for row in range(6):
        one = np.array([row])
        source, tokens = torch.from_numpy(split.pictures(one)), torch.from_numpy(split.prompts(one))
        answer: list[int] = []
        for _ in range(RECIPE.max_output_tokens):
            logits = model(source, tokens)[0, -1]
            logits[[PAD_ID, BOS_ID]] = float("-inf")
            if int(logits.argmax()) == EOS_ID:
                break
            answer.append(int(logits.argmax()))
            tokens = torch.cat([tokens, logits.argmax()[None, None]], dim=1)
        # Without rows that look ahead: a made-up answer may hold the token that ranks.
        if ANSWER_ID not in answer:
            assert found[row] == answer
    assert len(found) == len(split) and any(len(one) > 1 for one in found)
    assert greedy(model, source, 3, torch.from_numpy(split.prompts(one))) == [found[5][:3]]


def test_accuracy_is_of_answers_right_to_the_letter(task: EncodedTask, monkeypatch: pytest.MonkeyPatch) -> None:
    assert task.tokenizer is not None
    perfect = task.tokenizer.encode(task.valid.references)
    wrong = [[*row, 70] if at < 3 else row for at, row in enumerate(perfect)]
    judge = judge_of("picture_questions")
    for rows, right in ((perfect, 30), (wrong, 27)):
        monkeypatch.setattr(nas.judging, "answer_split", lambda model, split, recipe, rows=rows: rows)
        output = judge.output(task, fresh(task), task.valid, RECIPE)
        assert output.scores == {"accuracy": 100 * right / 30} and output.rows == 30
        assert output.sentence_counts == {"accuracy": ((0,),) * (30 - right) + ((1,),) * right}
    model = fresh(task)
    loss = summed_loss(model, task.valid, RECIPE) / task.valid.num_target_tokens
    assert judge.losses(model, task.valid, RECIPE) == {"loss": pytest.approx(loss)}


def test_a_design_is_evaluated_on_the_task(task: EncodedTask) -> None:
    evaluator = Evaluator(run_id="r", task=task, recipe=RECIPE, meter=NoMeter(), repetition=Repetition(outputs=1))
    record = evaluator.evaluate(design(pyramid(seeing(), 0.5, 2)), 500, 0, Assignment(record_id="hand/one", role="hand"))
    assert record.metrics.keys() >= {"valid_loss", "valid_accuracy", "test_accuracy", "train_loss"}
    assert len(record.sentence_counts["test_accuracy"]) == 20
    with pytest.raises(ValueError, match="expected images of 56 x 56 x 1 values, got 64"):
        evaluator.evaluate(find_design("llava-xs"), 500, 0, Assignment(record_id="hand/two", role="hand"))


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("picture_questions", "llama-xs", "expected ends of a picture before a text, got TokenEnds"),
        ("picture_questions", "deit-xs", "expected an architecture that is decoder-only"),
        ("language_model", "llava-xs", "expected ends of a text alone, got PictureEnds"),
    ],
)
def test_a_design_that_does_not_fit_is_refused(kind: str, name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        judge_of(kind).fitted(find_design(name).architecture)


@pytest.mark.parametrize("keep", [None, 0.5], ids=["whole", "pyramid"])
def test_a_model_learns_from_questions_of_several_turns(task: EncodedTask, keep: float | None) -> None:
    model = fresh(task, seeing() if keep is None else pyramid(seeing(), keep, 4))
    before = summed_loss(model, task.valid, RECIPE)
    train(model, task.train, replace(RECIPE, peak_learning_rate=3e-3), 12_000, 0)
    assert summed_loss(model, task.valid, RECIPE) < 0.6 * before


def reworked(stage: Stage, model: Model, task: EncodedTask) -> Reworked:
    work = work_of(stage)
    work.check(stage, model)
    return work.run(stage, Subject(model=model, task=task, recipe=RECIPE, seed=0))


def test_the_pyramid_after_training_has_the_same_weights_on_fewer_tokens(task: EncodedTask) -> None:
    model = fresh(task)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    done = reworked(Pyramid(keep=0.5, stages=4), model, task)
    assert done.model.architecture == pyramid(seeing(), 0.5, 4) and not done.model.training
    assert all(torch.equal(*pair) for pair in zip(weights.values(), done.model.state_dict().values(), strict=True))
    assert done.metrics == {"image_token_share": (1 + 8 / 16 + 4 / 16 + 2 / 16) / 4} and done.tokens == 0
    assert [site.droppable for name, _, site in placed(done.model.architecture) if ".layers." in name] == [16, 16, 8, 4]
    loss = summed_loss(done.model, task.valid, RECIPE)
    assert loss != summed_loss(fresh(task), task.valid, RECIPE)
    stored = StoredModel(design=Design(name="d", family="f", architecture=done.model.architecture), model=done.model)
    again = of_bytes(to_bytes(stored)).model
    assert summed_loss(again, task.valid, RECIPE) == loss
    assert answer_split(again, pictures_of(task.valid), RECIPE) == answer_split(done.model, pictures_of(task.valid), RECIPE)


def test_the_latency_of_a_pyramid_is_that_of_fewer_tokens(task: EncodedTask) -> None:
    model, lengths = fresh(task, pyramid(seeing(), 0.5, 4)), []
    for layer in model.decoder.layers:
        layer.register_forward_hook(lambda module, given, left: lengths.append(left[0].shape[1]))
    latency_ms(model, task, lambda: 0.0, LatencyProtocol(dry_runs=0, timed_runs=1), "float32")
    text = task.counted_tokens
    assert lengths == [16 + text, 8 + text, 4 + text, 2 + text]


@torch.inference_mode()
def test_whole_numbers_see_the_picture_too(task: EncodedTask) -> None:
    model = fresh(task)
    batch = task.valid.batch(np.arange(4), None)
    assert batch.source is not None and batch.target_in is not None
    inputs = torch.from_numpy(batch.source), torch.from_numpy(batch.target_in)
    whole = model(*inputs)
    rounded = in_int8(fresh(task), {})(*inputs)
    assert torch.allclose(rounded, whole, atol=0.15 * float(whole.abs().max())) and not torch.equal(rounded, whole)
    other = in_int8(fresh(task), {})(torch.zeros_like(inputs[0]), inputs[1])
    assert not torch.allclose(other, rounded, atol=1e-3)


def test_what_is_stored_in_codes_keeps_its_codes_under_its_new_name(task: EncodedTask) -> None:
    model, stage = fresh(task), Pyramid(keep=0.5, stages=4)
    codes: dict[str, Any] = {name: object() for name in ("decoder.layers.0.0.op.key.weight", "decoder.layers.2.0.op.key.weight")}
    done = work_of(stage).run(stage, Subject(model=model, task=task, recipe=RECIPE, seed=0, stored=codes))
    assert list(done.stored) == ["decoder.layers.0.0.op.key.weight", "decoder.layers.2.0.op.op.key.weight"]
    assert set(done.stored) <= set(done.model.state_dict())


def test_an_encoder_is_shortened_after_training(task: EncodedTask) -> None:
    deit = find_design("deit-m").architecture
    sizes = replace(sizes_of(task), target_vocabulary=10, padding=-1)
    torch.manual_seed(0)
    model, images = build(deit, sizes).eval(), torch.randint(256, (3, 784), generator=torch.Generator().manual_seed(0))
    before = model(images)
    done = reworked(Shorten(keep=0.5, times=2), model, replace(task, counted_tokens=784))
    assert done.model.architecture == shorten(deit, 0.5, 2)
    assert done.metrics == {"token_share": (1 + 25 / 49 + 13 / 49) / 3}
    assert not torch.equal(done.model(images), before) and done.model(images).shape == before.shape
    roberta = replace(find_design("roberta-xs").architecture, ends=ClassifierEnds())
    text = reworked(Shorten(keep=0.5, times=1), build(roberta, sizes).eval(), replace(task, counted_tokens=40))
    assert text.metrics == {"token_share": (1 + 20 / 40) / 2}


@pytest.mark.parametrize(
    ("stage", "name", "message"),
    [
        (Pyramid(), "gpt2-xs", "pyramid: expected a model with image tokens before its text, got one with TokenEnds"),
        (Pyramid(), "deit-xs", "pyramid: expected a model that is decoder-only, got one that is encoder-only"),
        (Pyramid(stages=5), "llava-xs", "pyramid: expected 5 layers or more"),
        (Pyramid(), "pyramid_drop-xs-0.5", "pyramid: expected a model that drops no tokens yet"),
        (Shorten(), "deit-xs", "shorten: expected 4 layers or more"),
        (Shorten(), "llava-xs", "shorten: expected a model that is encoder-only"),
        (Shorten(times=1), "roberta-xs", "shorten: expected a model with one state that is read"),
    ],
)
def test_a_stage_that_does_not_fit_is_refused_in_one_line(stage: Stage, name: str, message: str, task: EncodedTask) -> None:
    model = build(find_design(name).architecture, sizes_of(task), device="meta")
    with pytest.raises(ValueError, match=message) as caught:
        work_of(stage).check(stage, model)
    assert "\n" not in str(caught.value)
