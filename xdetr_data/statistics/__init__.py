"""What a dataset holds, counted: lengths, sizes, words."""
