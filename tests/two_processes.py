"""Calls in two processes that meet as torchrun lets them, after one import."""

import json
import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import json, os, socket, sys, traceback
from importlib import import_module

module, function, calls, *others = sys.argv[1:]
work = getattr(import_module(module), function)
for other in others:
    import_module(other)
for number, arguments in enumerate(json.loads(calls)):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    children = []
    for rank in map(str, range(2)):
        children.append(os.fork())  # with PyTorch, which took seconds to import
        if not children[-1]:
            os.environ.update(
                RANK=rank, LOCAL_RANK=rank, WORLD_SIZE="2", LOCAL_WORLD_SIZE="2",
                MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port),
            )
            try:
                work(*arguments)
                sys.stdout.flush()
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
    if any(os.waitpid(child, 0)[1] for child in children):
        sys.exit(f"call {number} failed")
"""


def call_in_two_processes(
    module: str, function: str, *calls: list[object], imports: tuple[str, ...] = ()
) -> str:
    """Call a module's function in two processes at a time; returns what they printed.

    Args:
        module: the module, imported once.
        function: the function's name.
        calls: arguments of each call, as JSON can write them.
        imports: further modules to import once, of those that the function imports itself.
    """
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, module, function, json.dumps(calls), *imports],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
