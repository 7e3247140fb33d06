"""The head: its mesh, colours, 52 shapes and correctives in three looks, built from formulas alone.

    python -m render.head                               writes assets/head/<look>.npz, all looks
    python -m render.head --sheet docs/head-shapes.png  draws every shape as a contact sheet
    python -m render.head --portrait docs/head.png      draws the looks from three sides

The left half is built (render.head_surface, render.head_parts, render.head_hair) and mirrored, so that
a Right shape is exactly the mirror image of its Left one, then led towards a look (render.head_looks).
Proportions follow Farkas (1994), see render.head_surface; what every shape means follows Apple's
ARFaceAnchor.BlendShapeLocation (render.head_shapes, with render.head_correctives).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from render import head_hair, head_light, head_looks
from render import head_parts as parts
from render import head_surface as surface
from render.head_surface import bump, smoothstep
from render.rig import LOOKS, LOOKS_FOLDER, Rig, save_rig

NOSTRIL = 0.30
"""How bright the inside of a nostril is, as a share of the skin."""

FLESH = np.array([0.880, 0.610, 0.590])
"""Inner corner of the eye, of which the skin's colour takes a share."""

INNER_SOCKET = (11.0, 8.0, 86.0)
"""Between the brow, the root of the nose and the inner corner of the left eye, mm."""

TEMPLE = (60.0, 6.0, 44.0)
"""Beside the left eye, before the hair, mm."""

PIVOT = np.array([0.0, -90.0, -20.0])
"""Where the head turns on the neck: about the third cervical vertebra, mm. Nods start higher and tilts lower; from
here neither shears the neck."""

AMBIENT = 0.82
"""How dark a vertex that sees no sky becomes."""

NECK_BEND = (-94.0, -0.50), (-150.0, -0.25)
"""Height y and slope dy/dz, at z = -20, of the planes between which the neck bends, mm: from below the occiput and
the underside of the jaw down into the collar."""


@dataclass
class Sculpture:
    """The whole head in millimetres, with what the shapes need to know of each vertex.

    vertices (V, 3), faces (F, 3), colors (V, 3) in 0..1; mirror (V,): index of each vertex's mirror
    image; part (V,): index into names; lip_side (V,): +1 upper, -1 lower half of the mouth's rings, 0
    elsewhere and at the corners; lip_out (V,): mm outside the vermilion border in the rings, else nan;
    lip_s (V,): |x| / half width along the mouth, else nan; lid_ring, lid_column (V,): place in the eye's
    rings or the lashes, else -1; forward (V,): 0..1 from the tongue's root to its tip.
    mouth, eye: vertex indices of the left half's rings.
    """

    vertices: np.ndarray
    faces: np.ndarray
    colors: np.ndarray
    mirror: np.ndarray
    part: np.ndarray
    names: list[str]
    marks: dict[str, np.ndarray] = field(default_factory=dict)
    mouth: np.ndarray = None
    eye: np.ndarray = None
    contact: int = 0
    share: np.ndarray = None

    def of(self, *names):
        """Boolean mask (V,) of the vertices of these parts."""
        return np.isin(self.part, [self.names.index(name) for name in names])


def skin_colors(vertices, normals, look):
    """sRGB (n, 3) in 0..1 of skin: base tone, blush, folds, hair showing through at its roots."""
    x, y, z = np.abs(vertices[:, 0]), vertices[:, 1], vertices[:, 2]
    p = np.stack([x, y, z], 1)
    skin, shade = np.array(look.skin), np.array(look.shade)
    blush = 0.50 * bump(p, (42, -30, 66), (18, 14, 30)) + 0.42 * bump(p, (0, -40, 112), (13, 11, 16))
    blush += 0.20 * bump(p, (0, -103, 92), (16, 10, 30)) + 0.10 * bump(p, (31, 9, 80), (16, 5, 20))
    blush += 0.15 * bump(p, (0, -56, 96), (14, 8, 20)) + 0.30 * bump(p, (24, -9, 80), (11, 4, 20))
    color = skin + np.clip(blush, 0, 1)[:, None] * (np.array(look.blush) - skin)
    color *= (1.0 + 0.03 * bump(p, (0, 45, 90), (40, 25, 40)))[:, None]
    open_ = surface.openness(vertices, normals)
    dark = np.clip(0.55 * (1 - open_), 0, 1)
    dark += 0.20 * bump(p, (31.5, 9.0, 82), (14, 3.6, 14))  # the fold of the upper lid
    dark += (0.08 + 0.10 * look.age) * bump(p, (29, -11, 82), (12, 3.5, 14))
    dark += 0.16 * bump(p, (18.2, -42, 92), (2.2, 6, 8))  # crease of the ala
    dark += (0.06 + 0.16 * look.age) * bump(p, (26, -53, 88), (3.5, 10, 14))
    dark += 0.16 * bump(p, (0, -85, 92), (14, 3.5, 14))  # under the lower lip
    # the mouth's corners: a faint line that rises, and less shade below them, where it would draw them down
    dark += 0.10 * bump(p, (27.0, -65.0, 84), (3.0, 1.8, 12))
    dark *= 1 - 0.6 * bump(p, (28.0, -72.0, 84), (6.0, 4.0, 14))
    dark = np.clip(dark * kept_shade(p), 0, 0.92)[:, None]
    color = color * (1 - dark) + color * shade / skin * dark
    root = (0.85 * head_hair.scalp_tint(vertices))[:, None]
    color = color * (1 - root) + root * (0.8 * np.array(look.hair) + 0.1 * skin)
    nostril = np.clip(1.3 * bump(p, (6.3, -45.0, 101.5), (3.4, 3.6, 5.0)), 0, 1)[:, None]
    return color + nostril * (NOSTRIL * shade - color)


