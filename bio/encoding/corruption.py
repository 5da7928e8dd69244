"""Hidden tokens for masked language models.

Devlin et al., NAACL 2019 (BERT: of the chosen tokens 80 % masked, 10 % replaced, 10 % kept) and Joshi et al., TACL 8
(2020) 64 (SpanBERT: neighbouring tokens together, lengths geometric).
"""

import numpy as np

from bio.encoding.tokens import Array, Tokenizer
from bio.errors import SequenceError
from framework.core.random import Generator, default_generator

IGNORED = -100  # the label that cross_entropy leaves out


def mask_tokens(
    ids: Array,
    tokenizer: Tokenizer,
    probability: float = 0.15,
    span: float = 1.0,
    longest: int = 10,
    masked: float = 0.8,
    replaced: float = 0.1,
    generator: Generator = default_generator,
) -> tuple[Array, Array]:
    """Corrupted tokens and labels, both (N, T) int64, of tokens (N, T); labels are -100 where nothing is asked.

    `round(probability * real tokens)` of each row are chosen, and one at least where there is any; special tokens never
    are. With `span` > 1 they are chosen in runs of neighbours whose length is geometric with that mean, at most
    `longest`; a run never crosses a special token and shares one fate: masked, replaced by random tokens, or kept.
    The choice is a function of the generator's state alone.
    """
    ids = np.asarray(ids, np.int64)
    if tokenizer.mask_id is None:
        raise SequenceError("masking needs a vocabulary with a mask token")
    if not (0 < probability <= 1 and span >= 1 and longest >= 1 and masked >= 0 and 0 <= replaced <= 1 - masked):
        raise SequenceError(
            f"expected 0 < probability <= 1, span >= 1, longest >= 1, masked + replaced <= 1; got {probability}, "
            f"{span}, {longest}, {masked} + {replaced}"
        )
    if ids.ndim != 2:
        raise SequenceError(f"tokens are (N, T), got shape {ids.shape}")
    ordinary = np.setdiff1d(np.arange(len(tokenizer)), tokenizer.special_ids)
    eligible = np.isin(ids, ordinary)
    budget = np.where(eligible.any(1), np.maximum(np.rint(probability * eligible.sum(1)), 1), 0).astype(np.int64)
    runs = _runs(eligible, budget, span, longest, generator)
    chosen = runs >= 0
    fate = generator.uniform(ids.size).reshape(ids.shape)[np.arange(len(ids))[:, None], np.maximum(runs, 0)]
    substitute = ordinary[generator.integers(0, len(ordinary), ids.size)].reshape(ids.shape)
    corrupted = np.where(chosen & (fate < masked), tokenizer.mask_id, ids)
    corrupted = np.where(chosen & (fate >= masked) & (fate < masked + replaced), substitute, corrupted)
    return corrupted, np.where(chosen, ids, IGNORED)


def _runs(eligible: Array, budget: Array, span: float, longest: int, generator: Generator) -> Array:
    """For each token the place where its run begins, or -1: (N, T)."""
    count, size = eligible.shape
    order = np.argsort(np.where(eligible, generator.uniform(eligible.size, np.float64).reshape(eligible.shape), 2.0), 1)
    runs = np.full(eligible.shape, -1, np.int64)
    if span == 1:
        rank = np.argsort(order, 1, kind="stable")
        return np.where(rank < budget[:, None], np.arange(size), -1)
    # The length of a geometric run by inversion: P(length > n) = (1 - 1/span)^n.
    draws = 1 - generator.uniform(eligible.size, np.float64).reshape(eligible.shape)
    lengths = np.minimum(1 + np.floor(np.log(draws) / np.log(1 - 1 / span)).astype(np.int64), longest)
    for row in range(count):
        left = int(budget[row])
        for start in order[row].tolist():
            if left == 0:
                break
            for place in range(start, min(start + int(lengths[row, start]), size)):
                if left == 0 or not eligible[row, place] or runs[row, place] >= 0:
                    break
                runs[row, place] = start
                left -= 1
    return runs
