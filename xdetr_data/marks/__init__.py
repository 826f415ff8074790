"""Whether a sentence ends at a mark, by the words around it: for paragraphs and for narratives."""
