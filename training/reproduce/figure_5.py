"""Figure 5: five people say one word, each with the identity that their voice finds, beside their own motion."""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict

import numpy as np
from PIL import Image

from render.renderer import Renderer
from render.rigs.load import find_rig
from talker.atomic import whole_file
from talker.errors import TalkerError
from talker.motion import ARKIT_INDEX
from training import metrics
from training.beat import Utterance, read_text_grid
from training.reproduce.measurement import load_talker
from training.reproduce.models import the_student
from training.reproduce.report import Column, format_table, write_report
from training.reproduce.setup import Setup, spread
from training.text import lexicon

PEOPLE = 5

PAPERS_WORD = "excellent"
"""The paper shows the sound of its second syllable; taken where five people say it."""

WIDTH, HEIGHT = 1600, 420

COLUMNS = (
    Column("speaker", "speaker"),
    Column("utterance", "utterance"),
    Column("seconds", "frame at\nseconds", ".2f"),
    Column("identity", "identity found"),
    Column("jaw_corpus", "jawOpen,\ncorpus", ".3f"),
    Column("jaw", "\nmodel", ".3f"),
    Column("LBE", "LBE in\nthe word"),
    Column("LBE_others", "with the others'\nidentities"),
)


def words_of(utterance: Utterance, text: str = "") -> list[tuple[float, float, str]]:
    """(start, end, word) of what is said, seconds: the TextGrid's words, else those of the text that its phones spell.

    text : what a synthetic voice reads; of its words those with at least four phones count that the voice
           pronounces as the CMU dictionary does, found one after the other
    """
    if utterance.text_grid is None:
        return []
    tiers = read_text_grid(utterance.text_grid)
    name = next((n for n in tiers if n.lower().endswith("words")), None)
    words = [(a, b, word.strip().lower()) for a, b, word in tiers.get(name, []) if word.strip()]
    if words or not text:
        return words
    phones, position = utterance.phones(), 0
    labels = [phone.label for phone in phones]
    for word in re.findall("[a-z]+", text.lower()):
        spelled = list(lexicon().get(word, ()))
        places = range(position, len(labels) - len(spelled) + 1) if len(spelled) >= 4 else ()
        place = next((k for k in places if labels[k : k + len(spelled)] == spelled), None)
        if place is not None:
            position = place + len(spelled)
            words.append((phones[place].start, phones[position - 1].end, word))
    return words


def shared_word(
    utterances: list[Utterance], texts: dict[str, str], people: int = PEOPLE
) -> tuple[str, list[tuple[Utterance, float, float]]]:
    """A word that at least `people` speakers say, with one occurrence (utterance, start, end) of each speaker.

    texts : utterance id -> text, for words_of
    "excellent" where they do, else the longest such word, the first by the alphabet of several; of more speakers
    some evenly spread. Raises TalkerError when there is no such word.
    """
    said: dict[str, dict[str, tuple[Utterance, float, float]]] = defaultdict(dict)
    for utterance in utterances:
        for start, end, word in words_of(utterance, texts.get(utterance.id, "")):
            said[word].setdefault(utterance.speaker, (utterance, start, end))
    shared = [word for word, speakers in said.items() if len(speakers) >= people]
    if not shared:
        raise TalkerError(
            f"No word is said by {people} speakers in the {len(utterances)} held-out utterances; give --data a larger corpus."
        )
    word = PAPERS_WORD if PAPERS_WORD in shared else min(shared, key=lambda word: (-len(word), word))
    return word, spread([said[word][speaker] for speaker in sorted(said[word])], people)


def run(setup: Setup) -> str:
    """Draw the middle of the word of five speakers, the corpus's motion above the model's; returns the table."""
    checkpoint, what = the_student(setup)
    talker = load_talker(checkpoint)
    utterances = setup.held_out(None)
    word, occurrences = shared_word(utterances, setup.texts)
    rows, pictures = [], {"corpus": [], "model": []}
    spoken = [(utterance, utterance.speech()) for utterance, _, _ in occurrences]
    found = [talker.match(speech).name for _, speech in spoken]
    for (utterance, speech), (_, start, end), own in zip(spoken, occurrences, found):
        takes = {name: talker.speak(speech, takes=1, identity=name) for name in dict.fromkeys(found)}
        fps = takes[own].fps
        truth = utterance.motion(fps, speech.frames(fps))
        inside = slice(int(start * fps), max(int(start * fps) + 1, round(end * fps)))
        frame = min(round((start + end) / 2 * fps), len(truth.coefficients) - 1)
        errors = {n: metrics.lbe(t.coefficients[0, inside], truth.coefficients[inside]) for n, t in takes.items()}
        others = [error for name, error in errors.items() if name != own]
        pictures["corpus"].append((truth.coefficients[frame], truth.head[frame]))
        pictures["model"].append((takes[own].coefficients[0, frame], takes[own].head[0, frame]))
        jaw = ARKIT_INDEX["jawOpen"]
        rows.append({
            "speaker": utterance.speaker, "utterance": utterance.id, "seconds": frame / fps, "identity": own,
            "jaw_corpus": float(truth.coefficients[frame, jaw]), "jaw": float(takes[own].coefficients[0, frame, jaw]),
            "LBE": errors[own], "LBE_others": float(np.mean(others)) if others else None,
        })  # fmt: skip
    legend = [f"ours:  {setup.legend}; {what}; the middle of the word “{word}” in held-out utterances, one take"]
    text = format_table("Figure 5. Five identities, one word", legend, COLUMNS, rows)
    content = {
        "target": "figure-5", "data": setup.data, "budget": dataclasses.asdict(setup.budget), "model": what,
        "word": word, "rows": rows,
    }  # fmt: skip
    write_report(setup.out, "figure-5", text, content)
    drawn = []
    for label, faces in pictures.items():
        captions = [f"{row['speaker']}: {label}" for row in rows]
        with Renderer(find_rig(setup.rig)[0], len(faces), WIDTH, HEIGHT, captions, fine=True) as renderer:
            drawn.append(renderer.frame(*(np.stack(part) for part in zip(*faces))))
    with whole_file(setup.out / "figure-5.png") as temporary:
        Image.fromarray(np.concatenate(drawn)).save(temporary)
    return text
