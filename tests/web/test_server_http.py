"""The page over HTTP, without a browser: what programs may ask for, and what strangers may not."""

import gc
import html
import io
import json
import os
import re
import socket
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from gradio.utils import get_upload_folder
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from pix2pix_ilm.data.images import read_image
from pix2pix_ilm.serving.translator import Translator
from pix2pix_ilm.web.painter import draw_facade
from pix2pix_ilm.web.server import FILE_LIFETIME, MAX_QUEUE, delete_older

pytestmark = pytest.mark.filterwarnings(
    # gradio leaves sockets to the collector
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)
TIMEOUT = 60  # seconds
get, post = (partial(method, timeout=TIMEOUT) for method in (httpx.get, httpx.post))


@pytest.fixture
def label_map(tmp_path) -> Path:
    path = tmp_path / "label map.png"
    Image.fromarray(draw_facade(1)).resize((80, 60), Image.Resampling.NEAREST).save(path)
    return path


@pytest.fixture
def client(site):
    client = Client(site, verbose=False)
    yield client
    client.close()
    gc.collect()


def upload(site: str, content: bytes, name: str = "a.png") -> str:
    """Upload a file; gives its path on the server."""
    answer = post(f"{site}/gradio_api/upload", files={"files": (name, content)})
    return answer.raise_for_status().json()[0]


def png(width: int = 40, height: int = 40) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), (0, 128, 255)).save(file, "PNG")
    return file.getvalue()


def call(site: str, name: str, data: list, http=httpx) -> tuple[int, str]:
    """Ask an API function as curl would; gives status and answer."""
    asked = http.post(f"{site}/gradio_api/call/{name}", json={"data": data}, timeout=TIMEOUT)
    if asked.status_code != 200:
        return asked.status_code, asked.text
    address = f"{site}/gradio_api/call/{name}/{asked.json()['event_id']}"
    return 200, http.get(address, timeout=TIMEOUT).text


def test_translate_gives_the_models_photo_of_the_label_maps_size(client, two_models, label_map):
    answer = client.predict(handle_file(str(label_map)), "facades-in", api_name="/translate")
    expected = Translator.load(two_models / "facades-in", "cpu")([read_image(label_map)])[0]
    assert np.array_equal(read_image(Path(answer)), expected)


def test_without_a_name_the_first_model_translates(client, two_models, label_map):
    answer = client.predict(handle_file(str(label_map)), "", api_name="/translate")
    expected = Translator.load(two_models / "facades-ilm", "cpu")([read_image(label_map)])[0]
    assert np.array_equal(read_image(Path(answer)), expected)


def test_batch_gives_a_zip_and_says_what_it_skipped(client, label_map, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"nonsense")
    files = [handle_file(str(path)) for path in (label_map, bad)]
    zipped, skipped = client.predict(files, "", api_name="/batch")
    with zipfile.ZipFile(zipped) as archive:
        assert archive.namelist() == ["label map.png"]
        assert Image.open(archive.open("label map.png")).size == (80, 60)
    assert skipped == ["bad.png is not an image that can be read here (PNG, JPEG, WEBP, BMP, GIF)."]


def test_the_api_names_two_functions_and_nothing_of_the_page(client):
    described = client.view_api(return_format="dict", print_info=False)
    assert set(described["named_endpoints"]) == {"/translate", "/batch"}
    assert not described["unnamed_endpoints"]


def test_curl_gets_a_photo_in_two_requests(site):
    file = {"path": upload(site, png()), "meta": {"_type": "gradio.FileData"}}
    status, text = call(site, "translate", [file, ""])
    assert (status, text.partition("\n")[0]) == (200, "event: complete")
    photo = json.loads(text.split("data: ")[1])[0]
    answer = get(photo["url"])
    assert Image.open(io.BytesIO(answer.content)).size == (40, 40)


def test_a_mistake_is_answered_in_one_sentence(client, label_map):
    with pytest.raises(AppError, match=r"no model &#x27;x&#x27;; choose one of facades-ilm"):
        client.predict(handle_file(str(label_map)), "x", api_name="/translate")
    with pytest.raises(AppError, match=r"^Choose a label map first\.$"):
        client.predict(None, "", api_name="/translate")


