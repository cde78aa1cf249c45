"""`dg scaffold defs ftassets.FineTuneLoop NAME`: the files that `ftassets init` writes, in a Dagster project."""

from contextlib import suppress

import click
from dagster.components import Scaffolder, ScaffoldRequest
from pydantic import BaseModel, Field

from ftassets.config.starter import BASE_MODEL, STARTERS, describe, write
from ftassets.errors import InvalidInput


class LoopParams(BaseModel):
    """Options of the command."""

    task: str = Field("tool_call", description=f"Form of an answer: {', '.join(STARTERS)}.")
    base_model: str = Field(BASE_MODEL, description="Model to fine-tune: a hub id, a folder, or package:NAME.")


class FineTuneLoopScaffolder(Scaffolder[LoopParams]):
    """Writes a loop file with examples; the folder's name becomes the loop's."""

    @classmethod
    def get_scaffold_params(cls) -> type[LoopParams]:
        """Options of the command."""
        return LoopParams

    def scaffold(self, request: ScaffoldRequest[LoopParams]) -> None:
        """Write the files into the folder of the request, which dg has made. Raises ClickException, which dg shows as one sentence."""
        folder, params = request.target_path, request.params
        try:
            if request.append or request.scaffold_format != "yaml":
                raise InvalidInput("a loop is one YAML file in a folder of its own: leave --format out, and choose a new name")
            written = write(folder, folder.name, params.task, params.base_model)
        except InvalidInput as error:
            with suppress(OSError):  # the empty folder that dg made would make the next attempt fail
                folder.rmdir()
            raise click.ClickException(str(error)) from None
        click.echo(describe(written, folder.name))
