"""The command line of the embedded data set: `python -m mmsa_lib.mini build`, `… pretrain`, `… shortcuts`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mmsa_lib.errors import MMSAError
from mmsa_lib.mini.world import SEED

app = typer.Typer(add_completion=False, help="Makes mini-MELD, the embedded data set, and its video backbone.")


@app.command()
def build(
    out: Annotated[Path, typer.Option(help="Folder of the data set.")] = Path("data/mini"),
    seed: Annotated[int, typer.Option(help="Everything follows from it.")] = SEED,
    limit: Annotated[int | None, typer.Option(help="Only so many utterances of each split.")] = None,
    jobs: Annotated[int, typer.Option(help="Worker processes.")] = 2,
    resume: Annotated[bool, typer.Option("--resume", help="Keep the clips of an interrupted build.")] = False,
) -> None:
    """Make clips, tables, ceilings and, for the whole set, the datasheet. Needs eSpeak NG."""
    from mmsa_lib.mini.build import build as build_set
    from mmsa_lib.mini.datasheet import write_datasheet

    plans = build_set(out, seed=seed, limit=limit, jobs=jobs, resume=resume)
    if limit is None:
        write_datasheet(out, plans, seed)


@app.command()
def shortcuts(data: Annotated[Path, typer.Option(help="Folder of the data set.")] = Path("data/mini")) -> None:
    """Can the emotion be guessed from clip length, file size, brightness, colour and number of words?"""
    from mmsa_lib.mini.shortcuts import measure

    print(measure(data).round(3).to_string(index=False))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False)
def pretrain(context: typer.Context) -> None:
    """Pretrain r3d_mini on freshly drawn faces (see `pretrain --help`)."""
    from mmsa_lib.mini.pretrain import main

    main(context.args)


if __name__ == "__main__":
    try:
        app()
    except MMSAError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
