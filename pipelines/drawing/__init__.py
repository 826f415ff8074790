"""Pictures of samples, as in the paper's figure A: matplotlib's objects on a canvas, no global state."""
