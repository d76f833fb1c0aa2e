/*
 * test_cluster.c: points, k-means, silhouettes and their serial steps against definitions
 * written as plain loops.
 */
#include "cluster/kmeans.h"
#include "cluster/silhouette.h"
#include "cluster/step.h"
#include "cluster/tiles.h"
#include "nn/random.h"
#include "tap.h"

#define SEED 11

static SlArena
arena_of(size_t bytes)
{
	bytes = (bytes / SL_ALIGN + 1) * SL_ALIGN;
	return (SlArena){aligned_alloc(SL_ALIGN, bytes), bytes, 0};
}

/* k clouds on a line of corners, the noise as given. */
static double *
clouds(int n, int d, int k, double noise)
{
	double *x = malloc(sizeof(double) * n * d);

	for (int i = 0; i < n; i++)
		for (int j = 0; j < d; j++)
			x[(size_t) i * d + j] = 10 * sl_random_uniform(SEED, 1 + i % k, j) +
									noise * sl_random_normal(SEED, 1000 + j, i);
	return x;
}

static double
squared(const double *a, const double *b, int d)
{
	double sum = 0;

	for (int j = 0; j < d; j++)
		sum += (a[j] - b[j]) * (a[j] - b[j]);
	return sum;
}

static bool stop_now;

static bool
stops(void *arg)
{
	return stop_now;
}

/* ---- points ---- */

static void
test_order(void)
{
	enum
	{
		N = 3000
	};
	double *x = clouds(N, 3, 7, 1), *shuffled = malloc(sizeof(double) * N * 3);
	int order[N], other[N], mix[N], distinct;
	SlArena work = arena_of(1 << 20);
	bool same = true;

	memcpy(x + 9, x, sizeof(double) * 9); /* three points twice */
	x[0] = -0.0;
	x[9] = 0.0;
	for (int i = 0; i < N; i++)
		mix[i] = i;
	sl_random_shuffle(SEED, 5, mix, N);
	for (int i = 0; i < N; i++)
		memcpy(shuffled + 3 * i, x + 3 * mix[i], sizeof(double) * 3);
	is_int(sl_points_order(&(SlPoints){N, 3, x}, 3, NULL, &work, order, &distinct), SL_OK,
		   "points are ordered");
	is_int(distinct, N - 3, "equal points are counted once, -0 and 0 are equal");
	sl_points_order(&(SlPoints){N, 3, shuffled}, 3, NULL, &work, other, &distinct);
	for (int i = 0; i < N; i++)
		same = same && squared(x + 3 * order[i], shuffled + 3 * other[i], 3) == 0;
	ok(same, "the order does not depend on where points stood");
	sl_points_order(&(SlPoints){N, 3, x}, 4, NULL, &work, other, &distinct);
	ok(memcmp(order, other, sizeof(order)) != 0, "another seed, another order");
	stop_now = true;
	is_int(sl_points_order(&(SlPoints){N, 3, x}, 3, &(SlStop){stops, NULL}, &work, order,
						   &distinct),
		   SL_STOPPED, "ordering stops when asked");
	stop_now = false;
	free(x);
	free(shuffled);
	free(work.base);
}

static void
test_scale(void)
{
	double x[] = {1, 5, 1e9 + 1, 2, 5, 1e9 + 2, 3, 5, 1e9 + 3};
	double mean[3], deviation[3];

	sl_points_scale(&(SlPoints){3, 3, x}, mean, deviation);
	is_close(mean[0], 2, 0, "mean");
	is_close(deviation[0], sqrt(2.0 / 3), 1e-15, "deviation of the population");
	is_close(deviation[1], 1, 0, "a constant column is divided by 1");
	is_close(deviation[2], sqrt(2.0 / 3), 1e-12,
			 "a large offset leaves the deviation right");
}

