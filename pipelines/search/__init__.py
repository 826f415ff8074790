"""Search: objects of many photos as vectors, and the instances among them that a sentence, a crop or another means."""
