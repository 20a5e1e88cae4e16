"""What an output is made from and by: which of it the command chose, and which came with the files that it read.

A derived file follows its inputs, as make expects: the same command on inputs that have changed makes it again. Another
command, by other settings or of other files, may be a mistake and is refused.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fne_cli.store.format.changes import image_changes
from fne_cli.store.format.schema import Images, differences, fingerprint, without_shard
from fne_cli.store.output.record import plain


@dataclass(frozen=True)
class Origin:
    """What determines an output of `kind`, as it is now.

    settings, sources: as the file has them. inputs: the files that the command named, by their role. inherited: the
    settings that say something of the inputs and nothing of the command. with_network: those that do so if the network
    is another one. network: how the activations were made that all began with. images: the image table of the inputs,
    for an output that has one.
    """

    kind: str
    settings: Mapping[str, Any]
    sources: Sequence[Any]
    inputs: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    inherited: Sequence[str] = ()
    with_network: Sequence[str] = ()
    network: Mapping[str, Any] = field(default_factory=dict)
    images: Callable[[], Images] | None = None

    @property
    def fingerprint(self) -> str:
        """As the format defines it, of a file that has no image table of its own."""
        return fingerprint(self.kind, self.settings, self.sources)

    @property
    def paths(self) -> tuple[Path, ...]:
        """All inputs."""
        return tuple(path for paths in self.inputs.values() for path in paths)

    def noted(self, output: Path) -> dict[str, Any]:
        """For the run record: the files that were named, as seen from the folder of the output."""
        return {"made_from": self._names(output)}

    def noted_whole(self, output: Path) -> dict[str, Any]:
        """The same for an output that does not say itself what it was made from."""
        said: dict[str, Any] = plain(
            {
                "kind": self.kind,
                "settings": self.settings,
                "sources": list(self.sources),
                "network": self.network,
            }
        )
        return said | self.noted(output)

    def other_command(self, output: Path, head: Mapping[str, Any], record: Mapping[str, Any]) -> list[str]:
        """How this command differs from the one that made `output`, a line each; none if only the inputs have changed.

        head: settings, sources and network of the output. record: its run record.
        """
        settings, found = dict(plain(self.settings)), dict(head["settings"])
        same_inputs = by_number(head["sources"]) == by_number(plain(list(self.sources)))
        now_made, then_made = self._networks(head)
        same_network = now_made == then_made
        if not same_inputs:
            for name in (*self.inherited, *(() if same_network else self.with_network)):
                settings.pop(name, None)
                found.pop(name, None)
        lines = [f"settings.{line}" for line in differences(settings, found)]
        roles, known = self._names(output), record.get("made_from")
        before, now = kinds(head["sources"]), kinds(self.sources)
        if before != now:
            lines.append(f"made from: {', '.join(before)} in the existing output, {', '.join(now)} asked for")
        if isinstance(known, Mapping) and not same_inputs:
            for role, names in roles.items():
                others = known.get(role)
                others = [name for name in others if isinstance(name, str)] if isinstance(others, list) else names
                reordered = names != others and sorted(names) == sorted(others)
                if names and (reordered or not {*names} & {*others}):
                    lines.append(f"{role}: {_few(others)} in the existing output, {_few(names)} asked for")
        elif not same_inputs and not same_network:
            lines += differences(now_made, then_made)  # nobody knows of which files it was
        return lines

    def changes(self, head: Mapping[str, Any], old: Images | None) -> list[str]:
        """What has changed in the inputs since an output was made, a line each. old: its image table, if it has one."""
        lines = differences(*self._networks(head), ("before", "now"))
        if old is not None and self.images is not None:
            lines += image_changes(old, self.images()).lines()
        if lines:
            return lines
        before, now = _numbered(head["sources"]), _numbered(plain(list(self.sources)))
        changed = dict.fromkeys(kind for (kind, _), digest in now.items() if before.get((kind, _)) != digest)
        return [f"other {kind} than it was made from{self._named(kind)}" for kind in changed] or [
            "fewer files than it was made from"
        ]

    def _named(self, kind: str) -> str:
        paths = self.inputs.get(kind, self.paths if len(self.paths) == 1 else ())
        return f": {_few([str(path) for path in paths])}" if paths else ""

    def _networks(self, head: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """How the activations are made now and were then, whichever shard they are of."""
        now, then = plain(self.network), head["network"]
        return without_shard(now), without_shard(then if isinstance(then, dict) else {})

    def _names(self, output: Path) -> dict[str, list[str]]:
        folder = os.path.realpath(output.parent)
        return {role: [_beside(path, folder) for path in paths] for role, paths in self.inputs.items() if paths}


def kinds(sources: Sequence[Any]) -> list[str]:
    """The kinds of some sources, each once."""
    return sorted({str(source.get("kind")) if isinstance(source, Mapping) else "?" for source in sources})


def by_number(sources: Any) -> dict[str, Any]:
    """A list as a mapping, for `differences`."""
    return {str(number): source for number, source in enumerate(sources if isinstance(sources, list) else [sources])}


def _numbered(sources: Sequence[Any]) -> dict[tuple[str, int], Any]:
    """Sources by their kind and place among those of the kind."""
    found: dict[tuple[str, int], Any] = {}
    for source in sources:
        kind = str(source.get("kind")) if isinstance(source, Mapping) else "?"
        found[kind, sum(other == kind for other, _ in found)] = source
    return found


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _beside(path: Path, folder: str) -> str:
    """The name by which an input was given, seen from `folder`; a link is not followed, as it may point elsewhere."""
    where = os.path.join(os.path.realpath(path.parent), path.name)
    return os.path.relpath(where, folder).encode("utf-8", "backslashreplace").decode()
