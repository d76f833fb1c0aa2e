/*
 * pack.h: batches for tests: sequences of given lengths packed time-major, and numbers
 * to fill arrays with.
 */
#ifndef PACK_H
#define PACK_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "nn/nn.h"

#define PACK_MAX_STEPS 64

typedef struct TestPack
{
	SlPack pack;
	int size[PACK_MAX_STEPS];
	int offset[PACK_MAX_STEPS + 1];
} TestPack;

/* Lengths must fall. */
__attribute__((unused)) static void
pack_make(TestPack *p, const int *length, int batch)
{
	p->pack = (SlPack){
		.batch = batch, .steps = length[0], .size = p->size, .offset = p->offset};
	p->offset[0] = 0;
	for (int t = 0; t < p->pack.steps; t++)
	{
		p->size[t] = 0;
		while (p->size[t] < batch && length[p->size[t]] > t)
			p->size[t]++;
		p->offset[t + 1] = p->offset[t] + p->size[t];
	}
	p->pack.rows = p->offset[p->pack.steps];
}

/* Uniform in [-1, 1), from a state that the test owns. */
__attribute__((unused)) static float
pack_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (float) (int32_t) (*state >> 32) / 2147483648.0f;
}

__attribute__((unused)) static float *
pack_numbers(uint64_t *state, size_t n, float scale)
{
	float *x = malloc((n + 1) * sizeof(float));

	for (size_t i = 0; i < n; i++)
		x[i] = scale * pack_random(state);
	return x;
}

/* The larger of two errors, where NaN is the largest of all. */
__attribute__((unused)) static double
pack_worse(double a, double b)
{
	return isnan(a) || a > b ? a : b;
}

/* An arena of the size that a counting one came to. */
__attribute__((unused)) static SlArena
pack_arena(const SlArena *counted)
{
	size_t size = counted->used + SL_ALIGN;

	return (SlArena){.base = aligned_alloc(SL_ALIGN, size - size % SL_ALIGN),
					 .size = counted->used};
}

#endif
