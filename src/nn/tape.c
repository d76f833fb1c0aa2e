/*
 * tape.c: tensors, the list of operations and playing it backwards.
 *
 * While counting, arenas give no memory, but the layers still need shapes to go on with:
 * those tensors come from a small pool inside the tape.
 */
#include "nn/tape.h"

#include <string.h>

#include "nn/blas.h"

/* Floating-point operations between two questions to should_stop(): some 5 to 20 ms on a
 * processor of its own. */
#define PIECE 1e9
/* Pieces of a product start at multiples of this. */
#define PIECE_ALIGN 64

typedef struct Product
{
	bool trans_a;
	bool trans_b;
	int m;
	int n;
	int k;
	const float *a;
	int lda;
	const float *b;
	int ldb;
	float beta;
	float *c;
	int ldc;
} Product;

/* The gradient of a tensor that is only counted: not NULL, and never written. */
static float nowhere;

void
sl_fail(SlTape *tape, SlStatus status)
{
	if (tape->status == SL_OK)
		tape->status = status;
}

bool
sl_go_on(SlTape *tape)
{
	if (tape->status == SL_OK && tape->should_stop != NULL &&
		tape->should_stop(tape->stop_arg))
		tape->status = SL_STOPPED;
	return tape->status == SL_OK;
}

void *
sl_tape_alloc(SlTape *tape, size_t count, size_t width)
{
	void *result = sl_alloc(tape->arena, count, width);

	if (tape->arena->used == SIZE_MAX)
		sl_fail(tape, SL_NO_MEMORY);
	return result;
}

float *
sl_tape_floats(SlTape *tape, size_t rows, size_t cols)
{
	size_t count;

	if (__builtin_mul_overflow(rows, cols, &count))
		count = SIZE_MAX;
	return sl_tape_alloc(tape, count, sizeof(float));
}

void *
sl_tape_op(SlTape *tape, size_t size, void (*backward)(SlTape *tape, SlOp *op))
{
	SlOp *op = sl_tape_alloc(tape, 1, size);

	if (op == NULL)
		return NULL;
	memset(op, 0, size);
	op->backward = backward;
	op->previous = tape->last;
	tape->last = op;
	return op;
}

/* The tensor itself: from the arena, or from the tape's pool while counting. */
static SlTensor *
tensor_header(SlTape *tape, int rows, int cols)
{
	SlTensor *tensor = sl_tape_alloc(tape, 1, sizeof(SlTensor));

	if (sl_counting(tape) && tape->status == SL_OK)
	{
		if (tape->counted == SL_MAX_COUNTED)
			sl_fail(tape, SL_BAD_SHAPE);
		else
			tensor = &tape->shape[tape->counted++];
	}
	if (tensor != NULL)
		*tensor = (SlTensor){.rows = rows, .cols = cols};
	return tensor;
}

SlTensor *
sl_tensor_new(SlTape *tape, int rows, int cols, bool want_grad)
{
	if (tape->status != SL_OK)
		return NULL;
	if (rows < 0 || cols < 0)
	{
		sl_fail(tape, SL_BAD_SHAPE);
		return NULL;
	}

	SlTensor *tensor = tensor_header(tape, rows, cols);
	float *data = sl_tape_floats(tape, rows, cols);
	float *grad =
		want_grad && tape->grad != NULL ? sl_tape_floats(tape, rows, cols) : NULL;

	if (tape->status != SL_OK)
		return NULL;
	tensor->data = data;
	tensor->grad = grad;
	if (sl_counting(tape) && want_grad && tape->grad != NULL)
		tensor->grad = &nowhere;
	else if (grad != NULL)
		memset(grad, 0, (size_t) rows * cols * sizeof(float));
	return tensor;
}

SlTensor *
sl_tensor(SlTape *tape, int rows, int cols)
{
	return sl_tensor_new(tape, rows, cols, true);
}

SlTensor *
sl_input(SlTape *tape, const float *data, int rows, int cols)
{
	if (tape->status != SL_OK)
		return NULL;
	if (rows < 0 || cols < 0)
	{
		sl_fail(tape, SL_BAD_SHAPE);
		return NULL;
	}

	SlTensor *tensor = tensor_header(tape, rows, cols);

	if (tensor != NULL)
		tensor->data = (float *) data;
	return tensor;
}

SlStatus
sl_backward(SlTape *tape)
{
	if (sl_counting(tape))
		return tape->status;
	for (SlOp *op = tape->last; op != NULL && sl_go_on(tape); op = op->previous)
		op->backward(tape, op);
	return tape->status;
}

/* A product in pieces: the longest side is cut in two, by shape alone so that results
 * repeat, until what is left is small. */
static bool
product(SlTape *tape, const Product *p)
{
	int longest = p->m > p->n ? p->m : p->n;
	Product first = *p, second = *p;

	longest = p->k > longest ? p->k : longest;
	if (2.0 * p->m * p->n * p->k <= PIECE || longest < 2 * PIECE_ALIGN)
	{
		sl_gemm(p->trans_a, p->trans_b, p->m, p->n, p->k, 1, p->a, p->lda, p->b, p->ldb,
				p->beta, p->c, p->ldc);
		return true;
	}

	int half = longest / 2 - longest / 2 % PIECE_ALIGN;
	size_t at = (size_t) half;

	if (p->m == longest)
	{
		first.m = half;
		second.m -= half;
		second.a += p->trans_a ? at : at * p->lda;
		second.c += at * p->ldc;
	}
	else if (p->n == longest)
	{
		first.n = half;
		second.n -= half;
		second.b += p->trans_b ? at * p->ldb : at;
		second.c += at;
	}
	else
	{
		first.k = half;
		second.k -= half;
		second.a += p->trans_a ? at * p->lda : at;
		second.b += p->trans_b ? at : at * p->ldb;
		second.beta = 1;
	}
	return product(tape, &first) && sl_go_on(tape) && product(tape, &second);
}

bool
sl_tape_gemm(SlTape *tape, bool trans_a, bool trans_b, int m, int n, int k,
			 const float *a, int lda, const float *b, int ldb, float beta, float *c,
			 int ldc)
{
	Product whole = {trans_a, trans_b, m, n, k, a, lda, b, ldb, beta, c, ldc};

	if (tape->status != SL_OK)
		return false;
	if (!sl_blas_load())
	{
		sl_fail(tape, SL_NO_BLAS);
		return false;
	}
	return product(tape, &whole);
}
