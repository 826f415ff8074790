"""The network and what trains, scores and searches with it."""
