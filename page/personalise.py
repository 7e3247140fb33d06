"""The Personalise tab: a model fine-tuned on one person's speech and motion, for this visit and as a file to keep."""

from __future__ import annotations

import html
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import gradio as gr

from page.models import Models
from page.pieces import heading
from page.reporting import by_stage, sentences
from page.scenes import MOTION_FILES
from page.settings import Settings
from talker.audio import MAX_SECONDS, load_speech
from talker.errors import TalkerError
from talker.formats import read_motion
from talker.personalise import Delta, personalise, read_delta

RECORDINGS = [".wav", ".flac", ".mp3", ".ogg", ".m4a", ".webm"]
"""Of what talker.audio reads, what people record in."""

ABOUT = f"""
Half a minute to a hundred seconds of one person: recordings of up to {MAX_SECONDS:.0f} s each, and the motion of each.
Several of them belong together in the order of their names. The model chosen under Speak is fine-tuned on them; then it
is a model of its own there, for this visit. The file brings it back another time. Ask the person first.
"""


def outcome(delta: Delta) -> str:
    """HTML of what personalisation brought on speech that it did not see."""
    return (
        f'<div class="timing"><b>{html.escape(delta.name)}</b>, fine-tuned {html.escape(delta.model)} on '
        f"{delta.seconds:.1f} s. On the last {delta.held_out:.1f} s, which it was not trained on, lips and jaw miss the "
        f"motion by {delta.after:.4f}; before by {delta.before:.4f} (mean absolute error of the coefficients).</div>"
    )


def personalise_with(models: Models) -> Callable[..., Iterator[tuple]]:
    """The handler of Personalise."""

    def run(
        name: str, recordings: list[str] | None, motions: list[str] | None, model: str, personal: dict[str, Delta],
        progress: gr.Progress = gr.Progress(),
    ) -> Iterator[tuple]:  # fmt: skip
        """The personalised model among those that can be chosen, what it brought, and its file."""
        with sentences():
            if not recordings or not motions:
                raise TalkerError("There is nothing to learn from yet; upload recordings and the motion of each.")
            by_name = [sorted(files, key=lambda path: Path(path).name) for files in (recordings, motions)]
            speeches, moved = [load_speech(path) for path in by_name[0]], [read_motion(path) for path in by_name[1]]
            base = models.talker(personal[model].model if model in personal else model)
            delta = personalise(base, speeches, moved, by_stage(progress), (name or "").strip() or "somebody")
            with tempfile.TemporaryDirectory(prefix="talker-") as folder:
                path = delta.save(Path(folder) / "delta.safetensors")
                yield outcome(delta), gr.File(str(path), visible=True), *added(models, delta, personal)

    return run


def added(models: Models, delta: Delta, personal: dict[str, Delta]) -> tuple[dict[str, Delta], gr.Dropdown]:
    """The personalised models with one more, and the choice of model with it chosen."""
    label = f"{delta.model} for {delta.name}"
    personal = personal | {label: delta}
    return personal, gr.Dropdown([*models.summaries, *personal], value=label)


def personalise_tab(models: Models, settings: Settings) -> None:
    """The tab's layout and wiring."""
    gr.HTML(f'<div class="timing">{ABOUT}</div>')
    with gr.Row():
        with gr.Column(min_width=320):
            heading(1, "One person's speech and motion")
            name = gr.Textbox(label="Name", max_length=40, placeholder="Whom the model will be for", elem_id="person")
            recordings = gr.File(
                file_types=RECORDINGS, file_count="multiple", type="filepath", label="Recordings", height=150,
                elem_id="person-speech",
            )  # fmt: skip
            motions = gr.File(
                file_types=MOTION_FILES, file_count="multiple", type="filepath", height=150, elem_id="person-motion",
                label="Their motion: Live Link CSV, BEAT JSON, npz",
            )  # fmt: skip
            start = gr.Button("Personalise", variant="primary", size="lg", elem_id="personalise")
        with gr.Column(min_width=320):
            heading(2, "The personalised model")
            report = gr.HTML(elem_id="personalised", min_height=90)
            file = gr.File(visible=False, label="To keep", interactive=False, elem_id="delta")
            kept = gr.File(
                file_types=[".safetensors"], type="filepath", label="One kept from before", height=150, elem_id="kept-delta"
            )

    def opened(path: str, personal: dict[str, Delta]) -> tuple:
        with sentences():
            delta = read_delta(path)
            models.talker("", personal={"": delta})  # refuses what does not fit
        return outcome(delta), *added(models, delta, personal)

    start.click(
        personalise_with(models), [name, recordings, motions, settings.model, settings.personal],
        [report, file, settings.personal, settings.model], show_progress_on=report, concurrency_limit=1,
        concurrency_id="model", api_visibility="private",
    )  # fmt: skip
    kept.upload(
        opened, [kept, settings.personal], [report, settings.personal, settings.model], concurrency_limit=1,
        concurrency_id="model", api_visibility="private",
    )  # fmt: skip
