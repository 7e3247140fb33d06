"""What following a speaking style is measured by, on a toy corpus and talkers whose motion is known."""

import json

import numpy as np
import pytest

from render.rig import default_rig
from talker.errors import TalkerError
from talker.identity import NO_MATCH
from talker.motion import ARKIT_INDEX, Motion
from talker.takes import Takes
from tests.training.toy_corpus import write_toy_corpus
from training import style_evaluation
from training.beat import CORPUS_FILE, read_corpus, write_motion
from training.style_evaluation import Surface, corpus_beat_alignment, measure, with_styles

BROW = ARKIT_INDEX["browInnerUp"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Two voices that train and one that does not; brows alone move, those of the first four times as far as the second's."""
    folder = write_toy_corpus(tmp_path_factory.mktemp("corpus"), seconds=1.4)
    for one in read_corpus(folder):
        motion = one.motion()
        times = np.arange(len(motion.coefficients)) / motion.fps
        coefficients = np.zeros_like(motion.coefficients)
        coefficients[:, BROW] = (0.4 if one.speaker == "toy-0" else 0.1) * (1 + np.sin(2 * np.pi * times))
        head = np.stack([0.2 * np.sin(2 * np.pi * 1.5 * times)] * 3, axis=1)
        write_motion(Motion(coefficients, head, motion.fps), one.json)
    return folder


class Talker:
    """Speaks with the corpus's own motion, its brows moving as in the style, or by half without one."""

    def __init__(self, corpus):
        self.truth = {one.id: one for one in read_corpus(corpus)}
        self.heard, self.seeds = [], []

    def speak(self, speech, takes, seed, style, **options):
        self.heard.append((speech.name, style, options))
        self.seeds.append(seed)
        motion = self.truth[speech.name].motion(30.0, speech.frames(30.0))
        coefficients = np.repeat(motion.coefficients[None], takes, axis=0)
        coefficients[..., BROW] = 0.5 if style is None else style.coefficients[:, BROW]
        head = np.repeat(motion.head[None], takes, axis=0)
        return Takes(coefficients, head, 30.0, seed, NO_MATCH, "toy", 1)


def test_styles_are_shown_by_recordings_that_trained(corpus):
    spoken = with_styles(corpus, read_corpus(corpus))
    assert {one.utterance.speaker for one in spoken} == {"toy-0", "toy-1"}  # the third has nothing that trained
    for one in spoken:
        assert one.right.speaker == one.utterance.speaker != one.random.speaker
        assert one.right.base != one.utterance.base and {one.right.split, one.random.split} == {"train"}
    assert spoken == with_styles(corpus, read_corpus(corpus))
    with pytest.raises(TalkerError, match="no style can be shown"):
        with_styles(corpus, read_corpus(corpus, ["heldout_speaker"]))


def test_a_talker_that_follows_styles_is_right_with_the_right_one_alone(corpus):
    surface, spoken = Surface.of(default_rig()), with_styles(corpus, read_corpus(corpus, ["heldout_utterance"]))
    talker = Talker(corpus)
    found = {c: measure(talker, spoken, c, surface, takes=2, guidance={"style": 3.0}) for c in style_evaluation.CONDITIONS}
    right = found["right"]
    assert right["LVE"] == right["FDD"] == right["MOD"] == 0 and right["BA"] == 1
    assert right["Div exp"] == right["Div head"] == right["FDD ±"] == 0
    # A brow that does not swing loses all of its dynamics, one that swings four times as far or as little three quarters.
    swing = [0.4, 0.4, 0.1, 0.1]
    assert found["none"]["FDD"] / found["random"]["FDD"] == pytest.approx(np.mean(swing) / 0.3, rel=0.05)
    assert found["none"]["MOD"] == 0 and found["none"]["BA"] == 1
    # The brows go with the style that is shown; nothing else of the toy faces differs but the talker's speech.
    assert right["follows"]["brows"] == pytest.approx(1.0, abs=1e-3) and found["random"]["follows"]["brows"] < -0.9
    assert found["none"]["follows"]["brows"] is None and right["follows"]["smile"] is None
    # Every utterance has noise of its own, the same in all conditions.
    assert talker.seeds == 3 * list(range(len(spoken)))
    assert talker.heard[0][2] == {"guidance": {"style": 3.0}} and talker.heard[-1][1] is None
    bars = style_evaluation.bars(found | {"right": right | {"BA": 0.8}}, corpus_alignment=0.9)
    assert [bar.value for bar in bars][:2] == [0, 0] and np.isnan(bars[2].value) and bars[-1].value == pytest.approx(0.8 / 0.9) and not bars[-1].holds


def test_traits_are_means_and_deviations():
    coefficients, head = np.zeros((4, 52)), np.zeros((4, 3))
    coefficients[:, ARKIT_INDEX["mouthSmileLeft"]] = 0.4
    coefficients[:, ARKIT_INDEX["jawOpen"]] = 0.0, 0.2, 0.0, 0.2
    head[:, 1] = -0.1, 0.1, -0.1, 0.1
    assert style_evaluation.traits(coefficients, head) == pytest.approx([0.2, 0.0, 0.1, 0.1])
    made, wanted = [[0.0, 1, 0, 0], [1.0, 1, 1, 0], [2.0, 1, 2, 0]], [[1.0, 3, 2, 0], [2.0, 4, 1, 0], [3.0, 5, 0, 0]]
    assert style_evaluation.follows(made, wanted) == {"smile": pytest.approx(1), "brows": None, "mouth": pytest.approx(-1), "sway": None}


def test_takes_of_a_still_head_have_no_beats(corpus):
    class Still(Talker):
        def speak(self, *arguments, **options):
            takes = super().speak(*arguments, **options)
            return Takes(takes.coefficients, 0 * takes.head, 30.0, 0, NO_MATCH, "toy", 1)

    spoken = with_styles(corpus, read_corpus(corpus, ["heldout_utterance"]))[:1]
    found = measure(Still(corpus), spoken, "right", Surface.of(default_rig()), takes=2)
    assert found["BA"] is found["BA ±"] is found["Div head"] is None and found["LVE"] == 0


def test_the_corpus_is_aligned_with_itself_by_two_performances_of_a_recording(tmp_path):
    folder = write_toy_corpus(tmp_path, speakers=1, seconds=3.2)
    assert corpus_beat_alignment(folder) is None  # every recording is performed once
    content = json.loads((folder / CORPUS_FILE).read_text())
    for number in range(4):
        content["utterances"][f"toy-0-{number}"]["base"] = f"toy-0-{number - number % 2}"
        motion = read_corpus(folder)[number].motion()
        times = np.arange(len(motion.coefficients)) / motion.fps
        # The second performance of each recording slows down a tenth of a second, one width, after the first.
        head = np.stack([0.2 * np.sin(2 * np.pi * (times - 0.1 * (number % 2)))] * 3, axis=1)
        write_motion(Motion(motion.coefficients, head, motion.fps), folder / "toy-0" / f"toy-0-{number}.json")
    (folder / CORPUS_FILE).write_text(json.dumps(content))
    assert corpus_beat_alignment(folder) == pytest.approx(np.exp(-0.5), abs=0.05)