/* Tiles as they are in k-means: more than one block of them, the last one not full. */
static void
test_standardized_tiles(void)
{
	enum
	{
		N = 3003,
		D = 3
	};
	double *x = clouds(N, D, 7, 2);
	double mean[D], deviation[D], wanted_mean[D], wanted[D], scratch[D];
	SlPoints points = {N, D, x};
	SlArena work = arena_of(1 << 20);
	double worst = 0;
	double *tiles;

	for (int i = 0; i < N; i++)
	{
		x[i * D + 1] = 0.1;
		x[i * D + 2] += 1e9;
	}
	tiles = sl_points_tiles(&points, NULL, &work);
	sl_points_scale(&points, wanted_mean, wanted);
	sl_tiles_standardize(tiles, N, D, scratch, mean, deviation);
	for (int j = 0; j < D; j++)
	{
		is_close(mean[j], wanted_mean[j], 1e-12 * fabs(wanted_mean[j]),
				 "mean of column %d in tiles", j);
		is_close(deviation[j], wanted[j], 1e-7 * wanted[j],
				 "deviation of column %d in tiles", j);
	}
	for (int i = 0; i < sl_tile_count(N) * SL_LANES; i++)
		for (int j = 0; j < D; j++)
		{
			double got = tiles[(i / SL_LANES * D + j) * SL_LANES + i % SL_LANES];
			double want = (x[(i < N ? i : N - 1) * D + j] - mean[j]) / deviation[j];

			worst = fmax(worst, fabs(got - want));
		}
	is_close(worst, 0, 1e-9, "all lanes of tiles are standardised");
	free(x);
	free(work.base);
}

static void
test_sort_labels(void)
{
	int32_t label[] = {0, 0, 1, 2, 2, 3, 3};
	double centroid[] = {5, 0, 1, 1, 2, 9, 2, 8};
	int64_t size[] = {2, 1, 2, 2};
	int32_t want[] = {2, 2, 3, 1, 1, 0, 0};
	SlArena work = arena_of(4096);

	is_int(sl_labels_sort(7, label, 4, 2, centroid, size, &work), SL_OK,
		   "labels are sorted");
	ok(memcmp(label, want, sizeof(want)) == 0, "by falling size, then by centroid");
	ok(centroid[0] == 2 && centroid[1] == 8 && centroid[6] == 1 && size[3] == 1,
	   "centroids and sizes go with them");
	free(work.base);
}

/* ---- k-means ---- */

typedef struct Run
{
	int n, d, k;
	double *x;
	double *centroid;
	int32_t *label;
	SlKmeansResult result;
	SlStatus status;
} Run;

static Run
run_kmeans(int n, int d, int k, double *x, SlKmeansOptions options, const SlStop *stop)
{
	Run r = {.n = n, .d = d, .k = k, .x = x};
	SlArena count = {NULL, SIZE_MAX, 0}, tiles = arena_of((size_t) (n + 16) * d * 8 + 64),
			work;
	double *t = sl_points_tiles(&(SlPoints){n, d, x}, NULL, &tiles);

	r.centroid = malloc(sizeof(double) * k * d);
	r.label = malloc(sizeof(int32_t) * (n + SL_LANES));
	sl_kmeans(NULL, n, d, k, &options, NULL, &count, NULL, NULL, NULL);
	work = arena_of(count.used);
	r.status =
		sl_kmeans(t, n, d, k, &options, stop, &work, r.centroid, r.label, &r.result);
	free(work.base);
	free(tiles.base);
	return r;
}

static void
free_run(Run *r)
{
	free(r->centroid);
	free(r->label);
}

/* Labels are nearest centroids, the inertia their squared distances. */
static void
check_run(const Run *r, const char *what)
{
	bool nearest = true;
	double inertia = 0;

	for (int i = 0; i < r->n; i++)
	{
		double own =
			squared(r->x + (size_t) i * r->d, r->centroid + r->label[i] * r->d, r->d);

		inertia += own;
		for (int c = 0; c < r->k; c++)
			nearest = nearest && squared(r->x + (size_t) i * r->d, r->centroid + c * r->d,
										 r->d) >= own * (1 - 1e-12);
	}
	ok(nearest, "%s: every label is the nearest centroid's", what);
	is_close(r->result.inertia / inertia, 1, 1e-12,
			 "%s: the inertia is the sum of squares", what);
}

/* Lloyd's algorithm as it is written down, from given centroids. */
static double
plain_lloyd(const Run *r, double *centroid)
{
	double inertia = INFINITY;

	for (int step = 0; step < 1000; step++)
	{
		double *sum = calloc((size_t) r->k * r->d, sizeof(double));
		int *count = calloc(r->k, sizeof(int));
		double now = 0;

		for (int i = 0; i < r->n; i++)
		{
			const double *x = r->x + (size_t) i * r->d;
			int best = 0;

			for (int c = 1; c < r->k; c++)
				if (squared(x, centroid + c * r->d, r->d) <
					squared(x, centroid + best * r->d, r->d))
					best = c;
			now += squared(x, centroid + best * r->d, r->d);
			count[best]++;
			for (int j = 0; j < r->d; j++)
				sum[best * r->d + j] += x[j];
		}
		for (int c = 0; c < r->k; c++)
			for (int j = 0; j < r->d && count[c] > 0; j++)
				centroid[c * r->d + j] = sum[c * r->d + j] / count[c];
		free(sum);
		free(count);
		if (now >= inertia)
			break;
		inertia = now;
	}
	return inertia;
}

