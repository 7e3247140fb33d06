"""Model, identity, style and guidance: what is chosen under Speak and holds for editing too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import gradio as gr

from page.models import Models
from page.reporting import sentences
from page.scenes import MOTION_FILES, speech_of
from talker.audio import Speech
from talker.enrol import enrol
from talker.errors import TalkerError
from talker.formats import read_motion
from talker.identity import AUTO, EnrolledIdentity
from talker.motion import HEAD_NAMES
from talker.personalise import Delta
from talker.pipeline import Talker
from talker.samplers import SAMPLERS
from talker.takes import Takes

MATCHED, ALONE = "Match the voice", "Nobody"
"""First choices of the identity and of the one that it is blended with."""

HIGHEST_GUIDANCE = 5.0
"""Of a model with styles: DiffPoseTalk exaggerates its conditions (equation 10). 3DiFACE, guided by the speech alone,
trades it for diversity from 0 to 1 (figure 3)."""

MANY_STEPS, ENOUGH_STEPS, FEW_STEPS_SAMPLER = 50, 20, "dpm-solver++"
"""A model of more steps than the first starts with as many as the second, of a sampler that needs no more."""


class Settings(NamedTuple):
    """The components, in the order in which handlers receive their values; and those values.

    model, identity, steps, sampler, style, head : as Talker.speak has them; a style of "" is none
    partner, share : whom the identity is blended with ("" for nobody), and percent of the blend that is the partner
    example        : path of a motion file, whose style is taken instead of a named one
    audio_guidance, style_guidance : scales, of account for the models that were trained for them
    added, personal : identities and personalised models that the visitor has
    """

    model: Any
    identity: Any
    partner: Any
    share: Any
    steps: Any
    sampler: Any
    style: Any
    example: Any
    head: Any
    audio_guidance: Any
    style_guidance: Any
    added: Any
    personal: Any

    def talker(self, models: Models) -> Talker:
        """The model that is chosen, with what the visitor added. Raises TalkerError."""
        return models.talker(self.model, self.added, self.personal)

    def speak(
        self, models: Models, speech: Speech, takes: int, seed: int, callback: Callable[[str, float], None], **options
    ) -> Takes:
        """Sample takes with these settings; options as Talker.speak has them. Raises TalkerError."""
        talker = self.talker(models)
        identity = self.identity
        # The share comes in percent, and alone when the partner is the same.
        if self.partner and self.partner != identity:
            identity = {identity: 100 - self.share, self.partner: self.share}
        if "style" in talker.denoiser.guidances:
            options["style"] = read_motion(self.example) if self.example else self.style or None
        scales = {"audio": self.audio_guidance, "style": self.style_guidance}
        if talker.denoiser.guidances:
            options["guidance"] = {name: scales[name] for name in talker.denoiser.guidances}
        made = talker.speak(
            speech, takes, int(seed or 0), identity, int(self.steps), head=self.head, sampler=self.sampler,
            callback=callback, **options,
        )  # fmt: skip
        return made.in_style_of(self.example) if self.example and "style" in options else made


def _names(talker: Talker, first: str, value: str = AUTO) -> list[tuple[str, str]]:
    """Choices of an identity, after a first one that is none of them."""
    return [(first, value), *((name, name) for name in talker.identities)]


def offers(talker: Talker, summary: str) -> dict[str, dict]:
    """What a model offers: control → the properties that follow from it. What it has not is not shown."""
    denoiser, steps = talker.denoiser, talker.max_steps
    styled, many = "style" in denoiser.guidances, steps > MANY_STEPS
    named = [(f"{name}: {line}", name) for name, line in talker.styles.items()]
    found = {
        "model": {"info": summary},
        "identity": {"choices": _names(talker, MATCHED), "value": AUTO, "visible": bool(talker.identities)},
        "partner": {"choices": _names(talker, ALONE, ""), "value": ""},
        "blend": {"visible": bool(talker.identities)},
        "style": {"choices": [("None", ""), *named], "value": ""},
        "styles": {"visible": styled},
        "head": {"visible": HEAD_NAMES[0] in denoiser.config.channels},
        "steps": {"maximum": steps, "value": ENOUGH_STEPS if many else steps},
        "sampler": {"value": FEW_STEPS_SAMPLER if many else denoiser.config.sampler},
    }
    for name in ("audio", "style"):
        start = denoiser.default_guidance.get(name, 1.0)
        found[f"{name}_guidance"] = {
            "minimum": 0.0, "maximum": HIGHEST_GUIDANCE if styled else 1.0, "value": start,
            "visible": name in denoiser.guidances,
        }  # fmt: skip
    return found


def settings_controls(models: Models, audio: gr.Audio) -> Settings:
    """Who speaks and how: model, identity, style, head, steps, guidance; and a voice that is added from `audio`."""
    first = offers(models.talker(models.default), models.summary(models.default))
    model = gr.Dropdown(list(models.summaries), value=models.default, label="Model", elem_id="model", **first["model"])
    identity = gr.Dropdown(
        label="Identity", info="Whose way of talking the faces have", elem_id="identity", **first["identity"]
    )
    with gr.Accordion("Blend identities, add a voice", open=False, elem_id="identities", **first["blend"]) as blend:
        partner = gr.Dropdown(label="Blend with", elem_id="partner", **first["partner"])
        share = gr.Slider(0, 100, value=50, step=5, label="Its share in percent", elem_id="share")
        name = gr.Textbox(
            label="Add this voice as", max_length=40, elem_id="voice-name", placeholder="A name",
            info="From the speech above, for this visit only. Ask the speaker first.",
        )  # fmt: skip
        add = gr.Button("Add this voice", size="md", elem_id="add-voice")
    with gr.Column(elem_id="styles", **first["styles"]) as styles:
        style = gr.Dropdown(label="Style", info="How the face speaks, whoever it is", elem_id="style", **first["style"])
        with gr.Accordion("Style by example", open=False, elem_id="style-by-example"):
            example = gr.File(
                file_types=MOTION_FILES, type="filepath", elem_id="example", height=140,
                label="Motion of a second or more: Live Link CSV, BEAT JSON, npz",
            )  # fmt: skip
    head = gr.Checkbox(True, label="Head motion", elem_id="head", **first["head"])
    with gr.Accordion("Steps and guidance", open=False, elem_id="sampling"):
        steps = gr.Slider(1, step=1, label="Steps", info="Fewer are faster", elem_id="steps", **first["steps"])
        sampler = gr.Dropdown(list(SAMPLERS), label="Sampler", elem_id="sampler", **first["sampler"])
        audio_guidance = gr.Slider(
            step=0.05, label="Guidance of the speech", info="Higher follows it more closely, lower differs more",
            elem_id="audio-guidance", **first["audio_guidance"],
        )  # fmt: skip
        style_guidance = gr.Slider(
            step=0.05, label="Guidance of the style", info="Higher shows it more strongly", elem_id="style-guidance",
            **first["style_guidance"],
        )  # fmt: skip
    added, personal = gr.State({}), gr.State({})
    followers = {
        "model": model, "identity": identity, "partner": partner, "blend": blend, "style": style, "styles": styles,
        "head": head, "steps": steps, "sampler": sampler, "audio_guidance": audio_guidance, "style_guidance": style_guidance,
    }  # fmt: skip
    model.change(
        lambda *chosen: _follow(models, followers, *chosen), [model, added, personal], list(followers.values()),
        concurrency_id="model", concurrency_limit=1, api_visibility="private", show_progress="hidden",
    )  # fmt: skip
    add.click(
        lambda *values: _add_voice(models, *values), [audio, name, model, added, personal], [added, identity, partner, name],
        # An error would cover the choosers.
        api_visibility="private", concurrency_limit=1, concurrency_id="model", show_progress="hidden",
    )  # fmt: skip
    return Settings(
        model, identity, partner, share, steps, sampler, style, example, head, audio_guidance, style_guidance, added,
        personal,
    )  # fmt: skip


def _follow(
    models: Models, followers: Mapping[str, Any], name: str, added: Mapping[str, EnrolledIdentity],
    personal: Mapping[str, Delta],
) -> list:  # fmt: skip
    """The controls for the model that was chosen. Raises the sentence that says why it cannot be loaded."""
    with sentences():
        found = offers(models.talker(name, added, personal), models.summary(name, personal))
    return [type(follower)(**found[control]) for control, follower in followers.items()]


def _add_voice(
    models: Models, audio: str | None, name: str, model: str, added: dict[str, EnrolledIdentity],
    personal: dict[str, Delta],
) -> tuple[dict[str, EnrolledIdentity], gr.Dropdown, gr.Dropdown, str]:
    """An identity from the recording on the page, at once the chosen one. It is the visitor's own: it is kept in the
    session, and nobody else sees it."""
    with sentences():
        if model in personal:
            raise TalkerError("A personalised model speaks as its person alone; choose another model to add a voice to.")
        identity = enrol(models.talker(model, added), name or "", [speech_of(audio)]).identity
    added = added | {identity.name: identity}
    mine = models.talker(model, added)
    chooser = gr.Dropdown(_names(mine, MATCHED), value=identity.name)
    return added, chooser, gr.Dropdown(_names(mine, ALONE, "")), ""
