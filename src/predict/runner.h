/*
 * runner.h: forward passes with a loaded model: rows of inputs in, predictions out.
 */
#ifndef SL_RUNNER_H
#define SL_RUNNER_H

#include "store/store.h"

typedef struct SlRunner SlRunner;

/* Refuses a model that predicts items: its predictions are not one number a row. */
extern void sl_runner_check(const SlModel *model);

/* Has the model's recurrent weights packed for the passes of this process, in as much
 * memory again; in the current memory context. */
extern void sl_runner_pack(SlModel *model);

/* In the current memory context. */
extern SlRunner *sl_runner_create(const SlModel *model);

/* Whether this model carries a state from row to row. */
extern bool sl_runner_carries(const SlModel *model);

/* Whether it takes sequences whole, their past and their future rows at once. */
static inline bool
sl_runner_is_whole(const SlModel *model)
{
	return model->options.horizon != 0;
}

/* Rows first .. first + rows - 1 of the arrays belong to one sequence. */
typedef struct SlSpan
{
	int first;
	int rows;
} SlSpan;

/* Rows of sequences, in arrays: x [rows x inputs], code[e][rows] and, if the model takes
 * sequences whole, future[rows].  out receives the raw outputs, [rows x outputs]. */
typedef struct SlRows
{
	const float *x;
	int32 *const *code;
	const uint8 *future;
	float *out;
} SlRows;

/* Sequences that go side by side.  Without a state, spans are rows that do. */
typedef struct SlGroups
{
	int count;
	int *start; /* [count + 1], in span */
	int spans;
	SlSpan *span; /* the longest first */
} SlGroups;

/* In the current memory context. */
extern SlGroups sl_runner_groups(const SlModel *model, int rows, int sequences,
								 const SlSpan *span);

/* Runs the sequences of a group, each from its first row to its last. */
extern void sl_runner_group(SlRunner *runner, const SlGroups *groups, int group,
							const SlRows *rows);

/* Bytes of a pass over the largest of the groups, of which there must be one. */
extern Size sl_runner_group_memory(SlRunner *runner, const SlGroups *groups);

/* For a process that computes for another one: its limit, and when to stop; then stopped
 * is called and must not return. */
extern void sl_runner_serve(SlRunner *runner, Size limit, bool (*stop)(void *arg),
							void *arg, void (*stopped)(void));

/*
 * Runs consecutive rows of one sequence; state [net.state] is read (unless fresh) and
 * replaced.  Only for models that don't take sequences whole.
 */
extern void sl_runner_rows(SlRunner *runner, int rows, const float *x, int32 *const *code,
						   float *state, bool fresh, float *out);

/* Runs a sequence whole and hands out the state [net.state] after its last row; future
 * may be NULL: no row is. */
extern void sl_runner_whole(SlRunner *runner, int rows, const float *x,
							int32 *const *code, const uint8 *future, float *state,
							float *out);

/* Runs one more row, to be predicted, of each of several sequences; state [sequences x
 * net.state] is read (unless fresh) and replaced. */
extern void sl_runner_step(SlRunner *runner, int sequences, const float *x,
						   int32 *const *code, float *state, bool fresh, float *out);

/* A raw output row as a prediction in the target's own units; quantiles may be NULL. */
extern double sl_runner_predict(const SlModel *model, const float *raw,
								double *quantiles);

/* Quantiles a prediction of this model has, 0 if none. */
extern int sl_runner_quantiles(const SlModel *model);

#endif
