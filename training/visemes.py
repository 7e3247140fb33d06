"""Viseme targets of the 39 phones in ARKit's terms, and how far each phone's gesture reaches.

Values were set by looking at which ARKit shapes a speaking face shows at the phone's middle.
"""

from __future__ import annotations

CONTROLS = (
    "jaw", "funnel", "pucker", "smile", "stretch", "lowerDown", "upperUp", "rollLower", "tongue",
)  # fmt: skip
"""What the dominance functions blend. Closure and press come from the hard constraints alone."""

# Target of every phone: {control: (value, dominance)}. A control that is not named is free, and takes
# the value of the neighbours. Diphthongs have two targets (DIPHTHONGS below).
_OPEN_LIPS = {"lowerDown": (0.26, 0.6), "upperUp": (0.10, 0.6)}
_UNROUND = {"funnel": (0.0, 0.6), "pucker": (0.0, 0.6)}
_SPREAD = {"funnel": (0.0, 2.2), "pucker": (0.0, 2.2)}  # a spread vowel does not give way
TARGETS: dict[str, dict[str, tuple[float, float]]] = {
    "AA": {"jaw": (0.80, 1.0), "smile": (0.02, 0.3), **_OPEN_LIPS, **_UNROUND},
    "AE": {"jaw": (0.74, 1.0), "smile": (0.16, 0.7), "stretch": (0.16, 0.7),
           "lowerDown": (0.32, 0.7), "upperUp": (0.18, 0.7), **_SPREAD},
    "AH": {"jaw": (0.42, 0.8), "lowerDown": (0.18, 0.5), "upperUp": (0.06, 0.5),
           "funnel": (0.02, 0.3), "pucker": (0.0, 0.3)},
    "AO": {"jaw": (0.70, 1.0), "funnel": (0.47, 1.4), "pucker": (0.20, 1.4),
           "lowerDown": (0.16, 0.5), "upperUp": (0.06, 0.5), "smile": (0.0, 0.7), "stretch": (0.0, 0.7)},
    "EH": {"jaw": (0.64, 1.0), "smile": (0.14, 0.6), "stretch": (0.12, 0.6),
           "lowerDown": (0.28, 0.6), "upperUp": (0.13, 0.6), **_SPREAD},
    "ER": {"jaw": (0.22, 0.8), "funnel": (0.36, 0.8), "pucker": (0.22, 0.8), "lowerDown": (0.12, 0.5)},
    "IH": {"jaw": (0.27, 0.8), "smile": (0.16, 0.6), "stretch": (0.12, 0.6),
           "lowerDown": (0.20, 0.5), "upperUp": (0.08, 0.5), **_UNROUND},
    "IY": {"jaw": (0.17, 0.9), "smile": (0.34, 0.9), "stretch": (0.24, 0.9),
           "lowerDown": (0.24, 0.6), "upperUp": (0.10, 0.6), **_SPREAD},
    "UH": {"jaw": (0.24, 0.8), "funnel": (0.38, 0.9), "pucker": (0.30, 0.9), "lowerDown": (0.10, 0.5),
           "smile": (0.0, 0.6), "stretch": (0.0, 0.6)},
    "UW": {"jaw": (0.14, 0.9), "funnel": (0.30, 1.3), "pucker": (0.78, 1.3), "lowerDown": (0.03, 0.6),
           "upperUp": (0.0, 0.6), "smile": (0.0, 0.9), "stretch": (0.0, 0.9)},
    "B": {"jaw": (0.12, 1.3)},
    "P": {"jaw": (0.12, 1.3)},
    "M": {"jaw": (0.10, 1.3)},
    "F": {"jaw": (0.13, 0.9), "smile": (0.05, 0.3)},
    "V": {"jaw": (0.14, 0.9), "smile": (0.05, 0.3)},
    "T": {"jaw": (0.15, 0.6), "lowerDown": (0.14, 0.3), "stretch": (0.06, 0.2)},
    "D": {"jaw": (0.16, 0.6), "lowerDown": (0.14, 0.3), "stretch": (0.06, 0.2)},
    "N": {"jaw": (0.17, 0.6), "lowerDown": (0.14, 0.3), "stretch": (0.05, 0.2)},
    "L": {"jaw": (0.24, 0.6), "lowerDown": (0.16, 0.4), "tongue": (0.07, 1.0)},
    "TH": {"jaw": (0.14, 1.0), "lowerDown": (0.10, 0.8), "upperUp": (0.08, 0.5), "tongue": (0.42, 3.0)},
    "DH": {"jaw": (0.15, 0.9), "lowerDown": (0.10, 0.7), "upperUp": (0.06, 0.4), "tongue": (0.36, 3.0)},
    "S": {"jaw": (0.05, 1.1), "funnel": (0.0, 0.9), "pucker": (0.0, 0.9), "smile": (0.16, 0.5), "stretch": (0.26, 0.8),
          "lowerDown": (0.22, 0.6), "upperUp": (0.10, 0.5)},
    "Z": {"jaw": (0.06, 1.1), "funnel": (0.0, 0.7), "pucker": (0.0, 0.7), "smile": (0.15, 0.5), "stretch": (0.24, 0.8),
          "lowerDown": (0.22, 0.6), "upperUp": (0.10, 0.5)},
    "SH": {"jaw": (0.09, 1.0), "funnel": (0.55, 1.5), "pucker": (0.26, 1.5), "smile": (0.0, 0.8),
           "stretch": (0.0, 0.8), "lowerDown": (0.14, 0.5), "upperUp": (0.08, 0.5)},
    "R": {"jaw": (0.16, 0.7), "funnel": (0.34, 0.8), "pucker": (0.34, 0.8), "smile": (0.0, 0.4),
          "lowerDown": (0.10, 0.4)},
    "W": {"jaw": (0.10, 0.9), "funnel": (0.30, 1.3), "pucker": (0.84, 1.3), "smile": (0.0, 0.9),
          "stretch": (0.0, 0.9), "lowerDown": (0.0, 0.8), "upperUp": (0.0, 0.8)},
    "Y": {"jaw": (0.14, 0.7), "funnel": (0.0, 0.4), "pucker": (0.0, 0.4), "smile": (0.26, 0.6), "stretch": (0.18, 0.6), "lowerDown": (0.18, 0.4)},
    "K": {"jaw": (0.22, 0.35), "lowerDown": (0.14, 0.2)},
    "G": {"jaw": (0.22, 0.35), "lowerDown": (0.14, 0.2)},
    "NG": {"jaw": (0.22, 0.40), "lowerDown": (0.14, 0.2)},
    "HH": {"jaw": (0.28, 0.15)},
}  # fmt: skip
TARGETS["CH"] = TARGETS["JH"] = TARGETS["ZH"] = TARGETS["SH"]

