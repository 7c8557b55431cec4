#!/usr/bin/env python3
"""How far sound and picture of a film of flashes and beeps are from each other.

    avsync.py FILE

Prints JSON: offsets are beep time less flash time in milliseconds, so sound that is late is positive; the drift is the
median slope of all pairs (Theil-Sen), which a few late pictures do not move.
"""
import json
import sys

import av
import numpy as np

BRIGHT = 128
LOUD = 0.05
# Silence between two beeps: shorter pauses are the same beep.
PAUSE_SECONDS = 0.3
# A flash and a beep further apart than that do not belong together.
NEAR_SECONDS = 0.45


def onsets(path):
    """Times at which it gets bright, at which it gets loud, and of all pictures."""
    container = av.open(path)
    flashes, beeps, pictures = [], [], []
    is_lit = None
    last_loud = None
    streams = [*container.streams.video[:1], *container.streams.audio[:1]]
    for frame in container.decode(*streams):
        at = float(frame.pts * frame.time_base)
        if isinstance(frame, av.VideoFrame):
            now = float(frame.to_ndarray(format="gray").mean()) > BRIGHT
            pictures.append(at)
            if now and is_lit is False:
                flashes.append(at)
            is_lit = now
            continue
        samples = np.abs(frame.to_ndarray().astype(np.float32))
        samples = samples.max(axis=0) if frame.format.is_planar else samples.reshape(-1, frame.layout.nb_channels).max(axis=1)
        if frame.format.name.startswith("s16"):
            samples = samples / 32768
        for index in np.flatnonzero(samples > LOUD):
            time = at + index / frame.sample_rate
            if last_loud is not None and time - last_loud > PAUSE_SECONDS:
                beeps.append(time)
            last_loud = time
    return flashes, beeps, pictures


def main():
    flashes, beeps, pictures = onsets(sys.argv[1])
    nearest = [(flash, min(beeps, key=lambda beep: abs(beep - flash)) - flash) for flash in flashes] if beeps else []
    pairs = [(flash, off) for flash, off in nearest if abs(off) < NEAR_SECONDS]
    times = np.array([flash for flash, _ in pairs])
    offsets = np.array([off for _, off in pairs]) * 1000
    gaps = np.diff(pictures)
    told = {
        "flashes": len(flashes),
        "beeps": len(beeps),
        "pairs": len(pairs),
        "pictures": len(pictures),
        "longest_gap_ms": round(float(gaps.max()) * 1000) if len(gaps) else 0,
        "backwards": int((gaps <= 0).sum()),
    }
    if len(pairs) > 2:
        one, other = np.triu_indices(len(pairs), 1)
        slopes = (offsets[other] - offsets[one]) / (times[other] - times[one])
        told |= {
            "median_ms": round(float(np.median(offsets)), 1),
            "least_ms": round(float(offsets.min()), 1),
            "most_ms": round(float(offsets.max()), 1),
            "drift_ms_per_minute": round(float(np.median(slopes)) * 60, 2),
        }
    print(json.dumps(told))


main()
