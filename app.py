"""Talker in the browser: record or upload speech, watch several faces say it.

    python app.py                 http://127.0.0.1:7860

Layout and wiring only; talker makes the motion, render the pictures.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

# Before gradio is imported: it reads this once. Nobody's speech or visit is anybody else's business.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr

from assets.page import MASTHEAD, heading, identity_card, timing_line
from assets.theme import CSS, theme
from render.export import write_outputs
from render.rig import LOOKS
from render.rigs.load import SUFFIXES, find_rig
from render.viewer import camera_position
from render.views import FRAME_RATES, SIZES, chosen
from talker.audio import MAX_SECONDS, Speech, load_speech
from talker.enrol import enrol
from talker.errors import TalkerError
from talker.identity import AUTO, EnrolledIdentity
from talker.identity_file import read_identities
from talker.pipeline import Talker

ROOT = Path(__file__).resolve().parent
EXAMPLES = sorted((ROOT / "assets" / "examples").glob("*.flac"))

MAX_WAITING = 12
"""Visitors who may wait in the queue; one is served at a time, the rest are asked to come back."""

MAX_UPLOAD = "100mb"
"""More than a minute of any usual recording, uncompressed."""

LARGEST_SEED = 2**31 - 1

VIEWS = {
    "Takes side by side": "takes",
    "Heat map of how takes differ": "spread",
    "Two takes over each other": "difference",
}
"""What the page calls the views of render.views."""

MATCHED, ALONE = "Match the voice", "Nobody"
"""First choices of the identity and of the one that it is blended with."""

STAGES = {
    "encode": (0.00, 0.06, "Listening to the speech"),
    "match": (0.06, 0.08, "Finding the identity"),
    "sample": (0.08, 0.20, "Sampling the takes"),
    "render": (0.20, 0.95, "Rendering the video"),
    "write": (0.95, 1.00, "Writing the files"),
}
"""Stage of the callback → where its progress begins and ends, and what the page says meanwhile."""


def live_view(files: list[str], camera: tuple[float, float, float]) -> gr.Model3D:
    """The scene with all takes, among the files of a run, and a camera that sees them all."""
    scene = next(file for file in files if Path(file).name == "comparison.glb")
    return gr.Model3D(scene, camera_position=camera)


def by_stage(progress: gr.Progress) -> Callable[[str, float], None]:
    """The callback of talker and render, shown on the page's progress bar."""

    def show(stage: str, fraction: float) -> None:
        begin, end, words = STAGES[stage]
        progress(begin + (end - begin) * fraction, desc=words)

    return show


def speech_of(audio: str | None) -> Speech:
    """The recording on the page."""
    if audio is None:
        raise TalkerError("There is no speech yet; record some, upload a file or choose an example.")
    return load_speech(audio)


def names(talker: Talker, first: str, value: str = AUTO) -> list[tuple[str, str]]:
    """Choices of an identity, after a first one that is none of them."""
    return [(first, value), *((name, name) for name in talker.identities)]


def add_with(talker: Talker) -> Callable[..., tuple]:
    """The handler of "Add this voice" for a loaded model. What it adds is the visitor's own: it is kept in the
    session, and nobody else sees it."""

    def add(audio: str | None, name: str, added: dict[str, EnrolledIdentity]) -> tuple:
        """An identity from the recording on the page, at once the chosen one."""
        mine = talker.with_enrolled(talker.library.enrolled | added)
        try:
            identity = enrol(mine, name or "", [speech_of(audio)]).identity
        except TalkerError as error:
            raise gr.Error(str(error), print_exception=False) from error
        added = added | {identity.name: identity}
        mine = talker.with_enrolled(talker.library.enrolled | added)
        chooser = gr.Dropdown(names(mine, MATCHED), value=identity.name)
        return added, chooser, gr.Dropdown(names(mine, ALONE, "")), ""

    return add