# Where in the vowel (0 start, 1 end) which target is reached. The open half holds the middle.
_GLIDE_I = {"jaw": (0.22, 0.8), "smile": (0.28, 0.8), "stretch": (0.18, 0.8), "lowerDown": (0.20, 0.5)}
_GLIDE_U = {"jaw": (0.20, 0.8), "funnel": (0.34, 1.2), "pucker": (0.58, 1.2), "smile": (0.0, 0.7)}
_OW = {"jaw": (0.42, 0.9), "funnel": (0.46, 1.4), "pucker": (0.34, 1.4), "smile": (0.0, 0.7),
       "stretch": (0.0, 0.7), "lowerDown": (0.12, 0.5)}  # fmt: skip
_EY = {**TARGETS["EH"], "jaw": (0.48, 0.9), "smile": (0.20, 0.7)}
DIPHTHONGS: dict[str, tuple[tuple[float, dict], ...]] = {
    "AW": ((0.42, TARGETS["AA"]), (0.95, _GLIDE_U)),
    "AY": ((0.42, TARGETS["AA"]), (0.95, _GLIDE_I)),
    "EY": ((0.35, _EY), (0.90, _GLIDE_I)),
    "OW": ((0.35, _OW), (0.90, _GLIDE_U)),
    "OY": ((0.35, TARGETS["AO"]), (0.92, _GLIDE_I)),
}

# The tongue shows in TH, DH and L alone: where it makes another sound it is behind the teeth, and a
# free control would leave it out until the next pause.
for _target in (*TARGETS.values(), *(target for parts in DIPHTHONGS.values() for _, target in parts)):
    _target.setdefault("tongue", (0.0, 0.8))

BILABIALS = frozenset("P B M".split())
LABIODENTALS = frozenset("F V".split())
SIBILANTS = frozenset("S Z SH ZH CH JH".split())
ROUNDED = frozenset("W UW".split())
VELARS = frozenset("K G NG HH".split())

# Time constants in seconds of a dominance function before and after a target: the jaw is heavy,
# rounding starts early (forward coarticulation) and both let go a little faster than they start.
_BEFORE, _AFTER = 0.055, 0.050
# Lips of W and UW are on their way 200 ms ahead where nothing objects, those of R and the vowels
# that are rounded by the way let go and start later (Perkell and Matthies, 1992, on UW).
_ROUNDING = {
    **dict.fromkeys("W UW".split(), (0.115, 0.050)),
    **dict.fromkeys("OW OY AW AO UH".split(), (0.090, 0.055)),
    **dict.fromkeys("SH ZH CH JH".split(), (0.075, 0.045)),
    **dict.fromkeys("R ER".split(), (0.070, 0.045)),
}
_SPREADING = (0.060, 0.060)


def reach(phone: str, control: str) -> tuple[float, float]:
    """Time constants (s) before and after a target of `phone` (ARPAbet or SIL) for one of CONTROLS."""
    if control in ("funnel", "pucker"):
        return _ROUNDING.get(phone, _SPREADING)
    if control == "tongue":
        return 0.045, 0.035
    if phone in BILABIALS:  # strong and short
        return 0.042, 0.038
    if phone in VELARS:  # made by the back of the tongue: lips and jaw hardly wait for them
        return 0.040, 0.036
    return _BEFORE, _AFTER
