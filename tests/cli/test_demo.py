import socket


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
