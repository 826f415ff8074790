"""The losses of the paper: matching, detection, alignment, images and captions."""
