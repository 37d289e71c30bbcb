"""How the host starts, refuses to start, and ends."""

import base64
import json
import signal
import socket
import sys
from pathlib import Path

import pytest
from azure.storage.queue import QueueClient

from tests.local.conftest import NewStorage
from tests.local.hosting import HERE, INVOKERS, Host, run_to_end

NOTHING = '{"version": "2.0"}'


def make_app(folder: Path, code: str, host: str = NOTHING) -> Path:
    (folder / "function_app.py").write_text(code)
    (folder / "host.json").write_text(host)
    return folder


def test_a_busy_port_is_one_clear_sentence(sample_app: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        code, said = run_to_end(sample_app, "--port", str(port))

    assert code == 1
    assert said == (
        f"Port {port} on 127.0.0.1 is already in use; stop what runs there or choose another with --port.\n"
    )


@pytest.mark.parametrize("invoker", INVOKERS)
@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import nothing_of_that_name", "No module named 'nothing_of_that_name' (function_app.py, line 1)"),
        ("def broken(:", "function_app.py, line 1"),
        ("import azure.functions\n1 / 0", "ZeroDivisionError: division by zero (function_app.py, line 2)"),
        ("x = 1", "function_app"),
        (
            "import azure.functions as func\napp = func.FunctionApp()\n"
            "@app.function_name('a')\n@app.route('one')\ndef one(req: func.HttpRequest) -> str: ...\n"
            "@app.function_name('a')\n@app.route('two')\ndef two(req: func.HttpRequest) -> str: ...\n",
            "Function a does not have a unique",
        ),
    ],
)
def test_a_broken_app_is_one_clear_sentence(tmp_path: Path, invoker: str, code: str, words: str) -> None:
    code_number, said = run_to_end(make_app(tmp_path, code), "--port", "0", "--invoker", invoker)

    assert code_number == 1
    assert words in said
    assert len(said.splitlines()) == 1


def test_a_folder_without_an_app_is_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text(NOTHING)

    assert run_to_end(tmp_path, "--port", "0") == (1, f"There is no function_app.py in {tmp_path}.\n")


def test_a_wrong_setting_is_one_clear_sentence(tmp_path: Path) -> None:
    host = json.dumps({"version": "2.0", "extensions": {"queues": {"batchSize": 0}}})

    code, said = run_to_end(make_app(tmp_path, "", host))

    assert code == 1
    assert said == "extensions.queues.batchSize in host.json is 0; it must be a whole number from 1 to 32.\n"


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="this Python has the runtime")
def test_the_runtime_is_refused_where_it_cannot_be(sample_app: Path) -> None:
    code, said = run_to_end(sample_app, "--port", "0", "--invoker", "runtime")

    assert (code, said) == (1, "The runtime invoker cannot be used: it needs Python 3.13 or newer.\n")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_host_cleanly(invoker: str, how: int) -> None:
    with Host(HERE / "classic_app", "--invoker", invoker) as host:
        assert host.get("/api/text").status == 200

        assert host.end(how) == (0, "")


def test_running_work_is_finished_before_the_end(
    sample_app: Path, invoker: str, new_storage: NewStorage
) -> None:
    settings = new_storage()
    with (
        Host(sample_app, "--invoker", invoker, settings=settings) as host,
        QueueClient.from_connection_string(settings["SampleStorage"], "work") as queue,
    ):
        queue.send_message(base64.b64encode(b"slow at the end").decode())
        host.wait_for("work slow at the end")

        code, _ = host.end()

        assert code == 0
        assert queue.get_queue_properties().approximate_message_count == 0


def test_a_host_whose_storage_is_away_still_answers_and_says_so_once(sample_app: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        text = (
            "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=a2V5;"
            f"BlobEndpoint=http://127.0.0.1:{port}/a;QueueEndpoint=http://127.0.0.1:{port}/a;"
        )
        settings = {"SampleStorage": text, "AzureWebJobsStorage": text}

        with Host(sample_app, settings=settings) as host:
            assert host.get("/hello/x").status == 200
            assert host.request("POST", "/admin/host/drain").status == 503
            assert host.wait_for_log("work: its storage fails").count("work: its storage fails") == 1


def test_a_function_thread_that_never_ends_does_not_hold_up_the_end(tmp_path: Path, invoker: str) -> None:
    code = (
        "import threading\nimport azure.functions as func\napp = func.FunctionApp()\n"
        "@app.timer_trigger('timer', '0 0 0 1 1 *', run_on_startup=True)\n"
        "def stuck(timer: func.TimerRequest) -> None:\n"
        "    print('stuck', flush=True)\n    threading.Event().wait()\n"
    )
    settings = {"LOCAL_HOST_GRACE_SECONDS": "0.5"}
    with Host(make_app(tmp_path, code), "--invoker", invoker, settings=settings) as host:
        assert host.process.stdout is not None
        assert host.process.stdout.readline() == "stuck\n"

        assert host.end() == (0, "")
