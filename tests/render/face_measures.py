"""What may be wrong with a posed face, measured: lids, lips, teeth, tongue and triangles turned over.

Every measure takes an Anatomy and posed vertices (n, V, 3) in metres and gives a figure per pose, so that
hundreds of poses are measured in seconds. A rig's landmarks and parts are all that is known of it.
"""

from __future__ import annotations

import numpy as np
import trimesh
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from render.rig import Rig

SLIVER = 2e-8
"""Square metres below which a triangle has no side that anyone could see: 0.02 mm²."""
TURN = np.radians(30)
"""A triangle on an edge of the neutral, as at the mouth's corners, is past 90 degrees soon; by this much it turned."""
REACH = 0.006
"""Metres within which a point behind a surface is inside it, and not on the way round it."""


def triangle_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Normals of length twice the area: (..., V, 3), (F, 3) -> (..., F, 3) float64."""
    a, b, c = (vertices[..., faces[:, k], :].astype(np.float64) for k in range(3))
    return np.cross(b - a, c - a)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-30)


class Surface:
    """Some triangles of a mesh, against which points are measured, pose by pose."""

    def __init__(self, faces: np.ndarray, rim: np.ndarray) -> None:
        """faces (F, 3) vertex indices; rim: vertices of the mesh at which inside and outside are not defined."""
        self.faces = faces
        self.vertices = np.unique(faces)
        self.local = np.searchsorted(self.vertices, faces)
        self.rim = np.isin(self.vertices, rim)
        corner = self.local.reshape(-1)
        rows = np.repeat(np.arange(len(faces)), 3)
        self.incidence = csr_array((np.ones(len(corner)), (corner, rows)), shape=(len(self.vertices), len(faces)))

    def depth(self, posed: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How far points (p, 3) lie behind the surface of a pose (V, 3), metres (p,), below zero in front of it;
        and whether the nearest place is on the rim (p,)."""
        own = posed[self.vertices].astype(np.float64)
        normals = unit(self.incidence @ triangle_normals(posed, self.faces))
        _, nearest = cKDTree(own).query(points)
        depth = np.sum((own[nearest] - points) * normals[nearest], axis=1)
        return depth, self.rim[nearest]

    def exact_depth(self, posed: np.ndarray, points: np.ndarray) -> np.ndarray:
        """As depth, from the nearest point of the nearest triangles instead of the nearest vertex: (p,)."""
        own = posed[self.vertices].astype(np.float64)
        _, nearest = cKDTree(own).query(points, k=4)
        best, depth = np.full(len(points), np.inf), np.zeros(len(points))
        normals = unit(triangle_normals(posed, self.faces))
        for column in nearest.T:
            touched = self.incidence[column].tocoo()
            who, which = touched.coords
            place = trimesh.triangles.closest_point(posed[self.faces[which]].astype(np.float64), points[who])
            distance = np.linalg.norm(place - points[who], axis=1)
            signed = np.sum((place - points[who]) * normals[which], axis=1)
            # of triangles that share the nearest place the one that is faced most squarely decides
            order = np.lexsort((np.abs(signed), -distance))
            found, found_depth = np.full(len(points), np.inf), np.zeros(len(points))
            found[who[order]], found_depth[who[order]] = distance[order], signed[order]
            better = found < best - 1e-9
            best, depth = np.where(better, found, best), np.where(better, found_depth, depth)
        return depth


