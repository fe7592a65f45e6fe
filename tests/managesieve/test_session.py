"""ManageSieve over a socket: every command, signing in, and what does not work."""

import pytest

from mta.mailbox_scripts import MAX_SCRIPT_OCTETS, MAX_SCRIPTS
from mta.models import Mailbox, MailboxScript, PolicyChange, Refusal, ScriptVersion
from tests.managesieve.conftest import BOB, PASSWORD
from tests.support.managesieve_session import Client, running_managesieve
from tests.support.smtp_session import database_away
from tests.support.waiting import eventually

KEEP = "keep;\r\n"


def script(name="main"):
    return MailboxScript.objects.get(mailbox__local_part="bob", name=name)


class TestSigningIn:
    def test_in_clear_nothing_is_offered(self, connect):
        client = connect()
        assert '"SASL" ""\r\n' in client.greeting
        assert '"STARTTLS"\r\n' in client.greeting
        assert client.greeting.endswith('OK "mail.example.test ManageSieve"\r\n')
        assert client.sign_in(BOB, PASSWORD).startswith("NO (ENCRYPT-NEEDED)")

    def test_in_clear_on_loopback_when_that_is_allowed(self, connect, change):
        change(auth_in_clear_on_loopback=True)
        client = connect()
        assert client.sign_in(BOB, PASSWORD).startswith("OK")

    def test_under_tls(self, connect):
        client = connect()
        capabilities = client.starttls()
        assert '"SASL" "SCRAM-SHA-256 PLAIN"\r\n' in capabilities
        assert "STARTTLS" not in capabilities
        assert client.sign_in(BOB, PASSWORD) == 'OK "signed in"\r\n'
        assert f'"OWNER" "{BOB}"\r\n' in client.command("CAPABILITY")
        assert client.sign_in(BOB, PASSWORD).startswith("NO")

    def test_by_scram(self, connect):
        client = connect()
        client.starttls()
        assert client.scram(BOB, "wrong").startswith("NO")
        assert client.scram(BOB.upper(), PASSWORD).startswith("OK (SASL ")
        assert client.command("LISTSCRIPTS") == "OK\r\n"

    def test_a_response_that_comes_when_it_is_asked_for(self, connect):
        client = connect()
        client.starttls()
        client.send('AUTHENTICATE "plain"\r\n')
        assert client.line() == '""\r\n'
        assert client.command('"AGJvYkBleGFtcGxlLnRlc3QAY29ycmVjdCBob3JzZQ=="').startswith("OK")

    @pytest.mark.parametrize("answer", ['"*"', '"not base64!"', '"AAAA"', "AAAA", '""'])
    def test_a_response_that_is_none(self, connect, answer):
        client = connect()
        client.starttls()
        client.send('AUTHENTICATE "PLAIN"\r\n')
        client.line()
        assert client.command(answer).startswith("NO")
        assert client.command("LISTSCRIPTS").startswith("NO")

    def test_guessing_ends_and_is_on_record(self, connect):
        client = connect()
        client.starttls()
        assert client.sign_in(BOB, "a").startswith("NO")
        assert client.sign_in("nobody@example.test", "a").startswith("NO")
        assert client.sign_in(BOB, "b").startswith("BYE")
        assert client.at_end()
        failed = Refusal.objects.filter(stage="auth", rule="credentials")
        assert eventually(lambda: failed.count() == 3)
        assert failed.first().session["listener"] == "managesieve"

    def test_nobody_signs_in_for_another(self, connect):
        client = connect()
        client.starttls()
        response = "YW5uQGV4YW1wbGUudGVzdABib2JAZXhhbXBsZS50ZXN0AGNvcnJlY3QgaG9yc2U="
        assert client.command(f'AUTHENTICATE "PLAIN" "{response}"').startswith("NO")

    def test_a_mechanism_that_is_not_there(self, connect):
        client = connect()
        client.starttls()
        assert client.command('AUTHENTICATE "LOGIN"').startswith("NO")

    def test_what_was_said_in_clear_is_not_said_under_tls(self, connect):
        client = connect()
        client.send(b"STARTTLS\r\nNOOP\r\n")
        assert client.line() == "OK\r\n"

    def test_out_again(self, bob):
        assert bob.command("UNAUTHENTICATE") == "OK\r\n"
        assert bob.command("LISTSCRIPTS").startswith("NO")
        assert bob.sign_in("ann@example.test", PASSWORD).startswith("OK")

    def test_a_user_who_is_disabled_is_out(self, bob):
        Mailbox.objects.filter(local_part="bob").update(enabled=False)
        assert bob.command("LISTSCRIPTS").startswith("BYE")

    def test_without_a_certificate(self, town):
        with running_managesieve() as port, Client(port) as client:
            assert "STARTTLS" not in client.greeting
            assert client.command("STARTTLS").startswith("NO")


