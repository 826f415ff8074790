"""The datasets, one file each: its options, its sources, and what one photo becomes."""
