"""The network: Deformable DETR's trunk, the text encoder, the dot product between them."""
