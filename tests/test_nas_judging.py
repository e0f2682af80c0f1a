"""Judging: what each kind of task scores, which designs fit it, pretraining, and that every shape of model learns."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

import nas.judging
import nas.legs
import nas.training
from manual_designs.all_designs import find_design
from nas.corpora.corpus import Corpus, Pair, Splits, Text, TextCorpus, TextSplits
from nas.energy.client import NoMeter
from nas.errors import UserError
from nas.evaluation import Assignment, Evaluator, check_fit, fitted, sizes_of
from nas.judging import ALL_JUDGES, judge_of
from nas.legs import Leg
from nas.losses import summed_loss
from nas.phases import Repetition
from nas.recipe import Recipe
from nas.records import Record
from nas.summary_scoring import rouge
from nas.tasks.encoding import EncodedTask
from nas.tasks.rows import TokenRows
from nas.tasks.splits import IGNORED, EncodedSplit, LabelledSplit
from nas.tasks.task import ALL_TASKS
from nas.tasks.text import LanguageModelTask, MaskedTextTask, PassageClassTask, TextTask
from nas.tasks.tokenizer import PAD_ID, train_tokenizer
from nas.tasks.translation import SummarisationTask, encode
from nas.training import Learner, Trained, TrainingState, train
from reports.row_counts import ROW_COUNTS
from search_spaces.ends import ClassifierEnds
from search_spaces.model import Model, build
from search_spaces.positions import Learned

RECIPE = Recipe(warmup_steps=5, batch_tokens=256, label_smoothing=0.0, beam=1, max_output_tokens=8)
HAND = Assignment(record_id="hand/one/seed0", role="hand")
KINDS = ("language_model", "masked_text", "classification")
TOPICS = {
    "animals": ("the fox runs", "a dog sleeps well", "the hen eats corn"),
    "colours": ("red and blue", "green looks fine", "some grey with red"),
    "numbers": ("one plus two", "seven less four", "ten times three"),
    "weather": ("rain falls today", "cold wind blows", "sun after rain"),
}


@pytest.fixture(autouse=True)
def exact(one_thread: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nas.training, "supports_bf16", lambda: False)


def texts(part: str, groups: int) -> tuple[Text, ...]:
    """As many groups of each label, their sentences in an order of their own."""
    return tuple(
        Text(f"{sentences[at % 3]} {sentences[(at + group) % 3]}", f"{part} {label} {group}", label)
        for label, sentences in TOPICS.items()
        for group in range(groups)
        for at in range(4)
    )


SPLITS = TextSplits(train=texts("train", 4), valid=texts("valid", 2), test=texts("test", 3))
CORPUS = TextCorpus(name="topics", version="1", sha256="0" * 64, licence="none", texts=SPLITS.train)


def encoded(task: TextTask) -> EncodedTask:
    return task.encode(CORPUS, SPLITS, train_tokenizer([one.text for one in SPLITS.train], 290))


@pytest.fixture(scope="module")
def tasks() -> dict[str, EncodedTask]:
    kinds = (LanguageModelTask, MaskedTextTask, PassageClassTask)
    made = [encoded(kind(vocabulary_size=290, block_tokens=16)) for kind in kinds]
    pairs = tuple(Pair(f"{one.text} now", one.text.split()[0], one.group) for one in SPLITS.train)
    corpus = Corpus(name="s", version="1", sha256="0", licence="l", source_language="en", target_language="en", pairs=pairs)
    summaries = encode(SummarisationTask(vocabulary_size=290), corpus, Splits(train=pairs, valid=pairs[:5], test=pairs[5:9]))
    return {one.kind: one for one in (*made, summaries)}


class Oracle(nn.Module):
    """Knows the labels of a split by its inputs; tells rows below `wrong_rows` wrongly, and nothing where it is not `sure`."""

    def __init__(self, split: EncodedSplit, entries: int, wrong_rows: int = 0, sure: bool = True) -> None:
        super().__init__()
        self.entries, self.sure, self.answers = entries, sure, {}
        for row in range(len(split)):
            batch = split.batch(np.array([row]), None)
            inputs = batch.source if batch.target_in is None else batch.target_in
            labels = torch.from_numpy(batch.target_out[0]).clamp(min=0)
            self.answers[self.key(torch.from_numpy(inputs[0]))] = (labels + 1) % entries if row < wrong_rows else labels

    @staticmethod
    def key(ids: Tensor) -> tuple[int, ...]:
        return tuple(one for one in ids.tolist() if one != PAD_ID)

    def hidden(self, source: Tensor | None, target: Tensor | None) -> Tensor:
        inputs = source if target is None else target
        assert inputs is not None
        rows = [self.answers[self.key(ids)] for ids in inputs]
        padded = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        return one_hot(padded, self.entries).double() * (60.0 if self.sure else 0.0)

    def head(self, hidden: Tensor) -> Tensor:
        return hidden

    @property
    def ends(self) -> "Oracle":
        return self

    def cross_entropy(self, hidden_nw: Tensor, labels_n: Tensor, smoothing: float) -> Tensor:
        assert smoothing == 0
        return cross_entropy(hidden_nw, labels_n, reduction="sum")


def scores(task: EncodedTask, model: Any, split: EncodedSplit | None = None) -> dict[str, float]:
    return dict(judge_of(task.kind).output(task, model, split or task.valid, RECIPE).scores)


def fresh(task: EncodedTask, name: str, seed: int = 0) -> Model:
    torch.manual_seed(seed)
    return build(fitted(find_design(name), task), sizes_of(task)).eval()


def evaluate(task: EncodedTask, name: str, budget: int = 200, seed: int = 0) -> Record:
    evaluator = Evaluator(run_id="r", task=task, recipe=RECIPE, meter=NoMeter(), repetition=Repetition(outputs=1))
    return evaluator.evaluate(find_design(name), budget, seed, HAND)


def test_every_task_has_its_judge() -> None:
    assert {task.kind for task in ALL_TASKS} == {judge.kind for judge in ALL_JUDGES}
    assert all(judge_of(judge.kind) is judge for judge in ALL_JUDGES)
    with pytest.raises(KeyError, match="of translation, summarisation, .*; got 'poetry'"):
        judge_of("poetry")


@pytest.mark.parametrize("kind", KINDS)
def test_a_perfect_model_scores_perfectly(tasks: dict[str, EncodedTask], kind: str) -> None:
    found = scores(tasks[kind], Oracle(tasks[kind].valid, tasks[kind].target_vocabulary))
    best = {
        "loss": 0.0,
        "bits_per_byte": 0.0,
        "log_likelihood": 0.0,
        "perplexity": 1.0,
        "perplexity_per_word": 1.0,
        "accuracy": 100.0,
    }
    assert found == pytest.approx({name: best[name] for name in found}, abs=1e-9) and "loss" in found


def test_a_model_that_knows_nothing_has_the_vocabulary_as_perplexity(tasks: dict[str, EncodedTask]) -> None:
    for kind in KINDS:
        entries = tasks[kind].target_vocabulary
        found = scores(tasks[kind], Oracle(tasks[kind].valid, entries, sure=False))
        assert found["loss"] == pytest.approx(math.log(entries))
        assert found.get("perplexity", entries) == pytest.approx(entries)


def test_bits_per_byte_and_perplexity_per_word_by_hand(tasks: dict[str, EncodedTask]) -> None:
    task = tasks["language_model"]
    plain = [one.text for one in SPLITS.valid]
    tokens = sum(len(row) + 1 for row in task.tokenizer.encode(plain))  # with the end of each text
    nats = tokens * math.log(task.target_vocabulary)
    found = scores(task, Oracle(task.valid, task.target_vocabulary, sure=False))
    # Every word with the blank or line break before it; the ends of texts are paid for and are neither.
    assert found["bits_per_byte"] == pytest.approx(nats / math.log(2) / sum(len(text.encode()) + 1 for text in plain))
    assert found["perplexity_per_word"] == pytest.approx(math.exp(nats / sum(len(text.split()) for text in plain)))
    assert found["perplexity"] < found["perplexity_per_word"]


def test_the_counts_of_a_row_stand_in_the_order_of_the_split(tasks: dict[str, EncodedTask]) -> None:
    task = tasks["classification"]
    assert len(set(task.valid.sources.lengths.tolist())) > 1, "batches of one length would keep any order"
    output = judge_of(task.kind).output(task, Oracle(task.valid, 4, wrong_rows=3), task.valid, RECIPE)
    rows = len(task.valid)
    assert output.sentence_counts == {"accuracy": ((0,),) * 3 + ((1,),) * (rows - 3)}
    assert output.scores["accuracy"] == pytest.approx(100 * (rows - 3) / rows)
    assert (output.rows, output.tokens) == (rows, len(task.valid.sources.tokens))


def test_accuracy_over_masked_tokens_weighs_every_token_alike(tasks: dict[str, EncodedTask]) -> None:
    task = tasks["masked_text"]
    labels = [np.count_nonzero(task.valid.batch(np.array([row]), None).target_out != IGNORED) for row in range(len(task.valid))]
    found = scores(task, Oracle(task.valid, task.target_vocabulary, wrong_rows=4))
    assert found["accuracy"] == pytest.approx(100 * sum(labels[4:]) / sum(labels))
    assert found["perplexity"] == pytest.approx(math.exp(found["loss"])) and found["loss"] > 1


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("language_model", "gpt2-xs"),
        ("language_model", "llama-xs"),
        ("masked_text", "roberta-xs"),
        ("classification", "linformer-xs"),
    ],
)
def test_an_untrained_model_is_near_chance(tasks: dict[str, EncodedTask], kind: str, name: str) -> None:
    task = tasks[kind]
    found = scores(task, fresh(task, name))
    chance = math.log(task.target_vocabulary)
    assert abs(found["loss"] - chance) < (0.3 if kind == "classification" else 1.5)
    # Of masked tokens a tenth is left as it is, which a tied output tells from the start.
    assert found.get("accuracy", 0) <= (60 if kind == "classification" else 20)
    if kind != "classification":
        assert found["perplexity"] == pytest.approx(math.exp(found["loss"]))


def test_a_hopeless_model_has_a_finite_perplexity(tasks: dict[str, EncodedTask], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nas.judging, "losses_by_row", lambda model, split, recipe: [1e9] * len(split))
    assert math.isfinite(scores(tasks["language_model"], None)["perplexity_per_word"])


def test_a_texts_log_likelihood_is_that_of_its_blocks(tasks: dict[str, EncodedTask]) -> None:
    task = tasks["language_model"]
    assert task.test is not None
    model, judge = fresh(task, "gpt2-xs"), judge_of("language_model")
    output = judge.output(task, model, task.test, RECIPE)
    nats, size = np.array(output.sentence_counts["log_likelihood"]).T
    assert len(nats) == len(task.test) and size.sum() == task.test.text_bytes.sum()
    assert output.scores["log_likelihood"] == -output.scores["bits_per_byte"]
    assert -nats.sum() / 1e6 / math.log(2) / size.sum() == pytest.approx(output.scores["log_likelihood"], abs=1e-5)
    assert nats.sum() / 1e6 == pytest.approx(summed_loss(model, task.test, RECIPE), rel=1e-3)
    for row in (0, len(task.test) - 1):
        alone = task.test.take(np.array([row]))
        assert nats[row] / 1e6 == pytest.approx(summed_loss(model, alone, RECIPE), rel=1e-3)


def test_what_needs_no_model_is_scored_as_models_are(tasks: dict[str, EncodedTask]) -> None:
    task = tasks["language_model"]
    assert task.test is not None
    assert list(judge_of("translation").references) == ["copy", "nearest_neighbour"]
    (xz,) = judge_of("language_model").references.values()
    seen, fresh_text = xz(task, task.train), xz(task, task.test)
    assert set(fresh_text.scores) <= set(
        judge_of("language_model").output(task, fresh(task, "gpt2-xs"), task.test, RECIPE).scores
    )
    assert -8 < fresh_text.scores["log_likelihood"] < seen.scores["log_likelihood"] < 0, (
        "a text seen before takes next to nothing"
    )


def test_rouge_knows_letters_of_any_script() -> None:
    assert rouge(["größe 你好"], ["Größe, 你好!"]).scores == pytest.approx({"rouge1": 100, "rouge2": 100, "rougeL": 100})
    assert rouge(["gr e"], ["größe"]).scores["rouge1"] == 0


def test_rouge_by_hand() -> None:
    hypotheses = ["the cat sat", "Dog bites man", ""]
    references = ["The cat lay down", "man bites dog!", "something"]
    found = rouge(hypotheses, references)
    # Of the first: 2 of 3 and 4 words, 1 of 2 and 3 pairs, 2 in a row; of the second: all words, no pair, 1 in a row.
    assert found.scores["rouge1"] == pytest.approx(100 * (4 / 7 + 1 + 0) / 3)
    assert found.scores["rouge2"] == pytest.approx(100 * (2 / 5 + 0 + 0) / 3)
    assert found.scores["rougeL"] == pytest.approx(100 * (4 / 7 + 1 / 3 + 0) / 3)
    assert found.rows["rouge1"] == ((round(1e6 * 4 / 7), 4, 1), (1_000_000, 3, 1), (0, 1, 1))
    for key, rows in found.rows.items():
        assert ROW_COUNTS[key].score(np.sum(rows, axis=0)) == pytest.approx(found.scores[key], abs=1e-4)
    assert rouge(references, references).scores == pytest.approx({"rouge1": 100, "rouge2": 100 * 2 / 3, "rougeL": 100})
    with pytest.raises(ValueError, match="as many hypotheses as references and one at least, got 1 and 3"):
        rouge(["a"], references)
    with pytest.raises(ValueError, match="got 0 and 0"):
        rouge([], [])


def test_summaries_are_decoded_and_scored_against_their_references(
    tasks: dict[str, EncodedTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tasks["summarisation"]
    perfect = [task.valid.targets.row(at).tolist() for at in range(len(task.valid))]
    monkeypatch.setattr(nas.judging, "decode_split", lambda model, split, recipe: perfect)
    output = judge_of("summarisation").output(task, nn.Module(), task.valid, RECIPE)
    assert output.scores["rouge1"] == output.scores["rougeL"] == pytest.approx(100)
    assert output.rows == 5 and output.tokens == sum(map(len, perfect)) and "ROUGE" in output.signatures["rouge"]
    losses = judge_of("summarisation").losses(fresh(task, "transformer-xs"), task.valid, RECIPE)
    characters = sum(map(len, task.valid.references))
    bits = losses["loss"] * task.valid.num_target_tokens / math.log(2) / characters
    assert losses["bits_per_character"] == pytest.approx(bits)


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("language_model", "roberta-xs", "design roberta-xs on task language_model: .* is decoder-only, .* is encoder-only"),
        ("language_model", "transformer-xs", "transformer-xs on task language_model: .* encoder-decoder"),
        ("language_model", "lite_transformer-wikitext103-896", "task language_model: .*one vocabulary larger than 60000"),
        ("masked_text", "llama-xs", "design llama-xs on task masked_text: .* is encoder-only, got one that is decoder-only"),
        ("masked_text", "deit-xs", "design deit-xs on task masked_text: expected ends that tell every token, got PatchEnds"),
        ("classification", "gpt2-xs", "design gpt2-xs on task passage_class: .* encoder-only"),
        (
            "classification",
            "deit-xs",
            "deit-xs on task passage_class: expected ends of tokens for text, got image patches",
        ),
        ("summarisation", "gpt2-xs", "design gpt2-xs on task summarisation: .* is encoder-decoder, got one that is decoder-only"),
    ],
)
def test_a_design_that_does_not_fit_the_task_is_refused(
    tasks: dict[str, EncodedTask], kind: str, name: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate(tasks[kind], name)


def test_a_classifier_takes_the_place_of_the_vocabulary(tasks: dict[str, EncodedTask]) -> None:
    roberta = find_design("roberta-base").architecture
    architecture = judge_of("classification").fitted(roberta)
    assert architecture == replace(roberta, ends=ClassifierEnds(scaled=False))
    assert judge_of("classification").fitted(architecture) == architecture
    assert fresh(tasks["classification"], "roberta-xs").ends.output.weight.shape == (4, 64)


@pytest.mark.parametrize(
    ("kind", "name", "phases", "scored"),
    [
        (
            "language_model",
            "gpt2-xs",
            ["train"],
            {"loss", "perplexity", "perplexity_per_word", "bits_per_byte", "log_likelihood"},
        ),
        ("masked_text", "roberta-xs", ["train"], {"loss", "perplexity", "accuracy"}),
        ("classification", "roberta-xs", ["train"], {"loss", "accuracy"}),
        ("summarisation", "transformer-xs", ["train"], {"rouge1", "rouge2", "rougeL"}),
    ],
)
def test_the_record_names_phases_and_metrics(
    tasks: dict[str, EncodedTask], kind: str, name: str, phases: list[str], scored: set[str]
) -> None:
    task = tasks[kind]
    record = evaluate(task, name)
    assert [phase.name for phase in record.phases] == [*phases, "validate", "inference", "score"]
    trained = {"train_loss", "train_steps", "train_tokens"} | ({"pretrain_loss"} if kind == "classification" else set())
    told_beside = {"valid_loss", "valid_bits_per_character"} if kind == "summarisation" else set()
    assert set(record.metrics) == trained | told_beside | {f"{part}_{one}" for part in ("valid", "test") for one in scored}
    assert Record.from_json(record.to_json()) == record
    inference = record.phase("inference")
    assert inference is not None and inference.sentences == len(task.test)
    counts = {
        "classification": ("accuracy",),
        "language_model": ("log_likelihood",),
        "summarisation": ("rouge1", "rouge2", "rougeL"),
    }
    counted = {f"test_{one}": len(task.test) for one in counts.get(kind, ())}
    assert {name: len(rows) for name, rows in record.sentence_counts.items()} == counted
    spent = sum(phase.tokens for phase in record.phases[: len(phases)])
    assert 200 <= spent < 200 + 2 * RECIPE.batch_tokens


@pytest.mark.parametrize("kind", KINDS)
def test_without_test_data_the_inference_is_that_of_validation_data(tasks: dict[str, EncodedTask], kind: str) -> None:
    name = "gpt2-xs" if kind == "language_model" else "roberta-xs"
    hidden, whole = evaluate(tasks[kind].without_test(), name), evaluate(tasks[kind], name)
    assert hidden.metrics == {name: value for name, value in whole.metrics.items() if not name.startswith("test")}
    validate, inference, _ = hidden.phases[-3:]
    # A pass over validation data is made once and told once.
    assert (validate.tokens, validate.sentences) == (0, 0) and inference.sentences == len(tasks[kind].valid)


@pytest.mark.parametrize("kind", KINDS)
def test_a_budget_of_nothing_scores_the_model_as_it_was_drawn(tasks: dict[str, EncodedTask], kind: str) -> None:
    name = "gpt2-xs" if kind == "language_model" else "roberta-xs"
    record = evaluate(tasks[kind], name, budget=0, seed=5)
    assert [phase.name for phase in record.phases] == ["validate", "inference", "score"]
    expected = scores(tasks[kind], fresh(tasks[kind], name, seed=5))
    assert {one: record.metrics[f"valid_{one}"] for one in expected} == expected
    assert not [name for name in record.metrics if "train" in name]


class Spy:
    """Stands for training: writes down the calls and sets every weight to the call's number."""

    def __init__(self) -> None:
        self.splits: list[EncodedSplit] = []
        self.budgets: list[int] = []
        self.before: list[dict[str, Tensor]] = []

    def __call__(
        self, learner: Learner, split: EncodedSplit, recipe: Recipe, budget_tokens: int, seed: int, state: TrainingState | None
    ) -> "Spy":
        assert state is None
        self.splits.append(split)
        self.budgets.append(budget_tokens)
        self.before.append({name: one.detach().clone() for name, one in learner.parameters.items()})
        with torch.no_grad():
            for parameter in learner.parameters.values():
                parameter.fill_(len(self.splits))
        return self

    def run(self, until_tokens: int) -> Trained:
        assert until_tokens >= self.budgets[-1]
        return Trained(steps=1, tokens=self.budgets[-1], leg_tokens=self.budgets[-1], last_loss=0.5)


