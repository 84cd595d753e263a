import pytest

from wordspot.services.access.principals import Principal, Scope
from wordspot.services.access.rates import CallRates
from wordspot.services.errors import Overloaded


def test_calls_beyond_the_rate_are_turned_away_with_the_delay_until_the_next() -> None:
    now = [0.0]
    rates = CallRates(lambda: now[0])
    caller = Principal("a", Scope.READ, calls_per_minute=30)  # one in two seconds, five at once
    for _ in range(5):
        rates.take(caller)
    with pytest.raises(Overloaded, match="a may make 30 calls a minute") as refused:
        rates.take(caller)
    assert refused.value.retry_seconds == pytest.approx(2.0)
    now[0] = 2.0
    rates.take(caller)
    with pytest.raises(Overloaded):
        rates.take(caller)


def test_one_caller_does_not_use_up_anothers_calls() -> None:
    rates = CallRates(lambda: 0.0)
    busy, quiet = (Principal(name, Scope.READ, calls_per_minute=6) for name in "ab")
    rates.take(busy)
    with pytest.raises(Overloaded):
        rates.take(busy)
    rates.take(quiet)


def test_a_caller_without_a_rate_is_not_counted() -> None:
    rates = CallRates(lambda: 0.0)
    for _ in range(10_000):
        rates.take(Principal("a", Scope.READ))
