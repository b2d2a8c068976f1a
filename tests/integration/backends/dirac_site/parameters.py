"""Stands in for OpenSearch, where DIRAC 9 keeps the parameters of jobs: ``parameters.py PORT``.

Not the real thing: documents in memory, by the four calls that JobParametersDB makes (index,
update, exists, mget), and "yes" to all that it asks of indices.
"""

import json
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

INFO = {"name": "x", "version": {"number": "2.11.0", "distribution": "opensearch"}}
DOCUMENT = re.compile(r"/([^/]+)/_(doc|update|create)/([^/?]+)")

documents = {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        code, found = self.find(body)
        text = json.dumps(found).encode()
        self.send_response(code)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def find(self, body):
        if "_mget" in self.path:
            return 200, {"docs": [self.document(d["_index"], d["_id"]) for d in body["docs"]]}
        match = DOCUMENT.match(self.path)
        if match is None:
            return 200, INFO if self.path == "/" else {"acknowledged": True}
        key = match[1], match[3]
        if self.command in ("GET", "HEAD"):
            return (200 if key in documents else 404), self.document(*key)
        if match[2] == "update":
            documents.setdefault(key, {}).update(body["doc"])
        else:
            documents[key] = body
        return 200, {"result": "updated"}

    def document(self, index, name):
        key = index, str(name)
        known = {"found": True, "_source": documents[key]} if key in documents else {"found": False}
        return {"_index": index, "_id": str(name), **known}

    def log_message(self, *words):
        pass

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = answer  # noqa: N815


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
