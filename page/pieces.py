"""Pieces of the page that are HTML: masthead, headings, the identity that speaks, timing."""

from __future__ import annotations

import html

import gradio as gr

from talker.identity import Match

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
    parts = (f"{html.escape(name)} {weight:.0%}" for name, weight in match.weights.items())
    spoken = html.escape(match.name) if len(match.weights) < 2 else ", ".join(parts)
    rows = "".join(
        f'<div class="row{" chosen" if name in match.weights else ""}"><span>{html.escape(name)}</span>'
        f'<span class="track"><div class="bar" style="width:{100 * max(0.0, similarity):.0f}%"></div></span>'
        f'<span class="value">{similarity:.2f}</span></div>'
        for name, similarity in match.ranking[:shown]
    )
    return (
        '<div class="identity"><div class="caption">Speaks with the identity</div>'
        f'<div class="name">{spoken}</div>{rows}'
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