class Anatomy:
    """Where a rig has its lips, lids, teeth and tongue.

    It takes the landmarks lip_contact_upper and lip_contact_lower (matching rows from corner to corner where the
    lips meet), eye_upper_lid_left and so on (matching rows along the lids' margins), and the parts.
    """

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        count, faces = len(rig.vertices), rig.faces
        edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        self.graph = csr_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))
        self.contact = rig.landmarks["lip_contact_upper"], rig.landmarks["lip_contact_lower"]
        upper, lower = (self._steps(index[1:-1]) for index in self.contact)
        lips = np.zeros(count, bool)
        lips[rig.parts["lips"]] = True
        lips |= np.minimum(upper, lower) <= 3
        self.lip_faces = faces[lips[faces].all(1)]
        tied = np.flatnonzero(lips & (upper == lower))
        self.lips = []
        for own, other in ((upper, lower), (lower, upper)):
            mine = lips & (own <= other)
            surface = faces[mine[faces].all(1)]
            # a lip's surface ends in the skin, in the mouth and at the corners
            self.lips.append((np.flatnonzero(lips & (own < other)), Surface(surface, np.concatenate([boundary(surface), tied]))))
        skin = np.zeros(count, bool)
        skin[rig.parts["skin"]] = True
        self.lids = {
            side: (rig.landmarks[f"eye_upper_lid_{side}"], rig.landmarks[f"eye_lower_lid_{side}"])
            for side in ("left", "right")
        }
        margins = np.concatenate([index for pair in self.lids.values() for index in pair])
        self.balls = {side: sphere(rig.vertices[rig.parts[f"eye_{side}"]]) for side in self.lids}
        # behind its margin a lid is tucked into the eyeball, where nobody sees it
        hidden = [np.linalg.norm(rig.vertices - center, axis=1) < radius for center, radius in self.balls.values()]
        around = skin & (self._steps(margins) <= 5) & ~np.any(hidden, axis=0)
        self.lid_faces = faces[around[faces].all(1)]
        length = np.linalg.norm(np.diff(rig.vertices[edges], axis=1)[:, 0], axis=1)
        self.way = csr_array((length, (edges[:, 0], edges[:, 1])), shape=(count, count))
        above, below = (np.concatenate([pair[k] for pair in self.lids.values()]) for k in (0, 1))
        self.lid_halves = self._halves(self.lid_faces, above, below)
        self.lip_halves = self._halves(self.lip_faces, *(index[1:-1] for index in self.contact))
        skin[rig.parts["lips"]] = True
        front = skin & (rig.vertices[:, 2] > rig.vertices[rig.parts["tongue"], 2].min() - 0.01)
        self.outside = Surface(faces[front[faces].all(1)], np.concatenate(self.contact))

    def _halves(self, faces: np.ndarray, above: np.ndarray, below: np.ndarray) -> np.ndarray:
        """+1 for triangles (F,) that lie nearer along the surface to `below`, -1 nearer to `above`."""
        far, near = (dijkstra(self.way, directed=False, indices=index, min_only=True) for index in (above, below))
        return np.sign(far[faces].sum(1) - near[faces].sum(1))

    def _steps(self, start: np.ndarray) -> np.ndarray:
        """Edges (V,) from each vertex to the nearest of `start`."""
        return dijkstra(self.graph, directed=False, indices=start, unweighted=True, min_only=True)


def boundary(faces: np.ndarray) -> np.ndarray:
    """Vertices on edges that belong to one triangle only."""
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    edges, times = np.unique(edges, axis=0, return_counts=True)
    return np.unique(edges[times == 1])


