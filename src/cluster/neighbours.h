/*
 * neighbours.h: nearest neighbours by a k-d tree.
 */
#ifndef SL_NEIGHBOURS_H
#define SL_NEIGHBOURS_H

#include "cluster/cluster.h"

/*
 * Nodes stand in preorder over ranges of tiles: the left child follows its parent, the
 * right one the left one's 2 t - 1 nodes for t tiles.  Each has a box around its points.
 */
typedef struct SlTree
{
	int count;
	int columns;
	int tile_count;
	int *place;	   /* [tile_count x SL_LANES] whose point a lane holds */
	double *tiles; /* leaves */
	double *box;   /* [2 tile_count - 1][2][columns] least and greatest values */
} SlTree;

typedef struct SlNeighbour
{
	double distance; /* squared */
	int index;
} SlNeighbour;

/* Builds it in the arena; points are copied. */
extern SlStatus sl_tree_build(const SlPoints *points, const SlStop *stop, SlArena *arena,
							  SlTree *tree);

/*
 * The nearest points, at most wanted, sorted by distance and, where that is equal, index;
 * returns how many.  skip: a point to leave out, -1 for none.
 */
extern int sl_tree_nearest(const SlTree *tree, const double *point, int skip, int wanted,
						   SlNeighbour *out);

/* The label most of so many neighbours have; of equally frequent ones that of the
 * nearest. */
extern int sl_vote(const SlNeighbour *neighbour, int count, const int32_t *label);

#endif
