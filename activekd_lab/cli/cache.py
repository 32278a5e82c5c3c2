"""The `cache` command: what is kept on disk, and deleting it."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from activekd_lab.cli.flags import JSON
from activekd_lab.cli.output import print_table

cache = typer.Typer(
    invoke_without_command=True, rich_markup_mode=None, help="Show what is kept from earlier runs, and clear it."
)


Kind = Annotated[str | None, typer.Option(help="only this kind, such as embeddings")]


@cache.callback()
def cache_list(context: typer.Context, kind: Kind = None, json_: JSON = False) -> None:
    """List what is cached on disk: teacher embeddings and views, backbone features, rendered images."""
    from activekd_lab.data.cache import list_cache
    from activekd_lab.data.store import cache_dir

    if context.invoked_subcommand is not None:
        return
    entries = list_cache(kind)
    total = sum(entry.size for entry in entries)
    if json_:
        rows: list[dict[str, object]] = [entry._asdict() | {"path": str(entry.path)} for entry in entries]
        print(json.dumps({"folder": str(cache_dir()), "bytes": total, "entries": rows}))
        return
    lines = [[e.kind, f"{e.size / 1e6:.1f}", e.about + ("" if e.finished else " (unfinished)")] for e in entries]
    print_table("", ["kind", "MB", "what it holds"], lines)
    print(f"{len(entries)} files, {total / 1e6:.1f} MB in {cache_dir()}")


@cache.command("clear")
def cache_clear(kind: Kind = None) -> None:
    """Delete what is cached; it is computed again when it is needed."""
    from activekd_lab.data.cache import clear_cache

    count, size = clear_cache(kind)
    print(f"deleted {count} files, {size / 1e6:.1f} MB")
