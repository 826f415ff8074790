"""How good a checkpoint, a teacher or a dataset's labels are: predictions first, figures from them, pages of both."""
