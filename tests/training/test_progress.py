import pytest

from pix2pix_ilm.errors import UserError
from pix2pix_ilm.training.progress import drop_later_lines, read_losses

LINE = (
    '{"step": %d, "epoch": 1, "discriminator": 0.5, "adversarial": 1.0, "l1": NaN, '
    '"learning_rate": 0.0002, "images_per_s": 3}\n'
)


def test_lines_after_a_step_are_dropped_and_the_others_stay_as_they_are(tmp_path):
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text("".join(LINE % step for step in (5, 10, 15)) + '{"step": 2')
    assert [row.step for _, row in read_losses(metrics)] == [5, 10, 15]  # a torn line is no damage
    drop_later_lines(metrics, 10)
    assert metrics.read_text() == LINE % 5 + LINE % 10


def test_without_a_log_there_is_nothing_to_drop(tmp_path):
    drop_later_lines(tmp_path / "metrics.jsonl", 10)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (b"\x80\xff\x00", "content: Invalid JSON"),
        (b"[1,2]", "content: .*found \\[1, 2\\]"),
        (b"null", "content: .*found None"),
        (b'{"step": "x"}', "step: .*found 'x'"),
        ((LINE.strip() % 7).replace("7", "7.5").encode(), "step: .*found 7.5"),
        (b'{"step": 7}', "epoch: Field required"),
        (b"", "content: Invalid JSON"),
    ],
)
def test_a_damaged_line_is_refused_by_its_number_and_field(tmp_path, damage, problem):
    metrics = tmp_path / "metrics.jsonl"
    content = (LINE % 5).encode() + damage + b"\n" + (LINE % 15).encode()
    metrics.write_bytes(content)
    with pytest.raises(UserError, match=f"metrics.jsonl: line 2: {problem}"):
        drop_later_lines(metrics, 10)
    assert metrics.read_bytes() == content
