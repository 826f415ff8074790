"""Parts of ``stages.apply_review``: decisions that stand, phrases and regions after them."""