class TestScripts:
    def test_from_the_first_to_the_last(self, bob):
        assert bob.command('HAVESPACE "main" 100') == "OK\r\n"
        assert bob.put("main", KEEP) == "OK\r\n"
        assert bob.command("LISTSCRIPTS") == '"main"\r\nOK\r\n'
        assert bob.command('SETACTIVE "main"') == "OK\r\n"
        assert bob.put("other", "discard;") == "OK\r\n"
        assert bob.command("LISTSCRIPTS") == '"main" ACTIVE\r\n"other"\r\nOK\r\n'
        assert bob.command('GETSCRIPT "main"') == f"{{7}}\r\n{KEEP}\r\nOK\r\n"
        assert bob.command('DELETESCRIPT "main"').startswith("NO (ACTIVE)")
        assert bob.command('RENAMESCRIPT "main" "other"').startswith("NO (ALREADYEXISTS)")
        assert bob.command('RENAMESCRIPT "main" "first"') == "OK\r\n"
        assert script("first").active
        assert bob.command('SETACTIVE ""') == "OK\r\n"
        assert not script("first").active
        assert bob.command('DELETESCRIPT "first"') == "OK\r\n"
        assert bob.command("LISTSCRIPTS") == '"other"\r\nOK\r\n'

    def test_a_save_leaves_a_version_and_a_name(self, bob):
        bob.put("main", KEEP)
        bob.put("main", "discard;")
        versions = ScriptVersion.objects.filter(script=script())
        assert [each.text for each in versions] == ["discard;", KEEP]
        assert {each.saved_by for each in versions} == {"ManageSieve"}
        assert PolicyChange.objects.order_by("version").last().actor == BOB

    @pytest.mark.parametrize(
        "command", ["GETSCRIPT", "DELETESCRIPT", "SETACTIVE", 'RENAMESCRIPT "a"']
    )
    def test_a_script_that_is_not_there(self, bob, command):
        assert bob.command(f'{command} "nothing"').startswith("NO (NONEXISTENT)")

    def test_a_script_that_does_not_compile(self, bob):
        wrong = 'keep;\r\n  if header "a" { }'
        expected = bob.command(f"CHECKSCRIPT {{{len(wrong)}+}}\r\n{wrong}")
        assert expected.startswith('NO "line 2, column 6: ')
        assert bob.put("main", wrong) == expected
        assert bob.command("LISTSCRIPTS") == "OK\r\n"
        assert bob.command('CHECKSCRIPT "keep;"') == "OK\r\n"

    def test_a_refused_text_leaves_the_old_one(self, bob):
        bob.put("main", KEEP)
        assert bob.put("main", "nonsense").startswith("NO")
        assert script().text == KEEP

    def test_a_name_that_cannot_be_used(self, bob):
        for name in ("", "a/b", "x" * 129):
            assert bob.put(name, KEEP).startswith("NO")
        assert not MailboxScript.objects.exists()

    def test_too_large(self, bob):
        assert bob.command(f'HAVESPACE "x" {MAX_SCRIPT_OCTETS + 1}').startswith(
            "NO (QUOTA/MAXSIZE)"
        )
        assert bob.put("x", "#" * (MAX_SCRIPT_OCTETS + 1)).startswith("NO (QUOTA/MAXSIZE)")
        assert bob.put("x", "#" * 200_000).startswith("NO (QUOTA/MAXSIZE)")
        assert bob.put("x", "#" * MAX_SCRIPT_OCTETS) == "OK\r\n"

    def test_too_many(self, bob):
        mailbox = Mailbox.objects.get(local_part="bob")
        for number in range(MAX_SCRIPTS):
            MailboxScript.objects.create(mailbox=mailbox, name=f"s{number}", text="keep;")
        assert bob.put("one more", KEEP).startswith("NO (QUOTA/MAXSCRIPTS)")
        assert bob.command('HAVESPACE "one more" 1').startswith("NO (QUOTA/MAXSCRIPTS)")
        assert bob.put("s1", KEEP) == "OK\r\n"

    def test_nobody_sees_anothers(self, bob, connect):
        bob.put("main", KEEP)
        ann = connect()
        ann.starttls()
        ann.sign_in("ann@example.test", PASSWORD)
        assert ann.command("LISTSCRIPTS") == "OK\r\n"
        assert ann.command('GETSCRIPT "main"').startswith("NO (NONEXISTENT)")

    def test_scripts_for_the_recipient_are_not_here(self, bob):
        moment = MailboxScript.Moment.RECIPIENT
        mailbox = Mailbox.objects.get(local_part="bob")
        MailboxScript.objects.create(mailbox=mailbox, name="rcpt", moment=moment, text="keep;")
        assert bob.command("LISTSCRIPTS") == "OK\r\n"

    def test_names_and_texts_of_all_kinds(self, bob):
        text = '# "ä" \\ \n' + "# long\r\n" * 200 + "keep;"
        bob.send(f'PUTSCRIPT "q\\"uo\\\\te" {{{len(text.encode())}+}}\r\n{text}\r\n')
        assert bob.reply() == "OK\r\n"
        assert bob.command("LISTSCRIPTS") == '"q\\"uo\\\\te"\r\nOK\r\n'
        assert text in bob.command('GETSCRIPT "q\\"uo\\\\te"')

    def test_while_the_database_is_away(self, bob):
        with database_away():
            assert bob.put("main", KEEP).startswith("NO (TRYLATER)")
        assert bob.put("main", KEEP) == "OK\r\n"