@pytest.mark.parametrize("name", ["roberta-xs", "linformer-xs"])
def test_pretraining_hands_its_weights_to_the_classifier(
    tasks: dict[str, EncodedTask], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, spy = replace(tasks["classification"], pretraining_share=0.6), Spy()
    monkeypatch.setattr(nas.legs, "Training", spy)
    evaluate(task, name, budget=1001)
    assert spy.splits == [task.pretraining, task.train] and spy.budgets == [600, 401]
    before, after = spy.before
    assert set(before) == {name for name in after if not name.startswith("ends.output")}
    moved = {name: bool((one == 1).all()) for name, one in after.items()}
    assert {name for name, one in moved.items() if not one} == {"ends.output.weight", "ends.output.bias"}


@pytest.mark.parametrize("rungs", [(100, 200, 500, 800), (300, 310, 800), (800,)])
def test_pretraining_in_legs_is_that_of_one_go(tasks: dict[str, EncodedTask], rungs: tuple[int, ...]) -> None:
    """Half of 600 tokens; one rung lies on the border. No rung is beyond the budget."""
    task, design = tasks["classification"], find_design("roberta-xs")
    evaluator = Evaluator(run_id="r", task=task, recipe=RECIPE, meter=NoMeter(), repetition=Repetition(outputs=1))
    whole = evaluator.evaluate_leg(design, Leg(budget_tokens=600, seed=3), HAND)
    leg, tokens = Leg(budget_tokens=600, seed=3, keep_state=True), 0
    for until in rungs:
        found = evaluator.evaluate_leg(design, replace(leg, until_tokens=until), HAND)
        leg = replace(leg, state=found.state)
        tokens += found.record.phases[0].tokens
        assert found.record.metrics["train_tokens"] == tokens
    assert found.state is None and found.record.metrics == whole.record.metrics
    assert tokens == whole.record.phases[0].tokens
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(found.model.state_dict()[name], tensor), name


@pytest.mark.parametrize("kind", ["language_model", "masked_text", "summarisation", "unshared", "tiny budget"])
def test_nothing_else_is_pretrained(tasks: dict[str, EncodedTask], kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    task, spy = tasks.get(kind, tasks["classification"]), Spy()
    if kind == "unshared":
        task = encoded(PassageClassTask(vocabulary_size=290, block_tokens=16, pretraining_share=0.0))
        assert task.pretraining is None
    monkeypatch.setattr(nas.legs, "Training", spy)
    names = {"language_model": "gpt2-xs", "summarisation": "transformer-xs"}
    evaluate(task, names.get(kind, "roberta-xs"), budget=1 if kind == "tiny budget" else 100)
    assert len(spy.splits) == 1 and spy.splits[0] is task.train and spy.budgets == [1 if kind == "tiny budget" else 100]


def test_scoring_makes_no_gradients_and_tells_the_same(tasks: dict[str, EncodedTask]) -> None:
    task = tasks["language_model"]
    model = fresh(task, "gpt2-xs")
    total = sum(
        float(nas.training.batch_loss(model, task.valid.batch(np.array([row]), None), 0.0, "auto").detach())
        for row in range(len(task.valid))
    )
    assert summed_loss(model, task.valid, RECIPE) == pytest.approx(total, rel=1e-5)
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("kind", [*KINDS, "pixels"])
def test_every_kind_is_judged_under_bfloat16(tasks: dict[str, EncodedTask], kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    task = picture_task() if kind == "pixels" else tasks[kind]
    name = {"language_model": "llama-xs", "pixels": "evit-xs-0.5"}.get(kind, "linformer-xs")
    exactly = scores(task, fresh(task, name))
    monkeypatch.setattr(nas.training, "supports_bf16", lambda: True)
    lowered = scores(task, fresh(task, name))
    assert lowered["loss"] == pytest.approx(exactly["loss"], rel=0.02) and lowered["loss"] != exactly["loss"]


def pictures(count: int, seed: int, size: int = 28) -> LabelledSplit:
    """Images of two classes: a bright upper or a bright lower half, under noise."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) % 2).astype(np.int32)
    pixels = rng.integers(0, 100, (count, size, size))
    for image, label in zip(pixels, labels, strict=True):
        half = slice(0, size // 2) if label else slice(size // 2, size)
        image[half] += 120
    sources = TokenRows.cut(pixels.astype(np.int32).ravel(), size * size)
    return LabelledSplit(sources=sources, targets=TokenRows.empty(count), labels=labels)


def picture_task(size: int = 28) -> EncodedTask:
    return EncodedTask(
        name="pixels",
        kind="classification",
        description={},
        tokenizer=None,
        num_inputs=256,
        num_classes=2,
        train=pictures(40, 0, size),
        valid=pictures(20, 1, size),
        test=None,
    )


@pytest.mark.parametrize(
    ("kind", "name", "budget", "share"),
    [
        ("language_model", "gpt2-xs", 6000, 0.6),
        ("language_model", "llama-xs", 6000, 0.6),
        ("language_model", "bitnet-xs", 6000, 0.8),
        ("language_model", "lite_transformer-lm-xs", 6000, 0.75),
        ("masked_text", "roberta-xs", 6000, 0.9),
        ("classification", "roberta-xs", 6000, 0.5),
        ("classification", "linformer-xs", 6000, 0.8),
        ("pixels", "deit-xs", 784 * 100, 0.5),
        ("pixels", "evit-xs-0.5", 784 * 100, 0.5),
    ],
)
def test_every_shape_of_model_learns(tasks: dict[str, EncodedTask], kind: str, name: str, budget: int, share: float) -> None:
    task = picture_task() if kind == "pixels" else tasks[kind]
    recipe = replace(RECIPE, batch_tokens=784 * 8) if kind == "pixels" else RECIPE
    model = fresh(task, name)
    before = summed_loss(model, task.valid, recipe)
    train(model, task.train, recipe, budget, 0)
    after = summed_loss(model, task.valid, recipe)
    assert after < share * before, f"{after / before:.2f} of the loss is left"


def test_an_input_longer_than_the_design_takes_is_refused(tasks: dict[str, EncodedTask]) -> None:
    design = find_design("roberta-xs")
    short = replace(design, architecture=replace(design.architecture, positions=Learned(4)))
    with pytest.raises(UserError, match="roberta-xs on task masked_text: positions: expected at most 4 tokens, got"):
        check_fit(short, tasks["masked_text"])
    check_fit(design, tasks["masked_text"])


def test_an_image_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="expected images of 784 values, got 64"):
        evaluate(picture_task(8), "deit-xs")
