"""Federated annotations: some texts are known on each photo, and only these may be held against its objects.

A text is known on a photo where people boxed all that it names, or said that there is none. Of every other text an
object of the photo may well be one, so the pair is neither right nor wrong and stays out of the denominators of eq. 4
and 5. So does a text that the object has itself, said of another photo or of another class that is called alike.

Legend: F federated photos, K known pairs of photo and text, O objects, T tokens, P positive pairs, U different texts.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from xdetr_model.losses.gather import gather_rows


class Known(NamedTuple):
    """``federated [F]``: photos of which some texts alone are known, ``text [K]`` (hashes), each on ``photo [K]``; of
    other photos every text is."""

    federated: Tensor
    photo: Tensor
    text: Tensor

    def joined(self, photo_offset: int) -> "Known":
        """Of the photos of all ranks, which the offset sets apart."""
        return Known(
            gather_rows(self.federated + photo_offset), gather_rows(self.photo + photo_offset), gather_rows(self.text)
        )


def unknown_pairs(photo_O: Tensor, text_T: Tensor, carrier_P: Tensor, carried_P: Tensor, known: Known) -> Tensor:
    """``[O, T]`` True where it is not known that the token says nothing of the object.

    ``photo_O`` is each object's photo, ``text_T`` the text that each token is of, ``carrier_P`` which object has the
    text ``carried_P``.
    """
    photos, of_object = torch.unique(photo_O, return_inverse=True)
    texts, of_token = torch.unique(text_T, return_inverse=True)
    is_open = ~torch.isin(photos, known.federated)
    said = (photos[:, None] == known.photo).float() @ (known.text[:, None] == texts).float() > 0
    has = torch.zeros(len(photo_O), len(texts), device=photo_O.device)
    has.index_add_(0, carrier_P, (carried_P[:, None] == texts).float())
    is_unknown_OU: Tensor = ~is_open[of_object][:, None] & ~(said[of_object] & (has == 0))
    return is_unknown_OU[:, of_token]
