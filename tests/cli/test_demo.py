import socket

import pytest


def test_demo_refuses_strangers_without_a_password(run, capsys, tmp_path):
    assert run("demo", "--host", "0.0.0.0", "--checkpoints", tmp_path) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: --auth: expected USER:PASSWORD, since others could use this machine (0.0.0.0), "
        "found None; give it, or stay on 127.0.0.1 without sharing"
    )


def test_demo_refuses_a_port_that_is_taken_before_it_starts(run, capsys, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert run("demo", "--port", port, "--checkpoints", tmp_path) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line == (
        "error: --port: expected one that is free on 127.0.0.1 (Address already in use), "
        f"found {port}"
    )


@pytest.mark.parametrize("port", [[], ["--port", "7860"]])
@pytest.mark.parametrize(
    ("host", "reason"),
    [("nosuch.invalid", ""), ("192.0.2.1", "Cannot assign requested address"), ("a..b", "")],
)
def test_demo_refuses_a_host_that_is_not_here(run, capsys, tmp_path, host, reason, port):
    options = ["--host", host, *port, "--auth", "me:secret", "--checkpoints", tmp_path]
    assert run("demo", *options) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: --host: expected a name or address of this machine ({reason}")
    assert line.endswith(f", found '{host}'")
