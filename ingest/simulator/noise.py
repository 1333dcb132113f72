"""Random numbers by address: each is a hash of what it is for, never of what came before.

`hashes(key, indices)` is SplitMix64 of a counter; the same (key, index) gives the same 64 bits in
every process and in whatever order or batch they are asked for. Only integer arithmetic and
single float operations are used, so no batch size can change a last bit.
"""

from hashlib import blake2b
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from core.types import FloatArray, IntArray

HashArray: TypeAlias = NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_LOW_16 = np.uint64(0xFFFF)
_SHIFT_16, _SHIFT_27, _SHIFT_30, _SHIFT_31 = (np.uint64(n) for n in (16, 27, 30, 31))
_SHIFT_32, _SHIFT_48 = np.uint64(32), np.uint64(48)

# Mean and deviation of the sum of four independent whole numbers uniform on 0..65535.
_SUM_MEAN = 4 * 65_535 / 2
_SUM_STD = (4 * (65_536**2 - 1) / 12) ** 0.5


def key_of(*parts: object) -> int:
    """Name a stream of random numbers; distinct parts give independent streams."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def hashes(key: int, indices: IntArray) -> HashArray:
    """64 random bits for each index of the stream `key`."""
    mixed = indices.astype(np.uint64)
    mixed *= _GOLDEN
    mixed += np.uint64(key)
    mixed ^= mixed >> _SHIFT_30
    mixed *= _MIX_1
    mixed ^= mixed >> _SHIFT_27
    mixed *= _MIX_2
    mixed ^= mixed >> _SHIFT_31
    return mixed


def gaussians(key: int, indices: IntArray) -> FloatArray:
    """Standard normal draws, one an index, as the scaled sum of four 16-bit uniforms.

    Exact integers up to the last scaling, where the usual logarithm and cosine may differ in the
    last bit between machines. The tails end at 3.5 deviations; sums of them are normal enough.
    """
    bits = hashes(key, indices)
    total = bits & _LOW_16
    total += (bits >> _SHIFT_16) & _LOW_16
    total += (bits >> _SHIFT_32) & _LOW_16
    total += bits >> _SHIFT_48
    return (total.astype(np.float64) - _SUM_MEAN) / _SUM_STD
