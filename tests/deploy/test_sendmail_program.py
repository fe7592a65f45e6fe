"""deploy/sendmail, as programs run it: any account, any directory, nothing of ours readable."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from mta import runtime
from mta.management.submit_server import MAX_OF_ONE_USER, SubmitServer
from mta.models import Content, Message, Settings, UucpNeighbor
from tests.support.smtp_session import disconnect_others
from tests.support.waiting import eventually

PROGRAM = Path(__file__).parents[2] / "deploy" / "sendmail"
ME = pwd.getpwuid(os.geteuid()).pw_name
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run it as somebody else")

Send = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that every account can enter, with nothing but the program in it."""
    path = Path(tempfile.mkdtemp(prefix="submit"))
    path.chmod(0o755)
    shutil.copy(PROGRAM, path / "sendmail")
    (path / "rmail").symlink_to("sendmail")
    yield path
    shutil.rmtree(path)


@pytest.fixture
def server(transactional_db, monkeypatch, place) -> Iterator[SubmitServer]:
    monkeypatch.setattr(runtime, "nudge", lambda names=None: None)
    runtime.directory.cache_clear()
    with SubmitServer(place / "socket") as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()
    runtime.directory.cache_clear()
    disconnect_others()


@pytest.fixture
def send(server, place) -> Send:
    """Run it as an account, with nothing in its environment but what is given."""

    def send(
        content: bytes,
        *arguments: str,
        user: str | None = None,
        program: str = "sendmail",
        **variables: str,
    ) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            [str(place / program), *arguments],
            input=content,
            capture_output=True,
            timeout=60,
            cwd="/",
            user=user,
            group=pwd.getpwnam(user).pw_gid if user else None,
            extra_groups=[] if user else None,
            env={"COURIERWEB_SUBMIT_SOCKET": str(place / "socket"), **variables},
        )

    return send


def test_a_message_is_queued_in_the_name_of_its_account(send):
    done = send(b"To: bob@foreign.test\nBcc: eve@foreign.test\n\nbody\n", "-t", "-oi")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    message = Message.objects.get()
    assert message.reverse_path == f"{ME}@{runtime.hostname()}"
    assert {row.address for row in message.recipient_set.all()} == {
        "bob@foreign.test",
        "eve@foreign.test",
    }
    assert b"eve@" not in bytes(Content.objects.get().data)


@root_only
def test_the_kernel_says_who_calls(send):
    assert send(b"\nx\n", "bob@foreign.test", user="nobody", LOGNAME="root").returncode == 0
    assert Message.objects.get().reverse_path == f"nobody@{runtime.hostname()}"


@root_only
def test_what_listens_must_be_ours(place):
    """In /tmp anybody can listen; mail is not handed to them."""
    listener = subprocess.Popen(
        ["python3", "-c", _LISTEN, "listening"], stdout=subprocess.PIPE, user="nobody", group=65534
    )
    try:
        assert listener.stdout is not None
        path = listener.stdout.readline().decode().strip()
        done = subprocess.run(
            [str(place / "sendmail"), "bob@foreign.test"],
            input=b"\nsecret\n",
            capture_output=True,
            env={"COURIERWEB_SUBMIT_SOCKET": path},
            timeout=60,
        )
        assert done.returncode == 75
        assert b"somebody else" in done.stderr
    finally:
        listener.kill()
        listener.wait()


_LISTEN = """
import os, socket, tempfile
path = tempfile.mkdtemp() + "/socket"
server = socket.socket(socket.AF_UNIX)
server.bind(path)
server.listen()
print(path, flush=True)
server.accept()[0].recv(1)
"""


def test_options_and_variables(send):
    done = send(
        b"\nx\n",
        *("-f", "list@y.test", "-F", "The List", "-N", "success", "-R", "hdrs", "-V", "e1"),
        "bob@foreign.test",
    )
    assert done.returncode == 0
    message = Message.objects.get()
    assert (message.reverse_path, message.ret, message.envid) == ("list@y.test", "HDRS", "e1")
    assert b"From: The List <list@y.test>\r\n" in bytes(Content.objects.get().data)


def test_the_variables_of_the_sender(send):
    send(b"\nx\n", "bob@foreign.test", MAILUSER="ann", MAILHOST="y.test", MAILNAME="Ann Lee")
    assert Message.objects.get().reverse_path == "ann@y.test"
    assert b"From: Ann Lee <ann@y.test>\r\n" in bytes(Content.objects.get().data)


