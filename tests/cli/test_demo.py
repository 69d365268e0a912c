def test_demo_refuses_strangers_without_a_password(run, capsys, tmp_path):
    assert run("demo", "--host", "0.0.0.0", "--checkpoints", tmp_path) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: --auth: expected USER:PASSWORD, since others could use this machine (0.0.0.0), "
        "found None; give it, or stay on 127.0.0.1 without sharing"
    )
