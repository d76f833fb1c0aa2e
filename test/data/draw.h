/*
 * draw.h: streams of random numbers over the counter-based generator: each purpose of
 * each user has a stream of its own, so that one option never changes what another draws.
 *
 * A normal number and a uniform one with the same counter share bits in the generator,
 * so normal ones come from a sibling stream.
 */
#ifndef SL_DRAW_H
#define SL_DRAW_H

#include <math.h>
#include <stdint.h>

#include "nn/random.h"

#define SL_NORMAL_STREAMS (UINT64_C(1) << 63)

typedef struct SlDraw
{
	uint64_t seed;
	uint64_t stream;
	uint64_t counter;
} SlDraw;

/* Uniform in (0, 1): never an end, so that logarithms are finite. */
static inline double
sl_draw_uniform(SlDraw *draw)
{
	double u = sl_random_uniform(draw->seed, draw->stream, draw->counter++);

	return u > 0.0 ? u : 0x1p-54;
}

static inline double
sl_draw_normal(SlDraw *draw)
{
	return sl_random_normal(draw->seed, draw->stream | SL_NORMAL_STREAMS,
							draw->counter++);
}

static inline double
sl_draw_exponential(SlDraw *draw)
{
	return -log(sl_draw_uniform(draw));
}

/* A number below n, each as likely. */
static inline int
sl_draw_below(SlDraw *draw, int n)
{
	return (int) (sl_draw_uniform(draw) * n);
}

/* A rank in 0..n-1 with Zipf's law: rank r about as likely as 1 / (r + 1). */
static inline int
sl_draw_zipf(SlDraw *draw, int n)
{
	int rank = (int) exp(sl_draw_uniform(draw) * log(n + 1.0)) - 1;

	return rank < n ? rank : n - 1;
}

/* Gamma with the given shape >= 1 and rate 1 (Marsaglia and Tsang's rejection). */
static inline double
sl_draw_gamma(SlDraw *draw, double shape)
{
	double d = shape - 1.0 / 3.0;
	double c = 1.0 / sqrt(9.0 * d);

	for (;;)
	{
		double x = sl_draw_normal(draw);
		double v = 1.0 + c * x;

		if (v <= 0.0)
			continue;
		v = v * v * v;
		if (log(sl_draw_uniform(draw)) < 0.5 * x * x + d - d * v + d * log(v))
			return d * v;
	}
}

#endif
