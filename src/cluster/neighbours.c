/*
 * neighbours.c: a balanced k-d tree whose leaves are tiles.
 *
 * Each node is cut at its middle tile along the column its points spread most in, so the
 * shape of the tree follows from the number of points alone and needs no pointers.  Ties
 * go by index: the tree is the same, and so is every answer, for the same points.
 */
#include "cluster/neighbours.h"

#include <math.h>
#include <string.h>

#include "cluster/tiles.h"

static inline double
value(const SlPoints *points, int i, int column)
{
	return points->x[(size_t) i * points->columns + column];
}

static inline bool
before(const SlPoints *points, int column, int a, int b)
{
	double x = value(points, a, column);
	double y = value(points, b, column);

	return x < y || (x == y && a < b);
}

/* Brings the point that sorting would put at middle there, lesser ones before it. */
static void
partition(const SlPoints *points, int column, int *place, int from, int to, int middle)
{
	while (to - from > 1)
	{
		/* the median of three as pivot */
		int a = place[from], b = place[from + (to - from) / 2], c = place[to - 1];
		int pivot = before(points, column, a, b) ? (before(points, column, b, c)   ? b
													: before(points, column, a, c) ? c
																				   : a)
												 : (before(points, column, a, c)   ? a
													: before(points, column, b, c) ? c
																				   : b);
		int low = from, high = to - 1;

		while (low <= high)
		{
			while (before(points, column, place[low], pivot))
				low++;
			while (before(points, column, pivot, place[high]))
				high--;
			if (low <= high)
			{
				int swap = place[low];

				place[low++] = place[high];
				place[high--] = swap;
			}
		}
		if (middle <= high)
			to = high + 1;
		else if (middle >= low)
			from = low;
		else
			return;
	}
}

/* The box of a range of points; returns the column with the widest side. */
static int
measure(const SlPoints *points, const int *place, int from, int to, double *box)
{
	int d = points->columns;
	int widest = 0;

	for (int j = 0; j < d; j++)
		box[j] = box[d + j] = value(points, place[from], j);
	for (int i = from + 1; i < to; i++)
		for (int j = 0; j < d; j++)
		{
			double x = value(points, place[i], j);

			box[j] = x < box[j] ? x : box[j];
			box[d + j] = x > box[d + j] ? x : box[d + j];
		}
	for (int j = 1; j < d; j++)
		if (box[d + j] - box[j] > box[d + widest] - box[widest])
			widest = j;
	return widest;
}

/* The nodes over tiles from .. to - 1; depth is logarithmic. */
static SlStatus
build(const SlPoints *points, SlTree *tree, int node, int from, int to,
	  const SlStop *stop)
{
	int first = from * SL_LANES;
	int end = to * SL_LANES < tree->count ? to * SL_LANES : tree->count;
	int column = measure(points, tree->place, first, end,
						 tree->box + (size_t) node * 2 * tree->columns);
	int middle = from + (to - from) / 2;
	SlStatus status;

	if (to - from == 1)
		return SL_OK;
	if (sl_stopped(stop))
		return SL_STOPPED;
	partition(points, column, tree->place, first, end, middle * SL_LANES);
	status = build(points, tree, node + 1, from, middle, stop);
	if (status == SL_OK)
		status = build(points, tree, node + 2 * (middle - from), middle, to, stop);
	return status;
}

