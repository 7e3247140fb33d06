"""The models that a visitor can choose from, each loaded when it is first asked for."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from talker.errors import TalkerError
from talker.identity import EnrolledIdentity
from talker.personalise import Delta, load_delta
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

    def talker(
        self,
        name: str,
        added: Mapping[str, EnrolledIdentity] | None = None,
        personal: Mapping[str, Delta] | None = None,
    ) -> Talker:
        """A model by name, with the enrolled identities and those that a visitor added; or one of the personalised
        models that a visitor has. Raises TalkerError when it cannot be loaded."""
        if name in (personal or {}):
            return load_delta(self._whole(personal[name].model), personal[name])
        return self._whole(name).with_enrolled(self.enrolled | dict(added or {}))

    def summary(self, name: str, personal: Mapping[str, Delta] | None = None) -> str:
        """What a model is, in a line."""
        if name in (personal or {}):
            return f"{self.summaries[personal[name].model]}; fine-tuned on {personal[name].name}"
        return self.summaries[name]

    def _whole(self, name: str) -> Talker:
        if name not in self.summaries:
            raise TalkerError(f"There is no model {name!r} here; choose one of {', '.join(self.summaries)}.")
        with self._loading:
            if name not in self._loaded:
                talker = Talker.from_pretrained(self.folder / name)
                talker.styles  # loads the style encoder now, for all visitors, or says what is missing
                self._loaded[name] = talker
        return self._loaded[name]
