"""What may be asked of a grid: values as lists or ranges, bounds, sizes."""

import json

import pytest

from core.errors import ParameterErrors
from core.grid_spec import MAX_CELL_ROWS, MAX_CELLS
from core.job_spec import job_body, read_job_spec
from core.settings import Settings


def read(**asked):
    return read_job_spec({"kind": "sweep", **asked}, Settings()).values


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ("1 to 2 by 0.25", (1.0, 1.25, 1.5, 1.75, 2.0)),
        ("0.1 to 0.3 by 0.1", (0.1, 0.2, 0.3)),
        ("1, 2, 2.5", (1.0, 2.0, 2.5)),
        ("1, 2 to 3 by 0.5", (1.0, 2.0, 2.5, 3.0)),
        ("1 to 1.9 by 0.5", (1.0, 1.5)),
        ([1, "2", 1.0], (1.0, 2.0)),
        (3, (3.0,)),
    ],
)
def test_values_of_an_axis_are_listed_or_ranged(given, values):
    assert read(entry_z_values=given, exit_z=0)["entry_z_values"] == values


def test_none_stands_for_without_where_a_pair_may_do_without():
    assert read(stop_z_values="none, 4")["stop_z_values"] == (None, 4.0)
    with pytest.raises(ParameterErrors, match="entry_z_values"):
        read(entry_z_values="none")


@pytest.mark.parametrize(
    "given", ["0.1 to 11 by 1", "2 to 1 by 0.1", "1 to 2 by 0", "1 to 9 by 0.001", "", [], "a", {}]
)
def test_values_out_of_bounds_name_the_axis_and_what_it_takes(given):
    with pytest.raises(ParameterErrors) as refused:
        read(entry_z_values=given)
    (error,) = refused.value.errors
    assert error.field == "entry_z_values"
    assert "from 0.1 to 10" in (error.allowed or "")


def test_a_grid_too_large_is_refused_before_it_runs():
    with pytest.raises(ParameterErrors) as refused:
        read(entry_z_values="1 to 10 by 0.01", window_values="10 to 500 by 1")
    assert f"{MAX_CELLS:,}" in str(refused.value.errors[0].allowed)
    with pytest.raises(ParameterErrors) as refused:
        read(entry_z_values="1 to 9 by 0.01", window_values="10 to 109 by 1", bars=20_000)
    assert refused.value.errors[0].field == "bars"
    assert f"{MAX_CELL_ROWS // 80_100:,}" in str(refused.value.errors[0].allowed)


@pytest.mark.parametrize(
    "given",
    [
        {"entry_z_values": "1, 2", "exit_z_values": "2, 5"},
        {"exit_z_values": [-5]},
        {"stop_z_values": "1, 2"},
        {"window_values": "200, 300", "hedge_window_values": "100, 150"},
        {"window_values": "200, 300", "hedge_window": 150},
    ],
)
def test_a_grid_of_which_no_combination_can_trade_is_refused_before_it_runs(given):
    with pytest.raises(ParameterErrors) as refused:
        read(**given)
    (error,) = refused.value.errors
    assert (error.field, error.message) == (
        "entry_z_values", "no combination of them goes together",
    )  # fmt: skip


@pytest.mark.parametrize(
    "given",
    [
        {"entry_z_values": "1, 2", "exit_z_values": "1.5, 5"},
        {"stop_z_values": "1, none"},
        {"window_values": "200, 2000"},  # the hedge window goes along
        {"window_values": "200, 300", "hedge_window_values": "100, 200"},
    ],
)
def test_a_grid_of_which_one_combination_can_trade_is_taken(given):
    assert read(**given)


def test_a_stored_sweep_is_read_as_the_same():
    spec = read_job_spec(
        {"kind": "sweep", "stop_z_values": "none, 4", "hedge_values": ["ols", "kalman"]}, Settings()
    )
    assert read_job_spec(json.loads(json.dumps(job_body(spec))), Settings()) == spec
