"""A small tokenizer that needs no download: whole words from a bundled list, everything else letter by letter."""

from collections.abc import Iterable
from importlib import resources

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789" + "!\"#$%&'()*+,-./:;<=>?@[]_~"


def bundled_words() -> tuple[str, ...]:
    """The words of ``words.txt`` beside this module."""
    text = resources.files("xdetr_model.network").joinpath("words.txt").read_text(encoding="utf-8")
    return tuple(word for line in text.splitlines() if not line.startswith("#") for word in line.split())


def word_tokenizer(extra_words: Iterable[str] = (), max_tokens: int = 128) -> PreTrainedTokenizerFast:
    """A fast WordPiece tokenizer over the bundled and the extra words; the same words give the same ids.

    Nothing is trained: a word of the lists is one token, another word is split into known words and letters, so any
    English text has tokens. Lower-cases and strips accents.
    """
    words = dict.fromkeys([*bundled_words(), *(w.lower() for w in extra_words)])
    entries = dict.fromkeys([*SPECIAL_TOKENS, *LETTERS, *(f"##{c}" for c in LETTERS), *words, "##s", "##es", "##ed"])
    vocabulary = {entry: index for index, entry in enumerate(entries)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=max_tokens,
    )
