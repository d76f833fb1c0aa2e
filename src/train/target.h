/*
 * target.h: the target's transform and its inverse.  Plain C11.
 */
#ifndef SL_TARGET_H
#define SL_TARGET_H

#include <math.h>
#include <stdbool.h>

/* y' = (f(y) - mean) / scale with f = log1p or the identity. */
typedef struct SlTarget
{
	bool log1p;
	bool from_one; /* values below 1 count as 1 (mape, weibull) */
	double mean;
	double scale;
} SlTarget;

static inline double
sl_target_forward(const SlTarget *target, double y)
{
	if (target->from_one && y < 1)
		y = 1;
	return ((target->log1p ? log1p(y) : y) - target->mean) / target->scale;
}

/* A log-scaled prediction is kept where expm1 is finite. */
static inline double
sl_target_inverse(const SlTarget *target, double y)
{
	y = y * target->scale + target->mean;
	return target->log1p ? expm1(fmin(y, 700)) : y;
}

#endif
