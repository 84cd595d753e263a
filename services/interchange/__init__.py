"""Hits, verdicts and annotations in the formats of other programs, both ways: records in, bytes out.

    files = export(occurrences, "eaf")
    tiers = read_tiers(data, "talk.TextGrid").tiers

Nothing here reads or writes a file of the user, and nothing knows a service.
"""
