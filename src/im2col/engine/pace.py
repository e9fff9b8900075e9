"""How fast families of CPUs are at what kernels do: numbers by which tiles are compared, each with its source."""

from __future__ import annotations

from typing import NamedTuple

TURNING = 0.625, 50_000.0
"""Cycles of a byte of an image that is copied whole, with channels last, and of such a copy, as fitted on a Zen 5."""
Cycles = tuple[float, float, float]
"""Of something done to a vector of up to 16, of up to 32, and of up to 64 bytes."""


class Pace(NamedTuple):
    """What the cost model knows of a family of CPUs; cycles are those that one takes in a long run of its kind.

    Parameters
    ----------
    family : str
        For people.
    arithmetic : (float, float, float)
        Cycles of a product with its sum, or of a shuffle, by the vector's bytes.
    load, broadcast, store : (float, float, float)
        Cycles of a load from the first level of cache, of one number of it to all lanes, and of a store, by the
        vector's bytes.
    latency : int
        Cycles before a sum can be added to again.
    plane : float
        Cycles that a tap is held up where each channel is a plane of its own, whose lines no prefetcher foresees.
    turning : (float, float)
        As `TURNING`, of an image that is copied band by band.
    again : float
        Cycles for a line of pixels that comes from the second level of cache again with each turn of weights from afar.
    far : float
        Cycles of a line of the third level of cache, where lines that follow one another are not read together: as
        fitted on a Zen 5 where nothing else is said.
    """

    family: str
    arithmetic: Cycles
    load: Cycles
    broadcast: Cycles
    store: Cycles
    latency: int
    plane: float = 0.0
    turning: tuple[float, float] = TURNING
    again: float = 0.0
    far: float = 0.3


ZEN_1 = Pace("Zen", (0.5, 1.0, 2.0), (0.5, 1.0, 2.0), (0.5, 1.0, 2.0), (1.0, 2.0, 4.0), 5)
"""Vectors of 32 bytes are two halves (Agner Fog, "Instruction tables", Zen 1; LLVM's X86ScheduleZnver1.td)."""
ZEN_2 = Pace("Zen 2", (0.5, 0.5, 1.0), (0.5, 0.5, 1.0), (0.5, 0.5, 1.0), (1.0, 1.0, 2.0), 5)
"""Agner Fog, "Instruction tables", Zen 2; LLVM's X86ScheduleZnver2.td."""
ZEN_3 = ZEN_2._replace(family="Zen 3", latency=4, plane=1.0, turning=(0.15, 2000.0), again=2.0)
"""Agner Fog, "Instruction tables", Zen 3; FMA, stores, planes, copies and turns as measured on an EPYC of 2.5 GHz."""
ZEN_4 = ZEN_2._replace(family="Zen 4", broadcast=(0.5, 0.5, 0.5), latency=4, far=2.0)
"""Vectors of 64 bytes are executed, loaded and stored as two halves (A. J. Yee, "Zen4's AVX512 Teardown", 2022); one
number is loaded once for both. Broadcasts and far lines as measured on an EPYC of family 25, model 17."""
ZEN_5 = Pace("Zen 5", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), (0.5, 0.5, 1.0), 4)
"""A. J. Yee, "Zen5's AVX512 Teardown", 2024; FMA and stores as measured on an EPYC of family 26, model 2."""
HASWELL = Pace("Haswell to Alder Lake", (0.5, 0.5, 1.0), (0.5, 0.5, 1.0), (0.5, 0.5, 1.0), (1.0, 1.0, 2.0), 5)
"""uops.info and Agner Fog, "Instruction tables": Haswell and Broadwell; from Skylake on the latency is 4, and from Ice
Lake on two stores end in a cycle, which decides nothing."""
SKYLAKE_X = Pace("Skylake-X and later", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), (1.0, 1.0, 1.0), 4)
"""uops.info and Agner Fog, "Instruction tables": two units of 64 bytes, at ports 0 and 5, as all Xeons of it have."""
NEOVERSE_N = Pace("Neoverse N", (0.5, 1.0, 2.0), (0.5, 1.0, 2.0), (0.5, 1.0, 2.0), (1.0, 2.0, 4.0), 4)
"""Arm, "Neoverse N1 Software Optimization Guide"; N2 and the plain Cortex cores are taken for the same."""
NEOVERSE_V = Pace("Neoverse V", (0.25, 0.5, 1.0), (1 / 3, 2 / 3, 4 / 3), (1 / 3, 2 / 3, 4 / 3), (0.5, 1.0, 2.0), 4)
"""Arm, "Neoverse V1 Software Optimization Guide": four units of 16 bytes, three loads, two stores; V2 and V3 too."""
APPLE = Pace("Apple", (0.25, 0.5, 1.0), (1 / 3, 2 / 3, 4 / 3), (1 / 3, 2 / 3, 4 / 3), (0.5, 1.0, 2.0), 4)
"""D. Johnson, "Apple Microarchitecture Research" (Firestorm): four units of 16 bytes, three loads, two stores."""

_FAMILIES = {
    ZEN_1: "znver1",
    ZEN_2: "znver2",
    ZEN_3: "znver3",
    ZEN_4: "znver4",
    ZEN_5: "znver5 znver6",
    HASWELL: "haswell broadwell skylake alderlake raptorlake meteorlake arrowlake arrowlake-s lunarlake pantherlake",
    SKYLAKE_X: "skylake-avx512 cascadelake cooperlake cannonlake icelake-client icelake-server tigerlake rocketlake "
    "sapphirerapids emeraldrapids graniterapids graniterapids-d diamondrapids",
    NEOVERSE_V: "neoverse-v1 neoverse-v2 neoverse-v3 neoverse-v3ae neoverse-512tvb cortex-x1 cortex-x2 cortex-x3 "
    "cortex-x4 cortex-x925 grace",
    NEOVERSE_N: "neoverse-n1 neoverse-n2 neoverse-n3",
}
"""LLVM's names of their CPUs."""


def pace_of(cpu: str, *, arm: bool) -> Pace:
    """Return the pace of a CPU by LLVM's name for it; one that is not known is taken for a plain one, and says so.

    Examples
    --------
    >>> pace_of("znver3", arm=False).family, pace_of("apple-m4", arm=True).family
    ('Zen 3', 'Apple')
    >>> pace_of("generic", arm=True).family
    'not known, taken for Neoverse N'
    """
    if cpu.startswith("apple-"):
        return APPLE
    for pace, names in _FAMILIES.items():
        if cpu in names.split():
            return pace
    plain = NEOVERSE_N if arm else HASWELL
    return plain._replace(family=f"not known, taken for {plain.family}")
