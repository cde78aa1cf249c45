"""What can be silenced: what this package sends, by its name, and nothing else."""

import pytest

from ftassets.domain.health.subjects import RANK, SUBJECTS, Sender, check_silenced
from ftassets.errors import InvalidInput


def test_only_subjects_that_are_sent_from_here_are_silenced() -> None:
    for name, subject in SUBJECTS.items():
        assert subject.severity in RANK
        if subject.sender is Sender.PROMETHEUS:
            with pytest.raises(InvalidInput, match="silence it in Alertmanager"):
                check_silenced(name)
        else:
            check_silenced(name)
            check_silenced(f"{name}:detail")
    with pytest.raises(InvalidInput, match="no concern 'traffic'"):
        check_silenced("traffic")
