/*
 * spectral.c: eigenvectors of the normalised Laplacian.
 *
 * The vectors of eigenvalue 0 are known: the square roots of the degrees on each
 * component. Only what is orthogonal to them is computed, and if there are as many
 * components as vectors wanted, nothing is.
 *
 * The rest of few points comes from LAPACK.  For more it is found in a Krylov space with
 * full reorthogonalisation and restarts (Stewart, "A Krylov-Schur algorithm for large
 * eigenproblems", 2002; Lanczos' method where the matrix is symmetric): of the inverse,
 * where small eigenvalues become large ones that lie far apart, if the factor is
 * affordable; of the matrix itself if not, which is when points fill many dimensions and
 * the eigenvalues are not so close.
 */
#include "cluster/spectral.h"

#include <math.h>
#include <string.h>

#include "cluster/lapack.h"
#include "nn/random.h"

/* Points up to which LAPACK takes no noticeable time. */
#define DENSE_POINTS 500

/* Makes the Laplacian definite; far below any eigenvalue that matters. */
#define SHIFT 1e-9

/* Operations up to which the factor is cheaper than even easy vectors found directly, and
 * up to which it is affordable if they turn out to be hard. */
#define CHEAP_OPERATIONS 1e10
#define MOST_OPERATIONS 1e12

#define INVERT_TOLERANCE 1e-8
#define DIRECT_TOLERANCE 1e-7
#define ENOUGH 1e-3 /* what is still good for clusters, once restarts don't help */
#define MOST_RESTARTS 100
#define FEW_RESTARTS 1 /* of the direct method where the other is affordable */

/* Rows of the basis that are rotated at once. */
#define ROTATED_ROWS 256

static int
trivial_vectors(const SlGraph *g, int wanted)
{
	return g->components < wanted ? g->components : wanted;
}

/* ---- memory ---- */

typedef struct Space
{
	const SlGraph *graph;
	SlSpectralPlan *plan;
	const SlStop *stop;
	int n;
	int known;	/* trivial vectors, the first columns of v */
	int wanted; /* others */
	int basis;	/* columns after them */
	double *v;	/* [known + basis + 1][n] */
	double *h;	/* [basis x basis] */
	double *rotation;
	double *value; /* [basis] */
	double *coefficient;
	double *work;
	double *rows;
	double *scratch; /* [n] */
} Space;

static void
lay_out(Space *s, SlArena *arena)
{
	size_t columns = (size_t) s->known + s->basis + 1;

	s->v = sl_alloc(arena, columns, sizeof(double) * s->n);
	s->h = sl_alloc(arena, s->basis, sizeof(double) * s->basis);
	s->rotation = sl_alloc(arena, s->basis, sizeof(double) * s->basis);
	s->value = sl_alloc(arena, s->basis, sizeof(double));
	s->coefficient = sl_alloc(arena, 2 * columns, sizeof(double));
	s->work = sl_alloc(arena, sl_dsyev_work(s->basis), sizeof(double));
	s->rows = sl_alloc(arena, (size_t) ROTATED_ROWS * s->basis, sizeof(double));
	s->scratch = sl_alloc(arena, s->n, sizeof(double));
}

static size_t
space_memory(const SlGraph *g, int known, int wanted, int basis)
{
	SlArena count = {NULL, SIZE_MAX, 0};
	Space s = {.n = g->count, .known = known, .wanted = wanted, .basis = basis};

	lay_out(&s, &count);
	(void) sl_alloc(&count, g->components, sizeof(double));
	(void) sl_alloc(&count, g->components, sizeof(int));
	return count.used;
}

static int
at_most(int a, int b)
{
	return a < b ? a : b;
}

static int
at_least(int a, int b)
{
	return a > b ? a : b;
}

/* Vectors of the inverse's space: few are enough, and each takes a solution. */
static int
inverse_basis(int wanted)
{
	return 3 * wanted + 10;
}

