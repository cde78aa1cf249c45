"""Rows of different lengths as one rectangle."""

from ftassets.workers.padding import left_padded


def test_rows_end_at_the_right_and_only_they_are_attended_to() -> None:
    ids, mask = left_padded([[5, 6, 7], [0]], "cpu")
    assert ids.tolist() == [[5, 6, 7], [0, 0, 0]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]
