/*
 * pairs.h: the arithmetic of one step of negative sampling: some input vectors against
 * the same few output vectors.
 *
 * Vectors have a multiple of SL_PAIR_LANES floats, those past their end zero, and begin
 * on a 64-byte boundary.
 */
#ifndef SL_PAIRS_H
#define SL_PAIRS_H

#define SL_PAIR_LANES 16

/* dot[i * outputs + j] = x[i] . y[j] */
extern void sl_pairs_dots(int inputs, float *const *x, int outputs, float *const *y,
						  int dim, float *dot);

/*
 * x[i] += sum over j of g[i * outputs + j] y[j], and y[j] += sum over i of
 * g[i * outputs + j] x[i], both with the old values of the other.  A vector may come
 * more than once.  work has outputs * dim floats.
 */
extern void sl_pairs_update(int inputs, float *const *x, int outputs, float *const *y,
							int dim, const float *g, float *work);

/* mean = the mean of all x[i]. */
extern void sl_pairs_mean(int inputs, float *const *x, int dim, float *mean);

/* x[i] += step, one after the other. */
extern void sl_pairs_add(int inputs, float *const *x, int dim, const float *step);

/* dot = a . b and square = b . b, of any n and anywhere in memory. */
extern void sl_cosine_parts(int n, const float *a, const float *b, float *dot,
							float *square);

#endif
