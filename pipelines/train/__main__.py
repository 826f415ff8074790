"""``python -m pipelines.train``: what torchrun starts, with the flags of ``xdetr-train``."""

from pipelines.train.command import main

if __name__ == "__main__":
    main()
