"""The Edit tab: keyframes, locks and kept ends of a motion, and the rest of it made anew around them."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Iterator
from functools import lru_cache

import gradio as gr
import numpy as np

from page.marks import (
    LARGEST_TURN, REGIONS, SHAPES, STEPS, UNITS, Held, frame_at, moved, pose, posed, set_keyframe, set_lock,
    shapes_to_compare, slider_values,
)  # fmt: skip
from page.models import Models
from page.pieces import heading, timing_line
from page.reporting import by_stage, sentences
from page.scenes import MOTION_FILES, Scene, uploaded, with_edit
from page.settings import Settings
from page.speak import Spoken, seed_controls
from page.timeline import SCRIPT, TEMPLATE, timeline
from render.charts import draw_edit_chart, write_figure
from render.export import write_outputs
from render.renderer import Renderer
from render.rig import Rig
from render.rigs.load import find_rig
from render.views import Pictures
from talker.audio import MAX_SECONDS
from talker.editing import Keyframe, Lock, plan_edit
from talker.errors import TalkerError
from talker.motion import ARKIT_NAMES

PREVIEW = (480, 480)
"""Pixels of the picture of a pose."""

LONGEST_KEPT = 45
"""Percent of a motion that may be kept at either end."""


@lru_cache(maxsize=4)
def _preview_rig(face: str) -> Rig:
    """A face for the preview, which is drawn again and again; an upload's path changes with its content."""
    return find_rig(face)[0]


def picture(scene: Scene, held: Held, active: list[str], time: float, sliders: list[float], face: str) -> np.ndarray:
    """The face at a time, with what the sliders change of its pose: (480, 480, 3) uint8."""
    frame = frame_at(scene, time)
    values = pose(scene, held, active, frame)
    coefficients, head = np.split(posed(values, moved(values, sliders)), [len(ARKIT_NAMES)])
    with Renderer(_preview_rig(face), 1, *PREVIEW, captions=[f"{frame / scene.motion.fps:.2f} s"]) as renderer:
        return renderer.frame(coefficients[None], head[None])


def open_scene(scenes: dict[str, Scene], name: str | None) -> tuple[gr.Column, gr.Slider, gr.Number, gr.Number]:
    """The workbench for the motion that was chosen, from its beginning."""
    if not name:
        return gr.Column(visible=False), gr.Slider(), gr.Number(), gr.Number()
    motion = scenes[name].motion
    last = (len(motion.coefficients) - 1) / motion.fps
    end = math.floor(100 * motion.seconds) / 100  # rounded up it would lie outside
    return gr.Column(visible=True), gr.Slider(maximum=last, value=0), gr.Number(0), gr.Number(end)


def draw(scenes: dict[str, Scene], name: str | None, held: Held, active: list[str], first: float, last: float) -> str:
    """The timeline with everything that is set."""
    return timeline(scenes[name], {words: held[words] for words in active}, (first / 100, last / 100)) if name else ""


def show_pose(
    scenes: dict[str, Scene], name: str | None, held: Held, active: list[str], time: float, look: str, face: str | None
) -> list:
    """Playhead, picture and sliders at a time."""
    if not name:
        return [gr.HTML(), None, *(0 for _ in SHAPES)]
    scene = scenes[name]
    sliders = slider_values(pose(scene, held, active, frame_at(scene, time)))
    share = (frame_at(scene, time) + 0.5) / len(scene.motion.coefficients)
    with sentences():
        return [gr.HTML(at=share), picture(scene, held, active, time, sliders, face or look), *sliders]


