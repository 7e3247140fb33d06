"""How well the speech encoder hears speakers, noises and languages that it was not trained on.

python -m training evaluate speech-encoder prints this, from the encoder's checkpoint and the heads beside it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from talker.atomic import whole_file
from talker.checkpoints import load_config
from talker.encoders import CompactSpeechModel
from talker.errors import TalkerError
from training import languages, other_languages
from training.alignment import PHONES, SILENCE, Phone
from training.augmentation import add_noise, babble_noise, coloured_noise, telephone, transmit
from training.bars import Bar, bar_table, table
from training.cards import CARD
from training.encoder_data import is_real, recordings
from training.encoder_training import load_encoder
from training.ipa import ARPABET_IPA, ARTICULATIONS, articulation, frame_articulation
from training.speech_encoder import UNKNOWN, FrameHeads, feature_times, frame_labels

BILABIAL = tuple(PHONES.index(label) for label in "PBM")
QUIET = PHONES.index(SILENCE)

BABBLE_VOICES = 20
"""Training recordings that babble is mixed from; three to six speak at once."""

AWAY = 0.04
"""A closure that is heard so many seconds or more away from any closed sound is heard wrongly."""

LIPS = {
    "closures_missed": "closed lips (P, B, M) heard open",
    "teeth_closed": "lips at teeth (F, V) heard closed",
    "false_closures": "frames of other sounds heard closed",
}
"""What lip_measures returns, in words."""

Condition = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def conditions(voices: list[np.ndarray]) -> dict[str, Condition]:
    """What happens to the speech before it is heard, by name. Babble and noise count over the whole utterance."""
    return {
        "clean": lambda samples, rng: samples,
        "babble at 10 dB": lambda samples, rng: add_noise(samples, babble_noise(voices, len(samples), rng), 10.0),
        "white noise at 15 dB": lambda samples, rng: add_noise(samples, coloured_noise(len(samples), 0.0, rng), 15.0),
        "telephone": lambda samples, rng: telephone(samples),
        "Opus, 12 kbit/s": lambda samples, rng: transmit(samples, "opus", 12_000),
    }


@torch.inference_mode()
def hear(model: CompactSpeechModel, heads: FrameHeads, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) samples at 16 kHz → what is heard every 20 ms: phones (T,) as indices into PHONES, articulation (T, 6)."""
    cepstra = model.cepstra(samples)
    hidden = model(cepstra[:, : cepstra.shape[1] // 2 * 2]).last_hidden_state[0]
    phone, articulation = heads(hidden)
    return phone.argmax(-1).numpy(), articulation.sigmoid().numpy()


def phone_measures(truth: np.ndarray, heard: np.ndarray) -> dict[str, float]:
    """Measures of 20 ms frames, truth and heard (n,) indices into PHONES.

    phones             : share of frames whose phone is right
    phones_in_speech   : the same of frames that are no silence
    bilabial_recall    : share of the frames of P, B and M that are heard as any of the three
    bilabial_precision : share of the frames heard as any of the three that are one
    """
    right, closed, heard_closed = truth == heard, np.isin(truth, BILABIAL), np.isin(heard, BILABIAL)
    return {
        "phones": float(right.mean()),
        "phones_in_speech": float(right[truth != QUIET].mean()),
        "bilabial_recall": float(heard_closed[closed].mean()),
        "bilabial_precision": float(closed[heard_closed].mean()),
    }


def correlations(truth: np.ndarray, heard: np.ndarray) -> dict[str, float]:
    """Pearson's r of every articulatory term over all frames; truth and heard (n, 6). NaN for a term that never moves."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            name: float(np.corrcoef(truth[:, k], heard[:, k])[0, 1]) for k, name in enumerate(ARTICULATIONS)
        }


def lip_measures(spoken: list[tuple[list[Phone], np.ndarray]]) -> dict[str, float]:
    """How surely closed lips are heard, from contiguous phones of utterances and the lip closure heard in them (T,).

    closures_missed : share of the sounds of closed lips at whose middle the term is below a half
    teeth_closed    : share of the sounds with the lip at the teeth at whose middle it is not
    false_closures  : share of the frames of speech AWAY or further from any closed sound where it is not
    """
    missed, teeth, false = [], [], []
    for phones, term in spoken:
        times = feature_times(len(term))
        heard, away = term >= 0.5, np.zeros(len(term), bool)
        targets = [articulation(ARPABET_IPA.get(p.label, p.label))[:2] if p.label != SILENCE else None for p in phones]
        for phone, target in zip(phones, targets, strict=True):
            if target is None:
                continue
            away |= (times >= phone.start) & (times < phone.end)
            closed = float(np.interp(phone.middle, times, term)) >= 0.5
            if target[0] == 1:
                missed.append(not closed)
            elif target[1] == 1:
                teeth.append(closed)
        for phone, target in zip(phones, targets, strict=True):
            if target is not None and target[0] > 0:
                away &= (times < phone.start - AWAY) | (times >= phone.end + AWAY)
        false.append(heard[away])
    return dict(zip(LIPS, (float(np.mean(rows)) if len(rows) else float("nan") for rows in (missed, teeth, np.concatenate(false)))))


def _lips_and_terms(model, heads, spoken: list[tuple[np.ndarray, list[Phone]]]) -> tuple[dict[str, float], dict[str, float]]:
    """lip_measures and correlations of what is heard of utterances."""
    heard = [(phones, hear(model, heads, samples)[1]) for samples, phones in spoken]
    truth = np.concatenate([frame_articulation(phones, feature_times(len(found))) for phones, found in heard])
    terms = correlations(truth, np.concatenate([found for _, found in heard]))
    return lip_measures([(phones, found[:, 0]) for phones, found in heard]), terms


def _phones(model, heads, spoken: list[tuple[np.ndarray, list[Phone]]], condition: Condition) -> dict[str, float]:
    truth, heard = [], []
    for samples, phones in spoken:
        rng = np.random.default_rng([zlib.crc32(samples.tobytes()), 10])
        found = hear(model, heads, condition(samples, rng))[0]
        labels = frame_labels(phones, feature_times(len(found)))
        truth.append(labels[labels != UNKNOWN])
        heard.append(found[labels != UNKNOWN])
    return phone_measures(np.concatenate(truth), np.concatenate(heard))


def evaluate_encoder(folder: Path, corpus: Path, limit: int | None = None) -> dict:
    """All measures of an encoder's checkpoint folder on the corpus's held-out speakers and on left-out languages.

    limit : so many utterances only, for a trial. TalkerError without heads or held-out recordings.
    """
    model, heads = load_encoder(folder)
    held = [u for u in recordings(corpus, ("heldout_speaker",)) if is_real(u)][:limit]
    others = [u for u in recordings(corpus, ("train",)) if is_real(u)]
    if not held or not others:
        raise TalkerError(f"{corpus} has no recordings of held-out speakers; make it with `corpus --speech DIR`.")
    spoken = [(u.speech().samples, u.phones()) for u in held]
    voices = [u.speech().samples for u in others[:: -(-len(others) // BABBLE_VOICES)]]
    heard = {name: _phones(model, heads, spoken, change) for name, change in conditions(voices).items()}
    lips, terms = {}, {}
    lips["real English"], terms["real English"] = _lips_and_terms(model, heads, spoken)
    for language in (other_languages.ENGLISH, *languages.LEFT_OUT):
        name = f"{language} by espeak-ng" + ", never trained" * (language in languages.LEFT_OUT)
        sentences = [other_languages.spoken(language, number) for number in range(limit or other_languages.UTTERANCES)]
        lips[name], terms[name] = _lips_and_terms(model, heads, sentences)
    clean, babble = heard["clean"], heard["babble at 10 dB"]
    bars = [
        Bar("frames whose phone is right", clean["phones"], ">=", 0.66),
        Bar("bilabial recall", clean["bilabial_recall"], ">=", 0.65),
        Bar("babble at 10 dB: frames whose phone is right", babble["phones"], ">=", 0.55),
        Bar("babble at 10 dB: bilabial recall", babble["bilabial_recall"], ">=", 0.55),
    ]
    config = load_config(folder)
    return {
        "model": Path(folder).name,
        "parameters": sum(p.numel() for p in model.parameters()),
        "held_out_speakers": len({u.speaker for u in held}),
        "minutes": sum(len(samples) for samples, _ in spoken) / 16000 / 60,
        "trained_on_hours": config.get("rendered_hours"),
        "phones": heard,
        "lips": lips,
        "articulation": terms,
        "bars": [bar.entry() for bar in bars],
    }


def as_text(report: dict) -> str:
    """A report as tables for people."""
    title = "20 ms frames of {held_out_speakers} real speakers never trained on ({minutes:.0f} minutes), in %"
    rows = [[name, *(100 * value for value in row.values())] for name, row in report["phones"].items()]
    columns = [name.replace("_", " ") for name in next(iter(report["phones"].values()))]
    terms = [[name, *row.values()] for name, row in report["articulation"].items()]
    return "\n\n".join((
        f"{report['model']}, {report['parameters'] / 1e6:.1f} M parameters. Labels are pocketsphinx's, themselves imperfect.",
        table(title.format(**report), ["", *columns], rows),
        table("lips, in %", ["", *LIPS.values()], [[name, *(100 * v for v in row.values())] for name, row in report["lips"].items()]),
        table("articulation, r over 20 ms frames", ["", *(t.replace("_", " ") for t in ARTICULATIONS)], terms),
        bar_table("bars of the speech encoder", report["bars"]),
    ))  # fmt: skip


def card(report: dict, folder: Path) -> str:
    """The model card of an encoder, all figures from its report and its config.json."""
    config, parameters = load_config(folder), report["parameters"] / 1e6
    rows = [
        f"| {name} | " + " | ".join(f"{100 * value:.1f} %" for value in row.values()) + " |"
        for name, row in report["phones"].items()
    ]
    lips = [f"| {name} | " + " | ".join(f"{100 * v:.1f} %" for v in row.values()) + " |" for name, row in report["lips"].items()]
    terms = [
        f"| {name} | " + " | ".join("–" if value != value else f"{value:.2f}" for value in row.values()) + " |"
        for name, row in report["articulation"].items()
    ]
    hours = config["rendered_hours"]
    heard = ", ".join(f"{hours[name]:g} h {text}" for name, text in _KINDS.items() if hours.get(name))
    bars = "; ".join(f"{b['measure']} {b['sense']} {100 * b['limit']:.0f} %: {100 * b['value']:.1f} %" for b in report["bars"])
    return _CARD.format(
        parameters=f"{parameters:.1f}", hours=heard, speakers=config["speakers"], steps=config["trained_steps"],
        voice_steps=config["voice_steps"],
        from_there=_FROM_THERE if config.get("further_steps") else "",
        further=_FURTHER.format(steps=config["further_steps"], hours=config["further_hours"]["languages"]) if config.get("further_steps") else "",
        held=report["held_out_speakers"], minutes=f"{report['minutes']:.0f}", rows="\n".join(rows),
        head=" | ".join(t.replace("_", " ") for t in ARTICULATIONS), rule=" --- |" * (len(ARTICULATIONS) + 1),
        lips="\n".join(["| | " + " | ".join(LIPS.values()) + " |", "| --- " * (len(LIPS) + 1) + "|", *lips]),
        terms="\n".join(terms), bars=bars, suppression=_SUPPRESSION if config.get("suppress_noise") else "",
    )  # fmt: skip


def write_card(report: dict, folder: Path) -> None:
    """Writes the checkpoint's MODEL_CARD.md whole or not at all."""
    with whole_file(folder / CARD) as path:
        path.write_text(card(report, folder), encoding="utf-8")


_KINDS = {
    "real": "of recordings (LibriSpeech, read English; phone times from pocketsphinx)",
    "synthetic": "of English by flite, festival and espeak-ng (phone times from the engines)",
    "languages": "of other languages by espeak-ng (articulation only)",
    "unlabelled": "of further LibriSpeech speakers known by their MFCCs alone, labelled by the encoder of the round before",
}

_SUPPRESSION = (
    " Before it listens, steady noise is weakened by spectral subtraction in the mel bands (`suppress_noise` in config.json; "
    "`talker.encoders.noise_gains`), which leaves clean recordings as they are."
)

_FROM_THERE = (
    "; the last steps alone, whose `recipe.yaml` is beside this file, with `--recipe speech-encoder-further --start FOLDER` as well"
)

_FURTHER = (
    " Then {steps} more of the frame path, with {hours:g} h of other languages in the end, half of it invented words of their "
    "sounds, and closed lips weighing twice as much, its features held near what the denoisers had learned from "
    "(`speech-encoder --start`); the last 2000 of them heard noise weakened, as it is in use, where all before heard the noise "
    "itself, and the last 700 heard eight of the twenty-three languages for the first time, with lips at teeth (F, V) weighing twice, "
    "too. Made anew from nothing, all rounds hear and weigh so."
)

_CARD = """# Talker's compact speech encoder

{parameters} M parameters: 13 Kaldi MFCCs every 10 ms, dilated convolutions and one bidirectional GRU; 128 features every 20 ms (`last_hidden_state`), and beside them a small network that gives one 64-number vector for the voice. Loads with `transformers.AutoModel` once `talker.encoders` is imported, or with `talker.encoders.SpeechEncoder.from_pretrained`. `heads.safetensors` beside it holds the linear heads it was taught through: 39 English phones and silence, and six articulatory terms that all languages share (lip closure, lip to teeth, rounding, spread, openness, tongue tip; `training/ipa.py`).{suppression}

**Use.** Frozen input of Talker's denoisers: features for the motion, the voice vector to find an identity in the library. It is not a recogniser.

**Data.** {hours}. Every rendering counts: real recordings were heard in seven, the others in two, noisy ones through simulated rooms, microphones, telephones, mp3 and Opus, in babble and coloured noise, sped up or slowed down, and cut into pieces of 1 to 3 s. The voice path was taught to tell {speakers} speakers apart. {steps} steps in each of three rounds, then {voice_steps} of the voice path alone, in more noise.{further} No motion was used.

**Measured** on {minutes} minutes of {held} LibriSpeech speakers held out of everything (20 ms frames; labels from pocketsphinx, themselves imperfect), as printed by `python -m training evaluate speech-encoder`:

| | phone right | the same without silence | recall of P B M as any of them | their precision |
| --- | --- | --- | --- | --- |
{rows}

Bars: {bars}.

Closure of the lips as it is heard at the middle of a sound, in sentences of espeak-ng too, the same voices in every language:

{lips}

Correlation of the articulatory terms with those of the phones, over all frames:

| | {head} |
|{rule}
{terms}

**Limits.** Labelled real speech is read English by adults; other languages were heard from a synthesiser. Children, song, and speech under music were not in the data. Features are normalised over the utterance, so an utterance of a word or two is heard less well than a sentence.

**Make it again.** `python -m training speech-encoder --corpus data/corpus --unlabelled MFCC.npz --out runs/speech-encoder`{from_there}. The card: `python -m training evaluate speech-encoder --card`.

**Licence and credit.** MIT, as the project. LibriSpeech ASR corpus, Vassil Panayotov, Guoguo Chen, Daniel Povey and Sanjeev Khudanpur (2015), from LibriVox recordings, Creative Commons Attribution 4.0. No recording is part of this checkpoint.
"""


def is_encoder(model: str | Path) -> bool:
    """Whether a checkpoint folder holds a compact speech encoder."""
    try:
        return load_config(model).get("model_type") == CompactSpeechModel.config_class.model_type
    except TalkerError:
        return False
