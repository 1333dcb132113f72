"""Random numbers by address: each is a hash of what it is for, never of what came before.

`hashes(key, indices)` is SplitMix64 of a counter; the same (key, index) gives the same 64 bits in
every process and in whatever order or batch they are asked for. Normal draws come from a table of
quantiles, so no logarithm or cosine can differ in a last bit between batches or machines.
"""

from hashlib import blake2b
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from core.types import FloatArray, IntArray

HashArray: TypeAlias = NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_SHIFT_27, _SHIFT_30, _SHIFT_31 = np.uint64(27), np.uint64(30), np.uint64(31)

QUANTILES = 4_096
NORMAL_QUANTILES: FloatArray = np.array(
    [NormalDist().inv_cdf((i + 0.5) / QUANTILES) for i in range(QUANTILES)]
)
"""The standard normal in 4,096 equally likely values, ±3.7 at the ends."""


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


def hashes_of(name: str, number: int, count: int) -> list[float]:
    """`count` numbers from 0 to 1 that belong to one thing by its name and number."""
    bits = hashes(key_of(name, number), np.arange(count, dtype=np.int64)) >> np.uint64(11)
    shares: list[float] = (bits / 2.0**53).tolist()
    return shares


def gaussians(key: int, start: int, end: int) -> FloatArray:
    """Standard normal draws of the stream `key` for the indices from `start` to before `end`.

    Four indices share a hash, 16 bits each.
    """
    first = start >> 2
    bits = hashes(key, np.arange(first, (end + 3) >> 2, dtype=np.int64))
    parts = bits.astype("<u8", copy=False).view("<u2")[start - 4 * first : end - 4 * first]
    return np.take(NORMAL_QUANTILES, parts >> 4)
