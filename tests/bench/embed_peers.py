"""Minorminer (or its busclique, for complete graphs) on one source: family size source seed."""
import sys
import time

import dwave.graphs as topology
import minorminer
from minorminer import busclique
import networkx as nx

family, size, source, seed = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
target = getattr(topology, family + "_graph")(size)
kind, _, n = source.partition(":")
begin = None
if kind == "complete":
    begin = time.process_time()
    chains = busclique.find_clique_embedding(int(n), target)
else:
    graph = (nx.convert_node_labels_to_integers(nx.grid_2d_graph(int(n), int(n))) if kind == "grid"
             else nx.read_edgelist(source, nodetype=int))
    begin = time.process_time()
    chains = minorminer.find_embedding(graph, target, random_seed=seed, threads=1, timeout=120)
seconds = time.process_time() - begin
lengths = [len(c) for c in chains.values()]
print(f"{seconds:.4f} s  {sum(lengths):5d} qubits  longest {max(lengths, default=0):2d}")
