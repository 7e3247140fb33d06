"""Runs inside Blender: import a GLB and write as JSON what a user finds in it.

    blender --background --factory-startup --python-exit-code 1 --python read_glb.py -- IN.glb OUT.json
"""

import json
import sys

import bpy
import numpy

# Debian 12 has an importer that asks numpy for a name which its numpy no longer has.
if not hasattr(numpy, "bool"):
    numpy.bool = bool

glb, out = sys.argv[sys.argv.index("--") + 1 :]
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.context.scene.render.fps = 30  # before the import: Blender counts the keys' times in its own frames
bpy.ops.import_scene.gltf(filepath=glb)

heads = {}
for thing in bpy.data.objects:
    if thing.type != "MESH" or not thing.data.shape_keys:
        continue
    keys = thing.data.shape_keys
    curves = {curve.data_path: curve for track in keys.animation_data.nla_tracks for strip in track.strips for curve in strip.action.fcurves}
    heads[thing.name] = {
        "keys": [block.name for block in keys.key_blocks],
        "curves": {path: [list(point.co) for point in curve.keyframe_points] for path, curve in curves.items()},
        "vertices": len(thing.data.vertices),
        "ranges": {block.name: [block.slider_min, block.slider_max] for block in keys.key_blocks},
        "height": thing.dimensions.z,  # Blender's axis that points up
    }
turns = {}
for thing in bpy.data.objects:
    if thing.animation_data:
        for track in thing.animation_data.nla_tracks:
            for curve in track.strips[0].action.fcurves:
                turns.setdefault(f"{thing.name} {curve.data_path}", {})[curve.array_index] = [point.co[1] for point in curve.keyframe_points]
with open(out, "w") as file:
    json.dump({"heads": heads, "turns": turns}, file)
