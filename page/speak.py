"""The Speak tab: a recording in, several takes out."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import gradio as gr

from page.models import Models
from page.pieces import heading, identity_card, timing_line
from page.reporting import by_stage, sentences
from page.scenes import MOTION_FILES, Scene, speech_of, with_takes
from page.settings import Settings, settings_controls
from render.export import write_outputs
from render.rig import LOOKS
from render.rigs.load import SUFFIXES, find_rig
from render.viewer import camera_position
from render.views import FRAME_RATES, SIZES, chosen
from talker.audio import MAX_SECONDS
from talker.identity import EnrolledIdentity
from talker.personalise import Delta

EXAMPLES = sorted((Path(__file__).resolve().parent.parent / "assets" / "examples").glob("*.flac"))

LARGEST_SEED = 2**31 - 1

VIEWS = {
    "Takes side by side": "takes",
    "Heat map of how takes differ": "spread",
    "Two takes over each other": "difference",
}
"""What the page calls the views of render.views."""


class Spoken(NamedTuple):
    """What the other tabs go on with: the settings, the face (a look, and a file that replaces it), the scenes, the
    event after takes were made, and the button that leads to editing them."""

    settings: Settings
    look: gr.Radio
    face: gr.File
    scenes: gr.State
    done: gr.events.Dependency
    edit: gr.Button


def seed_controls(value: int = 0) -> gr.Number:
    """A seed, and a button that draws another."""
    with gr.Row(equal_height=True):
        seed = gr.Number(value, precision=0, minimum=0, maximum=LARGEST_SEED, label="Seed", min_width=120)
        new = gr.Button("New seed", min_width=100)
    new.click(lambda: random.randint(0, LARGEST_SEED), outputs=seed, api_visibility="private")
    return seed


def live_view(files: list[str], camera: tuple[float, float, float]) -> gr.Model3D:
    """The scene with all takes, among the files of a run, and a camera that sees them all."""
    scene = next(file for file in files if Path(file).name == "comparison.glb")
    return gr.Model3D(scene, camera_position=camera)


def speak_with(models: Models) -> Callable[..., Iterator[tuple]]:
    """The handler of Generate."""

    def speak(
        audio: str | None,
        takes: int,
        seed: int,
        look: str,
        face: str | None,
        view: str,
        size: str,
        fps: int,
        stills: str,
        truth: str | None,
        transparent: bool,
        model: str,
        identity: str,
        partner: str,
        share: float,
        steps: int,
        sampler: str,
        style: str,
        example: str | None,
        head: bool,
        audio_guidance: float,
        style_guidance: float,
        added: dict[str, EnrolledIdentity],
        personal: dict[str, Delta],
        scenes: dict[str, Scene],
        progress: gr.Progress = gr.Progress(),
    ) -> Iterator[tuple]:
        """Animate a recording: several takes, the matched identity, video, chart and files."""
        show = by_stage(progress)
        with sentences():
            speech = speech_of(audio)
            pictures = chosen(size, fps, view, truth, stills or "", transparent)
            pictures.check(int(takes), speech.seconds)
            rig, rig_report = find_rig(face or look)
            settings = Settings(
                model, identity, partner, share, steps, sampler, style, example, head, audio_guidance, style_guidance,
                added, personal,
            )  # fmt: skip
            made = settings.speak(models, speech, int(takes), seed, show)
            # Gradio copies what is yielded into its cache before it asks for more, so the folder
            # of this run goes as soon as the generator goes on.
            with tempfile.TemporaryDirectory(prefix="talker-") as folder:
                outputs = write_outputs(
                    made, speech, folder, rig, callback=show, rig_report=rig_report, pictures=pictures
                )
                yield (
                    gr.Column(visible=True),
                    str(outputs.comparison_mp4),
                    str(outputs.chart_png),
                    identity_card(made.identity),
                    timing_line(json.loads(outputs.report_json.read_text())),
                    [str(file) for file in outputs.files],
                    camera_position(rig, int(takes)),
                    with_takes(scenes, made, speech),
                )

    return speak


def speak_tab(models: Models) -> Spoken:
    """The tab's layout and wiring."""
    with gr.Row():
        with gr.Column(scale=4, min_width=320):
            heading(1, "Speech")
            audio = gr.Audio(
                sources=["upload", "microphone"],
                type="filepath",
                label=f"Record or upload, up to {MAX_SECONDS:.0f} seconds",
                elem_id="speech",
                buttons=[],
            )
            gr.Examples(
                [[str(path)] for path in EXAMPLES],
                audio,
                label="Or try an example",
                example_labels=[path.stem.capitalize() for path in EXAMPLES],
            )
            heading(2, "Takes")
            takes = gr.Slider(
                1, 6, value=4, step=1, label="Takes", info="Different animations of the same speech", elem_id="takes"
            )
            settings = settings_controls(models, audio)
            look = gr.Radio(
                [(name.capitalize(), name) for name in LOOKS], value=LOOKS[0], label="Face", elem_id="look"
            )
            with gr.Accordion("Your own face", open=False):
                face = gr.File(
                    file_types=list(SUFFIXES),
                    type="filepath",
                    label="GLB with ARKit shapes, zip of OBJs, or FLAME",
                    elem_id="face",
                    height=140,
                )
            with gr.Accordion("Picture", open=False, elem_id="picture"):
                view = gr.Dropdown(list(VIEWS.items()), value="takes", label="View", elem_id="view")
                with gr.Row(equal_height=True):
                    sizes = [*SIZES, *(f"portrait-{name}" for name in SIZES)]
                    size = gr.Dropdown(sizes, value="720p", label="Size", min_width=120, elem_id="size")
                    fps = gr.Dropdown(list(FRAME_RATES), value=30, label="Frames a second", min_width=120)
                stills = gr.Textbox(label="Still images", info="Seconds, such as 0.5, 1.2", elem_id="stills")
                truth = gr.File(file_types=MOTION_FILES, label="Recorded motion to show first", height=150)
                transparent = gr.Checkbox(label="Also without background (WebM, PNG)", elem_id="transparent")
            with gr.Accordion("Seed", open=False):
                seed = seed_controls()
            generate = gr.Button("Generate", variant="primary", size="lg", elem_id="generate")
            matched = gr.HTML(elem_id="matched")
        with gr.Column(scale=7, min_width=320):
            video = gr.Video(label="Takes", elem_id="comparison", interactive=False, autoplay=True, buttons=[])
            with gr.Column(visible=False) as details:
                timing = gr.HTML(elem_id="timing")
                edit = gr.Button("Edit a take", elem_id="edit-takes")
                viewer = gr.Model3D(
                    label="Live 3D: drag to turn",
                    elem_id="viewer",
                    interactive=False,
                    clear_color=(0.93, 0.925, 0.95, 1.0),
                )
                chart = gr.Image(
                    label="Curves of all takes", elem_id="chart", interactive=False, show_label=False, buttons=[]
                )
                files = gr.Files(label="Download", elem_id="files", interactive=False)

    camera, scenes = gr.State(), gr.State({})
    done = generate.click(
        speak_with(models),
        inputs=[
            audio, takes, seed, look, face, view, size, fps, stills, truth, transparent, *settings, scenes,
        ],
        outputs=[details, video, chart, matched, timing, files, camera, scenes],
        show_progress_on=[video, matched],
        concurrency_limit=1,
        concurrency_id="model",
        api_name="speak",
    )  # fmt: skip
    done.success(
        # On its own and without a progress bar: Gradio 6.31's viewer loads its engine after its
        # value came, and the bar's next update cancels that, which leaves the view empty.
        live_view,
        inputs=[files, camera],
        outputs=viewer,
        show_progress="hidden",
        api_visibility="private",
    )
    return Spoken(settings, look, face, scenes, done, edit)
