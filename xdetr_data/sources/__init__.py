"""Readers: one file per input format; ``parse_*`` is pure, ``read_*`` does I/O."""
