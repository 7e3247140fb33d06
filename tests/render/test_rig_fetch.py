"""ICT-FaceKit by git over HTTP: exactly the pinned commit, only the face's files, whole or not at all."""

import gzip
import http.server
import os
import shutil
import subprocess
import threading

import pytest

from render.rigs.fetch import COMMIT, fetch_ict
from render.rigs.load import load_rig_file
from talker.__main__ import main
from talker.errors import TalkerError
from tests.render.face_files import write_objs

SHAPES = {"jawOpen": "jawOpen", "eyeBlinkLeft": "eyeBlink_L", "eyeBlinkRight": "eyeBlink_R"}


class GitServer(http.server.BaseHTTPRequestHandler):
    """git's smart protocol over HTTP (gitprotocol-http), as GitHub speaks it."""

    repository = None
    sent: list[int] = []

    def _pack(self, *arguments: str, body: bytes = b"") -> bytes:
        environment = os.environ | {"GIT_PROTOCOL": self.headers.get("Git-Protocol", "")}
        command = ["git", "upload-pack", "--stateless-rpc", *arguments, str(self.repository)]
        return subprocess.run(command, input=body, capture_output=True, env=environment, check=True).stdout

    def _reply(self, kind: str, content: bytes) -> None:
        self.sent.append(len(content))
        self.send_response(200)
        self.send_header("Content-Type", f"application/x-git-upload-pack-{kind}")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        if not self.path.endswith("/info/refs?service=git-upload-pack"):
            self.send_error(404)
            return
        self._reply("advertisement", b"001e# service=git-upload-pack\n0000" + self._pack("--advertise-refs"))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self._reply("result", self._pack(body=body))

    def log_message(self, *_) -> None:
        pass


@pytest.fixture(scope="module")
def served(face, tmp_path_factory):
    """A repository laid out as ICT-FaceKit's, with one large file that is no shape: (address, commit, repository)."""
    if not shutil.which("git"):
        pytest.skip("no git")
    repository = tmp_path_factory.mktemp("git") / "ICT-FaceKit"
    folder = write_objs(face, repository / "FaceXModel", SHAPES, scale=100)
    (folder / "neutral.obj").rename(folder / "generic_neutral_mesh.obj")
    (folder / "identity000.obj").write_bytes(os.urandom(2_000_000))
    (repository / "LICENSE").write_text("MIT License")
    git = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run([*git[:3], "init", "--quiet"], check=True)
    for key in ("allowFilter", "allowAnySHA1InWant"):  # as GitHub
        subprocess.run([*git, "config", f"uploadpack.{key}", "true"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "face"], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    handler = type("Handler", (GitServer,), {"repository": repository, "sent": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/ICT-FaceKit.git", commit, handler
    server.shutdown()


def test_the_face_arrives_and_loads(served, tmp_path):
    address, commit, handler = served
    handler.sent.clear()
    folder = fetch_ict(tmp_path / "new" / "ict", address, commit)
    assert sorted(path.name for path in folder.iterdir()) == [
        "LICENSE", "eyeBlink_L.obj", "eyeBlink_R.obj", "generic_neutral_mesh.obj", "jawOpen.obj",
    ]  # fmt: skip
    assert list((tmp_path / "new").iterdir()) == [folder], "nothing else stays behind"
    assert sum(handler.sent) < 1_000_000, "identities are not transferred"
    rig, report = load_rig_file(folder)
    assert report.shapes == 3 and report.units == "centimetres"


def test_another_commit_is_not_accepted(served, tmp_path):
    """The pinned commit is asked of a server that has another: what it has does not arrive."""
    address, _, _ = served
    with pytest.raises(TalkerError, match="could not be fetched"):
        fetch_ict(tmp_path / "ict", address, COMMIT)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_answers_with_other_files_is_not_believed(served, tmp_path):
    """Asked for the pinned commit, it sends a sound pack of another, with a changed face."""
    address, commit, handler = served
    copy = tmp_path / "copy"
    shutil.copytree(handler.repository, copy)
    with (copy / "FaceXModel" / "jawOpen.obj").open("a") as file:
        file.write("# changed\n")
    git = ["git", "-C", str(copy), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run([*git, "commit", "--quiet", "-a", "-m", "changed"], check=True)
    changed = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()

    class Liar(GitServer):
        repository, sent = copy, []

        def _pack(self, *arguments: str, body: bytes = b"") -> bytes:
            return super()._pack(*arguments, body=body.replace(commit.encode(), changed.encode()))

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Liar)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(TalkerError, match="could not be fetched"):
            fetch_ict(tmp_path / "ict", f"http://127.0.0.1:{server.server_port}/ICT-FaceKit.git", commit)
    finally:
        server.shutdown()
    assert Liar.sent[-1] > 300, "it did answer, with a commit and its trees"
    assert not (tmp_path / "ict").exists()


def test_a_folder_with_something_in_it_and_no_network_are_one_sentence(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").touch()
    assert main(["fetch-rig", str(tmp_path / "mine")]) == 2
    assert "exists already; choose a new folder" in capsys.readouterr().err
    with pytest.raises(TalkerError, match="could not be fetched"):
        fetch_ict(tmp_path / "ict", "http://127.0.0.1:9/none.git")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
