"""Token dropping after training: the same weights, run on fewer tokens the deeper they stand. Nothing is learnt or looked at."""

from nas.stages.work import Reworked, StageWork, Subject
from search_spaces.architecture import Architecture
from search_spaces.dropping_tokens import carried, pyramid, shorten, token_share
from search_spaces.model import Model, build
from search_spaces.stage import Pyramid, Shorten


class PyramidWork(StageWork[Pyramid]):
    """PyramidDrop at inference (Xing et al. 2024, arXiv 2410.17247)."""

    stage = Pyramid

    def check(self, stage: Pyramid, model: Model) -> None:
        """See StageWork."""
        pyramid(model.architecture, stage.keep, stage.stages)

    def run(self, stage: Pyramid, subject: Subject) -> Reworked:
        """See StageWork. Metric image_token_share: what layers keep of the image tokens, on average over depth."""
        after = pyramid(subject.model.architecture, stage.keep, stage.stages)
        return _reworked(subject, after, "image_token_share")


class ShortenWork(StageWork[Shorten]):
    """EViT's token dropping at inference (Liang et al. 2022, arXiv 2202.07800), without its fusion of what is dropped."""

    stage = Shorten

    def check(self, stage: Shorten, model: Model) -> None:
        """See StageWork."""
        shorten(model.architecture, stage.keep, stage.times)

    def run(self, stage: Shorten, subject: Subject) -> Reworked:
        """See StageWork. Metric token_share: what layers leave of the droppable tokens, on average over depth."""
        after = shorten(subject.model.architecture, stage.keep, stage.times)
        return _reworked(subject, after, "token_share")


def _reworked(subject: Subject, architecture: Architecture, share: str) -> Reworked:
    before = subject.model.architecture
    model = build(architecture, subject.model.sizes, device="meta")
    model.load_state_dict(carried(subject.model.state_dict(), before, architecture), assign=True)
    tokens = before.ends.entering(subject.task.counted_tokens)
    return Reworked(
        model=model.eval(),
        stored=carried(subject.stored, before, architecture),
        metrics={share: token_share(architecture, tokens)},
    )
