"""`python -m mmsa_lib.bench`: measure everything side by side, print it; `--plan HOURS` computes with the results."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from mmsa_lib.bench import plan, table
from mmsa_lib.errors import DataError, MMSAError
from mmsa_lib.readme import put_between

README = Path(__file__).resolve().parents[2] / "README.md"
PLANNED = (10_000, 1_000)  # hours and cores of the plan in the README


def measure(clips: int, keep: bool) -> None:
    """Run all comparisons, print each as it is measured, and keep them and the README's tables if asked to."""
    from mmsa_lib.bench import comparisons, rates, usual
    from mmsa_lib.bench.films import write_set

    usual.require_tools()
    rows: list[table.Row] = []

    def show(*measured: table.Row) -> None:
        rows.extend(measured)
        print("\n".join(map(table.to_text, measured)), flush=True)

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        show(comparisons.importing())
        data = write_set(root / "data", clips)
        show(comparisons.class_weights(data))
        show(*comparisons.clip_inputs(data))
        show(comparisons.text_features())
        preset = comparisons.shaped_like_meld(root / "bert")
        shape = "preset meld, its backbones in the shape of BERT-base and R3D-18 with random weights"
        whole, mixed = comparisons.epoch(data, root / "kept", preset, shape)
        show(whole, mixed)
        found = rates.measure(data, root / "kept", preset) | {"epoch": whole.ours}
    if keep:
        measured = table.write(rows, found)
        put_between(README, table.BEGIN, table.END, table.to_markdown(measured))
        put_between(README, plan.BEGIN, plan.END, plan.to_markdown(found, *PLANNED))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m mmsa_lib.bench", description=__doc__.split(": ", 1)[1])
    parser.add_argument("--clips", type=int, default=64, metavar="N", help="of the set that is made to be measured")
    parser.add_argument("--write", action="store_true", help="keep the results, and put them into README.md")
    parser.add_argument("--plan", type=float, metavar="HOURS", help="measure nothing: what so much video would take")
    parser.add_argument("--cores", type=int, default=PLANNED[1], metavar="N", help="that share the work of the plan")
    options = parser.parse_args()
    started = time.perf_counter()
    try:
        if options.plan is not None:
            if options.plan <= 0 or options.cores < 1:
                raise DataError("--plan takes hours above zero, --cores a number of cores")
            print(plan.to_markdown(table.read()["rates"], options.plan, options.cores))
        else:
            measure(options.clips, options.write)
            print(f"{time.perf_counter() - started:.0f} s in all")
    except MMSAError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
