"""Before a fork kernels are loaded and not compiled: a start must not stand still for a minute."""

import pytest
from numba import njit

from core.compiled import LoadedOnly, NotCompiled


def test_a_kernel_that_is_not_there_yet_is_refused_before_it_compiles_and_others_run() -> None:
    @njit
    def twice(value):  # type: ignore[no-untyped-def]
        return 2.0 * value

    with pytest.raises(NotCompiled), LoadedOnly():
        twice(1.0)
    assert twice.signatures == []
    assert twice(1.0) == 2.0
    with LoadedOnly():
        assert twice(2.0) == 4.0
    assert twice(1) == 2.0, "nothing is refused behind it"
