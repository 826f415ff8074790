"""Draws a scene: the photo's pixels, and from the same masks the exact boxes.

A mask is drawn at four times the photo's size and averaged down; a pixel belongs to an object when at least a quarter
of it does (at a half, boxes would cut the tips of hearts and stars). The box of an object is the box of its whole mask,
also where another object covers it, cut at the photo's edge.
"""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
from contourpy import contour_generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from xdetr_data.toyworld import vocabulary as words
from xdetr_data.toyworld.dice import Dice, Purpose
from xdetr_data.toyworld.outlines import placed_outline
from xdetr_data.toyworld.scene import Placed, Scene

_OVERSAMPLING = 4
_SOLID = 64  # of 255
_STROKE = 0.17  # of the radius, for outlined objects
Pixels = NDArray[np.float32]
Mask = NDArray[np.uint8]


class Patch(NamedTuple):
    """A coverage mask uint8 [h, w] whose top left pixel is (left, top) of the photo."""

    left: int
    top: int
    coverage: Mask

    @property
    def solid(self) -> NDArray[np.bool_]:
        """The pixels [h, w] that belong to the object."""
        return self.coverage >= _SOLID

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the photo under the mask."""
        height, width = self.coverage.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    def outer_outline(self) -> NDArray[np.float64]:
        """The longest line [n, 2] around the object, in pixels of the photo."""
        padded = np.pad(self.coverage, 1).astype(np.float64)
        lines = [np.asarray(line, dtype=np.float64) for line in contour_generator(z=padded).lines(_SOLID - 0.5)]
        outline: NDArray[np.float64] = max(lines, key=len)[:-1] + np.array([self.left - 0.5, self.top - 0.5])
        return outline


class Rendered(NamedTuple):
    """A drawn scene; the lists follow its objects. `visible_shares` counts the pixels no later object covers."""

    jpeg: bytes
    boxes_xyxy: list[tuple[int, int, int, int]]
    visible_shares: list[float]
    patches: list[Patch]


def render(scene: Scene, seed: int, photo: int) -> Rendered:
    """Draw a scene as a JPEG, with its objects' boxes; `seed` and `photo` only feed the grain of the background."""
    patches = [object_patch(placed, scene.height, scene.width) for placed in scene.objects]
    stream = io.BytesIO()
    pixels = draw_pixels(scene, patches, Dice(seed, photo, Purpose.PIXELS))
    Image.fromarray(pixels).save(stream, "JPEG", quality=88)
    boxes_xyxy = [_box_xyxy(patch) for patch in patches]
    return Rendered(stream.getvalue(), boxes_xyxy, _visible_shares(scene, patches), patches)


def draw_pixels(scene: Scene, patches: list[Patch], dice: Dice) -> NDArray[np.uint8]:
    """The photo's pixels uint8 [h, w, 3]; `patches` are the objects' masks."""
    canvas = _background(scene, dice)
    for placed, patch in zip(scene.objects, patches, strict=True):
        if scene.has_shadows:
            _cast_shadow(canvas, patch, scene.light_xy)
        _paint(canvas, placed, patch)
    pixels: NDArray[np.uint8] = np.clip(canvas * _light(scene), 0, 255).astype(np.uint8)
    return pixels


def _visible_shares(scene: Scene, patches: list[Patch]) -> list[float]:
    """Of each object, the share of its pixels that no object before it covers."""
    owners = np.full((scene.height, scene.width), -1, dtype=np.int16)
    for number, patch in enumerate(patches):
        owners[patch.window][patch.solid] = number
    return [float(np.mean(owners[patch.window][patch.solid] == number)) for number, patch in enumerate(patches)]


