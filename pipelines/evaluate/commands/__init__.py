"""One file a kind of command of ``xdetr-eval``."""