def test_what_cannot_be_sent_says_why(send):
    row = Settings.load()
    row.sizelimit = 4096
    row.save()
    for content, arguments, status, words in (
        (b"Subject: x\n\n", (), 67, b"no recipient"),
        (b"\n", ("--nonsense",), 64, b"no such option"),
        (b"x" * 3_000_000, ("bob@foreign.test",), 67, b"552 5.3.4"),
    ):
        done = send(content, *arguments)
        assert done.returncode == status
        assert words in done.stderr
    assert not Message.objects.exists()


def test_n_prints_and_newaliases_and_q_do_nothing(send, place):
    assert b"\n\nbody\n" in send(b"To: bob@x.test\n\nbody\n", "-n").stdout
    assert send(b"", "-bi").returncode == 0
    assert send(b"", "-q").returncode == 0
    (place / "newaliases").symlink_to("sendmail")
    assert subprocess.run([str(place / "newaliases")], timeout=60).returncode == 0
    assert not Message.objects.exists()


def test_a_program_that_dies_has_sent_nothing(server, place):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(place / "socket"))
        client.sendall(b'{"arguments": ["bob@foreign.test"], "variables": {}}\n')
        client.sendall(b"\x00\x00\x00\x06\nhalf\n")
        client.shutdown(socket.SHUT_WR)
        assert b"cut off" in client.makefile("rb").readline()
    assert not Message.objects.exists()


@pytest.mark.parametrize(
    "head", [b"", b"\n", b"[]\n", b"{}\n", b"\xff\n", b'{"arguments": 3, "variables": {}}\n']
)
def test_garbage_is_answered_and_forgotten(server, place, head):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(place / "socket"))
        client.sendall(head)
        client.shutdown(socket.SHUT_WR)
        assert b'"code": 64' in client.makefile("rb").readline()
    assert not Message.objects.exists()


def test_one_user_does_not_take_all_places(server, send, place):
    idle = [socket.socket(socket.AF_UNIX) for _ in range(MAX_OF_ONE_USER)]
    for each in idle:
        each.connect(str(place / "socket"))
    eventually(lambda: server.callers.total() == MAX_OF_ONE_USER)
    assert send(b"\nx\n", "bob@foreign.test").returncode == 75
    for each in idle:
        each.close()
    eventually(lambda: server.callers.total() == 0)
    assert send(b"\nx\n", "bob@foreign.test").returncode == 0


def test_without_an_appliance_it_is_to_be_tried_again(place):
    done = subprocess.run(
        [str(place / "sendmail"), "bob@foreign.test"],
        input=b"\nx\n",
        capture_output=True,
        env={"COURIERWEB_HOME": str(place)},
        timeout=60,
    )
    assert done.returncode == 75
    assert b"not running" in done.stderr


DIALOG = (
    b"EHLO me\r\nMAIL FROM:<ann@y.test>\r\nRCPT TO:<bob@foreign.test>\r\n"
    b"rcpt to: <eve@foreign.test>\r\nDATA\r\nSubject: hi\r\n\r\n..dotted\r\nend\r\n.\r\n"
)


def test_smtp_on_standard_input(send):
    done = send(DIALOG + b"MAIL FROM:<>\nRCPT TO:<x@y.test>\nDATA\n\nx\n.\nQUIT\n", "-bs")
    codes = [line[:3] for line in done.stdout.decode().splitlines()]
    assert codes == ["220", *["250"] * 4, "354", *["250"] * 3, "354", "250", "221"]
    first, second = Message.objects.order_by("id")
    assert (first.reverse_path, second.reverse_path) == ("ann@y.test", "")
    assert first.recipient_set.count() == 2
    assert b"\r\n\r\n.dotted\r\nend\r\n" in bytes(Content.objects.get(message=first).data)


@pytest.mark.parametrize(
    ("dialog", "codes"),
    [
        (b"DATA\nRCPT TO:<a@b.test>\nQUIT\n", ["503", "503", "221"]),
        (b"MAIL FROM:a\nMAIL FROM:<a@b.test> SIZE=1\nNONSENSE\n", ["501", "501", "502"]),
        (b"MAIL FROM:<a@b.test>\nRCPT TO:<a b@>\nDATA\nx\n.\n", ["250", "250", "354", "553"]),
        (DIALOG[:-5], ["250", "250", "250", "250", "354"]),
    ],
)
def test_smtp_that_goes_wrong_queues_nothing(send, dialog, codes):
    done = send(dialog, "-bs")
    assert [line[:3] for line in done.stdout.decode().splitlines()] == ["220", *codes]
    assert not Message.objects.exists()


