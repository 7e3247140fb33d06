"""Makes docs/views.png, the views that compare takes: python docs/make_views.py

The shipped model animates an example clip four times; one moment of it is drawn in each view.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from render.rig import default_rig  # noqa: E402
from render.video import write_still  # noqa: E402
from render.views import VIEWS, Pictures  # noqa: E402
from talker.audio import load_speech  # noqa: E402
from talker.motion import motion_at  # noqa: E402
from talker.pipeline import Talker  # noqa: E402

SIZE = (640, 480)


def main() -> None:
    """Draw the three views at the moment where takes differ most."""
    clip = sorted((ROOT / "assets" / "examples").glob("*.flac"))[0]
    takes = Talker.from_pretrained().speak(load_speech(clip), takes=4).motions
    apart = np.std([take.coefficients for take in takes], axis=0).sum(axis=1)
    moment = [int(apart.argmax()) / takes[0].fps]
    pictures = []
    for view in VIEWS:
        chosen = Pictures(*SIZE, view=view)
        motions, captions = chosen.shown(takes)
        with chosen.renderer(default_rig(), motions, captions, fine=True) as renderer:
            pictures.append(next(renderer.frames([motion_at(motion, moment) for motion in motions])))
    write_still(np.concatenate(pictures, axis=1), ROOT / "docs" / "views.png")


if __name__ == "__main__":
    main()
