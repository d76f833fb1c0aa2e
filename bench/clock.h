/*
 * clock.h: seconds by a clock of the system, and an order for medians of them.
 */
#ifndef SL_CLOCK_H
#define SL_CLOCK_H

#include <time.h>

static inline double
read_clock(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double) ts.tv_sec + 1e-9 * (double) ts.tv_nsec;
}

static inline int
by_size(const void *a, const void *b)
{
	double x = *(const double *) a, y = *(const double *) b;

	return (x > y) - (x < y);
}

#endif
