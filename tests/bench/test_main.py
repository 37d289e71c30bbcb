"""The benchmark runs from its first line to its table."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_quick_run_prints_a_table_with_a_line_for_each_measurement() -> None:
    done = bench("--quick", "--only", "delete:")

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("| work | callers |")
    assert [line.split(" | ")[1] for line in lines[2:]] == ["1", "4"]
    calls = lines[2].split(" | ")[7]
    assert re.fullmatch(r"[\d.]+", calls)
    assert float(calls) > 1


def test_the_change_feed_is_a_group() -> None:
    done = bench("--quick", "--only", "feed:50 instances")

    assert done.returncode == 0, done.stderr
    tables = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[0] for line in tables] == [
        "| storage that is all delay, 10 ms a call",
        "| 50 instances, each in a study of its own",
        "| the emulator, 10 ms a call",
        "| 50 instances, each in a study of its own",
    ]


def test_a_group_that_does_not_exist_is_named_in_one_sentence() -> None:
    done = bench("--only", "nothing")

    assert done.returncode == 1
    assert done.stderr.startswith("error: --only nothing is not one of retrieve, search, delete, store")
    assert "Traceback" not in done.stderr
