/*
 * runner.h: forward passes with a loaded model: rows of inputs in, predictions out.
 */
#ifndef SL_RUNNER_H
#define SL_RUNNER_H

#include "store/store.h"

typedef struct SlRunner SlRunner;

/* Refuses a model whose predictions are not one number for every row. */
extern void sl_runner_check(const SlModel *model);

/* In the current memory context. */
extern SlRunner *sl_runner_create(const SlModel *model);

/* Whether this model carries a state from row to row. */
extern bool sl_runner_carries(const SlModel *model);

/*
 * Runs whole sequences: sequence s has rows start[s] .. start[s + 1] - 1 of x [rows x
 * inputs] and code[e][rows].  out receives the raw outputs, [rows x outputs].
 */
extern void sl_runner_sequences(SlRunner *runner, int sequences, const int *start,
								const float *x, int32 *const *code, float *out);

/*
 * Runs consecutive rows of one sequence; state [net.state] is read (unless fresh) and
 * replaced.
 */
extern void sl_runner_rows(SlRunner *runner, int rows, const float *x, int32 *const *code,
						   float *state, bool fresh, float *out);

/* A raw output row as a prediction in the target's own units; quantiles may be NULL. */
extern double sl_runner_predict(const SlModel *model, const float *raw,
								double *quantiles);

/* Quantiles a prediction of this model has, 0 if none. */
extern int sl_runner_quantiles(const SlModel *model);

#endif
