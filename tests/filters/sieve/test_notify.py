"""Notices by mail (RFC 5435, RFC 5436)."""

import pytest

from mta.filters.sieve import actions
from mta.filters.sieve.compiling import compile_script
from mta.filters.sieve.syntax import SieveError
from tests.support.sieve import REQUIRE_ALL, done, failure, holds, result


def notices(script):
    found = result(script)
    assert found.error == ""
    return [each for each in found.actions if isinstance(each, actions.Notify)]


def test_everything_that_can_be_said():
    script = (
        'notify :from "Bob <bob@x.test>" :importance "1" :options ["a=b"] :message "You have mail"'
        ' "mailto:sms@x.test?body=Look%20here";'
    )
    assert notices(script) == [
        actions.Notify("sms@x.test", "Look here", "You have mail", "bob@x.test", "1", 2)
    ]


@pytest.mark.parametrize(
    ("uri", "addresses", "subject"),
    [
        ("mailto:a@x.test", ["a@x.test"], ""),  # RFC 5436, 2
        ("MAILTO:a@x.test,b@x.test", ["a@x.test", "b@x.test"], ""),
        ("mailto:a@x.test%2cb@x.test", ["a@x.test", "b@x.test"], ""),
        ("mailto:?to=a@x.test&subject=Hi%20there", ["a@x.test"], "Hi there"),
        ("mailto:a%2Bb@x.test?subject=1+1", ["a+b@x.test"], "1+1"),
        ("mailto:a@x.test?subject=a%0D%0ABcc:%20x@y.test", ["a@x.test"], "a Bcc: x@y.test"),
        ("mailto:a@x.test?bcc=b@x.test&from=c@x.test", ["a@x.test"], ""),  # 2.3, others are ignored
    ],
)
def test_uris(uri, addresses, subject):
    found = notices(f'notify "{uri}";')
    assert [(each.address, each.subject) for each in found] == [
        (each, subject) for each in addresses
    ]


def test_it_goes_beside_everything():
    assert done('notify "mailto:a@x.test";') == ["notify", "keep"]  # RFC 5435, 3
    assert done('notify "mailto:a@x.test"; reject "no";') == ["notify", "reject no"]
    assert done('notify "mailto:a@x.test"; notify "mailto:a@x.test";') == ["notify", "keep"]


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ('valid_notify_method "mailto:a@x.test"', True),  # 4
        ('valid_notify_method ["mailto:a@x.test", "tel:+123"]', False),
        ('valid_notify_method "mailto:"', False),
        ('valid_notify_method "mailto:a@x.test?a:=b"', False),
        ('notify_method_capability "mailto:a@x.test" "Online" "maybe"', True),  # 5
        ('notify_method_capability "mailto:a@x.test" "online" ["yes", "no"]', False),
        ('notify_method_capability "xmpp:a@x.test" "online" "maybe"', False),
        ('notify_method_capability "mailto:a@x.test" "colour" "maybe"', False),
    ],
)
def test_tests(test, expected):
    assert holds(test) is expected


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ('notify "tel:+123";', "no mailto URI"),
        ('notify "mailto:nobody";', "wrong address"),
        ('notify "mailto:a@x.test,b@x.test,c@x.test,d@x.test,e@x.test";', "1 to 4 addresses"),
        ('notify :importance "4" "mailto:a@x.test";', "importance"),
        ('notify :from "x" "mailto:a@x.test";', "is no address"),
    ],
)
def test_errors(script, said):
    with pytest.raises(SieveError, match=said):
        compile_script(REQUIRE_ALL + script)


def test_a_method_from_a_variable_is_looked_at_in_time():
    assert "no mailto URI" in failure('set "m" "tel:1"; notify "${m}";')