def regenerate_with(models: Models) -> Callable[..., Iterator[tuple]]:
    """The handler of Regenerate."""

    def regenerate(
        scenes: dict[str, Scene], name: str | None, held: Held, active: list[str], first: float, last: float,
        seed: int, look: str, face: str | None, *settings, progress: gr.Progress = gr.Progress(),
    ) -> Iterator[tuple]:  # fmt: skip
        """The motion between what is given made anew; before and after in one video, curves, files."""
        show = by_stage(progress)
        with sentences():
            if not name:
                raise TalkerError("There is no motion to edit yet; generate takes under Speak, or open one of your own.")
            before, speech = scenes[name].motion, scenes[name].speech
            marks = [held[words] for words in active]
            keyframes = [mark for mark in marks if isinstance(mark, Keyframe)]
            locks = [mark for mark in marks if isinstance(mark, Lock)]
            chosen = Settings(*settings)
            fps = chosen.talker(models).denoiser.config.fps
            edit = plan_edit(before, keyframes, locks, (first / 100, last / 100), fps)
            rig, rig_report = find_rig(face or look)
            made = chosen.speak(models, speech, 1, seed, show, edit=edit)
            after = made.motions[0]
            title, scenes = with_edit(scenes, after, speech)
            with tempfile.TemporaryDirectory(prefix="talker-") as folder:
                pictures = Pictures(truth=before, captions=(f"Before: {name}", f"After: {title}"))
                outputs = write_outputs(
                    made, speech, folder, rig, callback=show, rig_report=rig_report, pictures=pictures
                )
                compared = shapes_to_compare(before, after, keyframes)
                shapes = {label: (names, UNITS[label]) for label, names in compared.items()}
                write_figure(draw_edit_chart(before, after, edit, keyframes, shapes), outputs.chart_png)
                yield (
                    gr.Column(visible=True),
                    str(outputs.comparison_mp4),
                    str(outputs.chart_png),
                    timing_line(json.loads(outputs.report_json.read_text())),
                    [str(file) for file in outputs.files],
                    scenes,
                    title,
                )

    return regenerate


