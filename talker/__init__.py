"""Talker: recorded speech in, talking 3D faces out. `talker.Talker` is the one public door."""


def __getattr__(name: str):
    # Loaded on demand: reading audio or motion files should not wait for torch.
    if name == "Talker":
        from talker.pipeline import Talker

        return Talker
    raise AttributeError(f"module 'talker' has no attribute {name!r}")
