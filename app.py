"""Talker in the browser: record or upload speech, watch several faces say it.

    python app.py                 http://127.0.0.1:7860

Layout and wiring only: the tabs are in `page`; talker makes the motion, render the pictures.
"""

from __future__ import annotations

import os
import sys

# Before gradio is imported: it reads this once. Nobody's speech or visit is anybody else's business.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr

from assets.theme import CSS, theme
from page.edit import edit_tab
from page.models import Models
from page.personalise import personalise_tab
from page.pieces import MASTHEAD
from page.speak import speak_tab
from talker.errors import TalkerError
from talker.identity_file import read_identities

MAX_WAITING = 12
"""Visitors who may wait in the queue; one is served at a time, the rest are asked to come back."""

MAX_UPLOAD = "100mb"
"""More than a minute of any usual recording, uncompressed."""


def build(models: Models) -> gr.Blocks:
    """The page for these models."""
    with gr.Blocks(title="Talker", delete_cache=(3600, 86400)) as demo:
        gr.HTML(MASTHEAD)
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab("Speak", id="speak"):
                spoken = speak_tab(models)
            with gr.Tab("Edit", id="edit"):
                edit_tab(models, spoken)
            with gr.Tab("Personalise", id="personalise"):
                personalise_tab(models, spoken.settings)
        spoken.edit.click(lambda: gr.Tabs(selected="edit"), outputs=tabs, api_visibility="private")
    return demo.queue(max_size=MAX_WAITING)


def launch(models: Models) -> None:
    """Serve the page; GRADIO_SERVER_NAME and GRADIO_SERVER_PORT say where."""
    build(models).launch(theme=theme(), css_paths=CSS, max_file_size=MAX_UPLOAD, footer_links=["api"])


def main() -> int:
    """Load the model that the page starts with and serve the page."""
    try:
        models = Models(enrolled=read_identities())
    except TalkerError as error:
        print(f"talker: {error}", file=sys.stderr)
        return 2
    launch(models)
    return 0


if __name__ == "__main__":
    sys.exit(main())
