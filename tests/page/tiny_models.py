"""A folder of checkpoints: the default model, and tiny ones of random weights that have what it has not."""

from __future__ import annotations

from pathlib import Path

import torch

from talker.checkpoints import load_config, save_checkpoint
from talker.models.diffposetalk import DiffPoseTalk, DiffPoseTalkConfig
from talker.models.three_diface import ThreeDiFace, ThreeDiFaceConfig
from talker.pipeline import CHECKPOINTS
from talker.schedules import cosine_schedule
from talker.style import StyleConfig, StyleEncoder

STYLES = {"calm": "hardly moves", "lively": "moves a lot"}


def write_tiny_models(folder: Path) -> Path:
    """diffusiontalker (identities, head), tiny-diffposetalk (styles, both guidances, head), tiny-3diface (guidance of the
    speech, no identities, no head; 60 steps)."""
    torch.manual_seed(0)
    (folder / "diffusiontalker").symlink_to(CHECKPOINTS / "diffusiontalker")
    shipped = load_config(CHECKPOINTS / "diffusiontalker")
    sizes = {"identities": [], "audio_dim": shipped["audio_dim"], "voice_dim": shipped["voice_dim"]}
    posing = DiffPoseTalkConfig(
        **sizes, alpha_bars=cosine_schedule(4).alpha_bars.tolist(), hidden_dim=16, layers=1, heads=2, window_frames=40,
        previous_frames=4,
    )  # fmt: skip
    save_checkpoint(folder / "tiny-diffposetalk", DiffPoseTalk(posing), posing.to_dict() | {"summary": "with styles"})
    moving = ThreeDiFaceConfig(
        **sizes, alpha_bars=cosine_schedule(60).alpha_bars.tolist(), hidden_dim=8, identity_dim=8, face="seven",
        face_vertices=7,
    )  # fmt: skip
    face = ThreeDiFace(moving)
    torch.nn.init.normal_(face.motion_decoder.weight, std=0.3)  # which starts at zero
    face.face.targets.normal_(std=0.01)
    save_checkpoint(folder / "tiny-3diface", face, moving.to_dict() | {"summary": "of vertices"})
    encoder = StyleEncoder(StyleConfig(layers=1, styles=STYLES))
    encoder.vectors.copy_(torch.eye(128)[: len(STYLES)])
    save_checkpoint(folder / "style-encoder", encoder, encoder.config.to_dict())
    return folder
