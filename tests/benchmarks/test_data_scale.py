import runpy
from collections import Counter
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "data_scale.py"


@pytest.mark.parametrize(
    ("times", "copies"), [(1, [1, 1, 1, 1]), (1.5, [2, 2, 1, 1]), (3, [3] * 4)]
)
def test_files_are_copied_until_there_are_so_many(tmp_path, times, copies):
    for number in range(4):
        (tmp_path / f"{number}.png").write_text(str(number))
    runpy.run_path(str(PROGRAM))["multiply"](tmp_path, times)
    found = Counter(path.read_text() for path in tmp_path.iterdir())
    assert [found[str(number)] for number in range(4)] == copies
