"""Rows and what is made of them: curation, shards, labelling batches, preference pairs, synthesis."""
