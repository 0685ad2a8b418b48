"""Small fusion models of every set of modalities, trained in a second each: the experiments of notebooks/05.

Text and video are the frozen features; the voice is summed up in a few statistics of each mel band, so that no
convolution has to be trained.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mmsa_lib.backbones import load_tokenizer
from mmsa_lib.course.comparing import resampled_f1
from mmsa_lib.dataset import MELDDataset
from mmsa_lib.labels import EMOTIONS, MODALITIES
from mmsa_lib.model import MultimodalSentimentModel
from mmsa_lib.preprocess import log_mel, tokenize
from mmsa_lib.presets import PRESETS

JURIES = tuple(jury for size in (1, 2, 3) for jury in combinations(MODALITIES, size))
SEEDS = range(3)
EPOCHS, BATCH, RATE, SMOOTHING, DROPOUT = 10, 100, 2e-3, 0.05, 0.5
RESULTS = Path(__file__).resolve().parent / "results"
Jury = tuple[str, ...]
Features = dict[str, Tensor]  # modality -> (N, D)
Present = dict[str, Tensor]  # modality -> (N,) bool
Hide = Callable[[int], Present]  # size of a batch -> who is there


def voice_summary(mel: Tensor) -> Tensor:
    """Log-mel (64, T) -> (256,): of each band how much it varies, how fast, and how low and high it gets."""
    low, high = mel.quantile(torch.tensor([0.1, 0.9]), dim=1)
    return torch.cat([mel.std(dim=1), mel.diff(dim=1).std(dim=1), low, high])


def everybody(size: int) -> Present:
    """All are there, in each of `size` utterances."""
    return {m: torch.ones(size, dtype=torch.bool) for m in MODALITIES}


class Room:
    """Train and test utterances as fixed vectors, standardised by the train split, and models that hear them.

    Args:
        data: the data sets `train` and `test` with their features in memory.
    """

    def __init__(self, data: Mapping[str, MELDDataset]) -> None:
        raw = {split: self._stack(data[split].features) for split in ("train", "test")}
        self._ruler = {m: (x.mean(dim=0), x.std(dim=0) + 1e-6) for m, x in raw["train"].items()}
        self.train, self.test = self._standardise(raw["train"]), self._standardise(raw["test"])
        self.emotion = torch.from_numpy(data["train"].emotion_labels)
        self.sentiment = torch.from_numpy(data["train"].sentiment_labels)
        self.truth = data["test"].emotion_labels

    @staticmethod
    def _stack(features: Mapping[str, Sequence[Tensor]]) -> Features:
        rows = {m: features[m] for m in MODALITIES} | {"audio": [voice_summary(mel) for mel in features["audio"]]}
        return {m: torch.stack(list(values)) for m, values in rows.items()}

    def _standardise(self, features: Features) -> Features:
        return {m: (features[m] - mean) / deviation for m, (mean, deviation) in self._ruler.items()}

    @property
    def prior(self) -> np.ndarray:
        """Shares of the emotions (7,) in the train split."""
        return np.bincount(self.emotion, minlength=len(EMOTIONS)) / len(self.emotion)

    def fit(self, kind: Callable[[dict[str, nn.Module]], nn.Module], jury: Jury, seed: int, hide: Hide = everybody):
        """A trained model of class `kind`, in eval mode; it gets one small encoder a modality, {m: module}."""
        torch.manual_seed(seed)
        model = kind({m: nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(self.train[m].shape[1], 128)) for m in jury})
        optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(self.emotion)).split(BATCH):
                out = model({m: [x[rows]] for m, x in self.train.items()}, hide(len(rows)))
                loss = cross_entropy(out["emotions"], self.emotion[rows], label_smoothing=SMOOTHING)
                loss = loss + cross_entropy(out["sentiments"], self.sentiment[rows], label_smoothing=SMOOTHING)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return model.eval()

    @torch.inference_mode()
    def hear(self, models: Sequence[nn.Module], jury: Jury = MODALITIES, instead: Features | None = None) -> np.ndarray:
        """Probabilities (S, N, 7) of S models for the test utterances, of which only `jury` is there.

        `instead` replaces features of some modalities (N, D).
        """
        features = {m: [x] for m, x in (self.test | (instead or {})).items()}
        present = {m: torch.full((len(self.truth),), m in jury) for m in MODALITIES}
        return np.stack([model(features, present)["emotions"].softmax(dim=1).numpy() for model in models])

    def score(self, probabilities: np.ndarray) -> np.ndarray:
        """Weighted F1 of (S, N, 7), a mean over the seeds, and its resampled values: (1001,)."""
        return resampled_f1(self.truth, probabilities.argmax(axis=-1))

    def majority(self) -> float:
        """Weighted F1 of always saying the commonest emotion."""
        return float(resampled_f1(self.truth, np.full((1, len(self.truth)), self.prior.argmax()))[0])

    def fakes(self, library: MultimodalSentimentModel) -> Features:
        """What frozen networks make of an empty text, black frames and three silent seconds, a row a test utterance."""
        ids = tokenize("", load_tokenizer(PRESETS["mini"].text_backbone))[None]
        with torch.inference_mode():
            words = library.encoders["text"].features({"input_ids": ids, "attention_mask": torch.ones_like(ids)})
            black = library.encoders["video"].features(torch.zeros(1, 3, 8, 64, 64, dtype=torch.uint8))
        silence = voice_summary(log_mel(torch.zeros(3 * 16_000)))[None]
        made = self._standardise({"text": words, "video": black, "audio": silence})
        return {m: x.expand(len(self.truth), -1) for m, x in made.items()}


# ------------------------------------------------------------------------------------- what is stored


def stored_runs() -> pd.DataFrame:
    """The rows of `results/05_fusion.json`: one training of the whole model each."""
    return pd.DataFrame(json.loads((RESULTS / "05_fusion.json").read_text(encoding="utf-8"))["rows"])


def reached(runs: pd.DataFrame) -> dict[Jury, list[float]]:
    """Weighted F1 of the emotion, a value a seed, of the runs trained with modality dropout."""
    whole = runs[runs["modality_dropout"] > 0].groupby("modalities")["emotion"].agg(list)
    return {jury: whole["+".join(jury)] for jury in JURIES}


def best_possible(data: Path) -> dict[Jury, float]:
    """Weighted F1 of who reads every cue without error (`ceiling.json` of data that were made)."""
    ceiling = json.loads((data / "ceiling.json").read_text(encoding="utf-8"))
    return {jury: ceiling["+".join(jury)]["without_context"]["emotion"]["weighted_f1"] for jury in JURIES}


def by_who_is_there(runs: pd.DataFrame) -> pd.DataFrame:
    """Tests of the model of all three: a row a seed and rate of modality dropout, a column a set of modalities."""
    tested = runs[runs["shown"].notna()].set_index(["seed", "modality_dropout"])["shown"]
    rows = {key: {name: scores["emotion"] for name, scores in shown.items()} for key, shown in tested.items()}
    table = pd.DataFrame(rows).T.rename_axis(index=["seed", "modality_dropout"])
    return table[["+".join(jury) for jury in JURIES]]


def load_cues(data: Path, split: str = "test") -> pd.DataFrame:
    """What each modality of each utterance was made to show, in the order of the split."""
    return pd.read_csv(data / "cues.csv").query("Split == @split").reset_index(drop=True)


def leaning(full: np.ndarray, left: Mapping[str, np.ndarray], cues: pd.DataFrame) -> tuple[float, float]:
    """How often the modality a model leans on shows the model's answer, and how often one picked at random does.

    `full` (N, 7) are probabilities with everybody there, `left` those without each modality: it leans on the one
    whose absence costs its own answer most.
    """
    answer, rows = full.argmax(axis=1), np.arange(len(full))
    lost = np.stack([(full - left[m])[rows, answer] for m in MODALITIES], axis=1)  # (N, 3)
    names = np.array(EMOTIONS)[answer]
    shows = np.stack([cues[f"{m}_shows"].str.rstrip("+-") == names for m in MODALITIES], axis=1)
    return float(shows[rows, lost.argmax(axis=1)].mean()), float(shows.mean())


def sarcastic(cues: pd.DataFrame) -> int:
    """The row of cheerful words over a negative feeling that face and voice show most plainly."""
    plain = "text_shows == 'joy' and Sentiment == 'negative' and video_cue == 'clear' and audio_cue == 'clear'"
    found = cues.query(plain)
    return int((found["video_strength"] + found["audio_strength"]).idxmax())
