"""Export: everything that one utterance leaves in a folder."""

from __future__ import annotations

import dataclasses
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from render.charts import write_chart
from render.gltf import write_glbs
from render.rig import Rig, default_rig
from render.rigs.face import RigReport, report_of
from render.vertex_animation import animated
from render.video import encode, write_still
from render.views import Pictures
from talker.atomic import whole_file
from talker.audio import SAMPLE_RATE, Speech
from talker.errors import TalkerError
from talker.formats import write_beat_json, write_live_link_csv
from talker.motion import Motion
from talker.takes import Takes

STAGES = ("load", "encode", "match", "sample", "render", "write")
"""Stages whose seconds the report gives."""

Callback = Callable[[str, float], None]

OWN_STILL = re.compile(r"still-\d+\.\d\d\.png")
OWN_TAKE = re.compile(r"take-(\d+)\.(csv|glb|json)")


@dataclass(frozen=True)
class Outputs:
    """Paths of what write_outputs wrote; comparison_mp4 and _webm are None where they were not asked for."""

    takes_npz: Path
    csvs: list[Path]
    jsons: list[Path]
    glbs: list[Path]
    comparison_glb: Path
    comparison_mp4: Path | None
    chart_png: Path
    report_json: Path
    comparison_webm: Path | None = None
    stills: tuple[Path, ...] = ()

    @property
    def files(self) -> list[Path]:
        """All of them, the video first."""
        videos = [path for path in (self.comparison_mp4, self.comparison_webm) if path]
        motions = [*self.csvs, *self.jsons, self.takes_npz]
        return [*videos, *self.stills, self.comparison_glb, *self.glbs, *motions, self.chart_png, self.report_json]


def write_outputs(
    takes: Takes,
    speech: Speech,
    directory: str | Path,
    rig: Rig | None = None,
    video: bool = True,
    callback: Callback | None = None,
    rig_report: RigReport | None = None,
    pictures: Pictures = Pictures(),
) -> Outputs:
    """Write takes.npz, take-N.csv, take-N.json, take-N.glb, comparison.glb, comparison.mp4, chart.png and report.json.

    Where `pictures` asks for them also comparison.webm, without background, and still-SECONDS.png.

    directory : made if missing; what an earlier run left there of these files goes, so that the folder shows one run
    rig       : the head; the default head unless given
    video     : False leaves comparison.mp4 out, which takes longest
    callback  : (stage, fraction 0..1) with the stages "render" and "write"
    rig_report : what load_rig_file said about the head, for report.json; that of a head which ships unless given
    pictures  : size, frame rate and view of the video and of the stills; files of motion keep the takes' own rate

    Every file is written whole or not at all; the report comes last, so where it is, everything is. Raises
    TalkerError when the folder cannot be written, the head is missing, or a video is wanted without OpenGL.
    """
    directory, rig, motions = Path(directory), rig or default_rig(), takes.motions
    pictures.check(len(motions), takes.coefficients.shape[1] / takes.fps)
    tell = callback or (lambda stage, fraction: None)
    outputs = Outputs(
        takes_npz=directory / "takes.npz",
        csvs=[directory / f"take-{i + 1}.csv" for i in range(len(motions))],
        jsons=[directory / f"take-{i + 1}.json" for i in range(len(motions))],
        glbs=[directory / f"take-{i + 1}.glb" for i in range(len(motions))],
        comparison_glb=directory / "comparison.glb",
        comparison_mp4=directory / "comparison.mp4" if video else None,
        chart_png=directory / "chart.png",
        report_json=directory / "report.json",
        comparison_webm=directory / "comparison.webm" if video and pictures.transparent else None,
        stills=tuple(directory / f"still-{time:.2f}.png" for time in pictures.stills),
    )
    try:
        _write_all(takes, speech, directory, rig, rig_report or report_of(rig), outputs, pictures, tell)
    except OSError as error:  # no space, no permission, a file where the folder should be
        raise TalkerError(
            f"Cannot write into {directory} ({error.strerror or error}); choose a folder with space that can be written."
        ) from error
    return outputs