SlStatus
sl_spectral_plan(const SlGraph *g, int wanted, size_t memory_limit, SlArena *arena,
				 SlSpectralPlan *plan)
{
	int n = g->count;
	int known = trivial_vectors(g, wanted);
	int others = wanted - known;
	SlStatus status = SL_OK;

	*plan = (SlSpectralPlan){.wanted = wanted};
	if (others == 0)
	{
		plan->method = SL_EIGEN_NONE;
		plan->memory = space_memory(g, known, 0, 1);
		return SL_OK;
	}
	plan->basis = at_most(n - known, inverse_basis(others));
	if (n <= DENSE_POINTS || plan->basis >= n - known)
	{
		plan->method = SL_EIGEN_DENSE;
		plan->basis = n;
		plan->memory = space_memory(g, known, others, n);
		return SL_OK;
	}
	plan->memory = space_memory(g, known, others, plan->basis);
	if (g->start != NULL)
		status = sl_factor_plan(g, arena, &plan->factor, &plan->factor_memory,
								&plan->factor_operations);
	if (status != SL_OK)
		return status;
	plan->invertible = g->start != NULL && plan->factor_operations <= MOST_OPERATIONS &&
					   plan->memory <= memory_limit &&
					   plan->factor_memory <= memory_limit - plan->memory;
	plan->method = SL_EIGEN_INVERT;
	if (!plan->invertible || plan->factor_operations > CHEAP_OPERATIONS)
	{
		plan->method = SL_EIGEN_DIRECT;
		plan->basis = at_most(n - known - 1, at_least(3 * others + 50, 120));
		plan->memory = space_memory(g, known, others, plan->basis);
		plan->invertible = plan->invertible && plan->memory <= memory_limit &&
						   plan->factor_memory <= memory_limit - plan->memory;
	}
	if (plan->invertible)
		plan->memory += plan->factor_memory;
	return SL_OK;
}

/* ---- vectors that are known ---- */

/* v's first columns: the square roots of the degrees on each component, larger ones
 * first. */
static SlStatus
fill_known(Space *s, SlArena *work)
{
	const SlGraph *g = s->graph;
	double *size = sl_alloc(work, g->components, sizeof(double)); /* squared norms */
	int *vertices = sl_alloc(work, g->components, sizeof(int));

	if (size == NULL || vertices == NULL)
		return SL_NO_MEMORY;
	memset(size, 0, sizeof(double) * g->components);
	memset(vertices, 0, sizeof(int) * g->components);
	for (int i = 0; i < g->count; i++)
	{
		size[g->component[i]] += g->root[i] * g->root[i];
		vertices[g->component[i]]++;
	}
	memset(s->v, 0, sizeof(double) * (size_t) s->known * s->n);
	for (int t = 0; t < s->known; t++)
	{
		int largest = 0;

		for (int c = 1; c < g->components; c++)
			if (vertices[c] > vertices[largest])
				largest = c;
		vertices[largest] = -1;
		for (int i = 0; i < g->count; i++)
			if (g->component[i] == largest)
				s->v[(size_t) t * s->n + i] = g->root[i] / sqrt(size[largest]);
	}
	return SL_OK;
}

/* ---- few points ---- */

static SlStatus
solve_dense(Space *s)
{
	int n = s->n;
	double *a = s->h;

	for (int i = 0; i < n; i++)
		s->scratch[i] = 0;
	for (int i = 0; i < n; i++)
	{
		s->scratch[i] = 1;
		sl_graph_multiply(s->graph, s->scratch, a + (size_t) i * n);
		s->scratch[i] = 0;
	}
	/* the known vectors get eigenvalue -2, less than any: M has them from -1 up */
	sl_dgemm(true, n, n, s->known, -3, s->v, n, s->v, n, 1, a, n);
	if (!sl_dsyev(n, a, s->value, s->work))
		return SL_NOT_FINITE;
	for (int q = 0; q < s->wanted; q++)
		memcpy(s->v + (size_t) (s->known + q) * n, a + (size_t) (n - 1 - q) * n,
			   sizeof(double) * n);
	return SL_OK;
}

