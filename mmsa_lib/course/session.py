"""What a lesson starts from: seeds, look, the embedded data, and their features in memory."""

import os
import random
from dataclasses import replace
from functools import cache
from pathlib import Path

from mmsa_lib.errors import DataError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

CHECKOUT = Path(__file__).resolve().parents[2]
MINI = Path("data") / "mini"


def _find_data() -> Path:
    """The embedded data: of the checkout the package comes from, else of the folder one works in."""
    for folder in (CHECKOUT, Path.cwd(), *Path.cwd().parents):
        if (folder / MINI / "train_sent_emo.csv").is_file():
            return folder / MINI
    raise DataError(f"{MINI.as_posix()}: not found; open the notebook inside a copy of the whole repository")


def __getattr__(name: str) -> Path | None:
    # Looked up when used: the package can be installed without the repository.
    if name == "DATA":
        return _find_data()
    if name == "FEATURES":
        return _find_data().parents[1] / "runs" / "features"
    if name == "MELD":
        folder = Path(os.environ.get("MMSA_MELD") or _find_data().parent / "meld")
        return folder if any(folder.glob("**/train_sent_emo.csv")) else None
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def start(seed: int = 0) -> None:
    """The first line of every lesson: same random numbers, same look, and a line that says what is ready."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what determinism costs on a GPU
    torch.set_deterministic_debug_mode("warn")  # no error: some 3-D poolings have no deterministic backward
    torch.utils.deterministic.fill_uninitialized_memory = False  # slows small trainings, and finds other mistakes
    _set_style()
    device = "GPU" if torch.cuda.is_available() else "CPU"  # its name would start CUDA, and forbid a launcher later
    print(f"mmsa_lib ready: {_find_data().relative_to(_find_data().parents[1]).as_posix()}, {device}")


def _set_style() -> None:
    """The project's look for whatever a lesson draws with pyplot or seaborn itself."""
    import matplotlib.pyplot as plt

    from mmsa_lib.plots import STYLE

    plt.style.use(["default", STYLE])


def preset(**overrides):
    """The settings `mini`, some fields replaced."""
    from mmsa_lib.presets import PRESETS

    return replace(PRESETS["mini"], **overrides)


def dataset(split: str, *, data: Path | None = None, **overrides):
    """One split of the embedded data, or of `data`, with all features in memory, so that a head trains in seconds.

    Args:
        split: train, dev or test.
        overrides: fields of the preset `mini`, such as `modalities=("text",)` or `pooling="cls"`.

    Computed on first use, kept in `FEATURES`, which `make train` shares. The returned
    `MELDDataset` is a new one each time.
    """
    from mmsa_lib import experiment

    settings = preset(**overrides)
    table = experiment.read_table(settings, data or _find_data(), split)
    features = __getattr__("FEATURES")
    return experiment.build_dataset(settings, _backbones(settings), table, features, num_workers=_workers())


@cache
def _backbones(settings):
    """A model for its frozen parts; building it leaves the lesson's random numbers alone."""
    import torch

    from mmsa_lib import experiment

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return experiment.build_model(settings)


def _workers() -> int:
    return min(2, os.cpu_count() or 1)


def prepare() -> None:
    """Compute the features of all splits that are not kept yet; a second process waits for the first."""
    folder = __getattr__("FEATURES")
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_EX)
        for split in ("train", "dev", "test"):
            dataset(split)


if __name__ == "__main__":
    prepare()