def edit_tab(models: Models, spoken: Spoken) -> None:
    """The tab's layout and wiring."""
    heading(1, "Motion")
    with gr.Row():
        with gr.Column(min_width=320):
            name = gr.Dropdown(
                [], value=None, label="Motion to edit", elem_id="motion", interactive=True,
                info="A take made under Speak, an earlier edit, or your own",
            )  # fmt: skip
        with gr.Column(min_width=320):
            with gr.Accordion("A motion of your own", open=False, elem_id="own-motion"):
                motion = gr.File(
                    file_types=MOTION_FILES, type="filepath", label="Live Link CSV, BEAT JSON, npz", height=120,
                    elem_id="edit-motion",
                )  # fmt: skip
                audio = gr.Audio(
                    sources=["upload"], type="filepath", elem_id="edit-speech", buttons=[],
                    label=f"Its speech, up to {MAX_SECONDS:.0f} seconds",
                )  # fmt: skip
                open_own = gr.Button("Open", size="md", elem_id="open-motion")
    with gr.Column(visible=False, elem_id="workbench") as workbench:
        heading(2, "Keyframes, locks, and what is kept")
        line = gr.HTML(at=0, html_template=TEMPLATE, js_on_load=SCRIPT, elem_id="timeline")
        time = gr.Slider(0, 1, value=0, step=0.01, label="Time in seconds", elem_id="time", buttons=[])
        with gr.Row(elem_id="posing"):
            with gr.Column(scale=7, min_width=320):
                with gr.Row():
                    sliders = [
                        gr.Slider(
                            *(0, 1) if unit == 1 else (-LARGEST_TURN, LARGEST_TURN), value=0, step=STEPS[label],
                            label=label if unit == 1 else f"{label}, degrees", min_width=200, buttons=[],
                            elem_classes="shape", elem_id=SHAPES[label][0],
                        )
                        for label, unit in UNITS.items()
                    ]
                key = gr.Button("Set keyframe", elem_id="set-keyframe")
            with gr.Column(scale=4, min_width=280, elem_id="pose-column"):
                preview = gr.Image(
                    label="Pose", elem_id="pose", interactive=False, show_label=False, buttons=[], format="jpeg"
                )
        with gr.Row(equal_height=True):
            region = gr.Dropdown(list(REGIONS), label="Region", min_width=150, elem_id="region")
            start = gr.Number(0, label="From, s", minimum=0, min_width=90, elem_id="lock-start")
            end = gr.Number(0, label="To, s", minimum=0, min_width=90, elem_id="lock-end")
            lock = gr.Button("Lock as it is", min_width=120, elem_id="set-lock")
        with gr.Row():
            first, last = (
                gr.Slider(0, LONGEST_KEPT, value=0, step=1, label=f"Keep the {side}, percent", elem_id=place, buttons=[])
                for side, place in (("beginning", "keep-first"), ("end", "keep-last"))
            )
        active = gr.Dropdown(
            [], value=[], multiselect=True, label="Keyframes and locks", elem_id="marks", interactive=True,
            info="Everything else is made anew, by the model and with the settings chosen under Speak",
        )  # fmt: skip
        with gr.Row(equal_height=True):
            seed = seed_controls(1)
            regenerate = gr.Button("Regenerate", variant="primary", size="lg", elem_id="regenerate")
        heading(3, "Before and after")
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                video = gr.Video(
                    label="Before and after", elem_id="edited", interactive=False, autoplay=True, buttons=[]
                )
                with gr.Column(visible=False) as details:
                    timing = gr.HTML(elem_id="edit-timing")
                    go_on = gr.Button("Go on with this result", elem_id="go-on")
                    files = gr.Files(label="Download", elem_id="edit-files", interactive=False)
            with gr.Column(scale=1, min_width=320):
                chart = gr.Image(
                    label="Edited curves", elem_id="edit-chart", interactive=False, show_label=False, buttons=[]
                )

    held, newest, scenes, face = gr.State({}), gr.State(), spoken.scenes, [spoken.look, spoken.face]
    quiet = {"api_visibility": "private", "show_progress": "hidden"}
    at_time = [scenes, name, held, active, time]
    everything = [scenes, name, held, active, first, last]

    def choices(scenes: dict[str, Scene], name: str | None) -> gr.Dropdown:
        return gr.Dropdown(list(scenes), value=name if name in scenes else next(iter(scenes), None))

    def opened(scenes: dict[str, Scene], motion: str | None, audio: str | None) -> tuple:
        with sentences():
            own = uploaded(motion, audio)
        scenes = {**scenes, **own}
        return scenes, gr.Dropdown(list(scenes), value=next(iter(own)))

    def keyed(scenes: dict[str, Scene], name: str, held: Held, active: list[str], time: float, *sliders: float) -> tuple:
        held, active = set_keyframe(scenes[name], held, active, time, sliders)
        return held, gr.Dropdown(list(held), value=active)

    def locked(held: Held, active: list[str], region: str, start: float, end: float) -> tuple:
        with sentences():
            held, active = set_lock(held, active, region, start, end)
        return held, gr.Dropdown(list(held), value=active)

    def seen(
        scenes: dict[str, Scene], name: str, held: Held, active: list[str], time: float, look: str, face: str | None,
        *sliders: float,
    ) -> np.ndarray:  # fmt: skip
        with sentences():
            return picture(scenes[name], held, active, time, list(sliders), face or look)

    def clicked(scenes: dict[str, Scene], name: str, where: gr.EventData) -> float:
        motion = scenes[name].motion
        return round(where.share * (len(motion.coefficients) - 1) / motion.fps, 2)

    pose = {"fn": show_pose, "inputs": [*at_time, *face], "outputs": [line, preview, *sliders], **quiet}
    for opening in (
        name.input(open_scene, [scenes, name], [workbench, time, start, end], **quiet),
        *(
            ready.success(open_scene, [scenes, name], [workbench, time, start, end], **quiet)
            for ready in (
                spoken.done.success(choices, [scenes, name], name, **quiet),
                open_own.click(opened, [scenes, motion, audio], [scenes, name], **quiet),
                go_on.click(lambda newest: newest, newest, name, **quiet),
            )
        ),
    ):
        opening.success(draw, everything, line, **quiet).success(**pose)
    time.change(**pose)
    line.click(clicked, [scenes, name], time, **quiet)
    for slider in sliders:
        slider.input(seen, [*at_time, *face, *sliders], preview, trigger_mode="always_last", **quiet)
    key.click(keyed, [*at_time, *sliders], [held, active], **quiet)
    lock.click(locked, [held, active, region, start, end], [held, active], **quiet)
    for change in (active.change, first.change, last.change):
        change(draw, everything, line, **quiet)
    regenerate.click(
        regenerate_with(models), [*everything, seed, *face, *spoken.settings],
        [details, video, chart, timing, files, scenes, newest],
        show_progress_on=video, concurrency_limit=1, concurrency_id="model", api_visibility="private",
    ).success(choices, [scenes, name], name, **quiet)  # fmt: skip
