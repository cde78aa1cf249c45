from ftassets.domain.release.version import version_note


def test_a_note_says_where_a_version_came_from():
    tags = {"base_model": "smol", "dataset_commit": "c1", "digest": "d" * 64, "dagster_run_id": "r1", "training": "{}"}
    assert version_note(tags) == f"- Base model: `smol`\n- Dataset commit: `c1`\n- Digest: `{'d' * 64}`\n- Dagster run: `r1`"
    assert version_note({"dagster_run_id": "r1", "dagster_run_url": "http://d/runs/r1"}) == "- Dagster run: [r1](http://d/runs/r1)"
    assert version_note({}) == ""
