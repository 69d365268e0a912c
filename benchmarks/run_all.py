"""Every benchmark into one JSON file, and the tables of docs/performance.md out of such a file.

    python benchmarks/run_all.py --out results.json
    python benchmarks/run_all.py --tables docs/results/*.json
    python benchmarks/run_all.py --out new.json --compare results.json

On a CUDA device the training step is measured for batches of 1, 4 and 16 and all precisions, the
most promising ones in all modes. A file is written after every benchmark, so that what was measured
survives a stop.
"""

import json
import os
import platform
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import compare
import data_scale
import startup
import torch
import train_step
import translate
import tyro
from rich.console import Console
from rich.table import Table

from pix2pix_ilm.files import write_atomically
from pix2pix_ilm.training.config import StepMode

DOCUMENT = Path(__file__).parents[1] / "docs" / "performance.md"
BENCHMARKS: dict[str, Any] = {
    "train_step": train_step,
    "translate": translate,
    "data_scale": data_scale,
    "startup": startup,
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Run all benchmarks, make tables of what they found, or compare it with what others found."""

    out: Path | None = None
    """The JSON file to write."""
    quick: bool = False
    """Tiny sizes: to see that everything runs."""
    only: tuple[str, ...] = tuple(BENCHMARKS)
    """Benchmarks to run."""
    tables: tuple[Path, ...] = ()
    """JSON files whose figures go into docs/performance.md; later ones come last."""
    compare: Path | None = None
    """An older JSON file, to say what became slower than in it; the exit code is then 1."""
    document: Path = DOCUMENT
    """The Markdown file that receives the tables."""


def main(options: Options) -> None:
    if options.out:
        run(options, options.out)
    if options.tables:
        files = [json.loads(file.read_text()) for file in options.tables]
        entries = [entry for file in files for entry in file.get("benchmarks", ())]
        fill_in(options.document, entries)
    if options.compare and not (options.out or options.tables):
        raise SystemExit("--compare: expected a newer file, as --out or --tables; found none")
    if options.compare:
        now = options.out or options.tables[-1]
        changes = compare.compare(
            *(json.loads(path.read_text()) for path in (options.compare, now))
        )
        Console().print(compare.table(changes))
        raise SystemExit(any(change.verdict == "slower" for change in changes))


def run(options: Options, out: Path) -> None:
    """Measure, and write the file after every benchmark."""
    results: dict[str, Any] = {"machine": machine(), "benchmarks": []}
    for name, settings in plan(quick=options.quick):
        if name not in options.only:
            continue
        module, start = BENCHMARKS[name], time.perf_counter()
        found = module.measure(settings)
        seconds = time.perf_counter() - start
        entry = {"name": name, "options": vars(settings), "found": found, "seconds": seconds}
        results["benchmarks"].append(entry)
        text = json.dumps(results, indent=1, default=str) + "\n"
        write_atomically(out, lambda file, text=text: file.write(text.encode()))
        Console().print(module.table(found))


def plan(*, quick: bool) -> Iterator[tuple[str, Any]]:
    """Yield benchmarks and their settings, for the device that is there."""
    cuda = torch.cuda.is_available()
    steps = gpu_steps() if cuda else cpu_steps()
    for step in dict.fromkeys(map(tiny_step, steps)) if quick else steps:
        yield "train_step", step
    if quick:
        yield "translate", translate.Options(ngf=4, image_size=64, rounds=2, onnx=False)
    else:
        yield from (("translate", translate.Options(ngf=ngf)) for ngf in (32, 64))
    yield (
        "data_scale",
        data_scale.Options(pairs=(20,), batches=2)
        if quick
        else data_scale.Options(pairs=(500, 5_000) if cuda else (500, 5_000, 50_000)),
    )
    small = startup.Options(rounds=1, warm_ups=0, image_size=32)
    yield "startup", small if quick else startup.Options()


def cpu_steps() -> Iterator[train_step.Options]:
    """Yield what a CPU is asked for."""
    yield train_step.Options(ngf=32)
    yield train_step.Options(ngf=64, rounds=5, steps=2)
    yield train_step.Options(ngf=32, precision="bf16")


def gpu_steps() -> Iterator[train_step.Options]:
    """Yield what a GPU is asked for: full size, not all compiled, which takes most of the time."""
    for batch_size in (1, 4, 16):
        for precision in ("bf16", "tf32", "fp32"):
            modes: tuple[StepMode, ...] = ("eager",)
            if precision == "bf16" or batch_size == 1:
                modes = ("eager", "graph")
            if precision == "bf16" and batch_size == 1:
                modes = ("eager", "compile", "graph")
            yield train_step.Options(
                batch_size=batch_size, precision=precision, modes=modes, rounds=5, steps=20
            )


def tiny_step(step: train_step.Options) -> train_step.Options:
    modes = tuple(mode for mode in step.modes if mode != "compile")
    return replace(step, ngf=4, image_size=64, rounds=1, steps=1, modes=modes, workers=0)


def machine() -> dict[str, Any]:
    """Describe what the figures were measured on."""
    cpu = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", cpu.read_text()) if cpu.exists() else []
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "date": date.today().isoformat(),
    }


def fill_in(document: Path, measured: list[dict[str, Any]]) -> None:
    """Put every benchmark's tables between its markers, ``<!-- NAME -->`` and ``<!-- end -->``."""
    text = document.read_text("utf-8")
    for name, module in BENCHMARKS.items():
        entries = [entry for entry in measured if entry["name"] == name]
        tables = "\n\n".join(markdown(module.table(entry["found"])) for entry in entries)
        marked = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
        if entries:
            text = re.sub(marked, rf"\g<1>{tables}\n\g<2>", text, flags=re.DOTALL)
    write_atomically(document, lambda file: file.write(text.encode()))


def markdown(table: Table) -> str:
    """Write a rich table in Markdown, its title above it."""
    columns = [str(column.header) for column in table.columns]
    cells = zip(*(column.cells for column in table.columns), strict=True)
    rule = ["---" if i == 0 else "---:" for i in range(len(columns))]
    lines = [columns, rule, *cells]
    title = str(table.title)
    body = "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
    return f"{title[0].upper()}{title[1:]}:\n\n{body}"


if __name__ == "__main__":
    main(tyro.cli(Options))
