/*
 * test_spectral.c: neighbours against all distances, graphs and their factor against
 * their definitions, eigenvectors of each method against the equation they solve.
 */
#include "cluster/lapack.h"
#include "cluster/neighbours.h"
#include "cluster/spectral.h"
#include "nn/random.h"
#include "tap.h"

#define SEED 5

static SlArena
arena_of(size_t bytes)
{
	bytes = (bytes / SL_ALIGN + 1) * SL_ALIGN;
	return (SlArena){aligned_alloc(SL_ALIGN, bytes), bytes, 0};
}

static bool
stops(void *arg)
{
	return true;
}

static double
squared(const double *a, const double *b, int d)
{
	double sum = 0;

	for (int j = 0; j < d; j++)
		sum += (a[j] - b[j]) * (a[j] - b[j]);
	return sum;
}

/* ---- neighbours ---- */

static void
test_neighbours(int n, int d, int grid)
{
	double *x = malloc(sizeof(double) * n * d);
	SlPoints points = {n, d, x};
	SlArena count = {NULL, SIZE_MAX, 0}, arena;
	SlNeighbour near[7];
	SlTree tree;
	bool right = true;

	/* on a grid many distances are equal */
	for (int i = 0; i < n * d; i++)
		x[i] = grid ? floor(grid * sl_random_uniform(SEED, 1, i))
					: sl_random_uniform(SEED, 1, i);
	sl_tree_build(&points, NULL, &count, &tree);
	arena = arena_of(count.used);
	is_int(sl_tree_build(&points, NULL, &arena, &tree), SL_OK, "a tree of %d points", n);
	for (int i = 0; i < n; i++)
	{
		int found = sl_tree_nearest(&tree, x + (size_t) i * d, i, 7, near);
		double limit = found > 0 ? near[found - 1].distance : 0;
		int nearer = 0;

		right = right && found == (n - 1 < 7 ? n - 1 : 7);
		for (int f = 0; f < found; f++)
			right = right && near[f].index != i &&
					fabs(near[f].distance -
						 squared(x + (size_t) i * d, x + (size_t) near[f].index * d, d)) <
						1e-14 &&
					(f == 0 || near[f].distance > near[f - 1].distance ||
					 (near[f].distance == near[f - 1].distance &&
					  near[f].index > near[f - 1].index));
		/* nothing nearer was missed, and at the same distance nothing of lower index */
		for (int o = 0; o < n; o++)
		{
			double to = squared(x + (size_t) i * d, x + (size_t) o * d, d);

			nearer += o != i &&
					  (to < limit * (1 - 1e-12) ||
					   (grid && limit > 0 && to == limit && o <= near[found - 1].index) ||
					   (!grid && o == near[found - 1].index));
		}
		right = right && (limit == 0 || nearer == found);
	}
	ok(right, "%d points of %d columns%s: the nearest seven", n, d,
	   grid ? " on a grid" : "");
	free(arena.base);
	free(x);
}

static void
test_vote(void)
{
	int32_t label[] = {4, 2, 2, 4, 1};
	SlNeighbour near[] = {{0.1, 4}, {0.2, 1}, {0.3, 0}, {0.4, 2}, {0.5, 3}};

	is_int(sl_vote(near, 5, label), 2, "of equally many votes the nearest one's");
	is_int(sl_vote(near, 1, label), 1, "a single vote");
}

/* ---- graphs ---- */

/* Two half moons, the noise as given. */
static double *
moons(int n, double noise)
{
	double *x = malloc(sizeof(double) * 2 * n);

	for (int i = 0; i < n; i++)
	{
		double a = 3.14159265358979 * sl_random_uniform(SEED, 2, i);

		x[2 * i] = (i % 2 ? 1 - cos(a) : cos(a)) + noise * sl_random_normal(SEED, 3, i);
		x[2 * i + 1] =
			(i % 2 ? 0.5 - sin(a) : sin(a)) + noise * sl_random_normal(SEED, 4, i);
	}
	return x;
}

