"""Files at any address: the one door that they are read through, and the trees that they stand in."""
