/*
 * kernel.h: the pointwise loops of the network, compiled for several instruction sets
 * and chosen at run time.
 *
 * Every element is computed by the same vector code wherever it stands in an array, so a
 * row's result does not depend on its neighbours.  Denormals are flushed to zero inside;
 * the floating-point state is the caller's again on return.
 *
 * Error against exact values, tested over the whole range:
 *   sl_exp      relative 2e-7 where the result is normal, 0 below, infinity above
 *   sl_sigmoid  relative 4e-7 from -87 up, absolute 1e-37 below
 *   sl_tanh     relative 4e-7 (absolute 1e-37 for denormal arguments)
 * NaN gives NaN.
 */
#ifndef SL_KERNEL_H
#define SL_KERNEL_H

#include <stdbool.h>
#include <stddef.h>

/* "avx512f", "avx2" or "default": what the functions below run with. */
extern const char *sl_kernel_name(void);

/* Chooses by name; false if this build or machine has none such.  For tests. */
extern bool sl_kernel_choose(const char *name);

/* y[i] = f(x[i]); x and y may be the same array. */
extern void sl_exp(size_t n, const float *x, float *y);
extern void sl_sigmoid(size_t n, const float *x, float *y);
extern void sl_tanh(size_t n, const float *x, float *y);

/*
 * One time step of an LSTM on rows sequences.  gates [rows x 4 hidden] holds the
 * products of i, f, g, o and receives their activations; bias [4 hidden] is both biases'
 * sum.  Row r's previous cell state is at c_prev + r * c_stride (stride 0: the same for
 * all).  c and h [rows x hidden] are written; c may be c_prev.
 */
extern void sl_lstm_forward(int rows, int hidden, float *gates, const float *bias,
							const float *c_prev, size_t c_stride, float *c, float *h);

/*
 * Its gradient: gates are replaced by the gradients of the products.  dy is the
 * gradient of h from above, dh from the step after; dc from the step after is replaced
 * by the one for the step before.
 */
extern void sl_lstm_backward(int rows, int hidden, float *gates, const float *c_prev,
							 size_t c_stride, const float *c, const float *dy,
							 const float *dh, float *dc);

/*
 * One time step of a GRU.  gates [rows x 4 hidden] holds n's input product, the sums of
 * both products of r and z, and n's recurrent product, and receives n, r, z and the
 * recurrent product with its bias; bias [4 hidden] is in the same order.
 */
extern void sl_gru_forward(int rows, int hidden, float *gates, const float *bias,
						   const float *h_prev, size_t h_stride, float *h);

/* Its gradient; dh is replaced by the part of the previous state's gradient that goes
 * round the recurrent product. */
extern void sl_gru_backward(int rows, int hidden, float *gates, const float *h_prev,
							size_t h_stride, const float *dy, float *dh);

/* sum[j] += the sum of column j of a [rows x cols]. */
extern void sl_column_sums(int rows, int cols, const float *a, size_t stride, float *sum);

/* y[j] += x[j] in every row of y [rows x cols]. */
extern void sl_add_row(int rows, int cols, const float *x, float *y, size_t stride);

/* y = x * m, and y += x * m, element by element. */
extern void sl_multiply(size_t n, const float *x, const float *m, float *y);
extern void sl_multiply_add(size_t n, const float *x, const float *m, float *y);

#endif
