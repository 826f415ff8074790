"""More for a finished dataset: photos that could not be used and can be now, and inputs that came since.

What is in the dataset stays in its shard, photos beside it go to shards behind, and only shards of which something
changed are made again.
"""
