"""A client of Flink's SQL Gateway (REST v2), with the standard library alone."""

import json
import time
import urllib.request


class Gateway:
    def __init__(self, url="http://127.0.0.1:8083"):
        self.url = url
        self.session = self._call("POST", "/v2/sessions", {})["sessionHandle"]

    def _call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return {"errors": json.load(error).get("errors", [str(error)])}

    def run(self, sql, deadline_s=60, rows_wanted=None):
        """Runs one statement. Returns (columns, rows, job_id); raises RuntimeError with Flink's own words."""
        handle = self._call("POST", f"/v2/sessions/{self.session}/statements", {"statement": sql})
        if "errors" in handle:
            raise RuntimeError(" | ".join(handle["errors"]))
        operation = handle["operationHandle"]
        path = f"/v2/sessions/{self.session}/operations/{operation}/result/0?rowFormat=JSON"
        end, columns, rows, job = time.time() + deadline_s, [], [], None
        while True:
            if time.time() > end:
                raise RuntimeError(f"no end within {deadline_s} s: {sql[:80]}")
            page = self._call("GET", path)
            if "errors" in page:
                raise RuntimeError(reason(page["errors"]))
            job = page.get("jobID", job)
            if "results" in page:
                columns = page["results"].get("columns") or columns
                rows += page["results"].get("data", [])
            if page["resultType"] == "EOS" or (rows_wanted is not None and len(rows) >= rows_wanted):
                return columns, rows, job
            path = page.get("nextResultUri") or path
            time.sleep(0.1)


def reason(errors):
    """The innermost cause of a Java stack trace."""
    text = "\n".join(errors)
    causes = [line for line in text.splitlines() if line.startswith("Caused by: ")]
    return causes[-1] if causes else text[:2000]
