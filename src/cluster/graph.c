/*
 * graph.c: affinity graphs, their components, and levels of breadth.
 */
#include "cluster/graph.h"

#include <math.h>
#include <string.h>

#include "cluster/neighbours.h"

/* Weights below this are no edges: they could not be told from rounding. */
#define LEAST_WEIGHT 1e-15

/* ---- building ---- */

/* Whether b is among a's neighbours. */
static bool
has_neighbour(const int *neighbour, int each, int a, int b)
{
	for (int j = 0; j < each; j++)
		if (neighbour[(size_t) a * each + j] == b)
			return true;
	return false;
}

/* Sorts the edges of one vertex by their other end. */
static void
sort_edges(int *to, double *weight, size_t n)
{
	for (size_t i = 1; i < n; i++)
	{
		int t = to[i];
		double w = weight[i];
		size_t j = i;

		for (; j > 0 && to[j - 1] > t; j--)
		{
			to[j] = to[j - 1];
			weight[j] = weight[j - 1];
		}
		to[j] = t;
		weight[j] = w;
	}
}

/* Edges from lists of neighbours. */
static void
join(SlGraph *g, const int *neighbour, int each, size_t *fill)
{
	int n = g->count;

	memset(g->start, 0, sizeof(size_t) * ((size_t) n + 1));
	for (int pass = 0; pass < 2; pass++)
	{
		for (int i = 0; i < n; i++)
			for (int j = 0; j < each; j++)
			{
				int o = neighbour[(size_t) i * each + j];
				bool mutual = has_neighbour(neighbour, each, o, i);

				if (mutual && o < i)
					continue; /* met from the other end */
				if (pass == 0)
				{
					g->start[i + 1]++;
					g->start[o + 1]++;
					continue;
				}
				g->weight[fill[i]] = g->weight[fill[o]] = mutual ? 1 : 0.5;
				g->to[fill[i]++] = o;
				g->to[fill[o]++] = i;
			}
		if (pass == 0)
			for (int i = 0; i < n; i++)
			{
				g->start[i + 1] += g->start[i];
				fill[i] = g->start[i];
			}
	}
	for (int i = 0; i < n; i++)
		sort_edges(g->to + g->start[i], g->weight + g->start[i],
				   g->start[i + 1] - g->start[i]);
}

/* Vertices joined to one, in memory of the caller; returns their number. */
static size_t
edges_of(const SlGraph *g, int i, const int **to, const double **weight)
{
	if (g->start == NULL)
	{
		*to = NULL;
		*weight = g->weight + (size_t) i * g->count;
		return g->count;
	}
	*to = g->to + g->start[i];
	*weight = g->weight + g->start[i];
	return g->start[i + 1] - g->start[i];
}

static void
find_degrees(SlGraph *g)
{
	for (int i = 0; i < g->count; i++)
	{
		const int *to;
		const double *weight;
		size_t edges = edges_of(g, i, &to, &weight);
		double degree = 0;

		for (size_t e = 0; e < edges; e++)
			degree += weight[e];
		g->root[i] = degree > 0 ? sqrt(degree) : 1;
	}
}

static SlStatus
find_components(SlGraph *g, const SlStop *stop, int *queue)
{
	for (int i = 0; i < g->count; i++)
		g->component[i] = -1;
	g->components = 0;
	for (int first = 0; first < g->count; first++)
	{
		int head = 0, tail = 0;

		if (g->component[first] >= 0)
			continue;
		queue[tail++] = first;
		g->component[first] = g->components;
		while (head < tail)
		{
			const int *to;
			const double *weight;
			size_t edges = edges_of(g, queue[head++], &to, &weight);

			if ((head & 1023) == 0 && sl_stopped(stop))
				return SL_STOPPED;
			for (size_t e = 0; e < edges; e++)
			{
				int o = to ? to[e] : (int) e;

				if (weight[e] > 0 && g->component[o] < 0)
				{
					g->component[o] = g->components;
					queue[tail++] = o;
				}
			}
		}
		g->components++;
	}
	return SL_OK;
}

