"""What a comparison of hand designs shows and what it does not, from the runs' own settings."""

from collections.abc import Sequence

from nas.metric import BLEU
from nas.records import Phase, Record
from reports.comparison import Compared
from reports.comparison_sentences import seeds_words
from reports.conclusion import Sentence
from reports.sentences import sweep_sentence
from reports.words import duration, millions, number, plural


def make_limits(compared: Compared) -> tuple[Sentence, ...]:
    """What the comparison shows and what it does not, from the run's own settings."""
    if not compared.ranked:
        return ()
    runs = [record for model in compared.ranked for record in model.runs]
    making = ", and the making of the hardware" if compared.settings.embodied is None else ""
    return (
        _shown(compared),
        sweep_sentence(compared.ranked) or _one_recipe(runs[0]),
        _seeds(compared),
        _budget(compared, [phase for record in runs if (phase := record.phase("train")) is not None]),
        Sentence(
            "One corpus, one machine",
            "Another corpus or task may order the designs differently, and so may other hardware: energies are "
            "those of this machine and of how each operator is written here.",
        ),
        Sentence(
            "The best was chosen by the result",
            "It is the best on the very test data on which it is compared, which flatters its lead a little; the p-values "
            "are corrected for that, being adjusted for all pairs of designs.",
        ),
        Sentence("Not counted", f"What it took people to invent and tune the designs{making}."),
    )


def _one_recipe(record: Record) -> Sentence:
    rate = record.recipe.get("peak_learning_rate")
    told = f" (peak learning rate {rate})" if isinstance(rate, int | float) else ""
    return Sentence(
        "One recipe for everybody",
        f"Everybody was trained by one recipe{told}, and nobody's was tuned. A "
        "design that needs its own, such as one with normalisation after each block or with ternary weights, may look worse "
        "than it is.",
    )


def _shown(compared: Compared) -> Sentence:
    corpus = compared.ranked[0].runs[0].corpus
    sentences = corpus.get("sentences")
    count = sentences.get("train") if isinstance(sentences, dict) else None
    many = f"{count:,} training {compared.metric.rows} of " if isinstance(count, int) else ""
    pair = [corpus.get(name) for name in ("source_language", "target_language")]
    languages = f", {pair[0]} to {pair[1]}" if all(pair) and compared.metric is BLEU else ""
    return Sentence(
        "What it shows",
        f"Which of these {plural(len(compared.ranked), 'design')} scores best after the same short training from scratch on "
        f"{many}{corpus.get('name', 'one corpus')}{languages}, and what each then costs to train and to use.",
    )


def _seeds(compared: Compared) -> Sentence:
    words = seeds_words(compared.ranked)
    least = min(len(model.runs) for model in compared.ranked)
    if least == 1:
        return Sentence("Seeds", f"{words.capitalize()} each: how much a second training would differ is not in the intervals.")
    return Sentence("Seeds", f"{words} each: the intervals hold the spread between seeds, but so few show it only roughly.")


def _budget(compared: Compared, phases: Sequence[Phase]) -> Sentence:
    tokens = number(compared.ranked[0].runs[0].budget_tokens)
    sizes = sorted(model.counts.params_paper for model in compared.ranked if model.counts)
    spread = f"{millions(sizes[0])} to {millions(sizes[-1])} million parameters" if sizes else "few parameters"
    length = f" ({duration(sum(one.duration_s for one in phases) / len(phases))} on average)" if phases else ""
    return Sentence(
        "Small models, short training",
        f"{tokens} {compared.metric.budget} a training{length} of models of {spread}, embeddings left out. Nobody was trained "
        "until it stopped improving: designs that learn fast are favoured, and large models on much data may come out otherwise.",
    )