def sphere(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre (3,) and radius of the ball through points (n, 3), by least squares."""
    solution = np.linalg.lstsq(np.c_[2 * points.astype(np.float64), np.ones(len(points))], (points.astype(np.float64) ** 2).sum(1), rcond=None)[0]
    return solution[:3], float(np.sqrt(solution[3] + solution[:3] @ solution[:3]))


def lid_gap(anatomy: Anatomy, posed: np.ndarray, side: str) -> np.ndarray:
    """Widest distance of the lids' margins, matching point by point: metres (n,)."""
    upper, lower = anatomy.lids[side]
    return np.linalg.norm(posed[:, upper] - posed[:, lower], axis=2).max(1)


def lid_crossing(anatomy: Anatomy, posed: np.ndarray, side: str) -> np.ndarray:
    """How far the upper lid's margin passes below the lower one's where it does so most: metres (n,)."""
    upper, lower = anatomy.lids[side]
    return (posed[:, lower, 1] - posed[:, upper, 1]).max(1)


def lid_clearance(anatomy: Anatomy, posed: np.ndarray, side: str) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest distance of the lids' margins from the eyeball's surface: metres (n,) each."""
    center, radius = anatomy.balls[side]
    distance = np.linalg.norm(posed[:, np.concatenate(anatomy.lids[side])] - center, axis=2) - radius
    return distance.min(1), distance.max(1)


def lip_overlap(anatomy: Anatomy, posed: np.ndarray) -> np.ndarray:
    """How deep one lip's surface lies inside the other's: metres (n,), 0 where they do not cross.

    Of both lips, every vertex against the other's triangles; and matching points of the line of contact, of which
    the upper one must not be below the lower one.
    """
    upper, lower = (posed[:, index[1:-1]].astype(np.float64) for index in anatomy.contact)
    worst = np.maximum((lower - upper)[..., 1].max(1), 0)
    for k, (points, _) in enumerate(anatomy.lips):
        surface = anatomy.lips[1 - k][1]
        for i, pose in enumerate(posed):
            own = pose[points].astype(np.float64)
            depth, rim = surface.depth(pose, own)
            suspects = np.flatnonzero((depth > 0.0002) & (depth < REACH) & ~rim)
            if len(suspects):
                worst[i] = max(worst[i], surface.exact_depth(pose, own[suspects]).max())
    return worst


def sticking_out(anatomy: Anatomy, posed: np.ndarray, part: str) -> np.ndarray:
    """How far vertices of a part stick out of skin and lips: metres (n,), below zero where all are inside.

    Between the lips, where there is no skin, teeth end at the line of contact. A tongue may pass there; what of it
    is in front of the line is not looked at here, but through_lips sees whether it came out of the opening.
    """
    index, worst = anatomy.rig.parts[part], np.full(len(posed), -np.inf)
    for i, pose in enumerate(posed):
        own = pose[index].astype(np.float64)
        if part == "tongue":
            own = own[own[:, 2] < lip_line(anatomy, pose, own[:, 0])[2]]
        depth, rim = anatomy.outside.depth(pose, own)
        worst[i] = (-depth[~rim]).max(initial=-np.inf)
        if rim.any() and part != "tongue":
            worst[i] = max(worst[i], (own[rim, 2] - lip_line(anatomy, pose, own[rim, 0])[2]).max())
    return worst


def lip_line(anatomy: Anatomy, pose: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Heights of the lower and the upper lip's edge, and the depth half-way between them, at x (p,): (p,) each."""
    lower, upper = (pose[index].astype(np.float64) for index in reversed(anatomy.contact))
    low, high = (np.interp(x, line[:, 0], line[:, 1]) for line in (lower, upper))
    middle = 0.5 * (lower + upper)
    return low, high, np.interp(x, middle[:, 0], middle[:, 2])


def through_lips(anatomy: Anatomy, posed: np.ndarray) -> np.ndarray:
    """How far beyond the opening's edges the tongue passes the lips' line: metres (n,), 0 where it does not."""
    faces = anatomy.rig.faces[np.isin(anatomy.rig.faces, anatomy.rig.parts["tongue"]).all(1)]
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    worst = np.zeros(len(posed))
    for i, pose in enumerate(posed):
        a, b = (pose[edges[:, k]].astype(np.float64) for k in (0, 1))
        ahead, behind = (end[:, 2] - lip_line(anatomy, pose, end[:, 0])[2] for end in (a, b))
        across = ahead * behind < 0
        share = (ahead / np.where(across, ahead - behind, 1))[across, None]
        place = a[across] + share * (b - a)[across]
        if len(place):
            low, high, _ = lip_line(anatomy, pose, place[:, 0])
            worst[i] = max(0.0, (place[:, 1] - high).max(), (low - place[:, 1]).max())
    return worst


def turned_over(anatomy: Anatomy, posed: np.ndarray, faces: np.ndarray, halves: np.ndarray) -> np.ndarray:
    """Triangles whose side has turned: (n, V, 3), (F, 3), halves (F,) -> (n, F) bool.

    The surface turns with the face, so a triangle is compared with its neighbours in the same pose, those that
    share an edge with it. It has turned over where its normal is more than 90 degrees from their mean and at least
    TURN further from it than in the neutral, or more than 135 from one of them (a fold), and it was within 90 in the
    neutral. Triangles of no visible size do not count, and the upper and lower halves that close on each other at a
    corner of eye or mouth are no neighbours.
    """
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    owner = np.tile(np.arange(len(faces)), 3)
    order = np.lexsort(edges.T)
    same = (np.diff(edges[order], axis=0) == 0).all(1)
    pairs = np.stack([owner[order[:-1]][same], owner[order[1:]][same]], axis=1)
    pairs = pairs[halves[pairs[:, 0]] == halves[pairs[:, 1]]]
    both = np.concatenate([pairs, pairs[:, ::-1]])
    link = csr_array((np.ones(len(both)), both.T), shape=(len(faces), len(faces)))

    def agreement(vertices):
        normals = triangle_normals(vertices, faces)
        sides = unit(normals)
        around = np.stack([link @ pose for pose in sides])
        across = np.sum(sides[:, pairs[:, 0]] * sides[:, pairs[:, 1]], axis=-1)
        return np.sum(sides * unit(around), axis=-1), across, np.linalg.norm(normals, axis=-1) / 2

    mean_before, across_before, _ = agreement(anatomy.rig.vertices[None])
    mean, across, area = agreement(posed)
    seen = area > SLIVER
    further = np.arccos(np.clip(mean, -1, 1)) - np.arccos(np.clip(mean_before, -1, 1))
    over = (mean_before > 0) & (mean < 0) & (further > TURN) & seen
    folds = (across_before > 0) & (across < np.cos(np.radians(135))) & seen[:, pairs[:, 0]] & seen[:, pairs[:, 1]]
    which, fold = np.nonzero(folds)
    over[which, pairs[fold, 0]] = True
    return over


def mirror_of(rig):
    """Index (V,) of each vertex's mirror image, found by position."""
    key = np.round(rig.vertices.astype(float) * 1e6).astype(np.int64)
    table = {}
    for i, (x, y, z) in enumerate(key):
        table.setdefault((x, y, z), []).append(i)
    partner = np.full(len(key), -1)
    for (x, y, z), group in table.items():
        partner[group] = table[-x, y, z]
    return partner
