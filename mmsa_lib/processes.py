"""Which of the processes of one launch this is: they share the work, and one of them writes what is written once.

A process started alone is the only and the main one. Several are started by `accelerate launch --multi_gpu` or
`torchrun`; without a GPU they talk through gloo. torchrun takes `--run` for an option of its own unless two dashes
stand before the command: `torchrun --nproc-per-node 2 -m mmsa_lib -- train --run NAME`.
"""

import os
from datetime import timedelta
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import parse_flag_from_env

_PATIENCE = timedelta(days=7)  # one process may extract features for hours longer than another


def this_process() -> PartialState:
    """Number, device and meeting point of this process (`process_index`, `device`, `wait_for_everyone`, …)."""
    several = int(os.environ.get("WORLD_SIZE", 1)) > 1
    # Accelerate itself takes several processes without a GPU for strangers: each would be a main process.
    without_gpu = several and not torch.cuda.is_available()
    return PartialState(cpu=without_gpu or parse_flag_from_env("ACCELERATE_USE_CPU"), timeout=_PATIENCE)


def accelerator(**options: Any) -> Accelerator:
    """Accelerate's helper for training in this process; `options` are those of `Accelerator`."""
    this_process()
    precision = options.get("mixed_precision")
    if precision and AcceleratorState._shared_state and AcceleratorState().mixed_precision != precision:
        AcceleratorState._reset_state()  # it keeps the precision of the first training in this process
    # In a batch that lacks a modality everywhere, its encoder gets no gradient.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    return Accelerator(kwargs_handlers=[unused], **options)


def leave() -> None:
    """Wait for the others and part from them; nothing if this process is alone."""
    if PartialState._shared_state and PartialState().num_processes > 1:
        PartialState().wait_for_everyone()
        PartialState().destroy_process_group()
