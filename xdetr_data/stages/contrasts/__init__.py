"""Phrases that differ from a phrase in one attribute: asked of a grounder besides, so that the attribute counts."""