/* ---- Krylov space ---- */

static double
norm(const double *x, int n)
{
	double sum = 0;

	for (int i = 0; i < n; i++)
		sum += x[i] * x[i];
	return sqrt(sum);
}

/* Makes x orthogonal to the first columns of v; what was taken away is added to
 * coefficient. */
static void
orthogonalize(Space *s, double *x, int columns)
{
	double *now = s->coefficient + s->known + s->basis + 1;

	for (int pass = 0; pass < 2; pass++)
	{
		sl_dgemv(true, s->n, columns, 1, s->v, s->n, x, 0, now);
		sl_dgemv(false, s->n, columns, -1, s->v, s->n, now, 1, x);
		for (int i = 0; i < columns; i++)
			s->coefficient[i] += now[i];
	}
}

/* A unit vector orthogonal to the first columns. */
static void
random_vector(Space *s, double *x, int columns, uint64_t seed, uint64_t stream)
{
	double length;

	for (int i = 0; i < s->n; i++)
		x[i] = sl_random_normal(seed, stream, (uint64_t) i);
	orthogonalize(s, x, columns);
	length = norm(x, s->n);
	for (int i = 0; i < s->n; i++)
		x[i] /= length;
}

static void
apply(Space *s, const double *x, double *y)
{
	if (s->plan->method == SL_EIGEN_INVERT)
		sl_factor_solve(&s->plan->factor, x, y, s->scratch);
	else
		sl_graph_multiply(s->graph, x, y);
}

/* Fills the basis from column first on; returns the last residual's length in beta. */
static SlStatus
expand(Space *s, int first, uint64_t seed, uint64_t *stream, double *beta)
{
	for (int j = first; j < s->basis; j++)
	{
		int columns = s->known + j + 1;
		double *next = s->v + (size_t) columns * s->n;
		double before;

		if (sl_stopped(s->stop))
			return SL_STOPPED;
		apply(s, s->v + (size_t) (columns - 1) * s->n, next);
		before = norm(next, s->n);
		if (!isfinite(before))
			return SL_NOT_FINITE;
		memset(s->coefficient, 0, sizeof(double) * columns);
		orthogonalize(s, next, columns);
		for (int i = 0; i <= j; i++)
			s->h[(size_t) j * s->basis + i] = s->h[(size_t) i * s->basis + j] =
				s->coefficient[s->known + i];
		*beta = norm(next, s->n);
		if (*beta > 1e-14 * before)
			for (int i = 0; i < s->n; i++)
				next[i] /= *beta;
		else
		{
			/* the space is complete: go on in another one */
			*beta = 0;
			random_vector(s, next, columns, seed, (*stream)++);
		}
	}
	return SL_OK;
}

/* The basis becomes its first columns after rotation by the eigenvectors of h, those of
 * the greatest eigenvalue first. */
static void
rotate(Space *s, int keep)
{
	int m = s->basis;

	for (int from = 0; from < s->n; from += ROTATED_ROWS)
	{
		int rows = at_most(ROTATED_ROWS, s->n - from);
		double *v = s->v + (size_t) s->known * s->n + from;

		sl_dgemm(false, rows, keep, m, 1, v, s->n, s->rotation + (size_t) (m - keep) * m,
				 m, 0, s->rows, rows);
		for (int q = 0; q < keep; q++)
			memcpy(v + (size_t) q * s->n, s->rows + (size_t) (keep - 1 - q) * rows,
				   sizeof(double) * rows);
	}
}

