"""One table says what a pair may be: nothing bad gets past it, nothing good is refused."""

import math
from dataclasses import asdict, fields
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ParameterErrors
from core.pair_spec import HEDGES, PAIR_PARAMETERS, Hedge, PairSpec, read_pair_spec
from core.parameters import Choice, DeskDefault, Number, Symbol, WholeNumber
from core.settings import Settings
from core.timeframes import TIMEFRAMES, Timeframe

SETTINGS = Settings(fee_bps=7.5, slippage_bps=1.5)


EXIT_Z = (
    "must be from -entry_z to below entry_z (2)", "a number from -entry_z to below entry_z",
)  # fmt: skip


def refusal(asked):
    """Field, message and allowed words of each error."""
    with pytest.raises(ParameterErrors) as caught:
        read_pair_spec(asked, SETTINGS)
    return [(error.field, error.message, error.allowed) for error in caught.value.errors]


def test_nothing_asked_for_means_the_documented_defaults():
    assert asdict(read_pair_spec({}, SETTINGS)) == {
        "symbol_a": "BTCUSDT", "symbol_b": "ETHUSDT", "timeframe": "1m", "window": 120,
        "entry_z": 2.0, "exit_z": 0.5, "stop_z": None, "max_hold_bars": None, "hedge": "ols",
        "exit_rule": "moving", "lags": None, "since": None,
        "hedge_window": 600, "bars": 4_320, "fee_bps": 7.5, "slippage_bps": 1.5,
        "notional": 10_000.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("field", "accepted", "refused"),
    [
        ("window", (10, "10", "2000", 60.0), ("9", "2001", "1e3", "60.5", 60.5, True, [60])),
        ("entry_z", ("0.6", 0.6, "10", "1e0", ".7"), ("0.09", "10.1", "nan", math.inf, 10**400)),
        ("exit_z", ("0", "1.99", "-2"), ("-10.1", "10.1", "two")),
        ("stop_z", ("2.01", "1e9"), ("-1", "inf")),
        ("max_hold_bars", ("1", "20000"), ("0", "20001")),
        ("exit_rule", ("moving", "anchored"), ("", "fixed")),
        ("lags", ("0", "24"), ("-1", "25", "aic")),
        ("hedge_window", ("120", "10000"), ("9", "10001")),
        ("bars", ("10", "20000"), ("9", "20001")),
        ("fee_bps", ("0", "1000"), ("-1", "1000.1")),
        ("slippage_bps", ("0", "1000"), ("-1", "1000.1")),
        ("notional", ("0.01", "1e12"), ("0", "1.1e12")),
        ("since", ("0", 60_000, "1795401000000"), ("60001", "2026-11-23T02:30:01Z", "x")),
        ("hedge", ("ols", "kalman", "ratio", "shrunk", "returns"), ("OLS", "magic", None, ["ols"])),
        ("timeframe", ("1s", "1h"), ("1d", "60000", 60_000)),
        ("symbol_a", ("btcusdt", "A.B-C_1"), ("", "A B", "A" * 21, 5, "\ud800/")),
    ],
)
def test_bounds_are_inclusive_and_what_lies_beyond_is_refused_by_name(field, accepted, refused):
    base = {"exit_z": "0"} if field == "entry_z" else {}
    for value in accepted:
        spec = read_pair_spec(base | {field: value}, SETTINGS)
        wanted = value.upper() if field.startswith("symbol") else value
        assert getattr(spec, field) == type(getattr(spec, field))(wanted)
    for value in refused:
        ((name, message, allowed),) = refusal(base | {field: value})
        assert name == field
        assert message.startswith("must ")
        assert allowed == PAIR_PARAMETERS[field].allowed


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        (
            {"symbol_a": "ethusdt"},
            ("symbol_b", "must differ from symbol_a",
             "a symbol that /api/symbols lists, such as BTCUSDT, other than symbol_a"),
        ),
        (
            {"exit_z": "2"},
            ("exit_z", *EXIT_Z),
        ),
        (
            {"exit_z": "-2.01"},
            ("exit_z", *EXIT_Z),
        ),
        (
            {"entry_z": 3, "stop_z": 3},
            ("stop_z", "must be above entry_z (3)", "a number above entry_z"),
        ),
        (
            {"window": 300, "hedge_window": 299},
            ("hedge_window", "must be at least window (300)",
             "a whole number from window to 10000"),
        ),
    ],
)  # fmt: skip
def test_values_that_do_not_go_together_are_refused_with_the_other_value_named(asked, error):
    assert refusal(asked) == [error]


