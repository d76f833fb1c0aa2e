/*
 * graph.h: points as the vertices of a weighted graph.
 */
#ifndef SL_GRAPH_H
#define SL_GRAPH_H

#include "cluster/cluster.h"

/* Undirected, without loops.  Sparse: vertex i has edges start[i] .. start[i + 1] - 1, in
 * the order of to.  Dense (start NULL): weight [count x count], 0 on the diagonal. */
typedef struct SlGraph
{
	int count;
	size_t *start; /* [count + 1] */
	int *to;
	double *weight;
	double *root; /* [count] square root of the degree; 1 where there is no edge */
	int components;
	int *component; /* [count] which one a vertex is in, from 0 in the order of first
					   vertices */
} SlGraph;

/*
 * Each point joined to its nearest ones, itself counted among the neighbors, and made
 * symmetric: weight 1 where both are each other's neighbours, 1/2 else.
 */
extern SlStatus sl_graph_neighbours(const SlPoints *points, int neighbors,
									const SlStop *stop, SlArena *arena, SlGraph *graph);

/* All points joined, weight exp(-gamma distance^2); what is next to nothing is no edge.
 */
extern SlStatus sl_graph_rbf(const SlPoints *points, double gamma, const SlStop *stop,
							 SlArena *arena, SlGraph *graph);

/* y = D^(-1/2) W D^(-1/2) x. */
extern void sl_graph_multiply(const SlGraph *graph, const double *x, double *y);

/*
 * Vertices in levels of breadth: level l is order[level[l]] .. order[level[l + 1] - 1],
 * and edges join a level only to itself, the one before and the one after.  Levels are
 * few and no smaller than least, but for the last one.  order [count], level [count + 1];
 * returns the number of levels.  Sparse graphs only; scratch [2 count].
 */
extern int sl_graph_levels(const SlGraph *graph, int least, int *order, int *level,
						   int *scratch);

#endif
