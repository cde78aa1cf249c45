"""A sentence-transformers model with random weights, for tests of what any model of that kind must do."""

from pathlib import Path


def tiny_sentence_transformer(folder: Path, limit: int = 64, seed: int = 0) -> Path:
    """Write a BERT of 32 dimensions that reads single characters, at most `limit` tokens of a text; returns the folder."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizer

    parts = folder.with_name(f"{folder.name}-parts")
    parts.mkdir(parents=True)
    letters = [chr(code) for code in range(33, 127)]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (parts / "vocab.txt").write_text("\n".join(words) + "\n")
    BertTokenizer(vocab=str(parts / "vocab.txt"), model_max_length=limit).save_pretrained(parts)
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=limit, initializer_range=0.5,
    )  # fmt: skip
    BertModel(config).save_pretrained(parts)
    transformer = Transformer(str(parts))
    SentenceTransformer(modules=[transformer, Pooling(32, "mean")], device="cpu").save(str(folder), create_model_card=False)
    return folder
