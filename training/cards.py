"""Model cards of denoisers, written from what `evaluate` measured, so that no figure in them is typed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from talker.atomic import whole_file
from talker.checkpoints import load_checkpoint
from talker.errors import TalkerError
from training import style_evaluation
from training.bars import Bar, number
from training.features import speech_of
from training.metrics import LONG_BLINK
from training.style_evaluation import CONDITIONS

CARD = "MODEL_CARD.md"


def write_card(report: dict, folder: Path, corpus: Path, run: Sequence[dict]) -> None:
    """Writes a checkpoint's MODEL_CARD.md whole or not at all.

    report : of the checkpoint, with all groups of measures
    corpus : what it was measured on, and trained on where its config does not say on what
    run    : reports of all models that were measured beside it, for the comparison
    """
    with whole_file(folder / CARD) as path:
        path.write_text(card(report, folder, corpus, run), encoding="utf-8")


def card(report: dict, folder: Path, corpus: Path, run: Sequence[dict]) -> str:
    """The text of write_card."""
    config, tensors = load_checkpoint(folder)
    kind = _KINDS.get(config["model_type"], _KINDS["diffusiontalker"])
    return _CARD.format(
        title=f"{kind['title']}, {config['steps']} steps", parameters=f"{sum(t.numel() for t in tensors.values()) / 1e6:.1f}",
        does=kind["does"].format(identities=len(config["identities"]), **{k: config.get(k) for k in ("window_frames", "face_vertices")}),
        role=_ROLES.get(folder.name, "A denoiser of this project."), further=_FURTHER.format(**config) if config.get("further_steps") else "",
        method=kind["method"], data=config.get("trained_on") or speech_of(corpus),
        walk=steps_of(report), sampler=report["sampler"], strangers=_strangers(report), animations=report["held_out_utterances"]["takes"], models="\n".join(_model_row(one, report) for one in run),
        command=" ".join(one["model"] for one in run), more="".join(_liveliness(report) + _identities(report) + _styles(report)),
        identity_limits=_IDENTITY_LIMITS if config["identities"] else "",
    )  # fmt: skip


def _strangers(report: dict) -> str:
    """Measures on unseen speakers and how many bars hold; nothing of a teacher that was measured on errors alone."""
    if "real_speech" not in report:
        return ""
    own = report["real_speech"]
    rows = [
        f"| {_MEASURES[name]} | " + " | ".join(number(one[kind][name]) for one, kind in _columns(own["clean"], own["noise"])) + " |"
        for name in _MEASURES
    ]
    barred = {group: words for group, words in _BARRED.items() if group in report}
    bars = [bar for group in barred for bar in report[group]["bars"]]
    missed = [_sentence(bar) for bar in bars if not bar["holds"]]
    return _STRANGERS.format(
        strangers=own["utterances"], takes=own["takes"], rows="\n".join(rows), held=len(bars) - len(missed), bars=len(bars),
        about=_words(list(barred.values())), missed="; it misses: " + "; ".join(missed) if missed else "",
        diversity=_DIVERSITY.format(**own["diversity"]) if "diversity" in own else "",
    )  # fmt: skip


def results(reports: Sequence[dict]) -> str:
    """The README's table of results: a column for each model that was measured on everything, and the naive rival's."""
    own = [one for one in reports if "real_speech" in one]
    clean, noise = ([one["real_speech"][kind] for one in own] for kind in ("clean", "noise"))
    corpus = clean[0]["corpus"]

    def two(first: str, second: str) -> str:
        return f"{first}; {second}"

    def cells(form: str, key: str, columns: Sequence[dict] = clean, over: float = 1.0) -> list[str]:
        """A measure of every model and of the rival."""
        return [form.format(row[key] / over) for row in (*(column["model"] for column in columns), columns[0]["loudness"])]

    def lip_error(one: dict) -> str:
        return two(f"{one['held_out_utterances']['LBE']:.3f}", f"{one['beside_teacher']['bars'][0]['value']:.2f} ×") if "beside_teacher" in one else ""

    def f1(one: dict) -> str:
        found = one.get("identity_matching")
        return two(f"{100 * found['f1']:.1f} %", f"{100 * found['noise']['f1']:.1f} %") if found else ""

    library = next((one["identity_matching"]["library"] for one in own if "identity_matching" in one), 0)
    *closed, rival = cells("{:.2f}", "closed_over_open")
    rows = {
        f"{own[0]['real_speech']['utterances']} unseen real speakers, {steps_of(own[0])} steps":
            [*(_KINDS[one["kind"]]["title"] for one in own), "a jaw driven by loudness"],
        "---": ["---"] * (len(own) + 1),
        "lips at P, B, M against open vowels; in white noise at 15 dB":
            [*map(two, closed, cells("{:.2f}", "closed_over_open", noise)), rival],
        "lips in silence against open vowels": cells("{:.3f}", "silence_over_open"),
        "rounding of the lips at UW, OW, W against IY, EH, S": cells("{:.1f} ×", "rounding"),
        "lag of the lips behind the phones, frames": cells("{:.2f}", "lag_frames"),
        "jitter of the lips against the corpus's own": cells("{:.2f} ×", "jitter", over=corpus["jitter"]),
        "difference between takes, upper face against lips": [f"{one['real_speech']['diversity']['ratio']:.1f} ×" for one in own],
        "lip error (LBE) of the student on known speakers; over its teacher's": [*map(lip_error, own)],
        "what decides the lips of known speakers": ["identity" if f1(one) else "style, none given" for one in own],
        f"identity found by voice among {library} (F1), clean; in white noise at 15 dB": [*map(f1, own)],
    }  # fmt: skip
    return "\n".join("| " + " | ".join([name, *row, *[""] * (len(own) + 1 - len(row))]) + " |" for name, row in rows.items())


def with_results(text: str, reports: Sequence[dict]) -> str:
    """A README's text with the table of results in the place of the one that it has. TalkerError where it has none."""
    table = results(reports)
    first = table.splitlines()[0].split("|")[2:]
    lines = text.splitlines()
    start = next((k for k, line in enumerate(lines) if line.split("|")[2:] == first), None)
    if start is None:
        raise TalkerError("The file has no table of results with a column for each of these models; put its heading there.")
    end = next((k for k in range(start, len(lines)) if not lines[k]), len(lines))
    return "\n".join([*lines[:start], table, *lines[end:]]) + "\n"


