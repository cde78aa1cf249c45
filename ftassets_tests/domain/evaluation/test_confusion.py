"""Against scikit-learn's confusion matrix and recall."""

import numpy as np
from sklearn.metrics import confusion_matrix, recall_score

from ftassets.domain.evaluation.confusion import Confusion, columns, confusion, confusions, recalls
from ftassets_tests.domain.gates.reports import labelled

NAMES = ["cancel", "refund", "status", "(none)"]


def test_the_table_and_the_recalls_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    expected = rng.choice(NAMES[:3], 300, p=[0.7, 0.25, 0.05]).tolist()
    said = [[each if rng.random() < 0.7 else str(rng.choice(NAMES)) for each in expected] for _ in range(2)]
    candidate, production = (confusion(labelled(expected, each)) for each in said)
    for table, each in ((candidate, said[0]), (production, said[1])):
        wanted = confusion_matrix(expected, each, labels=NAMES)
        assert [[table[one, other] for other in NAMES] for one in NAMES] == wanted.tolist()
    found = recalls(candidate, production)
    for place, each in enumerate(said):
        wanted = recall_score(expected, each, labels=[line.label for line in found], average=None)
        np.testing.assert_allclose([line[2 + place] / line.rows for line in found], wanted)
    assert [line.rows for line in found] == sorted((line.rows for line in found), reverse=True)


def test_the_most_frequent_confusions_of_either_model_are_listed_and_the_others_counted() -> None:
    expected = ["a"] * 5 + ["b"] * 4
    candidate = confusion(labelled(expected, ["b"] * 3 + ["a"] * 2 + ["b"] * 4))
    production = confusion(labelled(expected, ["a"] * 4 + ["c"] + ["b"] * 2 + ["c"] * 2))
    found, more = confusions(candidate, production, most=2)
    assert found == [Confusion("a", "b", 3, 0), Confusion("b", "c", 0, 2)]
    assert more == 1
    assert confusions(candidate, candidate, most=9) == ([Confusion("a", "b", 3, 3)], 0)


def test_a_table_of_many_classes_is_not_shown_whole() -> None:
    few, many = ([f"c{n}" for n in range(count)] for count in (8, 9))
    assert columns(confusion(labelled(few, few))) == few
    assert columns(confusion(labelled(many, many))) is None
    assert confusion(labelled([], [])) == {}
