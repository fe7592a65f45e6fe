"""The system's own users, as the C library knows them."""

import pwd

import pytest

from mta.system_users import SystemUser, find_user, local_users


def test_a_user_is_found_as_python_finds_him():
    for name in ("root", "nobody"):
        known = pwd.getpwnam(name)
        assert find_user(name) == SystemUser(name, known.pw_uid, known.pw_dir)


@pytest.mark.parametrize("name", ["no-such-user-here", "", "x" * 5000, "\udcff", "jürgen-x"])
def test_nobody_is_nobody(name):
    assert find_user(name) is None


def test_the_users_of_the_file():
    found = {user.name: user for user in local_users()}
    assert found["root"] == SystemUser("root", 0, pwd.getpwnam("root").pw_dir)
