"""The terms of the report, each in a sentence or two."""

from collections.abc import Collection
from dataclasses import dataclass

from nas.metric import BLEU, LOG_LIKELIHOOD


@dataclass(frozen=True)
class Term:
    """A term and what it means here."""

    name: str
    meaning: str


P_VALUE = Term("p-value", "How often so large a difference would come about by chance if the two were equally good.")
GLOSSARY: tuple[Term, ...] = (
    Term(
        "BLEU",
        "Overlap of words and word sequences with a reference translation, 0 to 100, by sacrebleu. Higher is better.",
    ),
    Term(
        "chrF",
        "Overlap of sequences of 1 to 6 characters with a reference, 0 to 100, recall weighing more, by sacrebleu. Higher is "
        "better.",
    ),
    Term(
        "ROUGE",
        "Overlap with a reference summary, 0 to 100: of words (1), of pairs of words (2), of the longest common sequence (L). "
        "Higher is better.",
    ),
    Term(
        "Log-likelihood, bits per byte",
        "Of language models: the logarithm (base 2) of the probability that they give a byte of text, on average: bits per byte "
        "with the sign turned. Higher, nearer to zero, is better.",
    ),
    Term("Break-even uses", "Outputs after which the energy saved per output has made up for what the search cost more."),
    Term(
        "Champion",
        "The best design on validation data with seed 0, one searched and one by hand, both within the MAC limit.",
    ),
    Term(
        "Dynamic energy",
        "What the machine draws above idle for a trial's work. It ranks models, since it does not depend on neighbours.",
    ),
    Term("Estimated", "From a power model fitted to the hardware's rated watts. It carries an interval."),
    Term("Finalist", "A top trial of the search, trained again at the full budget."),
    Term("Fully loaded", "Dynamic energy plus the trial's share of idle power and of the engine's overhead."),
    Term(
        "g CO2e",
        "Grams of carbon dioxide and other greenhouse gases by warming effect: energy times the grid's intensity.",
    ),
    Term("Interval", "95 % bootstrap: seeds and, jointly for all models, test data are drawn again at least 2,000 times."),
    Term(
        "Low, central, high",
        "Three scenarios of the meter's error. In brackets behind a figure stand its least and greatest value over them; for "
        "grams the ranges of grid and PUE multiply on top.",
    ),
    Term(
        "MACs",
        f"Multiply-accumulates of one pass: in translation and summarisation of {BLEU.counted}, in language models of "
        f"{LOG_LIKELIHOOD.counted}. A FLOP count is two of them.",
    ),
    Term(
        "Making of the hardware",
        "Embodied carbon: what producing the machine emitted, by its share of the machine's life. Counted where it is given.",
    ),
    Term("Measured, sampled", "From hardware energy counters, or from power readings at intervals."),
    Term(
        "Minimum detectable difference",
        "(1.96 + 0.84) bootstrap standard errors: a true difference of this size is found in four of five repetitions.",
    ),
    P_VALUE,
    Term("PUE", "Power usage effectiveness: a data centre's energy for each unit of its computers' energy."),
    Term(
        "Scored, counted, configured",
        "From a model's outputs on data that no training saw, for verdicts the test set; from its architecture; as it was set.",
    ),
    Term("Use", "One output: a sentence translated, a text summarised, or a block of text told by a language model."),
)

HOLM = Term(
    "Holm's correction",
    "Makes several comparisons together as trustworthy as one: the smallest p-value has to be smallest by as many times as there "
    "are comparisons, the next by one less, and so on.",
)
NOT_SEPARABLE = Term("Not separable", "What was measured could have come about with no true difference between the two designs.")

AXIS_TERMS: dict[str, tuple[Term, ...]] = {
    "hurdles": (
        Term("Hurdle", "A rule by which only the better trials are trained beyond a rung; the others stop there."),
        Term("Rung", "A number of training tokens after which trials are scored and hurdles decide which of them go on."),
        Term("Stopped", "A trial that was not trained to the end. Its score is of less training, and compares with no other's."),
    ),
    "proxy": (
        Term("Proxy", "A figure of a model before training, such as its number of parameters, taken for its quality to come."),
        Term("Screened out", "A candidate that was not trained since others of its group had a better proxy."),
    ),
    "parent": (
        Term(
            "Inherited weights",
            "A trial begins with its parent's weights as far as they fit and trains for less; its score rests on both trainings.",
        ),
    ),
    "supernet": (
        Term(
            "Supernet",
            "One set of weights that holds every design of the space. It is trained once; candidates are scored with their part "
            "of it (inherited weights), without training of their own.",
        ),
    ),
    "controls": (
        Term(
            "Control",
            "A candidate that is trained from scratch only to tell how far inherited weights rank candidates rightly. Its energy "
            "is no part of the search's cost.",
        ),
    ),
    "agreements": (
        Term(
            "Kendall's tau-b",
            "How far two scores put candidates in the same order, by all pairs of them: 1 in all, 0 no relation, −1 in none.",
        ),
    ),
    "study": (
        HOLM,
        Term(
            "Minimum detectable difference",
            "A true difference of this size is found in four of five repetitions, at the strictest step of Holm's correction.",
        ),
        NOT_SEPARABLE,
        Term("Hand champion of a limit", "The best hand design within a MAC limit on validation data with seed 0, of all runs."),
    ),
    "objectives": (Term("Pareto front", "The trials that no other trial beats in one objective without losing in another."),),
}
"""Terms that only searches need which do more than train every trial from scratch to its end."""


def search_glossary(axes: Collection[str]) -> tuple[Term, ...]:
    """The terms of a search's report that has these axes."""
    more = (term for name in axes for term in AXIS_TERMS[name])
    terms = {term.name: term for term in (*GLOSSARY, *more)}
    return tuple(sorted(terms.values(), key=lambda term: term.name.lower()))


OF_SEARCHES = ("Break-even uses", "Champion", "Finalist", "Minimum detectable difference")
COMPARISON_GLOSSARY: tuple[Term, ...] = tuple(
    sorted(
        (
            *(term for term in GLOSSARY if term.name not in (*OF_SEARCHES, "Interval")),
            HOLM,
            Term("Interval", "95 % bootstrap: seeds and, jointly for all designs, test data are drawn again and again."),
            NOT_SEPARABLE,
            Term(
                "Smallest detectable difference",
                "A true difference of this size is found in four of five repetitions, the correction included.",
            ),
        ),
        key=lambda term: term.name.lower(),
    )
)
"""The terms of a comparison of hand designs."""
