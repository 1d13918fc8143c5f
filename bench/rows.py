# SPDX-License-Identifier: Apache-2.0
"""What a part of the bench prints: one JSON object for each row."""
import json
import statistics


def row(name, pairs, unit, target=None, scale=1.0):
    """Prints the row of a figure and a floor that were measured in turns.

    `pairs`: (figure, floor) of each round.  Printed are the medians, and the median of the rounds' own ratios: a round in
    which the machine was slow was slow for both.  `target`: the most that the ratio may be.
    """
    ratio = statistics.median(figure / floor for figure, floor in pairs)
    emit(name, statistics.median(figure for figure, _ in pairs) * scale, unit,
         floor=statistics.median(floor for _, floor in pairs) * scale, ratio=ratio,
         target=None if target is None else f"<= {target} x floor", met=None if target is None else ratio <= target)


def emit(name, figure, unit, floor=None, ratio=None, target=None, met=None):
    print(json.dumps({"name": name, "figure": figure, "unit": unit, "floor": floor, "ratio": ratio, "target": target, "met": met}), flush=True)
