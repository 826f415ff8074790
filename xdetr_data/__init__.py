"""What a labelled photo is and what happens to it, from the public files to training shards."""
