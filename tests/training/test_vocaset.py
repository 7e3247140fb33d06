"""VOCASET's published layout, and faces of its topology beside a rig."""

import os
import pickle

import numpy as np
import pytest

from render.rig import default_rig
from talker.errors import TalkerError
from training.scanned_faces import face_vertices, lip_vertices
from training.vocaset import Vocaset, write_vocaset

SUBJECT, TEST_SUBJECT = "FaceTalk_170728_03272_TA", "FaceTalk_170809_00138_TA"


@pytest.fixture
def published(tmp_path, rng):
    """The four files as the site has them: pickles of Python 2, rows of one big array, int16 speech at 22 kHz; the
    sentence05 of one subject was published without speech."""
    verts = rng.normal(size=(20, 5, 3)).astype(np.float32)
    np.save(tmp_path / "data_verts.npy", verts)
    rows = {SUBJECT: {"sentence01": {0: 3, 1: 4, 2: 5, 3: 6}, "sentence05": {0: 0}}, TEST_SUBJECT: {"sentence21": {1: 8, 0: 7}}}
    samples = (8000 * np.sin(np.arange(22_000) / 9)).astype(np.int16)
    audio = {s: {name: {"audio": samples, "sample_rate": 22_000} for name in ("sentence01", "sentence21")} for s in rows}
    templates = {s: rng.normal(size=(5, 3)) for s in rows}
    for name, content in (("subj_seq_to_idx", rows), ("raw_audio_fixed", audio), ("templates", templates)):
        (tmp_path / f"{name}.pkl").write_bytes(pickle.dumps(content, protocol=2))
    return tmp_path, verts, templates


def test_sequences_are_read_from_the_published_files(published):
    folder, verts, templates = published
    data = Vocaset(folder)
    assert data.names == [(SUBJECT, "sentence01"), (TEST_SUBJECT, "sentence21")]
    assert data.test_names() == [(TEST_SUBJECT, "sentence21")]
    sequence = data.sequence(SUBJECT, "sentence01")
    assert np.array_equal(sequence.vertices, verts[3:7]) and np.array_equal(sequence.at_half_rate(), verts[3:7:2])
    assert np.array_equal(sequence.template, templates[SUBJECT])
    assert sequence.speech.seconds == pytest.approx(1.0, abs=1e-3)
    assert np.abs(sequence.speech.samples).max() == pytest.approx(8000 / 32768, rel=0.02)
    # Frames come in the order of their numbers, not of the table.
    assert np.array_equal(data.sequence(TEST_SUBJECT, "sentence21").vertices, verts[7:9])


def test_subjects_are_split_as_published(tmp_path, rng):
    """All sentences of eight subjects train; of two each, sentences 21 to 40 validate and test (3DiFACE, section 5)."""
    validation = "FaceTalk_170908_03277_TA"
    samples = (1000 * rng.normal(size=8_000)).astype(np.int16)
    rows = [
        (subject, f"sentence{k:02d}", np.zeros((1, 3)), np.zeros((1, 1, 3), np.float32), samples, 16_000)
        for subject in (SUBJECT, validation, TEST_SUBJECT)
        for k in range(1, 41)
    ]
    data = Vocaset(write_vocaset(tmp_path, rows))
    assert {s: len(data.split(s)) for s in ("train", "validation", "test")} == {"train": 40, "validation": 20, "test": 20}
    assert data.split("validation")[0] == (validation, "sentence21") and data.test_names() == data.split("test")
    adaptation = data.adaptation(TEST_SUBJECT)
    assert {split: len(names) for split, names in adaptation.items()} == {"train": 18, "validation": 2, "test": 20}
    assert adaptation["test"] == data.split("test")


def test_a_broken_sequence_is_named_and_the_rest_goes_on(published):
    folder, verts, _ = published
    verts[4] = np.nan
    np.save(folder / "data_verts.npy", verts)
    data, faults = Vocaset(folder), []
    assert [s.subject for s in data.sequences(data.names, faults)] == [TEST_SUBJECT]
    assert faults[0].file.parts[-2:] == (SUBJECT, "sentence01") and "not numbers" in faults[0].reason


def test_what_is_written_is_read_again(tmp_path, rng):
    template, vertices = rng.normal(size=(4, 3)), rng.normal(size=(6, 4, 3)).astype(np.float32)
    samples = (1000 * rng.normal(size=16_000)).astype(np.int16)
    rows = [("a", "one", template, vertices[:2], samples, 16_000), ("b", "two", template, vertices[2:], samples, 16_000)]
    data = Vocaset(write_vocaset(tmp_path / "written", rows))
    assert np.array_equal(np.load(tmp_path / "written" / "data_verts.npy"), vertices)
    assert np.array_equal(data.sequence("b", "two").vertices, vertices[2:])
    assert np.allclose(data.sequence("a", "one").speech.samples, samples / 32768, atol=1e-4)


class Malicious:
    def __reduce__(self):
        return os.system, ("true",)


@pytest.mark.parametrize("name", ["subj_seq_to_idx", "raw_audio_fixed", "templates"])
def test_a_pickle_that_wants_to_run_something_is_refused(published, name):
    folder, _, _ = published
    (folder / f"{name}.pkl").write_bytes(pickle.dumps({SUBJECT: Malicious()}, protocol=2))
    with pytest.raises(TalkerError, match="is refused because it holds posix.system"):
        Vocaset(folder)


def test_files_that_do_not_fit_together_get_a_sentence(published):
    folder, verts, templates = published
    inner: dict = {}
    inner["self"] = inner
    for content, message in (({"x": inner}, "several places"), ({"x": [1]}, "something else"), ([1], "no dictionary")):
        (folder / "templates.pkl").write_bytes(pickle.dumps(content, protocol=2))
        with pytest.raises(TalkerError, match=message):
            Vocaset(folder)
    (folder / "templates.pkl").write_bytes(pickle.dumps({SUBJECT: templates[SUBJECT][:4]}, protocol=2))
    with pytest.raises(TalkerError, match="do not fit together"):
        Vocaset(folder)
    (folder / "templates.pkl").write_bytes(pickle.dumps(templates, protocol=2))
    np.save(folder / "data_verts.npy", verts[:5])
    with pytest.raises(TalkerError, match="rows beyond the vertices"):
        Vocaset(folder).sequence(SUBJECT, "sentence01")
    (folder / "data_verts.npy").unlink()
    with pytest.raises(TalkerError, match="data_verts.npy cannot be read"):
        Vocaset(folder)


def test_a_face_of_its_own_moves_as_the_rigs_shapes_do(rng):
    rig = default_rig()
    template, closed = rig.vertices + 0.01, np.zeros((1, 52), np.float32)
    assert np.allclose(face_vertices(rig, template, closed)[0], template, atol=1e-6)
    lips = lip_vertices(rig)
    assert np.array_equal(lips, rig.parts["lips"])