static void
test_kmeans_case(int n, int d, int k, double noise, const char *what)
{
	double *x = clouds(n, d, k, noise);
	SlKmeansOptions options = {2, 300, 0, 9};
	Run a = run_kmeans(n, d, k, x, options, NULL);
	Run b = run_kmeans(n, d, k, x, options, NULL);

	is_int(a.status, SL_OK, "%s: runs", what);
	check_run(&a, what);
	ok(a.result.converged, "%s: converges", what);
	is_close(plain_lloyd(&a, b.centroid) / a.result.inertia, 1, 1e-9,
			 "%s: plain steps find nothing better from there", what);
	free_run(&b);
	b = run_kmeans(n, d, k, x, options, NULL);
	ok(memcmp(a.centroid, b.centroid, sizeof(double) * k * d) == 0 &&
		   memcmp(a.label, b.label, sizeof(int32_t) * n) == 0,
	   "%s: same seed, same bits", what);
	free_run(&a);
	free_run(&b);
	free(x);
}

static void
test_kmeans(void)
{
	double one[] = {3, 4};
	double *x = clouds(5000, 8, 10, 3);
	double line[40];
	Run r;

	test_kmeans_case(2000, 2, 4, 0.5, "four clouds");
	test_kmeans_case(3001, 8, 10, 4, "ten clouds that overlap");
	test_kmeans_case(1003, 20, 17, 6, "with bounds");
	test_kmeans_case(500, 1, 1, 1, "one cluster");
	r = run_kmeans(1, 2, 1, one, (SlKmeansOptions){10, 300, 1e-4, 0}, NULL);
	ok(r.status == SL_OK && r.result.inertia == 0 && r.centroid[1] == 4,
	   "a single point");
	free_run(&r);
	for (int i = 0; i < 40; i++)
		line[i] = i;
	r = run_kmeans(40, 1, 40, line, (SlKmeansOptions){3, 300, 1e-4, 0}, NULL);
	ok(r.status == SL_OK && r.result.inertia == 0, "as many clusters as points");
	free_run(&r);
	stop_now = true;
	r = run_kmeans(5000, 8, 10, x, (SlKmeansOptions){10, 300, 0, 0},
				   &(SlStop){stops, NULL});
	is_int(r.status, SL_STOPPED, "k-means stops when asked");
	stop_now = false;
	free_run(&r);
	r = run_kmeans(5000, 8, 10, x, (SlKmeansOptions){1, 1, 0, 0}, NULL);
	ok(r.status == SL_OK && !r.result.converged, "max_iter ends it");
	check_run(&r, "one step");
	free_run(&r);
	free(x);
}

static void
test_more_starts(void)
{
	double *x = clouds(1500, 2, 15, 0.3);
	double last = INFINITY;
	bool falls = true;

	for (int starts = 1; starts <= 16; starts *= 4)
	{
		Run r = run_kmeans(1500, 2, 15, x, (SlKmeansOptions){starts, 300, 1e-4, 1}, NULL);

		falls = falls && r.result.inertia <= last;
		last = r.result.inertia;
		free_run(&r);
	}
	ok(falls, "more starts are never worse");
	free(x);
}

/* ---- silhouettes ---- */

static void
test_silhouette_case(int n, int d, int k)
{
	double *x = clouds(n, d, k, 2), *got = malloc(sizeof(double) * n);
	int32_t *label = malloc(sizeof(int32_t) * n);
	SlPoints points = {n, d, x};
	SlArena count = {NULL, SIZE_MAX, 0}, work;
	double worst = 0;

	for (int i = 0; i < n; i++)
		label[i] = i == 0 ? k - 1 : (int32_t) (i * 7 % (k - 1)); /* the last one alone */
	sl_silhouette(&points, NULL, k, NULL, &count, NULL);
	work = arena_of(count.used);
	is_int(sl_silhouette(&points, label, k, NULL, &work, got), SL_OK,
		   "silhouettes of %d points", n);
	for (int i = 0; i < n; i++)
	{
		double sum[50] = {0}, a, b = INFINITY;
		int members[50] = {0};

		for (int o = 0; o < n; o++)
		{
			sum[label[o]] += sqrt(squared(x + (size_t) i * d, x + (size_t) o * d, d));
			members[label[o]]++;
		}
		a = sum[label[i]] / (members[label[i]] - 1);
		for (int c = 0; c < k; c++)
			if (c != label[i])
				b = fmin(b, sum[c] / members[c]);
		worst = fmax(worst, fabs(got[i] - (i == 0 ? 0 : (b - a) / fmax(a, b))));
	}
	is_close(worst, 0, 1e-12, "%d points in %d clusters: as defined, 0 where alone", n,
			 k);
	stop_now = true;
	is_int(sl_silhouette(&points, label, k, &(SlStop){stops, NULL}, &work, got),
		   SL_STOPPED, "silhouettes stop when asked");
	stop_now = false;
	free(work.base);
	free(label);
	free(got);
	free(x);
}

