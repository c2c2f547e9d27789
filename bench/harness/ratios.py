"""Figures with their spread, and what may be said of them.

A machine's speed drifts by more than the differences that matter. So what is compared was measured
in the same round, within seconds, and each round gives one ratio; the figure is their median and the
spread their least and greatest.
"""

import statistics
from dataclasses import dataclass


@dataclass
class Figure:
    """The median of the rounds' values, with the least and the greatest."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, values):
        values = list(values)
        return cls(statistics.median(values), min(values), max(values))

    def text(self, form="{:.2f}"):
        return form.format(self.middle)

    def spread(self, form="{:.2f}"):
        return f"{form.format(self.low)} to {form.format(self.high)}"


def ratio(ours, theirs):
    """Round by round."""
    return Figure.of(a / b for a, b in zip(ours, theirs, strict=True))


def difference(ours, theirs):
    """Round by round."""
    return Figure.of(a - b for a, b in zip(ours, theirs, strict=True))


def compared(figure):
    """In words: what lies within the spread is noise."""
    if figure.low <= 1 <= figure.high:
        return "equal"
    return "less" if figure.middle < 1 else "more"


def verdict(figure, must, aim, more_is_better=False):
    """Whether a figure reaches what was set; a limit within its spread is neither met nor missed."""
    sign = -1 if more_is_better else 1
    middle, low = sign * figure.middle, min(sign * figure.low, sign * figure.high)
    if middle <= sign * aim:
        return "aim met"
    if middle <= sign * must:
        return "must met, equal to the aim within noise" if low <= sign * aim else "must met"
    return "equal to the must within noise" if low <= sign * must else "**below**"


def in_rounds(count, subjects, measure):
    """Measures each subject once a round, in an order that turns from round to round. A dictionary
    of lists, by name."""
    found = {name: [] for name in subjects}
    for number in range(count):
        order = list(subjects) if number % 2 == 0 else list(reversed(subjects))
        for name in order:
            found[name].append(measure(name))
    return found
