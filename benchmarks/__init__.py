"""What the figures in docs/ come from; each module is a command."""
