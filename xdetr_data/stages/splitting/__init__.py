"""A paragraph of MDETR's is cut back into the sentences that it was packed from."""
