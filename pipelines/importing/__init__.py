"""Files of others' formats as shards: a recipe a format, on the same engine."""
