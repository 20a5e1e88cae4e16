import numba
import pytest

from fne_cli.compiled import compiled


def twice(number):
    return 2 * number


@pytest.mark.parametrize("error", [RuntimeError("no locator available"), OSError("read-only file system")])
def test_a_cache_that_cannot_be_written_costs_only_time(error, monkeypatch):
    real = numba.njit

    def refuse(*arguments, cache=False, **options):
        if cache:
            raise error
        return real(*arguments, **options)

    monkeypatch.setattr(numba, "njit", refuse)
    kernel = compiled("int64(int64)")(twice)
    assert kernel(21) == 42
    assert len(kernel.signatures) == 1
