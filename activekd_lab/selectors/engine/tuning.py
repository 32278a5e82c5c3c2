"""The numbers that set how fast the lazy search is; none of them changes a pick."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tuning:
    """Sizes measured on two cores, for pools of 500 to 1.28 million points.

    Attributes:
        front: Points with the largest bounds; the rest is looked at when they run out.
        fewest: Points made current at a time, at least.
        most: The same, at most.
        entries: Entries of a block, to stay in cache.
        short: Budget up to which a block may be larger, for fewer of them.
        first: Multiplications to make the first block current.
        few_picks: Out of a block; after fewer the next one is larger.
        cheap: Multiplications that cost less than looking for what can be left out.
        narrow: Width up to which the same holds of a float64 product with `doubled` entries of centres.
        doubled: See `narrow`.
        modest: Entries of a pool whose bounds are all renewed where that is cheap.
        heavy: Multiplications that are worth more than one thread.
        close: Points too close to tell that are settled at one pick; with more of them all becomes differences.
        rough: All becomes differences, too, where a squared radius is not this many times the rounding of products.
        pairs: Float64 differences taken at once.
        center_slice: Centres per product, so that a block's distances stay in cache.
        sketch: Width of the random projection that finds a near centre.
        hubs: Centres that are nearest to most points: every point is measured against them.
        voters: Points that elect the hubs.
        seldom: Share of voters for which the projection has to find a nearer centre than the hubs.
        first_targets: Centres that the first pass sketches; later looks use all.
        scores: Entries of a product in the first pass, to stay in cache.
        tries: Centres that a later look finds.
        piece: Rows that a later look takes at a time.
    """

    front: int = 4096
    fewest: int = 128
    most: int = 2048
    entries: int = 1 << 17
    short: int = 32
    first: int = 1 << 20
    few_picks: int = 8
    cheap: int = 1 << 22
    narrow: int = 128
    doubled: int = 1 << 21
    modest: int = 1 << 19
    heavy: int = 1 << 24
    close: int = 64
    rough: float = 1e7
    pairs: int = 512
    center_slice: int = 1024
    sketch: int = 64
    hubs: int = 64
    voters: int = 512
    seldom: float = 1 / 16
    first_targets: int = 2048
    scores: int = 1 << 18
    tries: int = 4
    piece: int = 512
