"""The `scrm` command."""

import typer

from server.commands import data, deployment, erase, graph, serving, tenants
from server.commands.settings import guarded

app = typer.Typer(
    help="Headless SCRM: the GraphQL backend of brands' social CRM.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(data.app, name="import", help="Bring records of other systems in from files.")
app.add_typer(tenants.app, name="create", help="Make the first group, its brands, and keys for services.")
app.add_typer(graph.app, name="graph", help="Rebuild the graph from the tables, or compare the two.")
app.add_typer(erase.app, name="erase", help="The list of who was erased, for after a backup is restored.")
app.command("serve")(serving.serve)
app.command("worker")(serving.worker)
app.command("demo")(serving.demo)
app.command("migrate")(deployment.migrate)
app.command("doctor")(deployment.doctor)
app.command("token")(deployment.token)
app.command("sdl", hidden=True)(deployment.sdl)
app.command("settings", hidden=True)(deployment.settings)


def main() -> None:
    """Run the command; an expected failure is one clear line and exit code 1."""
    with guarded():
        app()
