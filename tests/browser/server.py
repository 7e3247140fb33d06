"""A page in a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PATIENCE = 600_000
"""Milliseconds to wait for anything: the app renders on whatever cores other work leaves."""


@contextmanager
def serving(command: list[str], folder: Path) -> Iterator[str]:
    """Address of a page that a command serves, on a free port and with its own cache in `folder`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "log.txt"
    environment = os.environ | {"GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(folder / "gradio")}
    url = f"http://127.0.0.1:{port}"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            deadline = time.monotonic() + PATIENCE / 1000
            while not _answers(url):
                assert process.poll() is None, f"the app ended with code {process.returncode}:\n{log.read_text()}"
                assert time.monotonic() < deadline, f"the app does not answer:\n{log.read_text()}"
                time.sleep(0.3)
            yield url
        finally:
            process.terminate()
            process.wait(30)
    assert "Traceback" not in log.read_text(), log.read_text()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status == 200
    except (urllib.error.URLError, TimeoutError):
        return False
