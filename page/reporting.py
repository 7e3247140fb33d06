"""What the page tells its visitor while it works: progress, and why something cannot be done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gradio as gr

from talker.errors import TalkerError

STAGES = {
    "encode": (0.00, 0.06, "Listening to the speech"),
    "match": (0.06, 0.08, "Finding the identity"),
    "sample": (0.08, 0.20, "Sampling the takes"),
    "render": (0.20, 0.95, "Rendering the video"),
    "tune": (0.00, 1.00, "Fine-tuning the model"),
    "write": (0.95, 1.00, "Writing the files"),
}
"""Stage of the callback → where its progress begins and ends, and what the page says meanwhile."""


def by_stage(progress: gr.Progress) -> Callable[[str, float], None]:
    """The callback of talker and render, shown on the page's progress bar."""

    def show(stage: str, fraction: float) -> None:
        begin, end, words = STAGES[stage]
        progress(begin + (end - begin) * fraction, desc=words)

    return show


@contextmanager
def sentences() -> Iterator[None]:
    """Bad input's one sentence, shown on the page; what the visitor had there stays."""
    try:
        yield
    except TalkerError as error:
        raise gr.Error(str(error), print_exception=False) from error
