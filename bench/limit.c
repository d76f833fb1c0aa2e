/*
 * limit.c: what the machine can do at best, by one process and by two at the same time:
 * matrix products by the BLAS the extension uses, and memory read and written.
 *
 * Rates are medians by processor time, so that other work on the machine lowers them as
 * little as it can; those of two processes are added.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "nn/blas.h"

#define SECONDS 2.0

typedef struct Product
{
	int m, n, k;
} Product;

/* A square one, and all gates of a step of the networks measured. */
static const Product products[] = {
	{1024, 1024, 1024}, {400, 1000, 250}, {256, 2048, 512}};
#define PRODUCTS (sizeof(products) / sizeof(products[0]))
#define MOST (2048 * 1024)		 /* elements of a matrix */
#define TRIAD (16 * 1024 * 1024) /* elements of an array, 64 MB */

static float *memory; /* three arrays of TRIAD elements */

static void
multiply(const Product *p)
{
	sl_gemm(false, false, p->m, p->n, p->k, 1, memory, p->k, memory + MOST, p->n, 0,
			memory + 2 * MOST, p->n);
}

static void
triad(const Product *unused)
{
	float *restrict a = memory, *restrict b = memory + TRIAD, *restrict c = b + TRIAD;

	for (int i = 0; i < TRIAD; i++)
		a[i] = b[i] + 0.5f * c[i];
}

/* Median processor time of a call. */
static double
measure(void (*work)(const Product *), const Product *p, double seconds)
{
	static double times[100000];
	int n = 0;
	double start = read_clock(CLOCK_MONOTONIC);

	work(p);
	do
	{
		double before = read_clock(CLOCK_PROCESS_CPUTIME_ID);

		work(p);
		times[n++] = read_clock(CLOCK_PROCESS_CPUTIME_ID) - before;
	} while (n < 100000 && (read_clock(CLOCK_MONOTONIC) - start < seconds || n < 5));
	qsort(times, n, sizeof(double), by_size);
	return times[n / 2];
}

static double
rate(int what)
{
	if (what == PRODUCTS)
		return 3.0 * TRIAD * sizeof(float) / measure(triad, NULL, SECONDS);

	const Product *p = &products[what];

	return 2.0 * p->m * p->n * p->k / measure(multiply, p, SECONDS);
}

/* The sum of what so many processes, 1 or 2, reach at the same time. */
static double
rate_of(int processes, int what)
{
	int ready[2], result[2];
	double sum = 0, one;
	char go[2] = "go";

	if (pipe(ready) != 0 || pipe(result) != 0)
		return 0;
	for (int i = 0; i < processes; i++)
		if (fork() == 0)
		{
			if (!sl_blas_load() || read(ready[0], go, 1) != 1)
				_exit(1);
			one = rate(what);
			if (write(result[1], &one, sizeof(one)) != sizeof(one))
				_exit(1);
			_exit(0);
		}
	if (write(ready[1], go, 2) != 2)
		return 0;
	for (int i = 0; i < processes; i++)
	{
		if (read(result[0], &one, sizeof(one)) == sizeof(one))
			sum += one;
		wait(NULL);
	}
	close(ready[0]);
	close(ready[1]);
	close(result[0]);
	close(result[1]);
	return sum;
}

int
main(void)
{
	memory = malloc(3 * sizeof(float) * TRIAD);
	if (memory == NULL)
		return 1;
	for (int i = 0; i < 3 * TRIAD; i++)
		memory[i] = (float) (i % 17) - 8;
	for (int processes = 1; processes <= 2; processes++)
	{
		double best = 0;

		for (int what = 0; what < (int) PRODUCTS; what++)
		{
			double r = rate_of(processes, what);
			const Product *p = &products[what];

			printf("product %d x %d x %d, %d at a time: %.1f GFLOP/s\n", p->m, p->n, p->k,
				   processes, r * 1e-9);
			best = r > best ? r : best;
		}

		double bytes = rate_of(processes, PRODUCTS);

		printf("memory, %d at a time: %.1f GB/s\n", processes, bytes * 1e-9);
		printf(
			"RESULT\tmachine\tproducts %d\t%.4g\t\nRESULT\tmachine\tmemory %d\t%.4g\t\n",
			processes, best, processes, bytes);
		fflush(stdout);
	}
	return 0;
}
