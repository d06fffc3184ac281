"""Converts colour descriptions (code points of ITU-T H.273, gamma, chromaticities) to ICC profiles."""

from __future__ import annotations

import struct
from dataclasses import dataclass

BT_709 = (0.3127, 0.3290, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060)
"""x and y of white, red, green and blue; the same as in sRGB."""
PRIMARIES = {
    1: BT_709,
    4: (0.310, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (0.3127, 0.3290, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (0.3127, 0.3290, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (0.3127, 0.3290, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    9: (0.3127, 0.3290, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
}
"""H.273 colour primaries (table 2)."""
NAMES = {
    1: "BT.709",
    4: "BT.470 M",
    5: "BT.470 BG",
    6: "BT.601",
    7: "BT.601",
    9: "BT.2020",
    11: "DCI-P3",
    12: "Display P3",
}

Curve = tuple[float, ...]
"""Parameters of an ICC curve: (γ,), or (γ, a, b, c, d) for (aX + b)^γ from d on and cX below."""
SRGB: Curve = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_BT_709_CURVE: Curve = (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
CURVES = {
    1: _BT_709_CURVE,
    4: (2.2,),
    5: (2.8,),
    6: _BT_709_CURVE,
    8: (1.0,),
    13: SRGB,
    14: _BT_709_CURVE,
    15: _BT_709_CURVE,
}
"""H.273 transfer characteristics (table 3), as curves from samples to light."""
HDR = {16: "PQ", 18: "HLG"}
"""HDR transfer characteristics, brighter than white: 8-bit sRGB cannot represent them."""

_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))


@dataclass(frozen=True, slots=True)
class ColourCode:
    """A colour space described by primaries and a curve."""

    name: str
    chromaticities: tuple[float, ...]
    """x and y of white, red, green and blue."""
    curve: Curve


def from_cicp(content: bytes) -> ColourCode | str | None:
    """Interpret the four bytes of cICP (or AVIF's nclx); returns the name of an HDR curve, or None if unknown."""
    primaries, transfer = content[0], content[1]
    if transfer in HDR:
        return HDR[transfer]
    if primaries not in PRIMARIES or transfer not in CURVES:
        return None
    return ColourCode(NAMES[primaries], PRIMARIES[primaries], CURVES[transfer])


def from_gamma(gamma: float | None, chromaticities: tuple[float, ...] | None) -> ColourCode | None:
    """Interpret a PNG's gAMA and cHRM together; either may be missing.

    A gamma of 1/2.2 is read as sRGB, since sRGB files should have it for old decoders (PNG 3, 11.3.2.5).
    """
    if chromaticities is not None and (len(chromaticities) != 8 or not all(0 < y < 1 for y in chromaticities[1::2])):
        chromaticities = None
    if gamma is not None and not 0.1 <= gamma <= 10:
        gamma = None
    if gamma is None and chromaticities is None:
        return None
    curve = SRGB if gamma is None or abs(gamma - 1 / 2.2) < 0.005 else (1 / gamma,)
    name = "its own primaries" if gamma is None else f"gamma {gamma:.3g}"
    return ColourCode(name, chromaticities or BT_709, curve)


def icc_profile(code: ColourCode) -> bytes:
    """A display profile (ICC.1:2022, three matrix columns and their curves) for `code`.

    Raises ValueError if the chromaticities are degenerate.
    """
    white, columns = _columns(code.chromaticities)
    del white
    curve = b"para" + struct.pack(">I2H", 0, 0 if len(code.curve) == 1 else 3, 0)
    curve += b"".join(_fixed(number) for number in code.curve)
    text = code.name.encode("utf-16-be")
    tags = {
        b"desc": b"mluc" + struct.pack(">3I2s2s2I", 0, 1, 12, b"en", b"US", len(text), 28) + text,
        b"wtpt": _xyz(_D50),
        **{name: _xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    at, table, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        padded = content + b"\0" * (-len(content) % 4)
        table += name + struct.pack(">2I", at + len(body), len(content))
        body += padded
    header = struct.pack(">I4sI4s4s4s12s4s", at + len(body), b"", 0x04300000, b"mntr", b"RGB ", b"XYZ ", b"", b"acsp")
    header += struct.pack(">4sI4s4sQI", b"", 0, b"", b"", 0, 0) + b"".join(_fixed(number) for number in _D50)
    return header.ljust(128, b"\0") + table + body


def _columns(chromaticities: tuple[float, ...]) -> tuple[list[float], list[tuple[float, ...]]]:
    """XYZ of white, and of each primary scaled to its share of white, adapted to D50 (Lindbloom, Bradford)."""
    import numpy as np

    xyz = [(x / y, 1.0, (1 - x - y) / y) for x, y in zip(chromaticities[::2], chromaticities[1::2], strict=True)]
    white, primaries = np.array(xyz[0]), np.array(xyz[1:]).T
    try:
        matrix = primaries * np.linalg.solve(primaries, white)
    except np.linalg.LinAlgError as error:
        raise ValueError("these primaries are degenerate") from error
    cone = np.array(_BRADFORD)
    adapt = np.linalg.solve(cone, np.diag((cone @ np.array(_D50)) / (cone @ white)) @ cone)
    adapted = adapt @ matrix
    return white.tolist(), [tuple(float(number) for number in column) for column in adapted.T]


def _xyz(numbers: tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(_fixed(number) for number in numbers)


def _fixed(number: float) -> bytes:
    """Encode an s15Fixed16Number. Raises ValueError if it is out of range."""
    try:
        return struct.pack(">i", round(number * 65536))
    except (struct.error, OverflowError, ValueError) as error:
        raise ValueError("a number is out of a profile's range") from error