def kept_shade(p):
    """Share (n,) of the occlusion that is drawn at points (n, 3) of the left half or both.

    Light scatters about between the brows and in the sockets' inner corners, where full shade would make a frown,
    in the shallow hollow of the temple, and through the wings of the nose.
    """
    p = np.abs(p) * [1, 0, 0] + p * [0, 1, 1]
    scattered = 0.85 * bump(p, INNER_SOCKET, (13, 12, 18)) + 0.7 * bump(p, (0, 17, 90), (15, 12, 20))
    scattered += 0.6 * bump(p, TEMPLE, (14, 18, 26)) + 0.45 * bump(p, (14.5, -43, 96), (5, 6, 9))
    return 1 - np.clip(scattered, 0, 0.9)


def _half(look):
    """All parts of the left half, the skin first, with their marks."""
    lip, lining = np.array(look.lip), 0.45 * np.array(look.lip) * [1.3, 0.8, 0.8]
    skin = surface.half_skin(look.lids, look.fullness)
    v = skin["vertices"]
    count = len(v)
    normals = surface.gradient(v, step=0.6)
    colors = skin_colors(v, normals, look)
    link, _ = surface.neighbours(skin["faces"], count)
    for _ in range(2):
        colors = 0.5 * colors + 0.5 * (link @ colors)
    colors[skin["nostril"]] = NOSTRIL * np.array(look.shade)
    side = np.zeros(count)
    out, s = np.full(count, np.nan), np.full(count, np.nan)
    middle = surface.MOUTH_COLUMNS
    mouth, eye, contact = skin["mouth"], skin["eye"], skin["contact"]
    side[mouth[:, :middle]], side[mouth[:, middle + 1:]] = 1, -1
    out[mouth] = skin["outside"][:, None]
    theta = np.linspace(0, np.pi / 2, middle + 1)
    s[mouth] = np.abs(np.concatenate([np.cos(theta[::-1]), np.cos(theta[1:])]))
    s[mouth[:, [0, -1]]] = 0.0
    border = contact + 5
    # vermilion, darker towards the line where the lips meet; lining, darker towards the throat
    columns = np.abs(s[mouth[0]])
    for k in range(len(mouth)):
        if contact <= k <= border:
            t = (k - contact) / 5
            tone = lip * (0.80 + 0.20 * smoothstep(t, 0.0, 0.45)) * (1 - 0.16 * columns[:, None] ** 4)
            if k == border:
                tone = 0.55 * tone + 0.45 * colors[mouth[k]]
            if k == contact:
                tone = tone * 0.66
            upper = (np.arange(len(columns)) < middle)[:, None]
            colors[mouth[k]] = tone * np.where(upper, 0.93, 1.03)
        elif k < contact:
            depth = (contact - k) / contact
            colors[mouth[k]] = (lip * 0.62) * (1 - depth) + lining * (1 - 0.72 * depth) * depth
        elif k == border + 1:
            colors[mouth[k]] = 0.88 * colors[mouth[k]] + 0.12 * lip
    # waterline and lid margin
    rose = 0.86 * np.array(look.skin) + 0.14 * np.array(look.lip)
    lean = np.cos(np.arange(eye.shape[1]) * np.pi / surface.EYE_COLUMNS)[:, None]
    above = np.clip(np.sin(np.arange(eye.shape[1]) * np.pi / surface.EYE_COLUMNS), 0, 1)[:, None]
    white, flesh = np.array([0.86, 0.82, 0.79]), FLESH * (0.35 + 0.65 * np.array(look.skin))
    corner = np.where(lean > 0, smoothstep(lean, 0.80, 1.0), 0)
    colors[eye[0]] = (1 - corner) * (0.55 * flesh) + corner * white
    colors[eye[0]] = np.where(lean < -0.85, flesh, colors[eye[0]])
    # the upper margin lies in the lashes' shade and is as brown as they are
    shaded = 0.75 * above**0.5
    colors[eye[1]] = 0.90 * rose * (1 - shaded) + shaded * 2.0 * parts.LASH + corner * [0.03, 0.05, 0.05]
    colors[eye[2]] = (0.5 * 0.86 * rose + 0.5 * colors[eye[2]]) * (1 - 0.25 * above)
    part = np.full(count, "skin", dtype="<U16")
    part[mouth[contact:border + 1]] = "lips"
    part[mouth[:contact]] = "mouth_inner"
    ring, column = np.full(count, -1), np.full(count, -1)
    ring[eye] = np.arange(len(eye))[:, None]
    column[eye] = np.arange(eye.shape[1])
    lash, lash_column = parts.lashes(v[eye])
    tongue, forward = parts.tongue()
    pieces = [parts.eyeball(look.iris), lash, parts.brows(np.array(look.brow), look.brow_width), parts.teeth_upper(),
              parts.teeth_lower(), tongue, parts.ear(np.array(look.skin)),
              parts.Part("hair", *head_hair.hair(look.style, np.array(look.hair), look.gray)),
              parts.bust(np.array(look.cloth)), parts.caruncle(FLESH * (0.35 + 0.65 * np.array(look.skin)))]
    vertices, faces, tones, names = [v], [skin["faces"]], [colors], [part]
    marks = {"lip_side": [side], "lip_out": [out], "lip_s": [s], "lid_ring": [ring], "lid_column": [column],
             "forward": [np.zeros(count)], "ear": [np.zeros(count)]}
    for piece in pieces:
        n = len(piece.vertices)
        faces.append(piece.faces + sum(map(len, vertices)))
        vertices.append(piece.vertices)
        tones.append(piece.colors)
        names.append(np.full(n, piece.name, dtype="<U16"))
        marks["lip_side"].append(np.zeros(n))
        marks["lip_out"].append(np.full(n, np.nan))
        marks["lip_s"].append(np.full(n, np.nan))
        marks["lid_ring"].append(np.full(n, 2 if piece is lash else -1))
        marks["lid_column"].append(lash_column if piece is lash else np.full(n, -1))
        marks["forward"].append(forward if piece is tongue else np.zeros(n))
        marks["ear"].append(np.full(n, float(piece.name == "skin")))
    marks = {key: np.concatenate(value) for key, value in marks.items()}
    return (np.concatenate(vertices), np.concatenate(faces), np.concatenate(tones), np.concatenate(names), marks, skin)


