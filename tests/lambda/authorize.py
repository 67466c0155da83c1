"""Runs the built authorizer (its folder is the argument): events in, one JSON a line; out what it answered, and how
long it took."""

import importlib
import json
import sys
import time


def tell(**told):
    print(json.dumps(told), flush=True)


sys.path.insert(0, sys.argv[1])
app = importlib.import_module("app")
tell(modules=sorted({name.split(".")[0] for name in sys.modules}))
for line in sys.stdin:
    begun = time.perf_counter()
    try:
        told = {"answer": app.app(json.loads(line), None)}
    except Exception as error:
        told = {"error": str(error)}
    tell(**told, seconds=time.perf_counter() - begun)
