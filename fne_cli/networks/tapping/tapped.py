"""What taps of every kind of network say of themselves."""

from __future__ import annotations

from typing import Protocol, TypeVar

from fne_cli.networks.tapping.tokens import Tokens


class Tapped(Protocol):
    """A tap of any kind of network: its layer, its kind, the operation whose output is taken.

    shape: of one image, channels last. aside: why it is tapped only when it is asked for, "" if it is tapped.
    """

    @property
    def layer(self) -> str: ...  # noqa: D102  # said above
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def output_of(self) -> str: ...  # noqa: D102
    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def aside(self) -> str: ...  # noqa: D102
    @property
    def tokens(self) -> Tokens | None: ...  # noqa: D102


AnyTap = TypeVar("AnyTap", bound=Tapped)
