"""The program in a script: lines in, JSON out, resumable."""

import json
import subprocess
import sys

lines = "a red house -S 1 -s 8\na tree on a hill -S 2 -s 8\n"
command = [sys.executable, "-m", "invoke", "--json", "--resume"]
done = subprocess.run(command, input=lines, capture_output=True, text=True, check=True)
for event in map(json.loads, done.stdout.splitlines()):
    if event["type"] in {"image", "skip"}:
        print(event.get("path") or event["paths"])
