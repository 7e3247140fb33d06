"""Shading: how a rig's parts take light, its normals, and the two shader programs that draw it."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from render.rig import Rig

# (roughness exponent, specular strength, subsurface) by what a part's name contains, first match wins.
MATERIALS: tuple[tuple[tuple[str, ...], tuple[float, float, float]], ...] = (
    (("eyebrow", "brow", "lash", "hair"), (12.0, 0.06, 0.0)),
    (("eyelid",), (14.0, 0.10, 1.0)),
    (("eye", "iris", "pupil", "sclera", "cornea"), (160.0, 0.70, 0.2)),
    (("teeth", "tooth"), (60.0, 0.30, 0.3)),
    (("tongue", "gum", "cavity", "inner"), (30.0, 0.20, 0.6)),
    (("lip",), (28.0, 0.20, 1.0)),
)
SKIN = (14.0, 0.10, 1.0)
CLOSED_PARTS = ("hair", "clothes", "skin")
"""Parts whose inside nobody sees, what lies outermost first; all else is drawn from both sides."""

INSIDE_MOUTH = ("teeth", "tooth", "tongue", "gum", "cavity", "inner", "throat")
MOUTH_DARKENING_DEPTH = 0.030
"""Metres behind the lips at which light inside the mouth has fallen by 1 - 1/e of what it loses."""
MOUTH_LIGHT = 0.3
"""Share of the light that reaches the throat."""

VERTEX_SHADER = """#version 330 core
layout(location = 0) in vec3 position;
layout(location = 1) in vec3 normal;
layout(location = 2) in vec4 color;
layout(location = 3) in vec4 material;
layout(location = 4) in float head_weight;
uniform mat4 resting;
uniform mat4 turned;
uniform mat4 projection;
out vec3 at;
out vec3 n;
out vec3 albedo;
flat out vec3 finish;
void main() {
    mat4 model = resting + head_weight * (turned - resting);  // Rig.turn
    vec4 p = model * vec4(position, 1.0);
    at = p.xyz;
    n = mat3(model) * normal;
    albedo = color.rgb * color.rgb * material.w;  // about linear light; the mouth's inside is shaded
    finish = vec3(material.x, material.y * material.w * material.w, material.z);
    gl_Position = projection * p;
}
"""

# Key, fill and rim light on skin: light wraps furthest round in red, as it does under the surface.
FRAGMENT_SHADER = """#version 330 core
in vec3 at;
in vec3 n;
in vec3 albedo;
flat in vec3 finish;
out vec4 pixel;
const vec3 key = normalize(vec3(-0.55, 0.60, 0.75));
const vec3 fill = normalize(vec3(0.80, 0.10, 0.55));
const vec3 rim = normalize(vec3(0.55, 0.55, -0.75));
void main() {
    vec3 toward = normalize(-at);
    vec3 surface = normalize(gl_FrontFacing ? n : -n);
    vec3 wrap = finish.z * vec3(0.45, 0.24, 0.18);
    vec3 lit = 1.25 * vec3(1.0, 0.96, 0.90) * clamp((dot(surface, key) + wrap) / (1.0 + wrap), 0.0, 1.0);
    lit += 0.36 * vec3(0.80, 0.90, 1.0) * clamp((dot(surface, fill) + wrap) / (1.0 + wrap), 0.0, 1.0);
    lit += mix(vec3(0.16, 0.13, 0.12), vec3(0.34, 0.37, 0.42), 0.5 + 0.5 * surface.y);
    float facing = 1.0 - clamp(dot(surface, toward), 0.0, 1.0);
    float edge = facing * facing * facing;
    vec3 color = albedo * lit;
    float highlight = clamp(dot(surface, normalize(key + toward)), 0.0, 1.0);
    float shine = highlight / (finish.x - finish.x * highlight + highlight);  // for a power: Schlick 1994
    color += finish.y * shine * (1.0 + 3.0 * edge) * vec3(1.0, 0.97, 0.93);
    color += 0.55 * edge * clamp(dot(surface, rim) + 0.35, 0.0, 1.0) * vec3(0.75, 0.85, 1.0) * (albedo + 0.1);
    pixel = vec4(sqrt(color / (1.0 + 0.28 * color)), 1.0);  // soft shoulder, then back to sRGB
}
"""


def vertex_normals(vertices: np.ndarray, faces: np.ndarray, incidence: csr_array) -> np.ndarray:
    """Area-weighted vertex normals, not normalised: (V, 3), (F, 3), incidence (V, F) -> (V, 3) float32."""
    a, b, c = vertices[faces[:, 0]], vertices[faces[:, 1]], vertices[faces[:, 2]]
    u, v = b - a, c - a
    cross = np.empty_like(u)
    cross[:, 0] = u[:, 1] * v[:, 2] - u[:, 2] * v[:, 1]
    cross[:, 1] = u[:, 2] * v[:, 0] - u[:, 0] * v[:, 2]
    cross[:, 2] = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    return incidence @ cross


def incidence(faces: np.ndarray, vertices: int) -> csr_array:
    """(V, F) float32 sparse matrix with a one where a vertex belongs to a triangle."""
    columns = np.repeat(np.arange(len(faces)), 3)
    ones = np.ones(faces.size, np.float32)
    return csr_array((ones, (faces.reshape(-1), columns)), shape=(vertices, len(faces)))


def closed_first(rig: Rig) -> tuple[np.ndarray, int]:
    """The rig's triangles (F, 3), those of CLOSED_PARTS in that order before all others, and how many those are."""
    part = np.full(len(rig.vertices), len(CLOSED_PARTS))
    for rank, name in enumerate(CLOSED_PARTS):
        part[rig.parts.get(name, np.empty(0, np.int32))] = rank
    rank = part[rig.faces].max(axis=1)
    return rig.faces[np.argsort(rank, kind="stable")], int((rank < len(CLOSED_PARTS)).sum())


def materials(rig: Rig) -> np.ndarray:
    """How each vertex takes light: (V, 4) float32 of roughness exponent, specular strength, subsurface and shade.

    Found from the names of the rig's parts. Shade darkens what lies behind the lips, where little light comes.
    """
    values = np.tile(np.array([*SKIN, 1.0], np.float32), (len(rig.vertices), 1))
    lips = [rig.vertices[rig.landmarks[key], 2] for key in ("inner_lip_upper", "inner_lip_lower") if key in rig.landmarks]
    for part, indices in rig.parts.items():
        for words, material in MATERIALS:
            if any(word in part.lower() for word in words):
                values[indices, :3] = material
                break
        if lips and any(word in part.lower() for word in INSIDE_MOUTH):
            depth = np.maximum(np.concatenate(lips).mean() - rig.vertices[indices, 2], 0)
            values[indices, 3] = MOUTH_LIGHT + (1 - MOUTH_LIGHT) * np.exp(-depth / MOUTH_DARKENING_DEPTH)
    return values
