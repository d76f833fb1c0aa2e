/*
 * tape.h: what a layer needs to write itself: operations on the tape, memory that fails
 * softly, and products that can be stopped.  Only files in src/nn include it.
 */
#ifndef SL_TAPE_H
#define SL_TAPE_H

#include "nn/gradient.h"

/* A layer's operation starts with this and adds what its backward function needs. */
struct SlOp
{
	SlOp *previous;
	void (*backward)(SlTape *tape, SlOp *op);
};

/* Sets the tape's status unless an earlier error is there. */
extern void sl_fail(SlTape *tape, SlStatus status);

/* False once the tape has failed or should_stop() says so. */
extern bool sl_go_on(SlTape *tape);

/* count * width bytes; NULL when counting, or with the tape's status set when there is
 * no room. */
extern void *sl_tape_alloc(SlTape *tape, size_t count, size_t width);
extern float *sl_tape_floats(SlTape *tape, size_t rows, size_t cols);

/* A new operation of size bytes, put on the tape; NULL when counting or failed. */
extern void *sl_tape_op(SlTape *tape, size_t size,
						void (*backward)(SlTape *tape, SlOp *op));

/* sl_tensor with the choice of having a gradient. */
extern SlTensor *sl_tensor_new(SlTape *tape, int rows, int cols, bool want_grad);

/* sl_gemm in pieces of bounded work with should_stop asked between; false if the tape
 * has failed. */
extern bool sl_tape_gemm(SlTape *tape, bool trans_a, bool trans_b, int m, int n, int k,
						 const float *a, int lda, const float *b, int ldb, float beta,
						 float *c, int ldc);

/* A parameter's shape, value and (if it is updated as a whole) gradient. */
static inline const SlParam *
sl_shape(const SlTape *tape, int param)
{
	return &tape->params->item[param];
}

static inline const float *
sl_value(const SlTape *tape, int param)
{
	return tape->value + tape->params->item[param].offset;
}

static inline float *
sl_grad(const SlTape *tape, int param)
{
	return tape->grad->dense + tape->params->item[param].grad_offset;
}

/* A table's gradient; NULL if it is not updated by rows. */
static inline SlTableGradient *
sl_grad_table(const SlTape *tape, int param)
{
	const SlParam *shape = sl_shape(tape, param);

	return shape->update == SL_UPDATE_ROWS ? &tape->grad->table[shape->table] : NULL;
}

/* One row of an inverted dropout mask: 0 or 1 / (1 - p), cols values that depend on
 * (seed, epoch, key, salt) alone. */
extern void sl_dropout_mask(const SlTape *tape, float p, uint64_t key, uint32_t salt,
							int cols, float *mask);

#endif
