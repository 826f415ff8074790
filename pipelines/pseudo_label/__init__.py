"""``pseudo-label locnar``: narratives' noun phrases grounded by a checkpoint, with OpenImages' boxes."""
