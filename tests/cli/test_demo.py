def test_demo_refuses_strangers_without_a_password(run, capsys, tmp_path):
    assert run("demo", "--host", "0.0.0.0", "--checkpoints", tmp_path) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: --host 0.0.0.0: others could use this machine; add --auth USER:PASSWORD, or stay "
        "on 127.0.0.1"
    )