def report(takes: Takes, rig: RigReport, seconds: dict[str, float]) -> dict:
    """What report.json says: how the takes were made, whose identity, how they differ, on which face, how long it took."""
    return {
        "model": takes.model,
        "steps": takes.steps,
        **dataclasses.asdict(takes.choices),
        "device": takes.device,
        "fps": takes.fps,
        "frames": takes.coefficients.shape[1],
        "takes": takes.coefficients.shape[0],
        "seed": takes.seed,
        "identity": {
            "name": takes.identity.name,
            "similarity": float(takes.identity.similarity),
            "ranking": [[name, float(similarity)] for name, similarity in takes.identity.ranking],
        },
        "diversity": takes.diversity(),
        "rig": rig.as_dict(),
        "seconds": {stage: round(float(seconds.get(stage, 0.0)), 4) for stage in STAGES},
    }


def _write_all(
    takes: Takes,
    speech: Speech,
    directory: Path,
    rig: Rig,
    rig_report: RigReport,
    outputs: Outputs,
    pictures: Pictures,
    tell: Callback,
) -> None:
    motions = takes.motions
    _remove_leftovers(directory, len(motions))

    started = time.perf_counter()
    shown_rig, shown, truth = animated(rig, takes, pictures.truth)
    if outputs.comparison_mp4 or outputs.stills:
        _write_pictures(shown, speech, shown_rig, outputs, dataclasses.replace(pictures, truth=truth), tell)
    rendered = time.perf_counter()

    tell("write", 0.0)
    takes.save(outputs.takes_npz)
    for motion, path in zip(motions, outputs.csvs, strict=True):
        write_live_link_csv(motion, path)
    for motion, path in zip(motions, outputs.jsons, strict=True):
        write_beat_json(motion, path)
    tell("write", 0.2)
    single = {path: ([motion], [f"Take {i + 1}"]) for i, (motion, path) in enumerate(zip(shown, outputs.glbs))}
    write_glbs(shown_rig, single | {outputs.comparison_glb: (shown, None)})
    tell("write", 0.7)
    write_chart(takes, speech, outputs.chart_png)
    written = time.perf_counter()

    seconds = takes.seconds | {"render": rendered - started, "write": written - rendered}
    with whole_file(outputs.report_json) as temporary:
        temporary.write_text(json.dumps(report(takes, rig_report, seconds), indent=2) + "\n", encoding="utf-8")
    tell("write", 1.0)


def _write_pictures(
    takes: Sequence[Motion], speech: Speech, rig: Rig, outputs: Outputs, pictures: Pictures, tell: Callback
) -> None:
    """The stills, then the videos."""
    motions, captions = pictures.shown(takes)
    tell("render", 0.0)
    if outputs.stills:
        stills = pictures.at_stills(motions)
        with pictures.renderer(rig, motions, captions, pictures.transparent, fine=True) as renderer:
            for picture, path in zip(renderer.frames(stills), outputs.stills, strict=True):
                write_still(picture, path)
    videos = [path for path in (outputs.comparison_mp4, outputs.comparison_webm) if path]
    for done, path in enumerate(videos):
        with pictures.renderer(rig, motions, captions, transparent=path == outputs.comparison_webm) as renderer:
            encode(
                renderer.frames(motions),
                speech.samples,
                SAMPLE_RATE,
                motions[0].fps,
                path,
                title=f"Talker: {speech.name}",
                callback=lambda frame, done=done: tell(
                    "render", (done + frame / len(motions[0].coefficients)) / len(videos)
                ),
            )
    if not videos:
        tell("render", 1.0)


def _remove_leftovers(directory: Path, takes: int) -> None:
    """Remove an earlier run's report and pictures, and its takes beyond those of this run."""
    for path in ("report.json", "comparison.mp4", "comparison.webm"):
        (directory / path).unlink(missing_ok=True)
    for path in directory.glob("still-*.png"):
        if OWN_STILL.fullmatch(path.name):
            path.unlink()
    for path in directory.glob("take-*"):
        own = OWN_TAKE.fullmatch(path.name)
        if own and int(own[1]) > takes:
            path.unlink()