@pytest.mark.parametrize(
    "file",
    [
        {"path": "/etc/passwd"},
        {"path": "/etc/passwd", "orig_name": "a.svg"},
        {"path": "/etc/passwd", "orig_name": "a.svg", "meta": {"_type": "gradio.FileData"}},
        {"path": "https://example.com/a.png", "meta": {"_type": "gradio.FileData"}},
        {"path": "{uploads}/../../etc/passwd"},
    ],
)
def test_a_forged_file_is_refused_everywhere(site, file):
    file = file | {"path": file["path"].replace("{uploads}", get_upload_folder())}
    for name, data in (("translate", [file, ""]), ("batch", [[file], ""])):
        status, text = call(site, name, data)
        assert status == 400
        assert text == '{"detail":"A file must be uploaded before it is used."}'
    with httpx.Client(timeout=TIMEOUT) as http:
        for function in range(20):  # also those that only the page calls
            body = {"data": [file] * 8, "fn_index": function, "session_hash": "x"}
            assert http.post(f"{site}/gradio_api/queue/join", json=body).status_code == 400


def test_an_image_within_the_request_is_no_upload_either(site):
    file = {"path": None, "url": "data:image/svg+xml,<svg/>", "meta": {"_type": "gradio.FileData"}}
    status, text = call(site, "translate", [file, ""])
    assert status == 200
    assert "event: error" in text
    assert get_upload_folder() not in text


def test_functions_of_the_page_cannot_be_called_past_the_queue(site):
    body = {"data": [None, ""], "session_hash": "x"}
    answer = post(f"{site}/gradio_api/run/translate", json=body)
    assert 400 <= answer.status_code < 500


@pytest.mark.parametrize(
    ("name", "data"),
    [("translate", []), ("translate", [5, 5]), ("translate", ["label.png", ""]),
     ("translate", [[{"path": None}], ""]), ("translate", [None, "", None, None]),
     ("batch", [[5], ""]), ("batch", [None, ""])],
)  # fmt: skip
def test_wrong_arguments_are_answered_in_one_sentence_and_no_traceback(site, name, data, capfd):
    status, text = call(site, name, data)
    assert status == 200
    assert text.startswith("event: error")
    message = json.loads(text.split("data: ")[1])["error"]
    assert re.fullmatch(r"[A-Z][\w ]{10,80}\.", message)
    assert capfd.readouterr().err == ""


def test_a_wrong_name_of_a_model_is_answered_with_the_names_there_are(site, capfd):
    _, text = call(site, "translate", [{"path": None}, {"name": ["facades-ilm"]}])
    message = json.loads(text.split("data: ")[1])["error"]
    assert html.unescape(message) == (
        """There is no model "{'name': ['facades-ilm']}"; choose one of facades-ilm, facades-in."""
    )
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("call/translate", {"data": "x" * 150}, 422),
        ("call/translate", [{"x": 1}], 422),
        ("call/nothing", {"data": []}, 400),
        ("call/v2/translate", {"odd": 1}, 400),
        ("call/v2/nothing", {"odd": 1}, 400),
        ("queue/join", {"data": [], "fn_index": 999, "session_hash": "x"}, 400),
        ("queue/join", {"data": [], "fn_index": "x" * 150, "session_hash": "x"}, 422),
        ("queue/join", {"data": [], "fn_index": 1}, 400),
    ],
)
def test_odd_requests_are_answered_in_one_sentence_and_no_traceback(
    site, path, body, status, capfd
):
    answer = post(f"{site}/gradio_api/{path}", json=body)
    assert answer.status_code == status
    assert len(answer.json()["detail"]) <= 80
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    "part", ['; filename=""', "", '; filename=".."', '; filename="/"', '; filename="\0"']
)
def test_an_upload_without_a_name_is_no_error_of_the_server(site, part, capfd):
    form = f'--x\r\nContent-Disposition: form-data; name="files"{part}\r\n\r\nimage\r\n--x--\r\n'
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = post(f"{site}/gradio_api/upload", content=form.encode(), headers=headers)
    assert answer.status_code in (200, 400)
    assert "Traceback" not in capfd.readouterr().err


