"""Each program runs in a process of its own: its standard streams are what is tested."""

import os
import select
import subprocess
import sys

import pytest

PRINTS = """
import sys
from pix2pix_ilm.terminal import make_console, prepare_streams
prepare_streams(announce=sys.argv[1] == "announce")
console = make_console()
for line in range(2000):
    console.print("a line", line, "RMSE \\u2193 95 \\u00b1 \\u5199\\u771f \\udcff")
with open(sys.argv[2], "w") as file:
    file.write("went on")
"""


def printing(tmp_path, announce="announce", *, shell="{}", **environment):
    """Run the program; returns whether it went on to its end, and what was on both streams."""
    (tmp_path / "prints.py").write_text(PRINTS, "utf-8")
    target = tmp_path / "end"
    command = f"{sys.executable} {tmp_path / 'prints.py'} {announce} {target}"
    done = subprocess.run(
        ["bash", "-c", shell.format(command)],
        capture_output=True,
        env=os.environ | environment,
        check=False,
    )
    assert target.read_text() == "went on"
    return done.stdout.decode("utf-8", "replace"), done.stderr.decode()


@pytest.mark.parametrize(
    ("shell", "reason"),
    [
        ("{} | head -1", "Broken pipe"),
        ("{} > /dev/full", "No space left on device"),
        ("{} >&-", "it is closed"),
    ],
)
def test_work_goes_on_without_standard_output_and_says_so(tmp_path, shell, reason):
    _, said = printing(tmp_path, shell=shell)
    assert said == f"standard output cannot be written ({reason}); going on without it\n"


@pytest.mark.parametrize("shell", ["{} | head -1", "{} 2>&1 >/dev/full | head -0", "{} >&- 2>&-"])
def test_without_announcement_or_standard_error_it_is_quiet(tmp_path, shell):
    _, said = printing(tmp_path, "quietly", shell=shell)
    assert said == ""


def test_all_of_the_closed_streams_stay_out_of_the_files(tmp_path):
    printing(tmp_path, shell="{} <&- >&- 2>&-")  # the program opens a file, which must not be 1


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "ascii", "utf-8"])
def test_what_a_terminal_cannot_show_is_replaced(tmp_path, encoding):
    shown, said = printing(tmp_path, PYTHONIOENCODING=encoding)
    assert len(shown.splitlines()) == 2000
    assert "RMSE" in shown
    assert said == ""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_line_on_standard_error_is_read_before_the_program_ends(unbuffered):
    program = (
        "import sys\n"
        "from pix2pix_ilm.terminal import prepare_streams\n"
        "prepare_streams(announce=True)\n"
        "print('open', file=sys.stderr)\n"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
    ) as process:
        readable, _, _ = select.select([process.stderr], [], [], 60)
        process.stdin.close()
        assert readable
        assert process.stderr.readline() == b"open\n"


def test_text_is_printed_as_it_is():
    program = (
        "from pix2pix_ilm.terminal import make_console\n"
        "make_console().print('[bold]x :smile: [/nonsense]')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[bold]x :smile: [/nonsense]\n"