static double
weight(const SlGraph *g, int a, int b)
{
	if (g->start == NULL)
		return g->weight[(size_t) a * g->count + b];
	for (size_t e = g->start[a]; e < g->start[a + 1]; e++)
		if (g->to[e] == b)
			return g->weight[e];
	return 0;
}

static void
test_graph(void)
{
	double x[] = {0, 1, 2.5, 100, 101, 103};
	SlArena arena = arena_of(1 << 16);
	SlGraph g;

	/* two neighbours each, the point itself one of them */
	is_int(sl_graph_neighbours(&(SlPoints){6, 1, x}, 2, NULL, &arena, &g), SL_OK,
		   "a graph");
	is_int(g.components, 2, "of two components");
	ok(weight(&g, 0, 1) == 1 && weight(&g, 1, 2) == 0.5 && weight(&g, 2, 1) == 0.5 &&
		   weight(&g, 0, 2) == 0 && weight(&g, 0, 0) == 0,
	   "weight 1 where both are neighbours, half where one is, no loops");
	is_close(g.root[1], sqrt(1.5), 1e-15, "square root of the degree");
	arena.used = 0;
	sl_graph_rbf(&(SlPoints){6, 1, x}, 0.5, NULL, &arena, &g);
	is_close(weight(&g, 0, 2), exp(-0.5 * 6.25), 1e-15,
			 "weight of a radial basis function");
	is_int(g.components, 2, "what is next to nothing is no edge");
	is_int(sl_graph_rbf(&(SlPoints){6, 1, x}, 0.5, &(SlStop){stops, NULL}, &arena, &g),
		   SL_STOPPED, "building stops when asked");
	free(arena.base);
}

/* ---- factor and eigenvectors ---- */

/* y = (I - M) x + shift x */
static void
laplacian(const SlGraph *g, double shift, const double *x, double *y)
{
	sl_graph_multiply(g, x, y);
	for (int i = 0; i < g->count; i++)
		y[i] = (1 + shift) * x[i] - y[i];
}

static void
test_factor(void)
{
	enum
	{
		N = 1500
	};
	double *x = moons(N, 0.1);
	SlArena arena = arena_of((size_t) 64 << 20);
	double b[N], y[N], back[N], scratch[N], worst = 0;
	double operations;
	size_t memory, used;
	SlFactor factor;
	SlGraph g;
	bool narrow = true;

	sl_graph_neighbours(&(SlPoints){N, 2, x}, 10, NULL, &arena, &g);
	is_int(sl_factor_plan(&g, &arena, &factor, &memory, &operations), SL_OK, "a plan");
	for (int l = 0; l < factor.blocks; l++)
		for (int i = factor.begin[l]; i < factor.begin[l + 1]; i++)
			for (int o = 0; o < N; o++)
				narrow = narrow &&
						 ((l > 0 ? factor.begin[l - 1] : 0) <= o &&
								  o < factor.begin[l + 2 <= factor.blocks ? l + 2 : l + 1]
							  ? true
							  : weight(&g, factor.order[i], factor.order[o]) == 0);
	ok(narrow && factor.blocks > 3, "%d blocks, joined to those beside them only",
	   factor.blocks);
	used = arena.used;
	is_int(sl_factor(&g, 0.01, NULL, &arena, &factor), SL_OK, "a factor");
	ok(arena.used - used <= memory, "of no more memory than planned");
	for (int i = 0; i < N; i++)
		b[i] = sl_random_normal(SEED, 6, i);
	sl_factor_solve(&factor, b, y, scratch);
	laplacian(&g, 0.01, y, back);
	for (int i = 0; i < N; i++)
		worst = fmax(worst, fabs(back[i] - b[i]));
	is_close(worst, 0, 1e-10, "solves its equation");
	is_int(sl_factor(&g, 0.01, &(SlStop){stops, NULL}, &arena, &factor), SL_STOPPED,
		   "stops when asked");
	free(x);
	free(arena.base);
}

