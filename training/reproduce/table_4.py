"""Table 4: how well an utterance finds its own speaker's identity in the library, by voice."""

from __future__ import annotations

import dataclasses

from training.bars import Bar
from training.evaluate import identities
from training.real_speech import NOISE_DB, noisy
from training.reproduce.measurement import load_talker
from training.reproduce.models import the_student
from training.reproduce.report import Column, format_table, write_report
from training.reproduce.setup import Setup

PAPER = {"precision": 0.99996, "recall": 0.99986, "f1": 0.99991}
"""The paper's table 4: the whole of BEAT, utterances of the training among it."""

COLUMNS = (
    Column("name", "speech"),
    Column("utterances", "utterances", "d"),
    Column("speakers", "speakers", "d"),
    Column("precision", "precision (%)", ".3f", 100, paper=True),
    Column("recall", "recall (%)", ".3f", 100, paper=True),
    Column("f1", "F1 (%)", ".3f", 100, paper=True),
)


def run(setup: Setup) -> str:
    """Train the student if it is not there, match all held-out utterances, write table 4; returns its text."""
    checkpoint, what = the_student(setup)
    talker = load_talker(checkpoint)
    utterances = setup.held_out(setup.budget.utterances if setup.budget.trial else None)
    utterances = [u for u in utterances if u.speaker in talker.identities]
    recorded = [u for u in utterances if setup.is_recorded(u)]
    groups = {"all": utterances}
    if 0 < len(recorded) < len(utterances):
        groups |= {"recorded voices": recorded, "synthetic voices": [u for u in utterances if u not in recorded]}
    rows = []
    for name, group in groups.items():
        for condition, change in (("", {}), (f", white noise at {NOISE_DB:g} dB", {"condition": noisy})):
            rows.append({"name": name + condition, **identities(talker, group, **change)})
    rows[0]["paper"] = PAPER
    legend = [
        f"ours:  {setup.legend}; {what}; held-out utterances against a library of {len(talker.identities)} identities",
        "paper: the whole of BEAT, 30 speakers (Chen et al., table 4)",
    ]
    text = format_table("Table 4. Identity matching", legend, COLUMNS, rows)
    content = {
        "target": "table-4", "data": setup.data, "budget": dataclasses.asdict(setup.budget), "model": what, "rows": rows,
    }  # fmt: skip
    bars = [Bar("F1", rows[0]["f1"], ">=", 0.98), Bar(f"F1 at {NOISE_DB:g} dB", rows[1]["f1"], ">=", 0.93)]
    return write_report(setup.out, "table-4", text, content, bars)