def steps_of(report: dict) -> str:
    """How many steps a report's model has, and how many of them were walked where it was not all: "8", "32 of 500"."""
    walked = report["steps_walked"]
    return str(walked) if walked == report["steps"] else f"{walked} of {report['steps']}"


def _words(words: list[str]) -> str:
    return ", ".join(words[:-1]) + " and " + words[-1]


def _liveliness(report: dict) -> list[str]:
    """How often it blinks, and how far brows move, beside the corpus."""
    if "liveliness" not in report["held_out_utterances"]:
        return []
    own, corpus = (report["held_out_utterances"]["liveliness"][who] for who in ("model", "corpus"))
    return [
        f"\nThis model blinks {own['blinks_a_minute']:.1f} times a minute (the corpus {corpus['blinks_a_minute']:.1f}), and "
        f"{100 * own['long_blinks']:.1f} % of its blinks keep the lids more than half closed for over {LONG_BLINK:g} s "
        f"({100 * corpus['long_blinks']:.1f} %); the standard deviation of its brows is {own['brows']:.3f} ({corpus['brows']:.3f})"
        + (f", that of its head's three angles together {own['sway']:.3f} rad ({corpus['sway']:.3f}).\n" if own["sway"] else ".\n")
    ]


def _identities(report: dict) -> list[str]:
    """What voices find, of a model with identities."""
    if "identity_matching" not in report:
        return []
    found = report["identity_matching"]
    return [
        f"\nIdentity found by voice, {found['utterances']} held-out utterances of {found['speakers']} speakers among "
        f"{found['library']}: F1 {100 * found['f1']:.1f} %, in white noise at 15 dB {100 * found['noise']['f1']:.1f} %.\n"
    ]


