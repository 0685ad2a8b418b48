"""What each modality contributes: alone, by removal, and by Shapley values. Derived in notebooks/08.

A model that knows missing modalities can be asked about every set of them: nothing is faked, what is hidden is
marked as hidden. Values may be scores of a whole split or probabilities of single utterances; everything here works
on arrays of any shape, elementwise.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import factorial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from mmsa_lib.labels import MODALITIES

Subset = tuple[str, ...]
Values = Mapping[Subset, np.ndarray]
CUE_FILE = "cues.csv"
CUE_RANK = {"misleads": -1, "absent": 0, "weak": 1, "clear": 2}


def subsets(modalities: Sequence[str] = MODALITIES, empty: bool = True) -> list[Subset]:
    """All sets of the modalities in their order: (), (text,), (video,), …, all; without () if not `empty`."""
    return [s for size in range(0 if empty else 1, len(modalities) + 1) for s in combinations(modalities, size)]


# ----------------------------------------------------------------------------------------- asking


@torch.inference_mode()
def subset_logits(
    model, dataset, sets: Sequence[Subset] | None = None, batch_size: int = 128
) -> dict[Subset, dict[str, np.ndarray]]:
    """Ask a model about sets of its modalities, by default all: {set: {"emotions": (N, 7), "sentiments": (N, 3)}}.

    What a set lacks is hidden by `modality_mask`, so the model's stand-ins speak. Of an utterance that lacks a
    modality anyway, a set shows what is there. () is the model told that nothing is there.
    """
    from mmsa_lib.dataset import MODEL_INPUTS, make_loader

    device = next(model.parameters()).device
    model.eval()
    said = {subset: [] for subset in (subsets(model.modalities) if sets is None else sets)}
    rows = []
    for batch in make_loader(dataset, batch_size, **getattr(model, "excerpts", {})):
        judged = batch.get("judged", torch.ones_like(batch["row"], dtype=torch.bool))
        rows.append(batch["row"][judged])
        inputs = {name: _to(batch[name], device) for name in MODEL_INPUTS if name in batch}
        for subset, answers in said.items():
            shown = torch.tensor([m in subset for m in MODALITIES], device=device)
            logits = model(**inputs | {"modality_mask": inputs["modality_mask"] & shown})
            answers.append({head: tensor[judged.to(device)] for head, tensor in logits.items()})
    _, first = np.unique(
        torch.cat(rows).numpy(), return_index=True
    )  # dialogues kept together: back to the table's order
    return {
        subset: {head: torch.cat([a[head] for a in answers]).float().cpu().numpy()[first] for head in answers[0]}
        for subset, answers in said.items()
    }


def _to(value, device):
    """Tensors, and dictionaries of them, on the device."""
    if isinstance(value, Mapping):
        return {name: _to(tensor, device) for name, tensor in value.items()}
    return value.to(device) if isinstance(value, torch.Tensor) else value


# ------------------------------------------------------------------------------------ contributions


def members(values: Values) -> Subset:
    """The modalities of a complete table of values: its largest set."""
    everyone = max(values, key=len)
    missing = [s for s in subsets(everyone) if s not in values]
    if missing:
        raise ValueError(f"no value for {' + '.join(missing[0]) or 'the empty set'}")
    return everyone


def alone(values: Values) -> dict[str, np.ndarray]:
    """What each modality is worth by itself: v({m}) - v({})."""
    return {m: values[m,] - values[()] for m in members(values)}


def removal(values: Values) -> dict[str, np.ndarray]:
    """What is lost when one modality is taken away from all: v(all) - v(all without m)."""
    everyone = members(values)
    return {m: values[everyone] - values[tuple(k for k in everyone if k != m)] for m in everyone}


def shapley(values: Values) -> dict[str, np.ndarray]:
    """Shapley values: what each modality adds, averaged over all orders of arrival.

    The average over orders is a sum over the sets S that m can find when it arrives, each weighed by the share of
    orders in which it does, |S|! (n - |S| - 1)! / n!. They sum to v(all) - v({}) (efficiency). The value of ()
    moves all of them by the same amount, so comparisons between modalities do not depend on it.
    """
    everyone = members(values)
    n = len(everyone)
    found = {}
    for m in everyone:
        total = np.zeros_like(np.asarray(values[everyone], dtype=float))
        for others in subsets([k for k in everyone if k != m]):
            share = factorial(len(others)) * factorial(n - len(others) - 1) / factorial(n)
            with_m = tuple(k for k in everyone if k == m or k in others)
            total = total + share * (np.asarray(values[with_m]) - values[others])
        found[m] = total
    return found


def of_answer(probabilities: Values, classes: np.ndarray) -> dict[Subset, np.ndarray]:
    """The probability (N,) that each set gives to one class an utterance (N,): values of single clips."""
    rows = np.arange(len(classes))
    return {subset: p[rows, classes] for subset, p in probabilities.items()}


def as_array(contributions: Mapping[str, np.ndarray]) -> np.ndarray:
    """{modality: (N,)} -> (N, M), in the order of the mapping."""
    return np.stack(list(contributions.values()), axis=-1)


# --------------------------------------------------------------------- beside what is known of a clip


def known_cues(data: str | Path, table: pd.DataFrame) -> pd.DataFrame | None:
    """For made data, what each modality of each row was made to show; None where nobody knows.

    Columns `{modality}_cue` (clear, weak, absent, misleads) and `{modality}_shows` (an emotion), a row an utterance.
    """
    path = Path(data) / CUE_FILE
    if not path.is_file():
        return None
    cues = pd.read_csv(path).rename(columns={"Dialogue_ID": "dialogue_id", "Utterance_ID": "utterance_id"})
    keys = ["Split", "dialogue_id", "utterance_id"]
    wanted = table.assign(Split=table["split"].astype(str))[keys]
    found = wanted.merge(cues.drop_duplicates(keys), on=keys, how="left")
    columns = [f"{m}_{what}" for m in MODALITIES for what in ("cue", "shows")]
    if not set(columns) <= set(found) or found[columns].isna().any().any():
        return None
    for m in MODALITIES:
        found[f"{m}_shows"] = found[f"{m}_shows"].str.rstrip("+-")  # two kinds of surprise
    return found


def shows_class(cues: pd.DataFrame, names: np.ndarray, modalities: Sequence[str] = MODALITIES) -> np.ndarray:
    """(N, M) bool: whether each modality was made to show the class (N,) named."""
    return np.stack([cues[f"{m}_shows"].to_numpy() == names for m in modalities], axis=1)


def pointing_accuracy(contributions: np.ndarray, shows: np.ndarray) -> dict[str, np.ndarray | float]:
    """Does the modality with the largest contribution (N, M) show the class in question, `shows` (N, M) bool?

    Only utterances count where some modalities show it and some do not, else every answer is right or wrong.
    Returns `accuracy`, `chance` (of a modality picked at random), `hits` and `luck` (n,), and `used` (N,) bool.
    """
    used = shows.any(axis=1) & ~shows.all(axis=1)
    hits = np.take_along_axis(shows, contributions.argmax(axis=1)[:, None], axis=1)[used, 0]
    luck = shows[used].mean(axis=1)
    return {
        "accuracy": float(hits.mean()) if used.any() else float("nan"),
        "chance": float(luck.mean()) if used.any() else float("nan"),
        "hits": hits.astype(float),
        "luck": luck,
        "used": used,
    }


def rank_correlation(contributions: np.ndarray, known: np.ndarray) -> float:
    """Spearman's correlation of contributions with what is known, both (N, M), over all utterances and modalities.

    NaN where one of them is the same everywhere.
    """
    from scipy.stats import rankdata

    ranks = np.stack([rankdata(contributions.ravel()), rankdata(known.ravel())])
    ranks -= ranks.mean(axis=1, keepdims=True)
    scale = np.sqrt((ranks**2).sum(axis=1).prod())
    return float(ranks[0] @ ranks[1] / scale) if scale > 0 else float("nan")


def cue_ranks(cues: pd.DataFrame, modalities: Sequence[str] = MODALITIES) -> np.ndarray:
    """(N, M) how well each modality shows the true feeling: misleads -1, absent 0, weak 1, clear 2."""
    return np.stack([cues[f"{m}_cue"].map(CUE_RANK).to_numpy(dtype=float) for m in modalities], axis=1)


def compare_with_cues(
    contributions: Mapping[str, np.ndarray],
    true_contributions: Mapping[str, np.ndarray],
    cues: pd.DataFrame,
    answers: np.ndarray,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict:
    """Attributions of single clips beside the known cues, with bootstrap intervals over utterances.

    Args:
        contributions: {modality: (N,)} to the probability of the answer; its name is `answers` (N,).
        true_contributions: {modality: (N,)} to the probability of the true class.

    Returns `pointing` (does the modality leaned on most show the answer?) with `chance` beside it, and `rank`
    (Spearman's correlation of the contribution to the true class with the cue: clear, weak, absent, misleads),
    each with `_interval`.
    """
    from mmsa_lib.metrics import interval

    modalities = tuple(contributions)
    given, ranks = as_array(true_contributions), cue_ranks(cues, modalities)
    found = pointing_accuracy(as_array(contributions), shows_class(cues, answers, modalities))
    rng = np.random.default_rng(seed)
    picks = [rng.integers(0, len(given), len(given)) for _ in range(resamples)]
    drawn = rng.integers(0, max(1, len(found["hits"])), (resamples, len(found["hits"])))
    lead = (found["hits"] - found["luck"])[drawn].mean(axis=1) if len(found["hits"]) else np.full(resamples, np.nan)
    pointed = found["hits"][drawn].mean(axis=1) if len(found["hits"]) else lead
    return {
        "n": int(found["used"].sum()),
        "pointing": found["accuracy"],
        "pointing_interval": interval(pointed),
        "chance": found["chance"],
        "lead_interval": interval(lead),
        "rank": rank_correlation(given, ranks),
        "rank_interval": interval(np.array([rank_correlation(given[p], ranks[p]) for p in picks])),
    }