static void
test_equal_points(void)
{
	double x[] = {1, 1, 1, 1};
	int32_t label[] = {0, 0, 1, 1};
	double got[4];
	SlArena work = arena_of(1 << 16);

	sl_silhouette(&(SlPoints){4, 1, x}, label, 2, NULL, &work, got);
	ok(got[0] == 0 && got[3] == 0, "equal points in two clusters have silhouette 0");
	free(work.base);
}

/* ---- steps ---- */

static void
test_steps(void)
{
	enum
	{
		N = 400,
		D = 3,
		K = 4
	};
	double *x = clouds(N, D, K, 2), memory[3][2 * K * D + K];
	uint8_t bytes[20 + 8 * (2 * K * D + K)];
	SlStep all, part[2];
	int k, columns;

	ok(sl_step_bytes(K, D) == sizeof(memory[0]) &&
		   sl_step_wire_size(K, D) == sizeof(bytes),
	   "sizes of a step");
	ok(sl_step_bytes(INT32_MAX, INT32_MAX) == 0 && sl_step_wire_size(0, 1) == 0,
	   "impossible sizes are noticed");
	sl_step_init(&all, K, D, memory[0]);
	for (int p = 0; p < 2; p++)
		sl_step_init(&part[p], K, D, memory[1 + p]);
	memcpy(all.centroid, x, sizeof(double) * K * D);
	memcpy(part[0].centroid, x, sizeof(double) * K * D);
	memcpy(part[1].centroid, x, sizeof(double) * K * D);
	for (int i = 0; i < N; i++)
	{
		sl_step_add(&all, x + i * D);
		sl_step_add(&part[i % 3 == 0], x + i * D);
	}
	ok(sl_step_same(&part[0], &part[1]), "steps of the same centroids are told");
	sl_step_write(&part[1], bytes);
	ok(sl_step_check(bytes, sizeof(bytes), &k, &columns) == NULL && k == K &&
		   columns == D,
	   "serial form is accepted");
	sl_step_init(&part[1], K, D, memory[2]);
	ok(sl_step_read(&part[1], bytes) == NULL, "and read");
	sl_step_merge(&part[0], &part[1]);
	is_close(part[0].inertia / all.inertia, 1, 1e-12, "merged: the inertia");
	ok(memcmp(part[0].count, all.count, sizeof(int64_t) * K) == 0, "merged: the counts");
	is_close(part[0].sum[5] / all.sum[5], 1, 1e-12, "merged: a sum");
	for (size_t size = 0; size < sizeof(bytes); size++)
		if (sl_step_check(bytes, size, &k, &columns) == NULL)
			ok(false, "%zu bytes of it were accepted", size);
	bytes[7] = 0x80;
	ok(sl_step_check(bytes, sizeof(bytes), &k, &columns) != NULL,
	   "a negative k is refused");
	bytes[7] = 0;
	bytes[sizeof(bytes) - 1] = 0xff;
	ok(sl_step_read(&part[1], bytes) != NULL, "a negative count is refused");
	bytes[sizeof(bytes) - 1] = 0;
	bytes[27] = 0x7f;
	bytes[26] = 0xf8;
	ok(sl_step_read(&part[1], bytes) != NULL, "a centroid that is no number is refused");
	bytes[3] = 2;
	ok(sl_step_check(bytes, sizeof(bytes), &k, &columns) != NULL,
	   "another version is refused");
	bytes[0] = 'X';
	ok(sl_step_check(bytes, sizeof(bytes), &k, &columns) != NULL,
	   "other bytes are refused");
	free(x);
}

int
main(void)
{
	test_order();
	test_scale();
	test_standardized_tiles();
	test_sort_labels();
	test_kmeans();
	test_more_starts();
	test_silhouette_case(300, 2, 4);
	test_silhouette_case(1037, 9, 40);
	test_equal_points();
	test_steps();
	return done_testing();
}
