"""Answers about traffic and usage.

``date_ranges.choose_date_range`` reads which days and which granularity are asked for, ``render``
writes the JSON of an answer, ``csv.CsvRenderer`` its table; ``usage.with_usage`` adds to subscriptions what they have
used of their limits. Invariants: dates are UTC and inclusive; an answer includes what was accepted a moment ago (the
unfolded tail); totals are read from the same rows as the points.
"""
