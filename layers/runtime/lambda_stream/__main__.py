"""The process Lambda's exec wrapper starts. Owns sys.path: it comes with PYTHONPATH=/var/runtime and nothing else,
because the managed runtime adds the function and the layers inside a program that is not run here.
"""

import os
import sys

OPT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

sys.path[:0] = [
    os.environ["LAMBDA_TASK_ROOT"],
    f"{OPT}/python",
    f"{OPT}/python/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages",
]

from lambda_stream.runtime import main  # noqa: E402

main()
