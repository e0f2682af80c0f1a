"""Spaces: a fixed-length genome of genes, and the Architecture that each genome stands for."""

import random
from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import prod

from search_spaces.architecture import Architecture, Stack

Choice = str | int | float
Genome = tuple[Choice, ...]


class OutsideSpace(ValueError):
    """An architecture or genome that a space does not contain; the message says why."""


@dataclass(frozen=True)
class Gene:
    """A named decision with at least one choice. Every gene is suggested in every trial, inactive ones too."""

    name: str
    choices: tuple[Choice, ...]

    def __post_init__(self) -> None:
        if not self.choices or len(set(self.choices)) != len(self.choices):
            raise ValueError(f"gene {self.name!r}: expected one or more distinct choices, got {self.choices!r}")


def both_stacks(architecture: Architecture) -> tuple[Stack, Stack]:
    """Encoder and decoder. Raises OutsideSpace where one is missing: spaces hold encoder-decoders."""
    if architecture.encoder is None or architecture.decoder is None:
        raise OutsideSpace(f"expected an encoder-decoder, got a model that is {architecture.shape}")
    return architecture.encoder, architecture.decoder


class Space(ABC):
    """A search space.

    `decode` is total on genomes and canonical: genomes that differ only in inactive genes decode to equal values.
    `encode` inverts it, or raises OutsideSpace with the reason, and proves itself by decoding its own answer.
    """

    name: str

    @abstractmethod
    def genes(self) -> tuple[Gene, ...]:
        """The genes in order; the genome is one choice for each."""

    @abstractmethod
    def decode(self, genome: Genome) -> Architecture:
        """The architecture of a genome. Raises OutsideSpace when the genome is not one of this space."""

    @abstractmethod
    def encode(self, architecture: Architecture) -> Genome:
        """A genome that decodes to `architecture`. Raises OutsideSpace with the reason when there is none."""

    @abstractmethod
    def largest(self) -> tuple[Architecture, ...]:
        """Architectures whose parameters, taken together, hold every member's as slices."""

    @abstractmethod
    def smallest(self) -> Architecture:
        """The member with the fewest MACs."""

    def check(self, genome: Genome) -> None:
        """Raises OutsideSpace unless `genome` has one known choice for each gene."""
        genes = self.genes()
        if len(genome) != len(genes):
            raise OutsideSpace(f"space {self.name}: expected a genome of {len(genes)} genes, got {len(genome)}")
        for gene, choice in zip(genes, genome, strict=True):
            if choice not in gene.choices:
                raise OutsideSpace(f"gene {gene.name}: expected one of {gene.choices}, got {choice!r}")

    def canonical(self, genome: Genome) -> Genome:
        """The one genome that stands for all that decode to the same architecture as `genome`."""
        return self.encode(self.decode(genome))

    def sample(self, rng: random.Random) -> Genome:
        """A genome drawn uniformly, gene by gene."""
        return tuple(rng.choice(gene.choices) for gene in self.genes())

    def num_genomes(self) -> int:
        """Number of genomes, counting those that decode to the same architecture apart."""
        return prod(len(gene.choices) for gene in self.genes())