def test_smtp_without_an_appliance(place):
    done = subprocess.run(
        [str(place / "sendmail"), "-bs"],
        input=DIALOG,
        capture_output=True,
        env={"COURIERWEB_HOME": str(place)},
        timeout=60,
    )
    assert b"451 4.3.0 the appliance cannot be reached" in done.stdout


@pytest.fixture
def rmail(send):
    """Run it as UUCP's programs do, for what the host apple sends."""
    Settings.load()
    UucpNeighbor.objects.create(path="apple")
    return partial(send, program="rmail", user="uucp", UU_MACHINE="apple", UU_USER="uucp")


def only_message() -> tuple[str, list[str], bytes]:
    message = Message.objects.get()
    rows = message.recipient_set.order_by("id")
    return (
        message.reverse_path,
        [f"{row.address} {row.transport}:{row.nexthop}" for row in rows],
        bytes(Content.objects.get().data),
    )


@root_only
class TestRmail:
    def test_a_message_comes_from_a_neighbour(self, rmail):
        text = b"From john Sun Mar  1 12:00:00 2026 remote from apple\nSubject: hi\n\nbody\n"
        done = rmail(text, "far.test!bob", "apple!jane", "eve@foreign.test")
        assert (done.returncode, done.stderr) == (0, b"")
        home = runtime.hostname()
        reverse_path, recipients, content = only_message()
        assert reverse_path == f"apple!john@{home}"
        assert recipients == [
            "bob@far.test esmtp:mx:far.test",
            f"apple!jane@{home} uucp:uucp:apple",
            "eve@foreign.test esmtp:mx:foreign.test",
        ]
        assert content.startswith(b"Received: from apple (by UUCP)")
        assert b"with UUCP" in content
        assert b"remote from" not in content
        assert b"From: apple!john@" in content

    @pytest.mark.parametrize(
        ("sender", "reverse_path"),
        [
            ("apple!fruits!x", "apple!fruits!x@{home}"),
            ("far.test!x", "x@far.test"),
            ("x@far.test", "x@far.test"),
            ("john", "apple!john@{home}"),
            ("MAILER-DAEMON", ""),
        ],
    )
    def test_the_sender_that_an_option_names(self, rmail, sender, reverse_path):
        assert rmail(b"\nx\n", "-f", sender, "far.test!bob").returncode == 0
        assert only_message()[0] == reverse_path.format(home=runtime.hostname())

    def test_headers_are_rewritten_when_the_setting_says_so(self, rmail):
        text = b"From: apple!john\nTo: far.test!bob\n\nx\n"
        Settings.objects.update(uucprewriteheaders=True)
        assert rmail(text, "-f", "apple!john", "far.test!bob").returncode == 0
        content = only_message()[2]
        assert f"From: apple!john@{runtime.hostname()}".encode() in content
        assert b"To: bob@far.test" in content

    def test_only_the_account_of_uucp_is_believed(self, rmail):
        done = rmail(b"\nx\n", "far.test!bob", user="nobody")
        assert done.returncode == 77
        assert b"account uucp" in done.stderr
        assert not Message.objects.exists()

    @pytest.mark.parametrize(
        ("arguments", "variables", "status", "words"),
        [
            (("far.test!bob",), {"UU_MACHINE": ""}, 77, b"UU_MACHINE"),
            ((), {}, 64, b"recipients"),
            (("-t",), {}, 64, b"recipients"),
            (("-bcc", "x"), {}, 64, b"no such option"),
            (("-Fname", "x"), {}, 64, b"no such option"),
            (("-bs",), {}, 64, b"no such option"),
            (("far.test!!bob",), {}, 67, b"bang path"),
            (("far.test!b b",), {}, 67, b"malformed"),
            (("-f", "a!!b", "far.test!bob"), {}, 67, b"bang path"),
        ],
    )
    def test_what_is_wrong_is_told(self, rmail, arguments, variables, status, words):
        done = rmail(b"\nx\n", *arguments, **variables)
        assert done.returncode == status
        assert done.stderr.startswith(b"rmail: ")
        assert words in done.stderr
        assert not Message.objects.exists()

    def test_mail_that_goes_round_in_a_circle(self, rmail):
        text = b"Received: from apple by here; now\n" * 60 + b"\nx\n"
        done = rmail(text, "-f", "apple!john", "far.test!bob")
        assert done.returncode == 67
        assert b"mail loop" in done.stderr

    def test_a_message_without_an_end_is_not_taken(self, rmail, server):
        """uuxqt tries again what ended with 75."""
        server.server_close()
        assert rmail(b"\nx\n", "far.test!bob").returncode == 75