def _styles(report: dict) -> list[str]:
    """What the right style is worth, of a model with styles."""
    if "styles" not in report:
        return []
    found = report["styles"]
    rows = [
        f"| {style_evaluation.NAMES[name]} | "
        + " | ".join("-" if found[c][name] is None else number(style_evaluation.SCALES[name] * found[c][name]) for c in CONDITIONS)
        + " |"
        for name in style_evaluation.NAMES
    ]
    head = f"| {found['utterances']} held-out utterances | " + " | ".join(CONDITIONS.values()) + " |"
    traced = [
        f"| {words} | " + " | ".join(_r(one[name]) for one in (*(found[c]["follows"] for c in CONDITIONS), found["corpus_follows"])) + " |"
        for name, words in style_evaluation.TRAITS.items()
    ]
    under = "| correlation over utterances with the speaker's own | " + " | ".join(CONDITIONS.values()) + " | the recording shown |"
    return [
        "\nIn three styles, against the corpus's motion:\n\n", "\n".join([head, "| --- " * (len(CONDITIONS) + 1) + "|", *rows]),
        "\n\n", "\n".join([under, "| --- " * (len(CONDITIONS) + 2) + "|", *traced]), "\n",
    ]  # fmt: skip


def _r(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _columns(clean: dict, noise: dict) -> list[tuple[dict, str]]:
    return [(clean, "model"), (noise, "model"), (clean, "loudness"), (clean, "corpus")]


def _sentence(bar: dict) -> str:
    measure, value, limit, _ = Bar(*(bar[key] for key in ("measure", "value", "sense", "limit"))).row()
    return f"{measure} {value} (wanted {limit})"


def _model_row(one: dict, own: dict) -> str:
    errors = one["held_out_utterances"]
    name = f"**{one['model']}** (this)" if one is own else one["model"]
    return f"| {name} | {steps_of(one)} | {one['sampler']} | {errors['LBE']:.4f} | {errors['MBE']:.4f} | {errors['|FDD|']:.4f} |"


_BARRED = {
    "real_speech": "real speech and noise", "odd_sounds": "odd sounds", "other_languages": "languages never trained on",
    "identity_matching": "identities", "styles": "styles", "against": "what DiffusionTalker reaches",
    "beside_teacher": "what its teacher reaches",
}  # fmt: skip
"""Parts of a report that have bars -> what they are on."""

_KINDS = {
    "diffusiontalker": {
        "title": "DiffusionTalker",
        "does": "Denoises 52 ARKit coefficients and three head angles at 30 frames a second from the features of "
        "`speech-encoder`, for one of {identities} identities that are found by voice.",
        "method": "DiffusionTalker (Chen et al. 2023, arXiv 2311.16565)",
    },
    "diffposetalk": {
        "title": "DiffPoseTalk",
        "does": "Denoises 52 ARKit coefficients and three head angles at 30 frames a second from the features of "
        "`speech-encoder`, window after window of at most {window_frames} frames, in the speaking style that `style-encoder` "
        "finds in an example of motion, or in none.",
        "method": "DiffPoseTalk (Sun et al. 2024, arXiv 2310.00434)",
    },
    "3diface": {
        "title": "3DiFACE",
        "does": "Denoises the displacements of {face_vertices} vertices of the default face at 30 frames a second, all frames "
        "of an utterance together, from the features of `speech-encoder`, for one of {identities} identities that are found "
        "by voice. Coefficients are fitted to the vertices; the head does not turn.",
        "method": "3DiFACE (Thambiraja et al. 2023, arXiv 2312.00870)",
    },
}
"""Kind of model -> its name, what it does, and who wrote of it."""

_IDENTITY_LIMITS = (
    " Identities are voices of the corpus with styles drawn at random: a match means that the voice is similar, not that "
    "the person moves so. Most identities were learned from one recording."
)

_ROLES = {
    "diffusiontalker": "Eight deterministic DDIM steps, distilled 32 → 16 → 8 from `diffusiontalker-teacher`. What "
    "`python -m talker` and the app load. Takes start from less noise in the lip region, which speech decides "
    "(`lip_noise` in `config.json`), and from more in brows, eyes and head, which few steps move too little (`upper_noise`, "
    "`head_noise`).",
    "diffusiontalker-teacher": "The model that `diffusiontalker` was distilled from; the same in everything but its 32 "
    "steps and ancestral sampling. For comparisons, and for distilling again.",
    "diffposetalk": "Eight deterministic DDIM steps, distilled 500 → 16 → 8 from `diffposetalk-teacher`. Takes start from "
    "less noise in the lip region, which speech decides (`lip_noise` in `config.json`), and from more in brows, eyes and "
    "head, which few steps move too little (`upper_noise`, `head_noise`).",
    "diffposetalk-teacher": "The model that `diffposetalk` was distilled from; the same in everything but its 500 steps and "
    "ancestral sampling. For comparisons, and for distilling again.",
    "3diface": "Eight deterministic DDIM steps, distilled 500 → 16 → 8 from `3diface-teacher`. Takes start from less noise where "
    "lips and jaw move, which speech decides (`lip_noise` in `config.json`), and from more where they do not, as few steps "
    "move lids and brows too little (`upper_noise`).",
    "3diface-teacher": "The model that `3diface` was distilled from; the same in everything but its 500 steps and ancestral "
    "sampling. For comparisons, and for distilling again.",
}

_FURTHER = (
    " {further_steps} of its training steps came on top, when the speech encoder had gone on (`--start`), with closed lips "
    "counting three times (`closure_weight`)."
)

_MEASURES = {
    "closed_over_open": "lip aperture at the middle of P, B, M over that at open vowels",
    "silence_over_open": "mean lip aperture in silence over the same",
    "rounding": "rounding at UW, OW, W over that at IY, EH, S",
    "lag_frames": "median lag of the lips behind the phones, frames",
    "jitter": "jitter of the lips",
    "closures_missed": "share of P, B, M that stay open",
}

_STRANGERS = """Real speech, one utterance of each of {strangers} speakers never trained on, {takes} takes each; beside it a jaw driven by loudness alone, and the corpus's own motion:

| measure | this model | this model, white noise at 15 dB | loudness alone | corpus |
| --- | --- | --- | --- | --- |
{rows}

It holds {held} of the {bars} bars on {about}{missed}.{diversity}

"""

_DIVERSITY = " Standard deviation across takes: upper face {upper_face:.4f}, lips {lips:.4f}, ratio {ratio:.1f}."

_CARD = """# {title}

{parameters} M parameters. {does} {role}

**Data.** A *synthetic corpus*, not captured faces: an articulation model (dominance functions with hard constraints for the lips; blinks, brows, gaze and head drawn afresh for each of two performances) moves the face to speech. {data}. Each recording is heard clean and in augmented copies.{further} The unseen speakers below were held out of everything, also of the speech encoder's training, and three utterances of every speaker with ten or more.

**Measured** by `python -m training evaluate {command}` (all of it in `../evaluation.json`; `docs/evaluation.md` defines the measures and names the options), sampled in {walk} steps by {sampler}.

{strangers}Held-out utterances of known speakers, {animations} animations of each model:

| model | steps | sampler | LBE | MBE | \\|FDD\\| |
| --- | --- | --- | --- | --- | --- |
{models}
{more}
**Limits.** The motion was learned from speech that was read aloud or synthesised, four fifths of it English. Emotion and emphasis beyond pitch accents are not modelled; gaze and head are turned to nobody. Takes differ less than the corpus's performances do.{identity_limits} An average distance such as LBE rewards a model that keeps near the mean.

**Misuse.** It makes a face say what a recording says. Ask the speaker; Talker labels its videos and files as synthetic, leave the label on.

**Make it again.** `recipe.yaml` beside this file is this stage's; `python -m training reproduce checkpoints --speech LIBRISPEECH --unlabelled MFCC.npz` runs all of them.

**Licence and credit.** MIT, as the project. Method: {method}; distillation after Salimans and Ho (2022). LibriSpeech ASR corpus, Vassil Panayotov, Guoguo Chen, Daniel Povey and Sanjeev Khudanpur (2015), from LibriVox recordings, Creative Commons Attribution 4.0; synthetic voices by flite (CMU), festival (CSTR, University of Edinburgh) and espeak-ng. No recording is part of this checkpoint.
"""