class TestManners:
    def test_noop_and_logout(self, connect):
        client = connect()
        assert client.command("NOOP") == 'OK "done"\r\n'
        assert client.command('NOOP "a tag"') == 'OK (TAG "a tag") "done"\r\n'
        assert client.command("LOGOUT") == 'OK "bye"\r\n'
        assert client.at_end()

    def test_all_in_one_packet(self, bob):
        bob.send(
            'PUTSCRIPT "a" {5+}\r\nkeep;\r\nSETACTIVE "a"\r\nwhat\r\nGETSCRIPT "a"\r\nLOGOUT\r\n'
        )
        replies = [bob.reply() for _ in range(5)]
        assert [each.splitlines()[-1][:2] for each in replies] == ["OK", "OK", "NO", "OK", "OK"]

    def test_a_client_that_says_its_words_one_octet_at_a_time(self, bob):
        for octet in b'PUTSCRIPT "a" {5+}\r\nkeep;\r\n':
            bob.send(bytes([octet]))
        assert bob.reply() == "OK\r\n"

    def test_half_a_literal_saves_nothing(self, bob, connect):
        bob.send('PUTSCRIPT "a" {500+}\r\nkeep;')
        bob.__exit__()
        assert connect().command("NOOP").startswith("OK")
        assert not MailboxScript.objects.exists()

    def test_a_stranger_may_not_send_a_script(self, connect):
        client = connect()
        assert client.put("a", "#" * 100_000).startswith("NO")
        assert client.command("NOOP").startswith("OK")

    def test_a_gigantic_literal(self, connect):
        client = connect()
        assert client.command('PUTSCRIPT "a" {99999999999+}').startswith("BYE (QUOTA/MAXSIZE)")
        assert client.at_end()

    @pytest.mark.parametrize(
        "octets",
        [b"NOOP\n", b"x" * 100_000 + b"\r\n", b"\0\xff\r\n" * 10, b"GET / HTTP/1.1\r\n" * 10],
    )
    def test_nonsense_ends_the_session(self, connect, octets):
        client = connect()
        client.send(octets)
        replies = [client.reply()]
        while replies[-1].startswith("NO"):
            replies.append(client.reply())
        assert replies[-1].startswith("BYE")

    def test_wrong_arguments(self, bob):
        for line in ("GETSCRIPT", "GETSCRIPT 7", 'HAVESPACE "a" "b"', 'NOOP "a" "b"', "LOGOUT 1"):
            assert bob.command(line).startswith("NO")
        assert bob.command("NOOP").startswith("OK")