def test_a_stream_without_end_is_refused_and_cut_off(site):
    # Transfer-Encoding beside Content-Length, and a body that never ends
    address = httpx.URL(site)
    head = (
        "POST /gradio_api/call/translate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
        "Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n"
    )
    with socket.create_connection((address.host, address.port), timeout=TIMEOUT) as connection:
        connection.sendall(head.encode())
        answer = b""
        while received := connection.recv(1000):  # until the server closes
            answer += received
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"states its length twice" in answer


def test_the_name_of_another_host_is_in_no_answer(site):
    for header in ("x-forwarded-host", "x-gradio-server"):
        for path in ("/", "/config", "/gradio_api/info"):
            answer = get(site + path, headers={header: "evil.example"})
            assert answer.status_code == 200
            assert "evil.example" not in answer.text


def test_a_file_outside_the_upload_folder_is_not_served(site):
    for path in ("/etc/passwd", f"{get_upload_folder()}/../../../etc/passwd", __file__):
        assert get(f"{site}/gradio_api/file={path}").status_code in (403, 404)


def test_a_large_file_is_refused(site):
    answer = post(f"{site}/gradio_api/upload", files={"files": ("a.png", bytes(11 << 20))})
    assert answer.status_code == 413


def test_with_a_password_nothing_is_shown_without_it(serve_page, two_models):
    site = serve_page(two_models, auth=("me", "secret"))
    for path in ("/config", "/gradio_api/info", "/gradio_api/app_id"):
        assert get(site + path).status_code == 401
    assert call(site, "translate", [None, ""])[0] == 401
    with httpx.Client(timeout=TIMEOUT) as http:
        login = {"username": "me", "password": "secret"}
        assert http.post(f"{site}/login", data=login | {"password": "x"}).status_code == 400
        assert "gradio" not in http.get(site).text
        assert http.post(f"{site}/login", data=login).status_code == 200
        file = {"path": None}
        assert call(site, "translate", [file, ""], http)[0] == 200
    client = Client(site, auth=("me", "secret"), verbose=False)
    assert client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    client.close()


def test_a_flood_is_answered_and_nothing_hangs(site):
    # 50 clients at once: all are answered, by a photo or by being told that the queue is full
    file = {"path": upload(site, png()), "meta": {"_type": "gradio.FileData"}}

    def one(_: int) -> tuple[int, str]:
        with httpx.Client(timeout=TIMEOUT) as http:
            return call(site, "translate", [file, ""], http)

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(one, range(50)))
    done = sum(status == 200 and "event: complete" in text for status, text in answers)
    full = sum(status == 503 and "Queue is full" in text for status, text in answers)
    assert done + full == 50
    assert done >= MAX_QUEUE
    assert call(site, "translate", [file, ""])[0] == 200


def test_translations_leave_no_images_in_memory_and_files_where_old_ones_are_deleted(site):
    file = {"path": upload(site, png()), "meta": {"_type": "gradio.FileData"}}
    folder = Path(get_upload_folder())

    def files() -> set[Path]:
        return {path for path in folder.rglob("*") if path.is_file()}

    def translate(times: int) -> tuple[int, int]:
        with httpx.Client(timeout=TIMEOUT) as http:
            for _ in range(times):
                assert "event: complete" in call(site, "translate", [file, ""], http)[1]
        gc.collect()
        tensors = sum(issubclass(type(one), torch.Tensor) for one in gc.get_objects())
        return tensors, tracemalloc.get_traced_memory()[0]  # NumPy's memory is traced, too

    tracemalloc.start()
    (tensors, traced), before = translate(5), files()
    left, allocated = translate(20)
    tracemalloc.stop()
    assert left < tensors + 20
    assert (
        allocated - traced < 20 * draw_facade(0).nbytes
    )  # sessions, which are bounded, have 0.1 MB
    made = files() - before
    assert len(made) >= 20
    for path in made:
        os.utime(path, (0, 0))
    delete_older(folder, FILE_LIFETIME)
    assert not made & files()
    assert before <= files()


def test_the_server_asks_nobody(site, label_map, monkeypatch):
    asked = []
    connect = socket.socket.connect

    def noting(self, address):
        asked.append(address)
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", noting)
    with httpx.Client(timeout=TIMEOUT) as http:
        http.get(site)
        file = {"path": upload(site, label_map.read_bytes())}
        assert call(site, "translate", [file, ""], http)[0] == 200
    assert asked
    assert {address[0] for address in asked if isinstance(address, tuple)} == {"127.0.0.1"}