def bake(vertices, faces, colors, part, mirror, look):
    """Colours (V, 3) darkened where little of the sky is seen; the mouth's inside and the eyes keep theirs."""
    solid = np.isin(part, ("skin", "lips", "hair", "clothes"))
    normals = head_light.vertex_normals(vertices, faces)
    occluders = faces[solid[faces].all(1)]
    light = head_light.sky_share(vertices, normals, occluders)
    light = 0.5 * (light + light[mirror])
    link, _ = surface.neighbours(faces, len(vertices))
    for _ in range(4):
        light = 0.5 * light + 0.5 * (link @ light)
    dark = np.where(solid | (part == "brows"), AMBIENT * (1 - light), 0.0)
    dark = (dark * kept_shade(vertices))[:, None]
    warm = np.where((part == "skin") | (part == "lips"), 1.0, 0.0)[:, None]
    tint = warm * np.array(look.shade) / np.array(look.skin) + (1 - warm) * 0.25
    return colors * (1 - dark + dark * tint)


def sculpt(name: str = LOOKS[0]) -> Sculpture:
    """The whole neutral head of a look, before the look's warp: what shapes are made on."""
    look = head_looks.LOOKS[name]
    vertices, faces, colors, part, marks, skin = _half(look)
    count = len(vertices)
    seam = vertices[:, 0] == 0.0
    partner = np.where(seam, np.arange(count), -1)
    partner[~seam] = count + np.arange((~seam).sum())
    mirror = np.empty(count + (~seam).sum(), int)
    mirror[:count] = partner
    mirror[partner] = np.arange(count)
    other = ~seam
    side = np.where(part == "eye", "eye_left", part).astype("<U16")
    far = np.where(part == "eye", "eye_right", part).astype("<U16")[other]
    label = np.concatenate([side, far])
    names = sorted(set(label))
    vertices = np.concatenate([vertices, vertices[other] * [-1, 1, 1]])
    faces = np.concatenate([faces, partner[faces][:, ::-1]])
    colors = bake(vertices, faces, np.concatenate([colors, colors[other]]), label, mirror, look)
    return Sculpture(
        vertices=vertices,
        faces=faces,
        colors=colors,
        mirror=mirror,
        part=np.array([names.index(name) for name in label]),
        names=names,
        marks={key: np.concatenate([value, value[other]]) for key, value in marks.items()},
        mouth=skin["mouth"], eye=skin["eye"], contact=skin["contact"], share=skin["share"],
    )


