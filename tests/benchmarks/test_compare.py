import copy

import pytest
from programs import imported


@pytest.fixture(scope="module")
def compare():
    with imported("benchmarks/compare.py") as program:
        yield program


def results(milliseconds):
    step = {"title": "a step", "milliseconds": milliseconds}
    photo = {"milliseconds": [8.0], "against": "in plain"}
    return {
        "benchmarks": [
            {"name": "train_step", "found": step},
            {
                "name": "translate",
                "found": {"title": "a photo", "variants": {"in plain": photo, "in fast": photo}},
            },
            {"name": "startup", "found": {"--help": [0.2, 0.21, 0.22]}},
            {
                "name": "data_scale",
                "found": {"rows": [{"pairs": 500, "second": {"open_seconds": 1.0}}]},
            },
        ]
    }


def verdicts(compare, before, now):
    changes = compare.compare(before, now)
    return {(one.benchmark, one.variant): one.verdict for one in changes if one.verdict}


def test_a_slower_machine_is_no_slower_variant(compare):
    before = results({"plain in": [100, 110, 105], "in auto": [80, 85, 90]})
    now = results({"plain in": [200, 220, 210], "in auto": [160, 170, 180]})
    assert verdicts(compare, before, now) == {}
    assert len(compare.compare(before, now)) == 6


def test_what_differs_by_more_than_its_turns_is_told(compare):
    before = results({"plain in": [100, 110, 105], "in auto": [80, 85, 90]})
    now = results({"plain in": [100, 110, 105], "in auto": [100, 101, 102]})
    assert verdicts(compare, before, now) == {("a step", "in auto"): "slower"}
    assert verdicts(compare, now, before) == {("a step", "in auto"): "faster"}


def test_a_single_turn_counts_from_a_quarter_on(compare):
    before = results({"plain in": [100], "in auto": [80]})
    now = copy.deepcopy(before)
    opened = now["benchmarks"][3]["found"]["rows"][0]["second"]
    opened["open_seconds"] = 1.5
    assert verdicts(compare, before, now) == {}
    opened["open_seconds"] = 1.6
    assert verdicts(compare, before, now) == {("data_scale", "500 pairs, again"): "slower"}


def test_variants_of_one_file_alone_are_left_out(compare):
    before = results({"plain in": [100], "old": [80]})
    now = results({"plain in": [100], "new": [80]})
    names = {change.variant for change in compare.compare(before, now)}
    assert not {"old", "new"} & names
    assert compare.table(compare.compare(before, now)).row_count == 5
