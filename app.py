"""Talker in the browser: record or upload speech, watch several faces say it.

    python app.py                 http://127.0.0.1:7860

Layout and wiring only; talker makes the motion, render the pictures.
"""

from __future__ import annotations

import html
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

from assets.theme import CSS, theme
from render.export import write_outputs
from render.rig import LOOKS
from render.rigs.load import SUFFIXES, find_rig
from render.viewer import camera_position
from render.views import FRAME_RATES, SIZES, chosen
from talker.audio import MAX_SECONDS, load_speech
from talker.errors import TalkerError
from talker.identity import Match
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

STAGES = {
    "encode": (0.00, 0.06, "Listening to the speech"),
    "match": (0.06, 0.08, "Finding the identity"),
    "sample": (0.08, 0.20, "Sampling the takes"),
    "render": (0.20, 0.95, "Rendering the video"),
    "write": (0.95, 1.00, "Writing the files"),
}
"""Stage of the callback → where its progress begins and ends, and what the page says meanwhile."""

SYNTHETIC = "Every face here is synthetic: a computer drawing that no person posed for. Say so when you share it."

MASTHEAD = f"""
<div id="masthead">
  <svg class="mark" viewBox="0 0 48 48" aria-hidden="true">
    <rect width="48" height="48" rx="13" fill="#c9432a"/>
    <path d="M10 23c5-6 9-8 11-6 1 1 2 1.500 3 1.500s2-.5 3-1.500c2-2 6 0 11 6-4 8-9 11-14 11s-10-3-14-11z" fill="#fff"/>
    <path d="M14 23.500c4-1.500 7-2 10-2s6 .5 10 2c-3 3-6 4.500-10 4.500s-7-1.500-10-4.500z" fill="#3d110b"/>
  </svg>
  <div class="words"><h1>Talker</h1><p>Recorded speech in, several talking faces out. Each take moves its own way.</p></div>
  <div class="synthetic" role="note">{SYNTHETIC}</div>
</div>
"""


def heading(number: int, text: str) -> gr.HTML:
    """A numbered heading of the left column."""
    return gr.HTML(f'<div class="section"><b>{number}</b>{text}</div>')


def identity_card(match: Match, shown: int = 5) -> str:
    """HTML of the identity that speaks and of the `shown` most similar ones, with similarities; of a model
    without identities nothing."""
    if not match.ranking:
        return ""
    rows = "".join(
        f'<div class="row{" chosen" if name == match.name else ""}"><span>{html.escape(name)}</span>'
        f'<span class="track"><div class="bar" style="width:{100 * max(0.0, similarity):.0f}%"></div></span>'
        f'<span class="value">{similarity:.2f}</span></div>'
        for name, similarity in match.ranking[:shown]
    )
    return (
        '<div class="identity"><div class="caption">Speaks with the identity</div>'
        f'<div class="name">{html.escape(match.name)}</div>{rows}'
        f'<div class="caption">Cosine similarity of the voice; best {min(shown, len(match.ranking))} '
        f"of {len(match.ranking)} identities.</div></div>"
    )


def timing_line(report: dict) -> str:
    """HTML of one line: what was made, and the seconds of each stage."""
    count = f"{report['takes']} take{'s' if report['takes'] > 1 else ''}"
    seconds = ", ".join(f"{stage} {value:.1f}&nbsp;s" for stage, value in report["seconds"].items() if stage != "load")
    face = ""
    if report["rig"]["missing"]:
        rig = report["rig"]
        face = f"<br>{html.escape(rig['name'])} lacks {', '.join(rig['missing'])}; the rest of the face moves."
    return (
        f'<div class="timing"><b>{count} of {report["frames"] / report["fps"]:.1f} s</b>, '
        f"{report['steps']} steps, seed {report['seed']}, {html.escape(report['device'])}: {seconds}{face}</div>"
    )


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
        progress: gr.Progress = gr.Progress(),
    ) -> Iterator[tuple]:
        """Animate a recording: several takes, the matched identity, video, chart and files."""
        show = by_stage(progress)
        try:
            if audio is None:
                raise TalkerError("There is no speech yet; record some, upload a file or choose an example.")
            speech = load_speech(audio)
            pictures = chosen(size, fps, view, truth, stills or "", transparent)
            pictures.check(int(takes), speech.seconds)
            rig, rig_report = find_rig(face or look)
            made = talker.speak(
                speech, takes=int(takes), seed=int(seed or 0), identity=identity, steps=int(steps), callback=show
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
                    [("Match the voice", "auto"), *((name, name) for name in talker.identities)],
                    value="auto",
                    label="Identity",
                    info="Whose way of talking the faces have",
                    elem_id="identity",
                )
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

        camera = gr.State()
        new_seed.click(lambda: random.randint(0, LARGEST_SEED), outputs=seed, api_visibility="private")
        generate.click(
            speak_with(talker),
            inputs=[audio, takes, identity, seed, steps, look, face, view, size, fps, stills, truth, transparent],
            outputs=[details, video, chart, matched, timing, files, camera],
            show_progress_on=[video, matched],
            concurrency_limit=1,
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
        demo = build(Talker.from_pretrained())
    except TalkerError as error:
        print(f"talker: {error}", file=sys.stderr)
        return 2
    demo.launch(theme=theme(), css_paths=CSS, max_file_size=MAX_UPLOAD, footer_links=["api"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