def landmarks(head: Sculpture) -> dict[str, np.ndarray]:
    """Named vertex indices: matching rows on the lips' inner edge (its middle third, and as lip_contact all of it from
    the right corner to the left one) and on the lids' margins."""
    row, half = head.mouth[head.contact], surface.MOUTH_COLUMNS
    upper, lower = row[: half + 1], row[half:][::-1]
    near = head.vertices[upper, 0] <= surface.MOUTH_HALF_WIDTH / 3 + 0.5
    left_upper, left_lower = upper[near], lower[near]
    whole_upper, whole_lower = (np.concatenate([head.mirror[line[1:]][::-1], line]) for line in (upper, lower))
    margin, columns = head.eye[1], surface.EYE_COLUMNS
    lid_upper = margin[1:columns]
    lid_lower = margin[columns + 1:][::-1]
    return {
        "inner_lip_upper": np.concatenate([left_upper, head.mirror[left_upper[1:]]]),
        "inner_lip_lower": np.concatenate([left_lower, head.mirror[left_lower[1:]]]),
        "lip_contact_upper": whole_upper, "lip_contact_lower": whole_lower,
        "mouth_corner_left": row[half:half + 1], "mouth_corner_right": head.mirror[row[half:half + 1]],
        "eye_upper_lid_left": lid_upper, "eye_lower_lid_left": lid_lower,
        "eye_upper_lid_right": head.mirror[lid_upper], "eye_lower_lid_right": head.mirror[lid_lower],
    }


def head_weight(head: Sculpture) -> np.ndarray:
    """How far each vertex goes with the head (V,) float32: clothes not at all, the neck ever less downwards."""
    y, z = head.vertices[:, 1], head.vertices[:, 2]
    top, bottom = (height + slope * (z + 20.0) for height, slope in NECK_BEND)
    weight = np.where(head.of("skin"), smoothstep((y - bottom) / (top - bottom), 0.0, 1.0), 1.0)
    return np.where(head.of("clothes"), 0.0, weight).astype(np.float32)


def build_head(name: str = LOOKS[0]) -> Rig:
    """The Rig of a look in metres. Deterministic: the same bytes at every call."""
    from render.head_correctives import corrective_deltas
    from render.head_shapes import shape_deltas

    head, look = sculpt(name), head_looks.LOOKS[name]
    deltas = shape_deltas(head, look)
    correctives, corrections = corrective_deltas(head, look)
    colors = np.concatenate([np.clip(head.colors, 0, 1), np.ones((len(head.colors), 1))], 1)
    # half precision keeps the file small; 14 micrometres at the widest movement of 28 mm
    return Rig(
        vertices=(look.warp(head.vertices) / 1000).astype(np.float32),
        faces=head.faces.astype(np.int32),
        deltas=(deltas / 1000).astype(np.float16).astype(np.float32),
        correctives=correctives,
        corrective_deltas=(corrections / 1000).astype(np.float16).astype(np.float32),
        colors=np.round(colors * 255).astype(np.uint8),
        pivot=(look.size * PIVOT / 1000).astype(np.float32),
        landmarks={key: value.astype(np.int32) for key, value in landmarks(head).items()},
        head_weight=head_weight(head),
        parts={part: np.flatnonzero(head.part == k).astype(np.int32) for k, part in enumerate(head.names)},
        name=name,
    )


def main() -> None:
    """Build the looks, write their files, and draw the pictures that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m render.head", description=__doc__.split("\n")[0])
    parser.add_argument("--look", choices=LOOKS, action="append", help="build this look only; may be given again (default: all)")
    parser.add_argument("--out", type=Path, default=LOOKS_FOLDER, help="folder of the looks' files (default: %(default)s)")
    parser.add_argument("--sheet", type=Path, help="also draw every shape of each look into PNGs of this name, -LOOK appended")
    parser.add_argument("--portrait", type=Path, help="also draw the looks from three sides into this PNG")
    arguments = parser.parse_args()
    rigs = []
    for name in arguments.look or LOOKS:
        rigs.append(build_head(name))
        path = arguments.out / f"{name}.npz"
        save_rig(rigs[-1], path)
        print(f"{path}: {len(rigs[-1].vertices)} vertices, {len(rigs[-1].faces)} triangles")
    if arguments.sheet or arguments.portrait:
        from render import head_sheet

        if arguments.sheet:
            for rig in rigs:
                head_sheet.write_sheet(rig, arguments.sheet.with_stem(f"{arguments.sheet.stem}-{rig.name}"))
        if arguments.portrait:
            head_sheet.write_portrait(rigs, arguments.portrait)


if __name__ == "__main__":
    main()