@pytest.mark.parametrize(
    ("asked", "field", "value"),
    [
        ({"entry_z": 1}, "exit_z", 0.25),
        ({"entry_z": 4}, "exit_z", 0.5),
        ({"window": 30}, "hedge_window", 150),
        ({"window": 2_000}, "hedge_window", 10_000),
        ({"fee_bps": None}, "fee_bps", 7.5),
        ({"slippage_bps": 0}, "slippage_bps", 0.0),
        ({"exit_z": None}, "exit_z", 0.5),
        ({"stop_z": None}, "stop_z", None),
    ],
)
def test_defaults_follow_from_the_other_values_and_from_the_desk(asked, field, value):
    assert getattr(read_pair_spec(asked, SETTINGS), field) == value


def test_every_bad_parameter_is_named_at_once_in_the_order_of_the_table():
    assert [name for name, *_ in refusal({"zoom": 1, "bars": "", "hedge": "x", "a": 1})] == [
        *("hedge", "bars", "a", "zoom"),
    ]
    assert refusal({"bars": ""}) == [
        ("bars", "must not be empty", "a whole number from 10 to 20000")
    ]
    assert refusal({"\ud800" * 100: 1})[0][0] == ("\\ud800" * 80)
    for nothing in ("window", None, [1]):
        assert refusal(nothing)[0][:2] == ("body", "must be an object of parameters")


def test_table_and_spec_say_the_same():
    assert list(PAIR_PARAMETERS) == [field.name for field in fields(PairSpec)]
    assert set(get_args(Hedge)) == set(HEDGES)
    assert set(get_args(Timeframe)) == set(TIMEFRAMES)
    for name, parameter in PAIR_PARAMETERS.items():
        assert parameter.label, name
        assert parameter.default is not None or parameter.without, name
        if isinstance(parameter.default, DeskDefault):
            assert parameter.default.setting in Settings.model_fields
    with pytest.raises(TypeError):
        PAIR_PARAMETERS["window"] = PAIR_PARAMETERS["bars"]


TEXT = st.text(max_size=12)
FOREIGN = st.one_of(
    TEXT, st.none(), st.booleans(), st.integers(), st.floats(),
    st.integers(-5, 30_000).map(str), st.floats(-1, 12).map(repr), st.lists(TEXT, max_size=2),
    st.sampled_from(["ols", "kalman", "1s", "1h", "ETHUSDT", "btcusdt"]),
)  # fmt: skip
MAPPINGS = st.dictionaries(st.one_of(st.sampled_from(list(PAIR_PARAMETERS)), TEXT), FOREIGN)


def judged(asked):
    """The spec and no errors, or no spec and the errors."""
    try:
        return read_pair_spec(asked, SETTINGS), []
    except ParameterErrors as refused:
        return None, refused.errors


@given(asked=MAPPINGS)
def test_whatever_comes_gives_a_spec_within_bounds_or_errors_that_name_fields(asked):
    spec, errors = judged(asked)
    assert (spec is None) == bool(errors)
    for error in errors:
        assert error.field in asked or error.field == "symbol_b" or "\\" in error.field
        assert error.message
        assert error.allowed
    if spec is None:
        return
    assert set(asked) <= set(PAIR_PARAMETERS)
    for name, parameter in PAIR_PARAMETERS.items():
        value = getattr(spec, name)
        if value is None:
            assert parameter.default is None, name
        elif isinstance(parameter, WholeNumber):
            assert type(value) is int
            assert parameter.low <= value <= parameter.high
        elif isinstance(parameter, Number):
            assert type(value) is float
            assert parameter.low <= value <= (parameter.high or math.inf)
        elif isinstance(parameter, Choice):
            assert value in parameter.choices
        else:
            assert isinstance(parameter, Symbol)
            assert value == value.upper() != ""
    assert spec.symbol_a != spec.symbol_b
    assert spec.exit_z < spec.entry_z < (spec.stop_z or math.inf)
    assert spec.window <= spec.hedge_window


@given(asked=MAPPINGS)
def test_a_spec_read_again_is_the_same_spec(asked):
    spec, _ = judged(asked)
    assert spec is None or read_pair_spec(asdict(spec), Settings()) == spec


@pytest.mark.parametrize(
    "text", ["2026-11-23T02:30:00", "2026-11-23T02:30:00Z", "2026-11-23T08:00:00+05:30"]
)
@pytest.mark.usefixtures("far_from_utc")
def test_a_moment_without_an_offset_is_of_utc_wherever_the_desk_stands(text):
    assert read_pair_spec({"since": text}, SETTINGS).since == 1_795_401_000_000