SlStatus
sl_graph_neighbours(const SlPoints *points, int neighbors, const SlStop *stop,
					SlArena *arena, SlGraph *g)
{
	int n = points->count;
	int each = (neighbors < n ? neighbors : n) - 1;
	size_t entries = 2 * (size_t) n * (each > 0 ? each : 1);
	size_t used;
	int *neighbour;
	size_t *fill;
	SlNeighbour *near;
	SlTree tree;
	SlStatus status;

	*g = (SlGraph){.count = n};
	g->start = sl_alloc(arena, (size_t) n + 1, sizeof(size_t));
	g->to = sl_alloc(arena, entries, sizeof(int));
	g->weight = sl_alloc(arena, entries, sizeof(double));
	g->root = sl_alloc(arena, n, sizeof(double));
	g->component = sl_alloc(arena, n, sizeof(int));
	used = arena->used;
	neighbour = sl_alloc(arena, entries, sizeof(int));
	fill = sl_alloc(arena, n, sizeof(size_t));
	near = sl_alloc(arena, each > 0 ? each : 1, sizeof(SlNeighbour));
	status = sl_tree_build(points, stop, arena, &tree);
	if (status != SL_OK || neighbour == NULL || fill == NULL || near == NULL)
		return status == SL_OK ? SL_NO_MEMORY : status;
	for (int i = 0; i < n; i++)
	{
		if ((i & 63) == 0 && sl_stopped(stop))
			return SL_STOPPED;
		(void) sl_tree_nearest(&tree, points->x + (size_t) i * points->columns, i, each,
							   near);
		for (int j = 0; j < each; j++)
			neighbour[(size_t) i * each + j] = near[j].index;
	}
	join(g, neighbour, each, fill);
	find_degrees(g);
	status = find_components(g, stop, neighbour);
	arena->used = used;
	return status;
}

SlStatus
sl_graph_rbf(const SlPoints *points, double gamma, const SlStop *stop, SlArena *arena,
			 SlGraph *g)
{
	int n = points->count;
	int d = points->columns;
	size_t used;
	int *queue;
	SlStatus status;

	*g = (SlGraph){.count = n};
	g->weight = sl_alloc(arena, (size_t) n, sizeof(double) * (size_t) n);
	g->root = sl_alloc(arena, n, sizeof(double));
	g->component = sl_alloc(arena, n, sizeof(int));
	used = arena->used;
	queue = sl_alloc(arena, n, sizeof(int));
	if (queue == NULL || arena->used == SIZE_MAX)
		return SL_NO_MEMORY;
	for (int i = 0; i < n; i++)
	{
		if (sl_stopped(stop))
			return SL_STOPPED;
		g->weight[(size_t) i * n + i] = 0;
		for (int o = 0; o < i; o++)
		{
			double sum = 0;

			for (int j = 0; j < d; j++)
			{
				double off =
					points->x[(size_t) i * d + j] - points->x[(size_t) o * d + j];

				sum += off * off;
			}
			sum = exp(-gamma * sum);
			if (sum < LEAST_WEIGHT)
				sum = 0;
			g->weight[(size_t) i * n + o] = g->weight[(size_t) o * n + i] = sum;
		}
	}
	find_degrees(g);
	status = find_components(g, stop, queue);
	arena->used = used;
	return status;
}

/* ---- using ---- */

void
sl_graph_multiply(const SlGraph *g, const double *x, double *y)
{
	for (int i = 0; i < g->count; i++)
	{
		const int *to;
		const double *weight;
		size_t edges = edges_of(g, i, &to, &weight);
		double sum = 0;

		if (to != NULL)
			for (size_t e = 0; e < edges; e++)
				sum += weight[e] * x[to[e]] / g->root[to[e]];
		else
			for (size_t e = 0; e < edges; e++)
				sum += weight[e] * x[e] / g->root[e];
		y[i] = sum / g->root[i];
	}
}

/* Breadth-first from one vertex; depth [count] must be -1 for its component.  Returns the
 * vertices found; the last of them is one of the farthest. */
static int
breadth_first(const SlGraph *g, int first, int *order, int *depth)
{
	int head = 0, tail = 0;

	order[tail++] = first;
	depth[first] = 0;
	while (head < tail)
	{
		int i = order[head++];

		for (size_t e = g->start[i]; e < g->start[i + 1]; e++)
			if (depth[g->to[e]] < 0)
			{
				depth[g->to[e]] = depth[i] + 1;
				order[tail++] = g->to[e];
			}
	}
	return tail;
}

int
sl_graph_levels(const SlGraph *g, int least, int *order, int *level, int *scratch)
{
	int *depth = scratch;
	int done = 0;
	int levels = 0;

	for (int i = 0; i < g->count; i++)
		depth[i] = -1;
	level[0] = 0;
	for (int first = 0; first < g->count; first++)
	{
		int from = first;
		int deepest = -1;
		int found;

		if (depth[first] >= 0)
			continue;
		/* from an end of the component: the farther, the narrower the levels */
		for (int attempt = 0;; attempt++)
		{
			int last;

			found = breadth_first(g, from, order + done, depth);
			last = order[done + found - 1];
			if (attempt == 4 || depth[last] <= deepest)
				break;
			deepest = depth[last];
			from = last;
			for (int i = 0; i < found; i++)
				depth[order[done + i]] = -1;
		}
		/* a level ends where a depth does */
		for (int i = done; i < done + found; i++)
			if (i - level[levels] >= least && i > done &&
				depth[order[i]] != depth[order[i - 1]])
				level[++levels] = i;
		done += found;
	}
	level[++levels] = g->count;
	return levels;
}
