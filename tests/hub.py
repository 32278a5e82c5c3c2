"""A Hugging Face Hub of one machine: the HTTP calls that an upload and a download make, over a real socket."""

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from huggingface_hub import constants


class Hub(ThreadingHTTPServer):
    """What lies in its repositories, and what was asked of it; writing needs the token."""

    daemon_threads = True

    def __init__(self, token):
        super().__init__(("127.0.0.1", 0), _Answers)
        self.token, self.repos, self.private, self.asked = token, {}, {}, []
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def say(self, status, content=b"", **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def read(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_POST(self):
        hub, body = self.server, self.read()
        hub.asked.append(self.path)
        if self.headers.get("Authorization") != f"Bearer {hub.token}":
            return self.say(401, {"error": "Invalid username or password."})
        if self.path == "/api/repos/create":
            wish = json.loads(body)
            name = f"{wish['organization']}/{wish['name']}" if wish.get("organization") else wish["name"]
            if name in hub.repos:
                return self.say(409, {"error": "You already created this model repo", "url": f"{hub.url}/{name}"})
            hub.repos[name], hub.private[name] = {}, wish.get("private", wish.get("visibility") == "private")
            return self.say(200, {"url": f"{hub.url}/{name}"})
        if self.path == "/api/validate-yaml":
            return self.say(200, {"errors": [], "warnings": []})
        repo, action = re.fullmatch(r"/api/models/(.+)/(preupload|commit)/main.*", self.path).groups()
        if action == "preupload":
            files = [{**f, "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]]
            return self.say(200, {"files": files})
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                hub.repos[repo][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        commit = f"{hub.url}/{repo}/commit/{'1' * 40}"
        return self.say(200, {"commitUrl": commit, "commitOid": "1" * 40, "success": True})

    def do_GET(self):
        hub = self.server
        hub.asked.append(self.path)
        if found := re.fullmatch(r"/(.+)/resolve/([^/]+)/([^?]+).*", self.path):
            content = hub.repos.get(found[1], {}).get(found[3])
            if content is None or found[2] not in ("main", "1" * 40):
                return self.say(404, {"error": "not found"}, X_Error_Code="EntryNotFound")
            tag = f'"{hashlib.sha1(content, usedforsecurity=False).hexdigest()}"'
            return self.say(200, content, ETag=tag, X_Repo_Commit="1" * 40)
        path = self.path.partition("?")[0]
        name = re.sub(r"^/api/models/|/(revision|tree)/.*$", "", path)
        if name in hub.repos:
            about = {"id": name, "sha": "1" * 40, "siblings": [], "private": hub.private[name], "tags": []}
            return self.say(200, [] if "/tree/" in path else about)
        return self.say(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")

    do_HEAD = do_GET  # noqa: N815  (http.server names it)


@contextmanager
def running(folder, monkeypatch, token="hf_" + "s3cret" * 5):
    """Let huggingface_hub speak with a Hub of this machine, and keep what it downloads in a folder."""
    hub = Hub(token)
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    for name, value in {"ENDPOINT": hub.url, "HUGGINGFACE_CO_URL_TEMPLATE": template, "HF_HUB_CACHE": folder}.items():
        monkeypatch.setattr(constants, name, str(value))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
