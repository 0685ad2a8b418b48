"""The kernel that notebooks are run in, by tests and by `execute`: no network, announced removals are errors."""

import os
from pathlib import Path
from textwrap import dedent
from typing import Any

from nbclient import NotebookClient

TRIES = 3  # to start a kernel

# IPython runs this file first in every kernel; pytest's own settings do not reach a kernel.
STARTUP = '''
"""Written by mmsa_lib.course.kernel: refuse the network, and calls that announce their removal."""

import socket
import warnings


def _refuse_network():
    local = {"localhost", "127.0.0.1", "::1", "", None}

    def allowed(address):
        return not isinstance(address, tuple) or address[0] in local or str(address[0]).startswith("127.")

    def guarded(method):
        def call(self, *args):
            if self.family in (socket.AF_INET, socket.AF_INET6) and not allowed(args[-1]):
                raise OSError(f"no network in this kernel: {args[-1][0]}")
            return method(self, *args)

        return call

    for name in ("connect", "connect_ex", "sendto"):
        setattr(socket.socket, name, guarded(getattr(socket.socket, name)))
    resolve = socket.getaddrinfo

    def getaddrinfo(host, *args, **kwargs):
        if isinstance(host, bytes):
            host = host.decode("ascii", "replace")
        if not allowed((host,)):
            raise OSError(f"no network in this kernel: {host}")
        return resolve(host, *args, **kwargs)

    socket.getaddrinfo = getaddrinfo


def _refuse_outdated_calls():
    announced = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)
    for category in announced:
        warnings.filterwarnings("error", category=category)
    # What these do among themselves is nobody's fault here: seaborn lags behind matplotlib, the kernel behind itself.
    others = r"(seaborn|ipykernel|IPython|jupyter_client|traitlets|tornado|zmq|asyncio|comm)(\\.|$)"
    for category in announced:
        warnings.filterwarnings("ignore", category=category, module=others)
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)  # data loader workers


_refuse_network()
_refuse_outdated_calls()
del _refuse_network, _refuse_outdated_calls
'''

PROFILE = """
c.IPKernelApp.log_level = "ERROR"  # else each kernel warns that it talks over TCP, on this machine
c.HistoryManager.enabled = False  # two kernels would wait for each other's history file
"""

# For processes that a cell starts; an exact module name is all that this variable can hold.
WARNINGS = ",".join(
    f"error::{category}:__main__" for category in ("DeprecationWarning", "PendingDeprecationWarning", "FutureWarning")
)


class PatientClient(NotebookClient):
    """Starts another kernel where one died at once: before it could take its port, another process had taken it."""

    async def async_start_new_kernel(self, **kwargs: Any) -> None:
        self.started_with = kwargs
        await super().async_start_new_kernel(**kwargs)

    async def async_start_new_kernel_client(self) -> Any:
        for _ in range(TRIES - 1):
            try:
                return await super().async_start_new_kernel_client()
            except RuntimeError:
                self.create_kernel_manager()
                await self.async_start_new_kernel(**self.started_with)
        return await super().async_start_new_kernel_client()


def environment(ipython_dir: str | Path) -> dict[str, str]:
    """What to set before a kernel starts; `ipython_dir` gets the start-up file.

    `MPLBACKEND` must not be set at all: with Agg, pictures vanish without a word.
    """
    profile = Path(ipython_dir) / "profile_default"
    (profile / "startup").mkdir(parents=True, exist_ok=True)
    (profile / "startup" / "00-course.py").write_text(dedent(STARTUP).lstrip(), encoding="utf-8")
    (profile / "ipython_kernel_config.py").write_text(PROFILE.lstrip(), encoding="utf-8")
    return {
        "IPYTHONDIR": str(ipython_dir),
        "PYTHONWARNINGS": WARNINGS,
        "PYTHONHASHSEED": "0",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "TQDM_DISABLE": "1",
    }


def apply(ipython_dir: str | Path) -> None:
    """Set `environment` in this process, for all kernels it starts."""
    os.environ.update(environment(ipython_dir))
    os.environ.pop("MPLBACKEND", None)