SlStatus
sl_tree_build(const SlPoints *points, const SlStop *stop, SlArena *arena, SlTree *tree)
{
	int tiles = sl_tile_count(points->count);
	SlStatus status;

	*tree =
		(SlTree){.count = points->count, .columns = points->columns, .tile_count = tiles};
	tree->place = sl_alloc(arena, (size_t) tiles * SL_LANES, sizeof(int));
	tree->box = sl_alloc(arena, 4 * (size_t) tiles, sizeof(double) * points->columns);
	if (tree->place == NULL || tree->box == NULL)
	{
		(void) sl_alloc(arena, (size_t) tiles * SL_LANES,
						sizeof(double) * points->columns);
		return SL_NO_MEMORY;
	}
	for (int i = 0; i < tiles * SL_LANES; i++)
		tree->place[i] = i < points->count ? i : points->count - 1;
	status = build(points, tree, 0, 0, tiles, stop);
	if (status != SL_OK)
		return status;
	tree->tiles = sl_points_tiles(points, tree->place, arena);
	return tree->tiles ? SL_OK : SL_NO_MEMORY;
}

typedef struct Search
{
	const SlTree *tree;
	const double *point;
	int skip;
	int wanted;
	int found;
	SlNeighbour *out;
} Search;

/* Squared distance to a node's box. */
static double
box_distance(const Search *s, int node)
{
	int d = s->tree->columns;
	const double *low = s->tree->box + (size_t) node * 2 * d;
	double sum = 0;

	for (int j = 0; j < d; j++)
	{
		double off = s->point[j] < low[j]		? low[j] - s->point[j]
					 : s->point[j] > low[d + j] ? s->point[j] - low[d + j]
												: 0;

		sum += off * off;
	}
	return sum;
}

static void
offer(Search *s, double distance, int index)
{
	int at;

	if (index == s->skip)
		return;
	if (s->found == s->wanted)
	{
		const SlNeighbour *last = &s->out[s->wanted - 1];

		if (distance > last->distance ||
			(distance == last->distance && index > last->index))
			return;
		s->found--;
	}
	at = s->found++;
	for (; at > 0 &&
		   (s->out[at - 1].distance > distance ||
			(s->out[at - 1].distance == distance && s->out[at - 1].index > index));
		 at--)
		s->out[at] = s->out[at - 1];
	s->out[at] = (SlNeighbour){distance, index};
}

/* Distances as the leaves have them may differ from those to boxes in the last bits. */
#define SLACK (1 - 1e-12)

static void
search(Search *s, int node, int from, int to, double distance)
{
	const SlTree *tree = s->tree;
	int middle = from + (to - from) / 2;
	int left = node + 1;
	int right = node + 2 * (middle - from);
	double to_left, to_right;

	/* where enough points are equal to this one, any of them will do */
	if (s->found == s->wanted && (distance * SLACK > s->out[s->wanted - 1].distance ||
								  s->out[s->wanted - 1].distance == 0))
		return;
	if (to - from == 1)
	{
		double out[SL_LANES];
		int lanes = sl_tile_lanes(tree->count, from);

		sl_tile_distances(tree->tiles + (size_t) from * tree->columns * SL_LANES,
						  tree->columns, s->point, out);
		for (int l = 0; l < lanes; l++)
			offer(s, out[l], tree->place[from * SL_LANES + l]);
		return;
	}
	to_left = box_distance(s, left);
	to_right = box_distance(s, right);
	if (to_left <= to_right)
	{
		search(s, left, from, middle, to_left);
		search(s, right, middle, to, to_right);
	}
	else
	{
		search(s, right, middle, to, to_right);
		search(s, left, from, middle, to_left);
	}
}

int
sl_tree_nearest(const SlTree *tree, const double *point, int skip, int wanted,
				SlNeighbour *out)
{
	Search s = {tree, point, skip, wanted, 0, out};

	if (wanted > 0)
		search(&s, 0, 0, tree->tile_count, 0);
	return s.found;
}

int
sl_vote(const SlNeighbour *neighbour, int count, const int32_t *label)
{
	int best = 0;
	int most = 0;

	for (int i = 0; i < count; i++)
	{
		int votes = 0;

		for (int j = 0; j < count; j++)
			votes += label[neighbour[j].index] == label[neighbour[i].index];
		if (votes > most)
		{
			most = votes;
			best = label[neighbour[i].index];
		}
	}
	return best;
}
