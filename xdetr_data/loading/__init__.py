"""From finished shards to augmented photos: which sample comes when, and what becomes of its pixels and boxes.

Nothing here knows torch. All randomness is a function of (seed, pass, key), so that a sample is the same whoever loads
it, and the order of keys a function of (seed, pass, rank), so that it can be computed before anything is read.
"""
