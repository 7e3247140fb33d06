"""Talker: recorded speech in, talking 3D faces out."""
