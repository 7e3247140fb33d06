"""What several tests of training share."""

import pytest
import torch

from talker.encoders import CompactSpeechConfig, CompactSpeechModel


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """Folder of a tiny speech encoder with random weights."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("encoder")
    CompactSpeechModel(CompactSpeechConfig(hidden_size=16, gru_size=8, feature_size=12, voice_size=6)).save_pretrained(folder)
    return str(folder)
