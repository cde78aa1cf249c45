"""Every command and option is on the page, with a meaning."""

from ftassets.docs.cli_page import commands, page


def test_every_command_and_option_says_what_it_is() -> None:
    text = page()
    found = list(commands())
    assert len(found) > 20
    for name, command in found:
        assert f"\n## {name}\n" in text
        assert command.help, f"{name} has no help"
        for parameter in command.params:
            assert (parameter.help or "").strip(), f"{name} {parameter.name} has no help"


def test_defaults_and_flags() -> None:
    text = page()
    assert "| `--gateway-port` | integer | `8100` | Port of the gateway. |" in text
    assert "| `--vectors`, `--no-vectors` | flag | on |" in text
    assert "| `LOOP` | text | required | Name of the loop. |" in text
