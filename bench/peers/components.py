#!/usr/bin/env python3
"""Connected components by scipy: of ids as they come, sources then targets, 64 bits each.

    pip install numpy scipy
    python components.py FILE
"""

import json
import sys
import time

import numpy as np
import scipy
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

ids = np.fromfile(sys.argv[1], dtype="<u8")
started = time.perf_counter()
nodes, codes = np.unique(ids, return_inverse=True)
edges = len(ids) // 2
graph = coo_matrix((np.ones(edges, dtype=np.int8), (codes[:edges], codes[edges:])), shape=(len(nodes), len(nodes)))
found, _ = connected_components(graph, directed=False)
seconds = time.perf_counter() - started
print(json.dumps({"peer": f"scipy {scipy.__version__}", "seconds": seconds, "components": int(found), "nodes": len(nodes)}))
