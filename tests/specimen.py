"""A short notebook that keeps every rule, as if it had just been run: tests break it in one place at a time."""

from pathlib import Path

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from mmsa_lib.course.execute import clean, digest, refresh, write

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
FOLDED = """<details><summary>Hint 1</summary>

What does zero count?
</details>

<details><summary>Hint 2</summary>

Add one.
</details>

<details><summary>Solution</summary>

```python
def {name}(x):
    return x + 1
```
</details>"""
ENDING = """## Takeaways
- Padding is not data.

## Check yourself
<details><summary>Why?</summary>

Because.
</details>

<details><summary>How?</summary>

So.
</details>

## Further reading
- A paper: it started all this."""


def picture(alt: str = "A line that rises from left to right."):
    """An output with a one-pixel picture and its words."""
    return new_output("display_data", {"image/png": PIXEL, "text/plain": alt}, metadata={"image/png": {"alt": alt}})


def words(text: str, name: str = "stdout"):
    """An output of printed words."""
    return new_output("stream", name=name, text=text)


def tagged(new, tag: str, source: str = "", **more):
    return new(source, metadata={"tags": [tag]}, **more)


def exercise_cells(id: str, name: str) -> list:
    """The four cells of an exercise."""
    contract = f"### Exercise {id} · One more\nDifficulty ●○○ · 5 minutes\n\n`{name}(x)` adds one. Example: 1 gives 2."
    stub = f'def {name}(x):\n    """x -> x + 1"""\n    raise NotImplementedError'
    return [
        new_markdown_cell(contract),
        tagged(new_code_cell, "exercise", stub),
        tagged(new_code_cell, "check", f"checks.{name}({name})", outputs=[words("not attempted")]),
        new_markdown_cell(FOLDED.format(name=name)),
    ]


def specimen(folder: Path, name: str = "02_text_encoder.ipynb") -> Path:
    """Write the notebook into `folder`/notebooks, beside a first lesson that its links lead to."""
    path = folder / "notebooks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / "00_welcome.ipynb").touch()
    figures = [
        cell
        for i in range(4)
        for cell in (new_markdown_cell(f"Figure {i}."), new_code_cell(f"draw({i})", outputs=[picture()]))
    ]
    notebook = new_notebook(
        cells=[
            tagged(new_markdown_cell, "opening"),
            new_markdown_cell("**You will be able to**\n- see\n- hear\n- speak\n\n**Before you start.** Python."),
            tagged(new_code_cell, "setup", outputs=[words("mmsa_lib ready: data/mini, CPU")]),
            new_markdown_cell("The map."),
            tagged(new_code_cell, "map", outputs=[picture()]),
            *figures,
            new_markdown_cell("## Where two meet\nSee [above](#Where-two-meet) and [the start](00_welcome.ipynb)."),
            new_code_cell('course.claim("one is one", 1 == 1)', outputs=[words("✓ one is one")]),
            *exercise_cells("2.1", "increment"),
            *exercise_cells("2.2", "successor"),
            new_markdown_cell(ENDING),
            tagged(new_markdown_cell, "next"),
        ]
    )
    notebook.metadata["mmsa"] = {"seconds": 15}
    refresh(notebook, path)
    notebook.metadata["mmsa"]["source"] = digest(notebook)
    for count, cell in enumerate((c for c in notebook.cells if c.cell_type == "code"), 1):
        cell.execution_count = count
    clean(notebook)
    write(notebook, path)
    return path
