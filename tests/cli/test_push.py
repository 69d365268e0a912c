def test_push_uploads_a_trained_model_and_says_where_it_is(run, trained, monkeypatch, capsys):
    calls = []

    class Api:
        def __init__(self, **_):
            pass

        def create_repo(self, repository, **settings):
            calls.append((repository, settings))
            return f"https://example.com/{repository}"

        def upload_folder(self, **settings):
            calls.append(settings["repo_id"])

    monkeypatch.setattr("pix2pix_ilm.hub.HfApi", Api)
    assert run("push", trained, "me/facades", "--private", "--float16") == 0
    assert calls == [("me/facades", {"private": True, "exist_ok": True}), "me/facades"]
    assert capsys.readouterr().err.strip() == "Done: https://example.com/me/facades"


def test_push_refuses_what_is_no_checkpoint(run, capsys):
    assert run("push", "nowhere", "me/facades") == 2
    assert "nowhere: no such checkpoint" in capsys.readouterr().err
