"""Only what is old and unfinished goes."""

import time
from pathlib import Path

from mta.maildir_sweep import sweep_temporary, sweep_trash


def test_old_temporary_files_go_and_mail_stays(tmp_path: Path, monkeypatch):
    maildir = tmp_path / "x.example" / "bob" / "Maildir"
    for name in ("tmp", "new", "cur"):
        (maildir / name).mkdir(parents=True)
        (maildir / name / "old").write_bytes(b"x")
    (maildir / "tmp" / "folder").mkdir()
    (maildir / "tmp" / "link").symlink_to(maildir / "new" / "old")
    soon = time.monotonic() + 60
    assert sweep_temporary(tmp_path, 3600, soon) == 0
    later = time.time() + 7200
    monkeypatch.setattr("mta.maildir_sweep.time.time", lambda: later)
    assert sweep_temporary(tmp_path, 3600, soon) == 1
    assert sorted(path.name for path in (maildir / "tmp").iterdir()) == ["folder", "link"]
    assert (maildir / "new" / "old").exists()
    assert (maildir / "cur" / "old").exists()
    assert sweep_temporary(tmp_path / "nothing", 0, soon) == 0


def test_unfinished_files_in_folders_go(tmp_path: Path, monkeypatch):
    folder = tmp_path / "x.example" / "bob" / "Maildir" / ".Lists" / "tmp"
    folder.mkdir(parents=True)
    (folder / "old").write_bytes(b"x")
    later = time.time() + 7200
    monkeypatch.setattr("mta.maildir_sweep.time.time", lambda: later)
    assert sweep_temporary(tmp_path, 3600, time.monotonic() + 60) == 1


def test_trash_is_emptied_when_it_is_old(tmp_path: Path, monkeypatch):
    maildir = tmp_path / "x.example" / "bob" / "Maildir"
    for folder in (maildir, maildir / ".Trash", maildir / ".Trash.keep"):
        for place in ("new", "cur"):
            (folder / place).mkdir(parents=True)
            (folder / place / "mail").write_bytes(b"x")
    soon = time.monotonic() + 60
    assert sweep_trash(tmp_path, 3600, soon) == 0
    later = time.time() + 7200
    monkeypatch.setattr("mta.maildir_sweep.time.time", lambda: later)
    assert sweep_trash(tmp_path, 3600, soon) == 2
    assert len(list(maildir.rglob("mail"))) == 4
