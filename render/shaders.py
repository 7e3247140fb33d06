"""Shaders: the light on a head, per pixel or per vertex, in OpenGL's shading language.

Rasterisers on the processor pay for every shaded pixel, and shade sixteen at a time however small a triangle is.
There, closed surfaces (skin, hair, clothes) are lit per vertex, and only what shines (eyes, lips, teeth) per pixel.
"""

HEADS_AT_ONCE = 32
"""Heads in one draw call: each takes four of the 256 vectors that every OpenGL lets a vertex shader have."""

# Key, fill and rim light on skin: light wraps furthest round in red, as it does under the surface.
_LIGHT = """
const vec3 key = normalize(vec3(-0.55, 0.60, 0.75));
const vec3 fill = normalize(vec3(0.80, 0.10, 0.55));
const vec3 rim = normalize(vec3(0.55, 0.55, -0.75));
vec3 light(vec3 at, vec3 surface, vec3 albedo, vec3 finish, float shadow) {
    vec3 toward = normalize(-at);
    vec3 wrap = finish.z * vec3(0.45, 0.24, 0.18);
    vec3 lit = 1.25 * shadow * vec3(1.0, 0.96, 0.90) * clamp((dot(surface, key) + wrap) / (1.0 + wrap), 0.0, 1.0);
    lit += 0.36 * vec3(0.80, 0.90, 1.0) * clamp((dot(surface, fill) + wrap) / (1.0 + wrap), 0.0, 1.0);
    lit += mix(vec3(0.16, 0.13, 0.12), vec3(0.34, 0.37, 0.42), 0.5 + 0.5 * surface.y);
    float facing = 1.0 - clamp(dot(surface, toward), 0.0, 1.0);
    float edge = facing * facing * facing;
    vec3 color = albedo * lit;
    float highlight = clamp(dot(surface, normalize(key + toward)), 0.0, 1.0);
    float shine = highlight / (finish.x - finish.x * highlight + highlight);  // for a power: Schlick 1994
    color += shadow * finish.y * shine * (1.0 + 3.0 * edge) * vec3(1.0, 0.97, 0.93);
    color += 0.55 * edge * clamp(dot(surface, rim) + 0.35, 0.0, 1.0) * vec3(0.75, 0.85, 1.0) * (albedo + 0.1);
    return sqrt(color / (1.0 + 0.28 * color));  // soft shoulder, then back to sRGB
}
"""

_VERTEX = f"""#version 330 core
layout(location = 0) in vec3 position;
layout(location = 1) in vec3 normal;
layout(location = 2) in vec3 color;  // sRGB
layout(location = 3) in float head_weight;
layout(location = 4) in vec4 material;  // a row of render.shading.materials
uniform mat4 projection;
uniform mat4 resting;
uniform vec4 heads[{4 * HEADS_AT_ONCE}];  // three rows of a matrix where head_weight is 1, then the cell
uniform int vertices;  // of a head
uniform int first;     // head of this draw call
uniform vec3 center;   // of an ellipsoid that stands for the head where it keeps light from the neck
uniform vec3 inverse_radii;
const vec3 key_direction = normalize(vec3(-0.55, 0.60, 0.75));
""" + """
vec3 at, n, albedo, finish;
float shadow;
void place() {
    int head = 4 * (gl_VertexID / vertices - first);
    vec4 p = vec4(position, 1.0);
    vec3 rests = (resting * p).xyz;
    vec3 turns = vec3(dot(heads[head], p), dot(heads[head + 1], p), dot(heads[head + 2], p));
    vec3 bends = vec3(dot(heads[head].xyz, normal), dot(heads[head + 1].xyz, normal), dot(heads[head + 2].xyz, normal));
    at = rests + head_weight * (turns - rests);  // Rig.turn
    n = normalize(mat3(resting) * normal + head_weight * (bends - mat3(resting) * normal));
    albedo = color.rgb * color.rgb * material.w;  // about linear light; the mouth's inside is shaded
    finish = vec3(material.x, material.y * material.w * material.w, material.z);
    gl_Position = projection * vec4(at, 1.0);
    // How near the way to the key light comes to the ellipsoid's centre, in the turned head's own space.
    mat3 back = mat3(heads[head].xyz, heads[head + 1].xyz, heads[head + 2].xyz);
    vec3 from = (back * (at - vec3(heads[head].w, heads[head + 1].w, heads[head + 2].w)) - center) * inverse_radii;
    vec3 to = back * key_direction * inverse_radii;
    float ahead = -dot(from, to) / max(dot(to, to), 1e-12);
    float away = length(from + max(ahead, 0.0) * to);
    shadow = 1.0 - 0.7 * (1.0 - smoothstep(0.55, 1.05, away)) * smoothstep(0.0, 0.04, ahead);
    shadow = mix(shadow, 1.0, step(dot(inverse_radii, inverse_radii), 0.0));
    gl_ClipDistance[0] = gl_Position.w + gl_Position.x;
    gl_ClipDistance[1] = gl_Position.w - gl_Position.x;
    gl_ClipDistance[2] = gl_Position.w + gl_Position.y;
    gl_ClipDistance[3] = gl_Position.w - gl_Position.y;
    vec4 cell = heads[head + 3];  // scale, then shift, in the picture
    gl_Position.xy = gl_Position.xy * cell.xy + gl_Position.w * cell.zw;
}
"""

PIXEL_LIT = (
    _VERTEX
    + """
out vec3 lit_at;
out vec3 lit_n;
out vec3 lit_albedo;
flat out vec3 lit_finish;
out float lit_shadow;
void main() {
    place();
    lit_at = at;
    lit_n = n;
    lit_albedo = albedo;
    lit_finish = finish;
    lit_shadow = shadow;
}
""",
    "#version 330 core"
    + _LIGHT
    + """
in vec3 lit_at;
in vec3 lit_n;
in vec3 lit_albedo;
flat in vec3 lit_finish;
in float lit_shadow;
out vec4 pixel;
void main() {
    vec3 surface = normalize(gl_FrontFacing ? lit_n : -lit_n);
    pixel = vec4(light(lit_at, surface, lit_albedo, lit_finish, lit_shadow), 1.0);
}
""",
)
"""Vertex and fragment shader that light every pixel, surfaces from both sides."""

VERTEX_LIT = (
    _VERTEX
    + _LIGHT
    + """
out vec3 lit;
void main() {
    place();
    lit = light(at, n, albedo, finish, shadow);
}
""",
    """#version 330 core
in vec3 lit;
out vec4 pixel;
void main() {
    pixel = vec4(lit, 1.0);
}
""",
)
"""Vertex and fragment shader that light every vertex, surfaces from outside."""
