# SPDX-License-Identifier: Apache-2.0
"""What a part of the bench prints: one JSON object for each row."""
import json
import statistics


def row(name, pairs, unit, target, scale=1.0):
    """Prints the row of a figure and a floor that were measured in turns.

    `pairs`: (figure, floor) of each round.  Printed are the medians, and the median of the rounds' own ratios: a round in
    which the machine was slow was slow for both.  `target`: the most that the ratio may be; `scale`: from the pairs to `unit`.
    """
    ratios = sorted(figure / floor for figure, floor in pairs)
    ratio = statistics.median(ratios)
    emit(name, statistics.median(figure for figure, _ in pairs) * scale, unit,
         floor=statistics.median(floor for _, floor in pairs) * scale, ratio=ratio,
         quartiles=statistics.quantiles(ratios, n=4)[::2], target=f"<= {target} x floor", met=ratio <= target)


def emit(name, figure, unit, floor, ratio, target, met, quartiles=None):
    """`quartiles`: between them lies the middle half of the rounds' ratios."""
    print(json.dumps({"name": name, "figure": figure, "unit": unit, "floor": floor, "ratio": ratio, "quartiles": quartiles,
                      "target": target, "met": met}), flush=True)