static SlStatus
solve_krylov(Space *s, uint64_t seed)
{
	int m = s->basis;
	bool direct = s->plan->method == SL_EIGEN_DIRECT;
	bool hurry = direct && s->plan->invertible;
	double tolerance = direct ? DIRECT_TOLERANCE : INVERT_TOLERANCE;
	double enough = hurry ? tolerance : ENOUGH;
	int most = hurry ? FEW_RESTARTS : MOST_RESTARTS;
	uint64_t stream = (uint64_t) 1 << 32; /* apart from those of k-means */
	int first = 0;

	memset(s->coefficient, 0, sizeof(double) * (s->known + m + 1));
	random_vector(s, s->v + (size_t) s->known * s->n, s->known, seed, stream++);
	for (int restart = 0;; restart++)
	{
		double beta = 0;
		double worst = 0;
		SlStatus status = expand(s, first, seed, &stream, &beta);

		if (status != SL_OK)
			return status;
		memcpy(s->rotation, s->h, sizeof(double) * (size_t) m * m);
		if (!sl_dsyev(m, s->rotation, s->value, s->work))
			return SL_NOT_FINITE;
		for (int q = m - s->wanted; q < m; q++)
			worst = fmax(worst, beta * fabs(s->rotation[(size_t) q * m + m - 1]) /
									fmax(fabs(s->value[q]), 1e-300));
		if (worst <= tolerance || (restart == most && worst <= enough))
			break;
		if (restart == most)
			return SL_NOT_FINITE;
		/* keep the better half */
		first = s->wanted + (m - s->wanted) / 2;
		rotate(s, first);
		memcpy(s->v + (size_t) (s->known + first) * s->n,
			   s->v + (size_t) (s->known + m) * s->n, sizeof(double) * s->n);
		memset(s->h, 0, sizeof(double) * (size_t) m * m);
		for (int q = 0; q < first; q++)
			s->h[(size_t) q * m + q] = s->value[m - 1 - q];
	}
	rotate(s, s->wanted);
	return SL_OK;
}

/* ---- embedding ---- */

SlStatus
sl_spectral_embed(const SlGraph *g, SlSpectralPlan *plan, uint64_t seed,
				  const SlStop *stop, SlArena *work, double *embedding)
{
	int known = trivial_vectors(g, plan->wanted);
	Space s = {.graph = g,
			   .plan = plan,
			   .stop = stop,
			   .n = g->count,
			   .known = known,
			   .wanted = plan->wanted - known,
			   .basis = at_least(plan->basis, 1)};
	SlStatus status;

	if (plan->method != SL_EIGEN_NONE && !sl_lapack_load())
		return SL_NO_BLAS;
	lay_out(&s, work);
	if (work->used == SIZE_MAX)
		return SL_NO_MEMORY;
	status = fill_known(&s, work);
	if (status == SL_OK && plan->method == SL_EIGEN_DENSE)
		status = solve_dense(&s);
	if (status == SL_OK && plan->method == SL_EIGEN_DIRECT)
	{
		status = solve_krylov(&s, seed);
		if (status == SL_NOT_FINITE && plan->invertible)
		{
			plan->method = SL_EIGEN_INVERT;
			status = SL_OK;
		}
	}
	if (status == SL_OK && plan->method == SL_EIGEN_INVERT)
	{
		s.basis = at_most(s.basis, inverse_basis(s.wanted));
		status = sl_factor(g, SHIFT, stop, work, &plan->factor);
		if (status == SL_OK)
			status = solve_krylov(&s, seed);
	}
	if (status != SL_OK)
		return status;
	for (int q = 0; q < plan->wanted; q++)
	{
		const double *u = s.v + (size_t) q * s.n;
		double sign = 1;
		double largest = 0;

		/* signs are arbitrary: the greatest entry is made positive */
		for (int i = 0; i < s.n; i++)
			if (fabs(u[i]) > largest)
			{
				largest = fabs(u[i]);
				sign = u[i] < 0 ? -1 : 1;
			}
		for (int i = 0; i < s.n; i++)
			embedding[(size_t) i * plan->wanted + q] = sign * u[i] / g->root[i];
	}
	return SL_OK;
}
