"""The models that a visitor can choose from, each loaded when it is first asked for."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from talker.identity import EnrolledIdentity
from talker.pipeline import CHECKPOINTS, Talker, available_models


class Models:
    """The denoisers in a folder of checkpoints.

    folder   : the checkpoints that ship, unless given
    default  : the one the page starts with, which is loaded at once; TalkerError when it is missing or broken
    enrolled : identities of this machine, in every model that they fit
    """

    def __init__(
        self,
        folder: Path = CHECKPOINTS,
        default: str = "diffusiontalker",
        enrolled: Mapping[str, EnrolledIdentity] | None = None,
    ):
        self.folder, self.default, self.enrolled = folder, default, dict(enrolled or {})
        self.summaries = available_models(folder)
        self._loaded: dict[str, Talker] = {}
        self._loading = threading.Lock()
        self.talker(default)

    def talker(self, name: str, added: Mapping[str, EnrolledIdentity] | None = None) -> Talker:
        """A model by name, with the enrolled identities and those that a visitor added."""
        with self._loading:
            if name not in self._loaded:
                self._loaded[name] = Talker.from_pretrained(self.folder / name)
        return self._loaded[name].with_enrolled(self.enrolled | dict(added or {}))