def object_patch(placed: Placed, height: int, width: int) -> Patch:
    """The whole mask of one object, or of all members of a crowd, cut at the photo's edge."""
    if not placed.is_crowd:
        return _single_patch(placed, placed.centre_xy, height, width)
    members = [_single_patch(placed, centre, height, width) for centre in placed.member_centres_xy]
    left, top = min(each.left for each in members), min(each.top for each in members)
    right = max(each.left + each.coverage.shape[1] for each in members)
    bottom = max(each.top + each.coverage.shape[0] for each in members)
    union = np.zeros((bottom - top, right - left), dtype=np.uint8)
    for each in members:
        rows, columns = each.window
        part = union[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        np.maximum(part, each.coverage, out=part)
    return Patch(left, top, union)


def _single_patch(placed: Placed, centre_xy: tuple[float, float], height: int, width: int) -> Patch:
    outline = placed_outline(placed.shape, centre_xy, placed.radius, placed.tilt)
    reach = placed.radius * _STROKE if placed.pattern == "outlined" else 0.0
    low = np.floor(outline[0].min(axis=0) - reach - 1).astype(int)
    high = np.ceil(outline[0].max(axis=0) + reach + 1).astype(int)
    left, top = max(0, int(low[0])), max(0, int(low[1]))
    right, bottom = min(width, int(high[0])), min(height, int(high[1]))
    big = Image.new("L", ((right - left) * _OVERSAMPLING, (bottom - top) * _OVERSAMPLING), 0)
    draw = ImageDraw.Draw(big)
    corners = [((points - (left, top)) * _OVERSAMPLING - 0.5).ravel().tolist() for points in outline]
    if placed.pattern == "outlined":
        stroke = max(6, round(2 * reach * _OVERSAMPLING))
        draw.line([*corners[0], *corners[0][:4]], fill=255, width=stroke, joint="curve")
    else:
        draw.polygon(corners[0], fill=255)
        for hole in corners[1:]:
            draw.polygon(hole, fill=0)
    return Patch(left, top, np.asarray(big.reduce(_OVERSAMPLING)))


def _box_xyxy(patch: Patch) -> tuple[int, int, int, int]:
    solid = patch.solid
    rows, columns = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    left, top = patch.left + int(columns[0]), patch.top + int(rows[0])
    return left, top, patch.left + int(columns[-1]) + 1, patch.top + int(rows[-1]) + 1


def _paint(canvas: Pixels, placed: Placed, patch: Patch) -> None:
    alpha = patch.coverage[:, :, None].astype(np.float32) / 255
    paint = np.array(placed.rgb, dtype=np.float32)
    ink = _ink_share(placed, patch)
    if ink is not None:
        contrast = np.array(words.COLOUR[placed.colour].contrast_rgb, dtype=np.float32)
        paint = paint + ink[:, :, None] * (contrast - paint)
    window = canvas[patch.window]
    window += alpha * (paint - window)


def _ink_share(placed: Placed, patch: Patch) -> Pixels | None:
    """How much of the contrast colour each pixel [h, w] takes: stripes or dots that turn with the object."""
    if placed.pattern not in ("striped", "dotted"):
        return None
    height, width = patch.coverage.shape
    x = np.arange(width, dtype=np.float32)[None, :] + np.float32(patch.left + 0.5 - placed.centre_xy[0])
    y = np.arange(height, dtype=np.float32)[:, None] + np.float32(patch.top + 0.5 - placed.centre_xy[1])
    slant = np.deg2rad(placed.tilt + 35)
    across = x * np.float32(np.cos(slant)) - y * np.float32(np.sin(slant))
    if placed.pattern == "striped":
        period = max(5.0, placed.radius * 0.42)
        distance = np.abs(across % period - period / 2) - period * 0.21
    else:
        along = x * np.float32(np.sin(slant)) + y * np.float32(np.cos(slant))
        period = max(6.0, placed.radius * 0.5)
        distance = np.hypot(across % period - period / 2, along % period - period / 2) - period * 0.27
    return np.clip(0.5 - distance, 0, 1).astype(np.float32)


def _cast_shadow(canvas: Pixels, patch: Patch, light_xy: tuple[float, float]) -> None:
    shift_x, shift_y = (-round(3 * light) for light in light_xy)
    rows, columns = patch.window
    top, left = max(0, rows.start + shift_y), max(0, columns.start + shift_x)
    window = canvas[top : rows.stop + shift_y, left : columns.stop + shift_x]
    part = patch.coverage[top - rows.start - shift_y :, left - columns.start - shift_x :]
    part = part[: window.shape[0], : window.shape[1], None]
    window *= 1 - part.astype(np.float32) * np.float32(0.32 / 255)


def _background(scene: Scene, dice: Dice) -> Pixels:
    height, width = scene.height, scene.width
    base = np.array(words.BACKGROUNDS[scene.background].rgb, dtype=np.float32) + dice.uniform(-8, 8)
    canvas = np.broadcast_to(base, (height, width, 3)).copy()
    if scene.texture == "smooth":
        return canvas
    if scene.texture == "grain":
        coarse = dice.rng.integers(0, 256, (height // 2 + 1, width // 2 + 1), dtype=np.uint8)
        grain = Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR)
        canvas += (np.asarray(grain, dtype=np.float32)[:, :, None] - 128) * np.float32(0.16)
        return canvas
    period = dice.integer(14, 30)
    canvas[::period] *= np.float32(0.82)
    if scene.texture == "grid":
        canvas[:, ::period] *= np.float32(0.82)
    else:
        shades = dice.rng.uniform(0.92, 1.06, height // period + 1).astype(np.float32)
        canvas *= np.repeat(shades, period)[:height, None, None]
    return canvas


def _light(scene: Scene) -> Pixels:
    """A soft slope of brightness [h, w, 1] towards the light."""
    x = np.linspace(-1, 1, scene.width, dtype=np.float32)[None, :, None] * np.float32(scene.light_xy[0])
    y = np.linspace(-1, 1, scene.height, dtype=np.float32)[:, None, None] * np.float32(scene.light_xy[1])
    return np.float32(0.98) + np.float32(0.09) * (x + y)