def speak_with(talker: Talker) -> Callable[..., Iterator[tuple]]:
    """The handler of Generate for a loaded model."""

    def speak(
        audio: str | None,
        takes: int,
        identity: str,
        seed: int,
        steps: int,
        look: str,
        face: str | None,
        view: str,
        size: str,
        fps: int,
        stills: str,
        truth: str | None,
        transparent: bool,
        partner: str,
        share: float,
        added: dict[str, EnrolledIdentity],
        progress: gr.Progress = gr.Progress(),
    ) -> Iterator[tuple]:
        """Animate a recording: several takes, the matched identity, video, chart and files."""
        show = by_stage(progress)
        try:
            speech = speech_of(audio)
            pictures = chosen(size, fps, view, truth, stills or "", transparent)
            pictures.check(int(takes), speech.seconds)
            rig, rig_report = find_rig(face or look)
            # The share comes in percent, and alone when the partner is the same.
            blend = {identity: 100 - share, partner: share} if partner and partner != identity else identity
            made = talker.with_enrolled(talker.library.enrolled | added).speak(
                speech, takes=int(takes), seed=int(seed or 0), identity=blend, steps=int(steps), callback=show
            )
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
                )
        except TalkerError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return speak


def build(talker: Talker) -> gr.Blocks:
    """The page for a loaded model."""
    with gr.Blocks(title="Talker", delete_cache=(3600, 86400)) as demo:
        gr.HTML(MASTHEAD)
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
                identity = gr.Dropdown(
                    names(talker, MATCHED), value=AUTO, label="Identity", info="Whose way of talking the faces have",
                    elem_id="identity",
                )  # fmt: skip
                with gr.Accordion("Blend identities, add a voice", open=False, elem_id="identities"):
                    partner = gr.Dropdown(names(talker, ALONE, ""), value="", label="Blend with", elem_id="partner")
                    share = gr.Slider(0, 100, value=50, step=5, label="Its share in percent", elem_id="share")
                    name = gr.Textbox(
                        label="Add this voice as", max_length=40, elem_id="voice-name", placeholder="A name",
                        info="From the speech above, for this visit only. Ask the speaker first.",
                    )  # fmt: skip
                    add = gr.Button("Add this voice", size="md", elem_id="add-voice")
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
                    truth = gr.File(
                        file_types=[".csv", ".json", ".npz"], label="Recorded motion to show first", height=150
                    )
                    transparent = gr.Checkbox(label="Also without background (WebM, PNG)", elem_id="transparent")
                with gr.Accordion("Seed and steps", open=False):
                    with gr.Row(equal_height=True):
                        seed = gr.Number(0, precision=0, minimum=0, maximum=LARGEST_SEED, label="Seed", min_width=120)
                        new_seed = gr.Button("New seed", min_width=100)
                    steps = gr.Slider(
                        1, talker.max_steps, value=talker.max_steps, step=1, label="Steps", info="Fewer are faster"
                    )
                generate = gr.Button("Generate", variant="primary", size="lg", elem_id="generate")
                matched = gr.HTML(elem_id="matched")
            with gr.Column(scale=7, min_width=320):
                video = gr.Video(label="Takes", elem_id="comparison", interactive=False, autoplay=True, buttons=[])
                with gr.Column(visible=False) as details:
                    timing = gr.HTML(elem_id="timing")
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

        camera, added = gr.State(), gr.State({})
        add.click(
            add_with(talker), [audio, name, added], [added, identity, partner, name], api_visibility="private",
            concurrency_limit=1, concurrency_id="model", show_progress="hidden",  # an error would cover the choosers
        )  # fmt: skip
        new_seed.click(lambda: random.randint(0, LARGEST_SEED), outputs=seed, api_visibility="private")
        generate.click(
            speak_with(talker),
            inputs=[
                audio, takes, identity, seed, steps, look, face, view, size, fps, stills, truth, transparent,
                partner, share, added,
            ],
            outputs=[details, video, chart, matched, timing, files, camera],
            show_progress_on=[video, matched],
            concurrency_limit=1,
            concurrency_id="model",
            api_name="speak",
        ).success(
            # On its own and without a progress bar: Gradio 6.31's viewer loads its engine after its
            # value came, and the bar's next update cancels that, which leaves the view empty.
            live_view,
            inputs=[files, camera],
            outputs=viewer,
            show_progress="hidden",
            api_visibility="private",
        )
    return demo.queue(max_size=MAX_WAITING)


def main() -> int:
    """Load the model and serve the page; GRADIO_SERVER_NAME and GRADIO_SERVER_PORT say where."""
    try:
        demo = build(Talker.from_pretrained().with_enrolled(read_identities()))
    except TalkerError as error:
        print(f"talker: {error}", file=sys.stderr)
        return 2
    demo.launch(theme=theme(), css_paths=CSS, max_file_size=MAX_UPLOAD, footer_links=["api"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