/* Whether each column is an eigenvector, and they come by rising eigenvalue. */
static void
check_embedding(const SlGraph *g, int wanted, const double *embedding, double tolerance,
				const char *what)
{
	double *u = malloc(sizeof(double) * g->count), *y = malloc(sizeof(double) * g->count);
	double worst = 0, last = -1;
	bool rising = true;

	for (int q = 0; q < wanted; q++)
	{
		double value = 0, length = 0, residual = 0;

		for (int i = 0; i < g->count; i++)
		{
			u[i] = embedding[(size_t) i * wanted + q] * g->root[i];
			length += u[i] * u[i];
		}
		laplacian(g, 0, u, y);
		for (int i = 0; i < g->count; i++)
			value += u[i] * y[i] / length;
		for (int i = 0; i < g->count; i++)
			residual += (y[i] - value * u[i]) * (y[i] - value * u[i]);
		worst = fmax(worst, sqrt(residual) + fabs(length - 1));
		rising = rising && value > last - 1e-9;
		last = value;
	}
	is_close(worst, 0, tolerance, "%s: unit eigenvectors", what);
	ok(rising, "%s: of rising eigenvalue", what);
	free(u);
	free(y);
}

/* The same graph by every method that suits it. */
static void
test_methods(int n, double noise, int wanted, SlEigenMethod want, const char *what)
{
	double *x = moons(n, noise);
	size_t bytes = (size_t) 128 << 20;
	SlArena arena = arena_of(bytes), work = arena_of(bytes);
	double *embedding = malloc(sizeof(double) * n * wanted);
	double *again = malloc(sizeof(double) * n * wanted);
	SlSpectralPlan plan;
	SlGraph g;

	sl_graph_neighbours(&(SlPoints){n, 2, x}, 10, NULL, &arena, &g);
	sl_spectral_plan(&g, wanted, bytes, &arena, &plan);
	is_int(plan.method, want, "%s: the method", what);
	is_int(sl_spectral_embed(&g, &plan, 1, NULL, &work, embedding), SL_OK, "%s: runs",
		   what);
	ok(work.used <= plan.memory, "%s: in no more memory than planned", what);
	check_embedding(&g, wanted, embedding, 1e-7, what);
	work.used = 0;
	sl_spectral_embed(&g, &plan, 1, NULL, &work, again);
	ok(memcmp(embedding, again, sizeof(double) * n * wanted) == 0,
	   "%s: same seed, same bits", what);
	if (want == SL_EIGEN_INVERT)
	{
		/* without the memory for a factor */
		arena.used = 0;
		sl_graph_neighbours(&(SlPoints){n, 2, x}, 10, NULL, &arena, &g);
		sl_spectral_plan(&g, wanted, 0, &arena, &plan);
		is_int(plan.method, SL_EIGEN_DIRECT, "%s: without a factor", what);
		work.used = 0;
		is_int(sl_spectral_embed(&g, &plan, 1, NULL, &work, again), SL_OK, "%s: runs",
			   what);
		check_embedding(&g, wanted, again, 1e-6, what);
		is_int(sl_spectral_embed(&g, &plan, 1, &(SlStop){stops, NULL}, &work, again),
			   SL_STOPPED, "%s: stops when asked", what);
	}
	free(x);
	free(embedding);
	free(again);
	free(arena.base);
	free(work.base);
}

int
main(void)
{
	test_neighbours(1, 2, 0);
	test_neighbours(5, 2, 0);
	test_neighbours(700, 2, 0);
	test_neighbours(701, 6, 0);
	test_neighbours(700, 2, 12);
	test_neighbours(400, 3, 2);
	test_vote();
	test_graph();
	if (!sl_lapack_load())
	{
		ok(true, "eigenvectors # skip OpenBLAS is not installed");
		return done_testing();
	}
	test_factor();
	test_methods(600, 0.02, 2, SL_EIGEN_NONE, "as many components as vectors");
	test_methods(400, 0.15, 4, SL_EIGEN_DENSE, "few points");
	test_methods(400, 0.02, 5, SL_EIGEN_DENSE, "few points in components");
	test_methods(1500, 0.15, 4, SL_EIGEN_INVERT, "many points");
	test_methods(1500, 0.02, 6, SL_EIGEN_INVERT, "many points in components");
	return done_testing();
}
